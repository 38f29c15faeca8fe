"""Screens and documents of `predict`: forecast prices of the next sessions, with ranges."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.verdict import SHOWN_NAMES, p_value
from lstmcli.forecasting.explain import Explanation
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document
from lstmcli.report.explain import explain_document, explain_tables
from lstmcli.report.long_table import asked_columns, forecast_rows
from lstmcli.report.risk import (
    Sort,
    at_end,
    loss_rows,
    price_rows,
    risk_of_many,
    risk_tables,
    sort_cell,
)
from lstmcli.report.tables import (
    BASE_RATE_UNKNOWN,
    NextSteps,
    fact_table,
    move,
    percent,
    price,
    price_basis,
    record_table,
    styled,
)
from lstmcli.sources.predictors import Predictor
from lstmcli.workflows.batches import SymbolForecast
from lstmcli.workflows.predict import PredictReport

_Cells = dict[str, str | None]  # by heading

_SHOWN_STEPS = (1, 5, 10, 20, 30, 40, 50)
_MOST_BLOCKS = 3  # symbols or models shown in full; more symbols get one row each
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
    """Show some steps of up to three symbols, or the last step of more than three.

    The rows are the long table.

    all_steps : show every step. typed : options that select the data and the model, for suggested
    commands; None suggests no command. sort : the key that the symbols are sorted by.
    """
    return View(
        lambda: _tables(report, all_steps, typed, sort),
        lambda: make_document(
            "predict",
            **_model(report.main),
            forecasts=(_forecast(each) for each in report.forecasts),
            # Iterators, because they are complete only after the forecasts above are written.
            notes=iter(report.notes),
            failures=iter(report.failures),
            # All models; the keys at the top describe the first.
            models=(_model(by) for by in report.models),
        ),
        lambda: (row for each in report.forecasts for row in forecast_rows(each)),
        lines=lambda: (
            row | _known(each) for each in report.forecasts for row in forecast_rows(each)
        ),
        levels_differ=report.levels_differ,
    )


def _model(by: Predictor) -> dict[str, Any]:
    """Return the facts about a model for the document."""
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
    """Return the price column that is forecast, and the one that the model was trained on."""
    return {key: getattr(each, key) for key in ("price", "trained_on", "price_as_trained")}


def _tables(
    report: PredictReport, all_steps: bool, typed: str | None, sort: Sort | None
) -> list[RenderableType]:
    blocks, explained = list[RenderableType](), list[Explanation]()
    ends, steps, risks = list[_Cells](), list[_Cells](), list[_Cells]()
    prices, known_later = set[str](), list[str]()
    for each in report.forecasts:  # keeps little per symbol, since there may be many
        cells = [_cells(each, row) for row in forecast_rows(each)]
        whose: _Cells = {"Symbol": each.symbol, _MODEL: str(each.by.reference)}
        end = {title: cell for title, cell in cells[-1].items() if title != "Step"}
        ends.append(whose | {"Last close": price(each.last_close)} | end | sort_cell(sort, each))
        risks += at_end(each)
        steps += [whose | row for row in cells] if all_steps else []
        if len(ends) <= _MOST_BLOCKS:
            blocks += _block(each, cells, all_steps)
        explained += [each.explanation] if each.explanation else []
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
    """Show one symbol: a summary in three lines, then the steps."""
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
    table = _step_table(shown)
    return [title, "", fact_table(facts), "", table, *risk_tables(each, numbers)]


def _one_row_each(
    report: PredictReport,
    ends: Sequence[_Cells],
    steps: Sequence[_Cells],
    known_later: Sequence[str],
) -> list[RenderableType]:
    """Show one row per symbol at the last step, or all steps if `steps` is not empty."""
    main, days = report.main, {each["Date"] for each in ends}
    one_rate, one_model = len({each.get(_PAST) for each in ends}) == 1, len(report.models) == 1
    hidden = [_PAST] * (one_rate and not steps) + [_MODEL] * one_model
    by = str(main.reference) if one_model else f"{len(report.models)} models"
    until = f", to {days.pop()}" if len(days) == 1 else ""
    of_all = f" of {len(report.symbols)}" * (len(ends) < len(report.symbols))
    title = f"{len(ends)}{of_all} symbols, next {_ahead(main)}{until}, by {by}"
    rows = [
        {name: cell for name, cell in each.items() if name not in hidden} for each in steps or ends
    ]
    lines: list[RenderableType] = [styled(title, "bold"), "", _step_table(rows)]
    if _CHANCE in ends[0] and one_rate:
        view = "No view on direction. " if main.metadata.har else ""
        lines.append(f"{view}Chance of a rise in {_ahead(main)}: {_in_the_past(ends[0])}.")
    if known_later:
        lines.append(f"Hindsight for {first_few(known_later, 5)}: {_hindsight(report.models)}.")
    return lines


def _ahead(by: Predictor) -> str:
    return count_of(by.horizon, unit_of(by.metadata.interval))


def _hindsight(models: Sequence[Predictor]) -> str:
    # The models were fitted on the outcome of the forecast, or on other days after its cutoff.
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


def _step_table(rows: Sequence[_Cells]) -> RenderableType:
    spans = [span.split(" to ") for each in rows if (span := each.get(_RANGE))]
    low, high = (max((len(span[end]) for span in spans), default=0) for end in (0, 1))

    def aligned(cells: _Cells) -> _Cells:
        if span := cells.get(_RANGE):
            cells = cells | {_RANGE: "{0:>{2}} to {1:>{3}}".format(*span.split(" to "), low, high)}
        return cells

    # A cell that only one row has, e.g. the actual price, adds a column to all.
    names = list(dict.fromkeys(name for cells in rows for name in cells))
    left = names.index("Last close") if "Last close" in names else names.index("Date") + 1
    return record_table("", map(aligned, rows), left=left, drop=_DROPPED)


def _cells(each: SymbolForecast, row: dict[str, Any]) -> _Cells:
    """Return the cells of one step by heading."""
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
    """Show the validation errors, with tests against baselines if there are enough windows."""
    found = by.metadata.validation
    if found is None:
        said = "no validation score"
    else:
        own, n = found.models["network"], found.n_independent
        errors = [f"typical error{by.other_span} {percent(own.rmse)}"]
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
