"""Forecasts of the next sessions in prices, next to the naive forecast, and their explanation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import UsageError
from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.verdict import SHOWN_NAMES, p_value
from lstmcli.forecasting.explain import Effect, Explanation, InputEffect
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import Format, View, make_document
from lstmcli.report.long_table import asked_columns, forecast_rows
from lstmcli.report.numbers import (
    BASE_RATE_UNKNOWN,
    move,
    number,
    percent,
    price,
    price_basis,
)
from lstmcli.report.risk import (
    Sort,
    at_end,
    loss_rows,
    price_rows,
    risk_of_many,
    risk_tables,
    sort_cell,
)
from lstmcli.report.tables import NextSteps, fact_table, make_table, styled
from lstmcli.workflows.predict import Predictor, PredictReport, SymbolForecast

_Cells = dict[str, str | None]  # by heading

_SHOWN_STEPS = (1, 5, 10, 20, 30, 40, 50)
_MOST_BLOCKS = 3  # symbols, or models; of more symbols each has one row
_RANGE, _CHANCE, _PAST, _MODEL = "80 % range", "Chance up", "In the past", "Model"
_DROPPED = ("Spread", "Date", "Last close", _PAST)
_SPREAD = " Spread: standard deviation of the members' medians."
_ABOVE = ("model", "symbol", "cutoff", "last_close", "sigma", "mase_scale")
_QUOTED = ("naive", "drift", PAST_MOVES)


def predict_view(
    report: PredictReport,
    *,
    all_steps: bool = False,
    typed: str | None = None,
    sort: Sort | None = None,
) -> View:
    """Show some steps of up to three symbols, the last of more; the rows are the long table.

    all_steps : show all of them. typed : the words that name the data and the model, for the
    commands to type next; None for no such line. sort : what the symbols are sorted by.
    """
    return View(
        lambda: _tables(report, all_steps, typed, sort),
        lambda: make_document(
            "predict",
            **_model(report.main),
            forecasts=(_forecast(each) for each in report.forecasts),
            # Iterators, since they are complete only when the forecasts before them are written.
            notes=iter(report.notes),
            failures=iter(report.failures),
            # All of them; the keys above are of the first.
            models=(_model(by) for by in report.models),
        ),
        lambda: (row for each in report.forecasts for row in forecast_rows(each)),
        lines=lambda: (
            row | _known(each) for each in report.forecasts for row in forecast_rows(each)
        ),
    )


def _model(by: Predictor) -> dict[str, Any]:
    """Return what to know of a model."""
    return {
        "model": str(by.reference),
        "horizon": by.horizon,
        "trained_prices": sorted(set(by.metadata.trained_prices.values())),
        "trained_until": str(by.metadata.trained_until),
        "stale": by.stale,
        "validation": by.metadata.record["validation"],
    }


def _forecast(each: SymbolForecast) -> dict[str, Any]:
    rows = list(forecast_rows(each))
    found = {key: rows[0][key] for key in _ABOVE} | _known(each)
    found |= {"in_training": each.in_training, "warnings": each.warnings}
    hidden = {*_ABOVE, "in_training", *asked_columns(each)}
    steps = [{key: row[key] for key in row if key not in hidden} for row in rows]
    if each.forecast.spread is not None:
        for step, spread in zip(steps, each.forecast.spread[0].tolist(), strict=True):
            step["spread"] = spread
    found["steps"] = steps
    if each.asked is not None:
        found |= {"levels": price_rows(each)} if each.asked.asked else {}
        found |= {"risk": loss_rows(each)} if each.asked.past_loss is not None else {}
    if each.explanation is not None:
        found["explain"] = explain_document(each.explanation, unit_of(each.by.metadata.interval))
    return found


def _known(each: SymbolForecast) -> dict[str, Any]:
    """Return which price column is forecast, and which the model was trained on."""
    return {key: getattr(each, key) for key in ("price", "trained_on", "price_as_trained")}


def _tables(
    report: PredictReport, all_steps: bool, typed: str | None, sort: Sort | None
) -> list[RenderableType]:
    blocks: list[RenderableType] = []
    ends: list[_Cells] = []
    steps: list[_Cells] = []
    explained: list[Explanation] = []
    prices: set[str] = set()
    known_later: list[str] = []
    risks: list[_Cells] = []
    for each in report.forecasts:  # of many symbols little is kept
        cells = [_cells(each, row) for row in forecast_rows(each)]
        name: _Cells = {"Symbol": each.symbol}
        end = {title: cell for title, cell in cells[-1].items() if title != "Step"}
        model = str(each.by.reference)
        shown = {_MODEL: model, "Last close": price(each.last_close)} | end
        ends.append(name | shown | sort_cell(sort, each))
        risks += at_end(each)
        if all_steps:
            steps += [name | {_MODEL: model} | row for row in cells]
        if len(ends) <= _MOST_BLOCKS:
            blocks += _block(each, cells, all_steps)
        if each.explanation:
            explained.append(each.explanation)
        prices.add(each.price)
        known_later += [each.symbol] if each.in_training else []
    several, unsaid = len(ends) > _MOST_BLOCKS, len(report.models) - _MOST_BLOCKS
    if several:
        blocks = _one_row_each(report, ends, steps, known_later)
        blocks += risk_of_many(risks, _ahead(report.main))
    commands = [] if typed is None else [f"evaluate {typed}", f"predict {typed} --plot -"]
    commands += [f"predict {typed} --all-steps"] if commands and several and not all_steps else []
    return [
        *blocks,
        price_basis(prices) + _SPREAD * any("Spread" in each for each in ends),
        *(_trust(by, named=len(report.models) > 1) for by in report.models[:_MOST_BLOCKS]),
        *([f"... {unsaid} more models: lstmcli models list"] if unsaid > 0 else []),
        *explain_tables(explained, unit_of(report.main.metadata.interval)),
        NextSteps(*(f"lstmcli {each}".replace("  ", " ").strip() for each in commands)),
    ]


def _block(each: SymbolForecast, cells: Sequence[_Cells], all_steps: bool) -> list[RenderableType]:
    """Show one symbol: the answer in three lines, then step by step."""
    ahead, end = _ahead(each.by), cells[-1]
    forecast = f"{end['Forecast']} ({end['Move']}) by {end['Date']}"
    if span := end.get(_RANGE):
        forecast += f"; 80 % range {span}"
    facts = [
        ("Last close", f"{price(each.last_close)} {each.currency}".strip() + f" on {each.cutoff}"),
        (f"In {ahead}", forecast),
        ("Direction", _direction(each, end)),
    ]
    if actual := end.get("Actual"):
        facts.append(("What happened", f"{actual} ({move(float(each.actual[-1]), 1)})"))
    if each.in_training:
        facts.append(("Hindsight", _hindsight([each.by])))
    wanted = {*_SHOWN_STEPS, each.by.horizon}
    numbers = [step for step in each.forecast.steps if all_steps or step in wanted]
    shown = [cells[step - 1] for step in numbers]
    title = styled(f"{each.symbol}, next {ahead}, by {each.by.reference}", "bold")
    table = _step_table("", shown)
    return [title, "", fact_table(facts), "", table, *risk_tables(each, numbers)]


def _one_row_each(
    report: PredictReport,
    ends: Sequence[_Cells],
    steps: Sequence[_Cells],
    known_later: Sequence[str],
) -> list[RenderableType]:
    """Show one row a symbol, at the last step, or the rows of all steps if there are any."""
    main, days = report.main, {each["Date"] for each in ends}
    one_rate = len({each.get(_PAST) for each in ends}) == 1
    hidden = {_PAST} if one_rate and not steps else set()
    by = f"{len(report.models)} models"
    if len(report.models) == 1:
        hidden.add(_MODEL)
        by = str(main.reference)
    until = f", to {days.pop()}" if len(days) == 1 else ""
    of_all = f" of {len(report.symbols)}" * (len(ends) < len(report.symbols))
    title = f"{len(ends)}{of_all} symbols, next {_ahead(main)}{until}, by {by}"
    rows = [
        {name: cell for name, cell in each.items() if name not in hidden} for each in steps or ends
    ]
    lines: list[RenderableType] = [styled(title, "bold"), "", _step_table("", rows)]
    if _CHANCE in ends[0] and one_rate:
        view = "No view on direction. " if main.metadata.har else ""
        lines.append(f"{view}Chance of a rise in {_ahead(main)}: {_in_the_past(ends[0])}.")
    if known_later:
        lines.append(f"Hindsight for {first_few(known_later, 5)}: {_hindsight(report.models)}.")
    return lines


def _ahead(by: Predictor) -> str:
    return count_of(by.horizon, unit_of(by.metadata.interval))


def _hindsight(models: Sequence[Predictor]) -> str:
    # They had seen the outcome of the forecast, or days after its cutoff.
    until = max(by.metadata.trained_until for by in models)
    return f"fitted on rows up to {until}, so this is no evidence"


def _direction(each: SymbolForecast, end: _Cells) -> str:
    moved = float(each.forecast.median[0, -1])
    view = "up" if moved > 0.0 else "down" if moved < 0.0 else "unchanged"
    if each.by.metadata.har:
        view = "no view"  # the median is long-run growth times the range
    if (chance := end.get(_CHANCE)) is None:
        return view
    return f"{view}; chance of a rise {chance} ({_in_the_past(end)})"


def _in_the_past(end: _Cells) -> str:
    return f"in the past {end[_PAST]}" if end.get(_PAST) else BASE_RATE_UNKNOWN


def _step_table(title: str, rows: Sequence[_Cells]) -> RenderableType:
    # A truth in one row makes a column for all.
    names = list(dict.fromkeys(name for cells in rows for name in cells))
    spans = [span.split(" to ") for each in rows if (span := each.get(_RANGE))]
    low, high = (max((len(span[end]) for span in spans), default=0) for end in (0, 1))

    def cell(name: str, text: str | None) -> str | None:
        if name != _RANGE or text is None:
            return text
        return "{0:>{2}} to {1:>{3}}".format(*text.split(" to "), low, high)

    cells = ([cell(name, each.get(name)) for name in names] for each in rows)
    left = names.index("Last close") if "Last close" in names else names.index("Date") + 1
    return make_table(title, names, cells, left=left, drop=_DROPPED)


def _cells(each: SymbolForecast, row: dict[str, Any]) -> _Cells:
    """Return the cells of one step by their heading."""
    step, fan, spread = row["step"], each.forecast.quantiles, each.forecast.spread
    cells: _Cells = {"Step": f"{step:4}", "Date": row["date"], "Forecast": price(row["median"])}
    cells["Move"] = move(each.forecast.median[0, step - 1], 1)
    if fan is not None:
        levels = np.interp([0.1, 0.9], each.forecast.levels, fan[0, step - 1])
        low, high = each.last_close * np.exp(levels)
        cells[_RANGE] = f"{price(low)} to {price(high)}"
        cells[_CHANCE] = percent(row["probability_of_rise"], 0)
        if (base := row["base_rate_of_rise"]) is not None:
            cells[_PAST] = percent(base, 0)
    if spread is not None:
        cells["Spread"] = percent(float(spread[0, step - 1]))
    if row["actual"] is not None:
        cells["Actual"] = price(row["actual"])
    return cells


def _trust(by: Predictor, *, named: bool) -> RenderableType:
    """Quote the errors on validation, with tests against baselines where windows suffice."""
    found = by.metadata.validation
    if found is None:
        said = "no validation score"
    else:
        own, n = found.models["network"], found.n_independent
        errors = [f"typical error {percent(own.rmse)}"]
        for name in _QUOTED:
            if name in found.models and (name == "naive" or n >= MIN_WINDOWS):
                p = own.p.get(name)
                tested = "" if p is None or n < MIN_WINDOWS else f" ({p_value(p)})"
                shown = SHOWN_NAMES.get(name, name)
                errors.append(f"{shown} {percent(found.models[name].rmse)}{tested}")
        few = "too few for a test" if n < MIN_WINDOWS else "optimistic"
        said = f"{', '.join(errors)} ({count_of(n, 'validation window')}, {few})"
    title = f"How far to trust {by.reference if named else 'it'}"
    return fact_table([(title, said)], indent="")


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
        if found.inputs:
            shown.append(_input_table(found))
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
        **({"inputs": [_input_document(each) for each in found.inputs]} if found.inputs else {}),
        "readings": readings(found, unit),
    }


def _input_document(each: InputEffect) -> dict[str, Any]:
    width = None if each.width is None else each.width.tolist()
    return {"name": each.name, "median": each.median.tolist(), "width_80": width}


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


def _input_table(found: Explanation) -> RenderableType:
    step = _main_step(found)
    at = found.steps.index(step)
    rows = [
        [each.name, *(_share(part[at]) for part in (each.median, each.width) if part is not None)]
        for each in found.inputs
    ]
    return make_table(
        f"{found.symbol}: how step {step} moves when an input is read as its average",
        ["Input", *(name.capitalize() for name in _effects(found))],
        rows,
        left=1,
    )


def _main_step(found: Explanation) -> int:
    return _MAIN_STEP if _MAIN_STEP in found.steps else found.steps[-1]


def _share(value: float) -> str:
    return percent(float(value), sign=True)
