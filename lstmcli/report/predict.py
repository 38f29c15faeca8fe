"""Forecasts of the next sessions in prices, next to the naive forecast, and their explanation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import UsageError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.verdict import SHOWN_NAMES, p_value
from lstmcli.forecasting.explain import Effect, Explanation, Floats
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
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
from lstmcli.report.output import make_table
from lstmcli.report.view import Format, View, make_document
from lstmcli.workflows.predict import PredictReport, SymbolForecast

_SHOWN_STEPS = (1, 5, 20, 50)
_ABOVE = ("model", "symbol", "cutoff", "last_close", "sigma", "mase_scale")
_QUOTED = ("naive", "drift", PAST_MOVES)


def predict_view(report: PredictReport, *, all_steps: bool = False) -> View:
    """Show steps 1, 5, 20, 50 and the last, or all of them; the rows are the long table."""

    def document() -> dict[str, Any]:
        return make_document(
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
        )

    return View(
        tables=lambda: _tables(report, all_steps),
        document=document,
        rows=lambda: (row for each in report.forecasts for row in _rows(report, each)),
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
    found["steps"] = steps = [
        {key: row[key] for key in row if key not in (*_ABOVE, "in_training")} for row in rows
    ]
    if each.forecast.spread is not None:
        for step, spread in zip(steps, each.forecast.spread[0].tolist(), strict=True):
            step["spread"] = spread
    if each.explanation is not None:
        unit = unit_of(report.metadata.interval)
        found["explain"] = explain_document(each.explanation, unit)
    return found


def _known(each: SymbolForecast) -> dict[str, Any]:
    """Return which price column is forecast, and which the model was trained on."""
    return {
        "price": each.price,
        "trained_on": each.trained_on,
        "price_as_trained": each.price_as_trained,
    }


def _tables(report: PredictReport, all_steps: bool) -> list[RenderableType]:
    shown: list[list[str]] = []
    explained: list[Explanation] = []
    columns: set[str] = set()
    fans = spreads = happened = False
    rated = bool(report.known.base_rates)
    known_later: list[str] = []
    for each in report.forecasts:
        columns.add(each.price)
        # The first two are the model's; a truth in one row makes a column for all.
        fans, spreads = each.forecast.quantiles is not None, each.forecast.spread is not None
        happened |= not math.isnan(each.actual[0])
        known_later += [each.symbol] if each.in_training else []
        explained += [each.explanation] if each.explanation else []
        shown += [
            _cells(each, row)
            for row in _rows(report, each)
            if all_steps or row["step"] in (*_SHOWN_STEPS, report.horizon)
        ]
    rise = "Rise (in the past)" if rated else "Rise"
    names = (
        ["Symbol", "Cutoff", "Date", "Step", "Last close = naive"]
        + (["Median", "Change", "80 % from", "to", rise] if fans else ["Forecast", "Change"])
        + (["Spread"] if spreads else [])
        + (["Actual"] if happened else [])
    )
    title = f"Forecast by {report.model}, {ahead(report.horizon, report.metadata.interval)}"
    table = make_table(title, names, (cells[: len(names)] for cells in shown), left=3)
    lines = []
    if known_later:
        # The model had seen the outcome of these forecasts, or of days after their cutoff.
        until = report.metadata.trained_until
        lines.append(
            f"Hindsight, no evidence of what the model is worth: it was fitted on rows up to "
            f"{until}, after the cutoff of {first_few(known_later, 5)}."
        )
    spread = " Spread: standard deviation of the members' medians." if spreads else ""
    lines.append(price_basis(columns) + spread)
    if fans and not rated:
        lines.append(f"Chance of a rise: {BASE_RATE_UNKNOWN}.")
    unit = unit_of(report.metadata.interval)
    return [table, *lines, _record(report), *explain_tables(explained, unit)]


def _cells(each: SymbolForecast, row: dict[str, Any]) -> list[str]:
    """Return the cells of one step, the actual price last.

    The chance of a rise has in parentheses how often prices rose in training rows.
    """
    step = row["step"]
    cells = [each.symbol, row["cutoff"], row["date"], str(step), price(each.last_close)]
    cells += [price(row["median"]), move(each.forecast.median[0, step - 1])]
    if each.forecast.quantiles is not None:
        fan = each.forecast.quantiles[0, step - 1]
        low, high = each.last_close * np.exp(np.interp([0.1, 0.9], each.forecast.levels, fan))
        rise, base = row["probability_of_rise"], row["base_rate_of_rise"]
        in_the_past = "" if rise is None or base is None else f" ({percent(base, 0)})"
        cells += [price(low), price(high), percent(rise, 0) + in_the_past]
    if each.forecast.spread is not None:
        cells.append(percent(float(each.forecast.spread[0, step - 1])))
    return [*cells, "-" if row["actual"] is None else price(row["actual"])]


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


_SINGLE = 10
_BLOCKS = ((50, 10), (250, 50), (1000, 250), (5000, 1000))  # up to so many bars back, so many a row
_MAIN_STEP = 20
_NOTHING = 1e-6
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
        shown += [
            _effect_table(found, *each) for each in _effects(found) if _moves(each[1], slice(None))
        ]
        shown += readings(found, unit)
    return [*shown, _legend(explained[0])] if shown else []


def explain_document(found: Explanation, unit: str) -> dict[str, Any]:
    """Return every number: by bar from the oldest, and for effects by step within it."""
    return {
        "dates": [str(day) for day in found.dates],
        "steps": list(found.steps),
        "median": _lists(found.median),
        "width_80": None if found.width is None else _lists(found.width),
        "gates": [
            {"layer": gate.layer, "gate": gate.name, "openness": gate.openness.tolist()}
            for gate in found.gates
        ],
        "readings": readings(found, unit),
    }


def readings(found: Explanation, unit: str) -> list[str]:
    """Describe each effect at the main step in one line, in numbers of the document."""
    step = _main_step(found)
    at = found.steps.index(step)
    lines = []
    for name, effect in _effects(found):
        what = f"the {name} at step {step}"
        if not _moves(effect, at):
            lines.append(f"{found.symbol}: no bar moves {what}, nor do all together.")
            continue
        alone, older = effect.alone[:, at], effect.with_older[:, at]
        most = int(np.abs(alone).argmax())
        bar = f"the bar of {found.dates[most]} ({len(alone) - most} back)"
        lines.append(
            f"{found.symbol}: {bar} moves {what} most, by {_share(alone[most])}. "
            f"{_reach(older, unit)}"
        )
    return lines


def _reach(with_older: Floats, unit: str) -> str:
    """Describe the effect that is left when only the latest bars are read.

    They are as few as can be such that with them, and with any more of them, less than a tenth of
    the largest effect is left.
    """
    bars = len(with_older)
    counts = int((np.abs(with_older) >= _SMALL * np.abs(with_older).max()).argmax())
    whole = f"all {bars} by {_share(with_older[-1])}."
    if counts == 0:
        return (
            f"Even the oldest counts: masked alone it moves it by {_share(with_older[0])}, {whole}"
        )
    latest = count_of(bars - counts, unit)
    left = _share(with_older[counts - 1])
    return f"Masking all but the latest {latest} moves it by {left}, {whole}"


def _effects(found: Explanation) -> Iterator[tuple[str, Effect]]:
    yield "median", found.median
    if found.width is not None:
        yield "width of the 80 % band", found.width


def _moves(effect: Effect, steps: int | slice) -> bool:
    """Return whether masking has an effect at the steps, beyond the rounding of float32."""
    both = np.stack([effect.alone, effect.with_older])[..., steps]
    return bool(np.abs(both).max() > _NOTHING)


def _lists(effect: Effect) -> dict[str, Any]:
    return {"alone": effect.alone.tolist(), "with_older": effect.with_older.tolist()}


def _gate_table(found: Explanation, unit: str) -> RenderableType:
    bars = len(found.dates)
    if not found.gates:
        return f"{found.symbol}: this network has no gates; it read {count_of(bars, unit)}."
    rows = []
    for gate in found.gates:
        thirds = [float(part.mean()) for part in np.array_split(gate.openness, 3)]
        rows.append([gate.layer, gate.name, *map(number, [*thirds, float(gate.openness[-1])])])
    return make_table(
        f"{found.symbol}: how open the gates were, 0 to 1, mean of the cells, "
        f"{count_of(bars, unit)}",
        ["Layer", "Gate", "Oldest third", "Middle third", "Latest third", "At the cutoff"],
        rows,
        left=2,
    )


def _effect_table(found: Explanation, name: str, effect: Effect) -> RenderableType:
    main, cells = found.steps.index(_main_step(found)), []
    for newest, oldest in _groups(len(found.dates)):
        rows = slice(len(found.dates) - oldest, len(found.dates) - newest + 1)
        alone = effect.alone[rows]
        strongest = np.take_along_axis(alone, np.abs(alone).argmax(axis=0)[None], axis=0)[0]
        back = str(newest) if newest == oldest else f"{newest}-{oldest}"
        together = effect.with_older[rows][-1, main]
        cells.append([back, found.dates[rows][-1], *map(_share, [*strongest, together])])
    return make_table(
        f"{found.symbol}: how the {name} moves when a bar is masked",
        ["Back", "Bar of", *(f"Step {each}" for each in found.steps), "With older"],
        cells,
        left=2,
    )


def _groups(bars: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last bar of each row of a table, counted back from 1."""
    start = 1
    for up_to, size in ((_SINGLE, 1), *_BLOCKS):
        while start <= min(up_to, bars):
            yield start, min(start + size - 1, bars)
            start += size


def _legend(found: Explanation) -> str:
    return (
        "Back: bars counted from the cutoff, whose own is 1. A masked bar is read as the mean of "
        "its window; where several share a row, it shows the one that moves most. With older: the "
        f"latest of the row and all before it, at step {_main_step(found)}. What is outside the "
        "network stays: the price, the volatility or the year before that its answer is scaled "
        "by, and what other bars carry of a masked one in their averages."
    )


def _main_step(found: Explanation) -> int:
    return _MAIN_STEP if _MAIN_STEP in found.steps else found.steps[-1]


def _share(value: float) -> str:
    return percent(float(value), sign=True)
