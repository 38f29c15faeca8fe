"""Forecasts of the sessions ahead, in prices, beside the naive forecast."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.intervals import MIN_WINDOWS
from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.verdict import SHOWN_NAMES, p_value
from lstmcli.forecasting.explain import Explanation
from lstmcli.learning.evidence import trained_until
from lstmcli.market.intervals import unit_of
from lstmcli.report.console import make_table
from lstmcli.report.explain import explain_document, explain_tables
from lstmcli.report.long_table import backtest_rows
from lstmcli.report.numbers import BASE_RATE_UNKNOWN, ahead, count, move, percent, price
from lstmcli.report.price_basis import price_basis
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.predict import PredictReport
from lstmcli.workflows.prices import some
from lstmcli.workflows.symbol_forecast import SymbolForecast

_SHOWN_STEPS = (1, 5, 20, 50)
_ABOVE = ("model", "symbol", "cutoff", "last_close", "sigma", "mase_scale")
_QUOTED = ("naive", "drift", PAST_MOVES)


def predict_view(report: PredictReport, *, all_steps: bool = False) -> View:
    """Show steps 1, 5, 20, 50 and the last, or all of them; the rows are the long table."""

    def document() -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "predict",
            "model": str(report.model),
            "horizon": report.horizon,
            "trained_prices": list(report.trained_prices),
            "trained_until": str(trained_until(report.metadata)),
            "stale": [asdict(mark) for mark in report.stale],
            "validation": report.metadata["validation"],
            "forecasts": (
                _forecast(report, each) | _explanation(report, each) for each in report.forecasts
            ),
            # Iterators, since they are complete only when the forecasts before them are written.
            "notes": iter(report.notes),
            "failures": map(asdict, report.failures),
        }

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
    # Where no bar of the context has moved there is nothing to tell a chance from.
    changed: dict[str, Any] = {"probability_of_rise": None} if each.constant else {}
    # At the end, so that no other column changes its place.
    changed["in_training"] = each.in_training
    return (row | changed for row in backtest_rows(each.as_backtest(name), known))


def _forecast(report: PredictReport, each: SymbolForecast) -> dict[str, Any]:
    first, *_ = rows = list(_rows(report, each))
    return {
        **{key: first[key] for key in _ABOVE},
        **_known(each),
        "in_training": each.in_training,
        "warnings": list(each.warnings),
        "steps": [_step(each, row) for row in rows],
    }


def _known(each: SymbolForecast) -> dict[str, Any]:
    """Say of which column the forecast is, and what of it the model has learned from."""
    return {
        "price": each.price,
        "trained_on": each.trained_on,
        "price_as_trained": each.price_as_trained,
    }


def _step(each: SymbolForecast, row: dict[str, Any]) -> dict[str, Any]:
    """Return one step without what stands above it, and what the long table has no column for."""
    step = row["step"]
    own = {key: row[key] for key in row if key not in (*_ABOVE, "in_training")}
    if each.forecast.spread is not None:
        own["spread"] = float(each.forecast.spread[0, step - 1])
    return own


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
    table = make_table(
        f"Forecast by {report.model}, {ahead(report.horizon, report.metadata['interval'])}",
        ["Symbol", "Cutoff", "Date", "Step", "Last close = naive"]
        + (["Median", "Change", "80 % from", "to", rise] if fans else ["Forecast", "Change"])
        + (["Spread"] if spreads else [])
        + (["Actual"] if happened else []),
        left=3,
    )
    for cells in shown:
        table.add_row(*cells[: len(table.columns)])
    basis = price_basis(columns)
    if spreads:
        basis += " Spread: standard deviation of the members' medians."
    unit = unit_of(report.metadata["interval"])
    return [
        table,
        *_hindsight(report, known_later),
        basis,
        *([f"Chance of a rise: {BASE_RATE_UNKNOWN}."] if fans and not rated else []),
        _record(report),
        *explain_tables(explained, unit),
    ]


def _hindsight(report: PredictReport, symbols: list[str]) -> list[RenderableType]:
    """Say which forecasts the model had seen the outcome of, or of days after their cutoff."""
    if not symbols:
        return []
    until = trained_until(report.metadata)
    return [
        f"Hindsight, no evidence of what the model is worth: it was fitted on rows up to {until}, "
        f"after the cutoff of {some(symbols)}."
    ]


def _explanation(report: PredictReport, each: SymbolForecast) -> dict[str, Any]:
    """Return the explanation as a part of the forecast, where there is one."""
    if each.explanation is None:
        return {}
    unit = unit_of(report.metadata["interval"])
    return {"explain": explain_document(each.explanation, unit)}


def _cells(each: SymbolForecast, row: dict[str, Any]) -> list[str]:
    """Return the cells of one step, the actual price last."""
    step = row["step"]
    cells = [each.symbol, row["cutoff"], row["date"], str(step), price(each.last_close)]
    cells += [price(row["median"]), move(each.forecast.median[0, step - 1])]
    if each.forecast.quantiles is not None:
        low, high = each.band(step, 0.8)
        cells += [price(low), price(high), _chance(row)]
    if each.forecast.spread is not None:
        cells.append(percent(float(each.forecast.spread[0, step - 1])))
    return [*cells, "-" if row["actual"] is None else price(row["actual"])]


def _chance(row: dict[str, Any]) -> str:
    """The chance of a rise, and in parentheses how often prices rose in training rows."""
    chance, base = percent(row["probability_of_rise"], 0), row["base_rate_of_rise"]
    known = base is not None and row["probability_of_rise"] is not None
    return f"{chance} ({percent(base, 0)})" if known else chance


def _record(report: PredictReport) -> str:
    """Quote the errors on validation with their tests against baselines, or none of it."""
    found = report.metadata["validation"]
    if found is None:
        return "This model has no validation score; see lstmcli evaluate."
    n = found["n_independent"]
    if n < MIN_WINDOWS:
        return (
            f"Past accuracy: {count(n, 'validation window')}, too few for a test; see lstmcli "
            "evaluate."
        )
    errors = {name: percent(each["rmse"], 3) for name, each in found["models"].items()}
    p = found["models"]["network"].get("p", {})
    tested = [name for name in _QUOTED if name in errors and p.get(name) is not None]
    if PAST_MOVES not in tested:
        return f"Past accuracy: no test on {n} validation windows is kept; see lstmcli evaluate."
    against = [
        f"{SHOWN_NAMES.get(name, name)} {errors[name]} ({p_value(p[name])})" for name in tested
    ]
    return (
        f"Path RMSE on {n} validation windows, optimistic since the epoch was chosen on the same "
        f"windows: {errors['network']}; {', '.join(against)}. On test data: lstmcli evaluate."
    )
