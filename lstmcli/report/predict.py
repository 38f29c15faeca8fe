"""Forecasts of the next sessions in prices, next to the naive forecast, and their explanation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import UsageError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.verdict import SHOWN_NAMES, p_value
from lstmcli.forecasting.explain import Effect, Explanation
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import Format, View, make_document
from lstmcli.report.long_table import backtest_rows
from lstmcli.report.numbers import (
    BASE_RATE_UNKNOWN,
    ahead,
    move,
    number,
    percent,
    price,
    price_basis,
)
from lstmcli.report.tables import make_table
from lstmcli.workflows.predict import PredictReport, SymbolForecast

_SHOWN_STEPS = (1, 5, 20, 50)
_ABOVE = ("model", "symbol", "cutoff", "last_close", "sigma", "mase_scale")
_QUOTED = ("naive", "drift", PAST_MOVES)


def predict_view(report: PredictReport, *, all_steps: bool = False) -> View:
    """Show steps 1, 5, 20, 50 and the last, or all of them; the rows are the long table."""
    return View(
        lambda: _tables(report, all_steps),
        lambda: make_document(
            "predict",
            model=str(report.model),
            horizon=report.horizon,
            trained_prices=sorted(set(report.metadata.trained_prices.values())),
            trained_until=str(report.metadata.trained_until),
            stale=report.stale,
            validation=report.metadata.record["validation"],
            forecasts=(_forecast(report, each) for each in report.forecasts),
            # Iterators, since they are complete only when the forecasts before them are written.
            notes=iter(report.notes),
            failures=iter(report.failures),
        ),
        lambda: (row for each in report.forecasts for row in _rows(report, each)),
        lines=lambda: (
            row | _known(each) for each in report.forecasts for row in _rows(report, each)
        ),
    )


def _rows(report: PredictReport, each: SymbolForecast) -> Iterator[dict[str, Any]]:
    name = str(report.model)
    known = replace(report.known, mase_scales={each.symbol: each.mase_scale})
    # A context in which no bar moved gives no chance.
    changed: dict[str, Any] = {"probability_of_rise": None} if each.constant else {}
    # At the end, so that no other column changes its place.
    changed["in_training"] = each.in_training
    window = Backtest(
        symbol=np.array([each.symbol]),
        cutoff=np.array([each.cutoff]),
        last_close=np.array([each.last_close]),
        sigma=np.array([each.sigma]),
        dates=each.dates[None],
        actual=each.actual[None],
        forecasts={name: each.forecast},
    )
    return (row | changed for row in backtest_rows(window, known))


def _forecast(report: PredictReport, each: SymbolForecast) -> dict[str, Any]:
    rows = list(_rows(report, each))
    found = {key: rows[0][key] for key in _ABOVE} | _known(each)
    found |= {"in_training": each.in_training, "warnings": each.warnings}
    hidden = {*_ABOVE, "in_training"}
    steps = [{key: row[key] for key in row if key not in hidden} for row in rows]
    if each.forecast.spread is not None:
        for step, spread in zip(steps, each.forecast.spread[0].tolist(), strict=True):
            step["spread"] = spread
    found["steps"] = steps
    if each.explanation is not None:
        found["explain"] = explain_document(each.explanation, unit_of(report.metadata.interval))
    return found


def _known(each: SymbolForecast) -> dict[str, Any]:
    """Return which price column is forecast, and which the model was trained on."""
    return {key: getattr(each, key) for key in ("price", "trained_on", "price_as_trained")}


def _tables(report: PredictReport, all_steps: bool) -> list[RenderableType]:
    shown: list[dict[str, str]] = []
    explained: list[Explanation] = []
    prices: set[str] = set()
    known_later: list[str] = []
    for each in report.forecasts:
        prices.add(each.price)
        known_later += [each.symbol] if each.in_training else []
        explained += [each.explanation] if each.explanation else []
        shown += [
            _cells(each, row, rated=bool(report.known.base_rates))
            for row in _rows(report, each)
            if all_steps or row["step"] in (*_SHOWN_STEPS, report.horizon)
        ]
    # A truth in one row makes a column for all.
    names = list(dict.fromkeys(name for cells in shown for name in cells))
    title = f"Forecast by {report.model}, {ahead(report.horizon, report.metadata.interval)}"
    lines = []
    if known_later:
        # The model had seen the outcome of these forecasts, or of days after their cutoff.
        until = report.metadata.trained_until
        lines.append(
            f"Hindsight, no evidence of what the model is worth: it was fitted on rows up to "
            f"{until}, after the cutoff of {first_few(known_later, 5)}."
        )
    spread = " Spread: standard deviation of the members' medians." if "Spread" in names else ""
    lines.append(price_basis(prices) + spread)
    if report.metadata.har:
        lines.append("No view on direction: the median is long-run growth times the range.")
    if "Rise" in names:
        lines.append(f"Chance of a rise: {BASE_RATE_UNKNOWN}.")
    return [
        make_table(title, names, ([cells.get(name) for name in names] for cells in shown), left=3),
        *lines,
        _record(report),
        *explain_tables(explained, unit_of(report.metadata.interval)),
    ]


def _cells(each: SymbolForecast, row: dict[str, Any], *, rated: bool) -> dict[str, str]:
    """Return the cells of one step by their heading.

    The chance of a rise has in parentheses how often prices rose in training rows, if that is known
    of the model (`rated`).
    """
    step, fan, spread = row["step"], each.forecast.quantiles, each.forecast.spread
    cells = {"Symbol": each.symbol, "Cutoff": row["cutoff"], "Date": row["date"]}
    cells |= {"Step": str(step), "Last close = naive": price(each.last_close)}
    cells["Forecast" if fan is None else "Median"] = price(row["median"])
    cells["Change"] = move(each.forecast.median[0, step - 1])
    if fan is not None:
        levels = np.interp([0.1, 0.9], each.forecast.levels, fan[0, step - 1])
        low, high = each.last_close * np.exp(levels)
        rise, base = row["probability_of_rise"], row["base_rate_of_rise"]
        in_the_past = "" if rise is None or base is None else f" ({percent(base, 0)})"
        cells |= {"80 % from": price(low), "to": price(high)}
        cells["Rise (in the past)" if rated else "Rise"] = percent(rise, 0) + in_the_past
    if spread is not None:
        cells["Spread"] = percent(float(spread[0, step - 1]))
    if row["actual"] is not None:
        cells["Actual"] = price(row["actual"])
    return cells


def _record(report: PredictReport) -> str:
    """Quote the errors on validation with their tests against baselines, or none of it."""
    found = report.metadata.validation
    if found is None:
        return "This model has no validation score; see lstmcli evaluate."
    n = found.n_independent
    if n < MIN_WINDOWS:
        return (
            f"Past accuracy: {count_of(n, 'validation window')}, too few for a test; see lstmcli "
            "evaluate."
        )
    errors = {name: percent(each.rmse, 3) for name, each in found.models.items()}
    p = found.models["network"].p
    tested = {
        name: each for name in _QUOTED if name in errors and (each := p.get(name)) is not None
    }
    if PAST_MOVES not in tested:
        return f"Past accuracy: no test on {n} validation windows is kept; see lstmcli evaluate."
    against = [
        f"{SHOWN_NAMES.get(name, name)} {errors[name]} ({p_value(each)})"
        for name, each in tested.items()
    ]
    return (
        f"Path RMSE on {n} validation windows, optimistic since the epoch was chosen on the same "
        f"windows: {errors['network']}; {', '.join(against)}. On test data: lstmcli evaluate."
    )


# The bars, counted back from 1, that begin a row of a table.
_ROWS = (
    *(*range(1, 11), *range(11, 51, 10), *range(51, 251, 50)),
    *(*range(251, 1001, 250), *range(1001, 5001, 1000)),
)
_MAIN_STEP = 20
_NOTHING = 1e-6  # beyond the rounding of float32
_SMALL = 0.1


def check_explain(asked: bool, form: Format) -> None:
    """Raise before any work is done for a format that cannot hold an explanation."""
    if asked and form not in ("table", "json"):
        raise UsageError(
            "an explanation is no table of rows",
            where=f"--explain --format {form}",
            next_step="Pass --format table or json.",
        )


def explain_tables(explained: Sequence[Explanation], unit: str) -> list[RenderableType]:
    """Show the gates and the effects of each forecast, with a line that describes them.

    unit : the word for the distance of two bars.
    """
    shown: list[RenderableType] = []
    for found in explained:
        shown.append(_gate_table(found, unit))
        for name, effect in _effects(found).items():
            if max(np.abs(effect.alone).max(), np.abs(effect.with_older).max()) > _NOTHING:
                shown.append(_effect_table(found, name, effect))
        shown += readings(found, unit)
    if shown:
        shown.append(
            "Back: bars counted from the cutoff, whose own is 1. A masked bar is read as the mean "
            "of its window; where several share a row, it shows the one that moves most. With "
            f"older: the latest of the row and all before it, at step {_main_step(explained[0])}. "
            "What is outside the network stays: the price, the volatility or the year before that "
            "its answer is scaled by, and what other bars carry of a masked one in their averages."
        )
    return shown


def explain_document(found: Explanation, unit: str) -> dict[str, Any]:
    """Return every number: by bar from the oldest, and for effects by step within it."""
    median, width = (
        each and {key: values.tolist() for key, values in vars(each).items()}
        for each in (found.median, found.width)
    )
    return {
        "dates": [str(day) for day in found.dates],
        "steps": list(found.steps),
        "median": median,
        "width_80": width,
        "gates": [
            {"layer": gate.layer, "gate": gate.name, "openness": gate.openness.tolist()}
            for gate in found.gates
        ],
        "readings": readings(found, unit),
    }


def readings(found: Explanation, unit: str) -> list[str]:
    """Describe each effect at the main step in one line, in numbers of the document.

    The latest bars named are as few as can be such that with them, and with any more of them, less
    than a tenth of the largest effect of masking the others is left.
    """
    step = _main_step(found)
    at, bars = found.steps.index(step), len(found.dates)
    lines = []
    for name, effect in _effects(found).items():
        alone, older = effect.alone[:, at], effect.with_older[:, at]
        most, largest = int(np.abs(alone).argmax()), np.abs(older).max()
        if max(abs(alone[most]), largest) <= _NOTHING:
            lines.append(
                f"{found.symbol}: no bar moves the {name} at step {step}, nor do all together."
            )
            continue
        counts = int((np.abs(older) >= _SMALL * largest).argmax())
        if counts:
            latest, left = count_of(bars - counts, unit), _share(older[counts - 1])
            reach = f"Masking all but the latest {latest} moves it by {left}"
        else:
            reach = f"Even the oldest counts: masked alone it moves it by {_share(older[0])}"
        lines.append(
            f"{found.symbol}: the bar of {found.dates[most]} ({bars - most} back) moves the {name} "
            f"at step {step} most, by {_share(alone[most])}. {reach}, all {bars} by "
            f"{_share(older[-1])}."
        )
    return lines


def _effects(found: Explanation) -> dict[str, Effect]:
    width = {} if found.width is None else {"width of the 80 % band": found.width}
    return {"median": found.median} | width


def _gate_table(found: Explanation, unit: str) -> RenderableType:
    bars = count_of(len(found.dates), unit)
    if not found.gates:
        return f"{found.symbol}: this network has no gates; it read {bars}."
    rows = []
    for gate in found.gates:
        thirds = [float(part.mean()) for part in np.array_split(gate.openness, 3)]
        rows.append([gate.layer, gate.name, *map(number, [*thirds, float(gate.openness[-1])])])
    return make_table(
        f"{found.symbol}: how open the gates were, 0 to 1, mean of the cells, {bars}",
        ["Layer", "Gate", "Oldest third", "Middle third", "Latest third", "At the cutoff"],
        rows,
        left=2,
    )


def _effect_table(found: Explanation, name: str, effect: Effect) -> RenderableType:
    main, bars, cells = found.steps.index(_main_step(found)), len(found.dates), []
    for newest, older in pairwise([*(start for start in _ROWS if start <= bars), bars + 1]):
        rows = slice(bars + 1 - older, bars - newest + 1)
        alone = effect.alone[rows]
        strongest = np.take_along_axis(alone, np.abs(alone).argmax(axis=0)[None], axis=0)[0]
        back = str(newest) if older == newest + 1 else f"{newest}-{older - 1}"
        together = effect.with_older[rows][-1, main]
        cells.append([back, found.dates[rows][-1], *map(_share, [*strongest, together])])
    return make_table(
        f"{found.symbol}: how the {name} moves when a bar is masked",
        ["Back", "Bar of", *(f"Step {each}" for each in found.steps), "With older"],
        cells,
        left=2,
    )


def _main_step(found: Explanation) -> int:
    return _MAIN_STEP if _MAIN_STEP in found.steps else found.steps[-1]


def _share(value: float) -> str:
    return percent(float(value), sign=True)
