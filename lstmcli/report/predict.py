"""Forecasts of the sessions ahead, in prices, beside the naive forecast."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.forecasting.explain import Explanation
from lstmcli.market.intervals import unit_of
from lstmcli.report.console import make_table, print_drawing
from lstmcli.report.explain import explain_document, explain_tables
from lstmcli.report.long_table import forecast_rows
from lstmcli.report.numbers import ahead, count, move, percent, price
from lstmcli.report.plot import Fan, bands_of, draw_fans
from lstmcli.report.terminal_plot import text_fans
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.hindsight import trained_until
from lstmcli.workflows.predict import PredictReport
from lstmcli.workflows.prices import some
from lstmcli.workflows.symbol_forecast import SymbolForecast

_SHOWN_STEPS = (1, 5, 20, 50)
_ABOVE = ("symbol", "cutoff", "last_close", "in_training")


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
                _forecast(each) | _explanation(report, each) for each in report.forecasts
            ),
            # Iterators, since they are complete only when the forecasts before them are written.
            "notes": iter(report.notes),
            "failures": map(asdict, report.failures),
        }

    return View(
        tables=lambda: _tables(report, all_steps),
        document=document,
        rows=lambda: (row for each in report.forecasts for row in _rows(each)),
        lines=lambda: (row | _known(each) for each in report.forecasts for row in _rows(each)),
    )


def plot_forecasts(report: PredictReport, target: str | None) -> None:
    """Draw the fans to a file, or below the table with `-`; nothing where no plot is asked for."""
    if target is None:
        return
    fans = _fans(report)
    if target == "-":
        print_drawing(text_fans(fans, shutil.get_terminal_size((100, 30)).columns))
    else:
        draw_fans(fans, Path(target))


def _fans(report: PredictReport) -> list[Fan]:
    """Return the fans of a report as pictures need them."""
    return [
        Fan(
            symbol=each.symbol,
            title=f"{report.model}, cutoff {each.cutoff}",
            history_dates=each.history_dates,
            history=each.history,
            dates=each.dates,
            median=each.last_close * np.exp(each.forecast.median[0]),
            bands=()
            if each.forecast.quantiles is None
            else bands_of(
                each.forecast.levels, each.last_close * np.exp(each.forecast.quantiles[0])
            ),
            actual=each.last_close * np.exp(each.actual),
        )
        for each in report.forecasts
    ]


def _rows(each: SymbolForecast) -> Iterator[dict[str, Any]]:
    rows = forecast_rows(
        each.symbol, each.cutoff, each.last_close, each.dates, each.actual, each.forecast
    )
    # At the end, so that no other column changes its place.
    return (row | {"in_training": each.in_training} for row in rows)


def _forecast(each: SymbolForecast) -> dict[str, Any]:
    return {
        "symbol": each.symbol,
        "cutoff": str(each.cutoff),
        "last_close": each.last_close,
        **_known(each),
        "in_training": each.in_training,
        "warnings": list(each.warnings),
        "steps": [_step(each, row) for row in _rows(each)],
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
    own = {key: row[key] for key in row if key not in _ABOVE}
    if each.forecast.quantiles is not None:
        own["probability_of_rise"] = each.probability_of_rise(step)
    if each.forecast.spread is not None:
        own["spread"] = float(each.forecast.spread[0, step - 1])
    return own


def _tables(report: PredictReport, all_steps: bool) -> list[RenderableType]:
    shown: list[list[str]] = []
    explained: list[Explanation] = []
    columns: set[str] = set()
    fans = spreads = happened = False
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
            for row in _rows(each)
            if all_steps or row["step"] in (*_SHOWN_STEPS, report.horizon)
        ]
    table = make_table(
        f"Forecast by {report.model}, {ahead(report.horizon, report.metadata['interval'])}",
        ["Symbol", "Cutoff", "Date", "Step", "Last close = naive"]
        + (["Median", "Change", "80 % from", "to", "Rise"] if fans else ["Forecast", "Change"])
        + (["Spread"] if spreads else [])
        + (["Actual"] if happened else []),
        left=3,
    )
    for cells in shown:
        table.add_row(*cells[: len(table.columns)])
    basis = f"Log moves of {' and '.join(sorted(columns))}, on the last Close."
    if spreads:
        basis += " Spread: standard deviation of the members' medians."
    unit = unit_of(report.metadata["interval"])
    return [
        table,
        *_hindsight(report, known_later),
        basis,
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
        cells += [price(low), price(high), percent(each.probability_of_rise(step), 1)]
    if each.forecast.spread is not None:
        cells.append(percent(float(each.forecast.spread[0, step - 1])))
    return [*cells, "-" if row["actual"] is None else price(row["actual"])]


def _record(report: PredictReport) -> str:
    """Say what such forecasts were worth on validation, beside the baselines."""
    found = report.metadata["validation"]
    if found is None:
        return "This model has no validation score; see lstmcli evaluate."
    errors = {name: percent(each["rmse"], 3) for name, each in found["models"].items()}
    against = [name for name in ("naive", "drift", "seasonal_naive") if name in errors]
    return (
        f"Path RMSE on {count(found['n_independent'], 'independent validation window')}: "
        f"{errors['network']}, {', '.join(f'{name} {errors[name]}' for name in against)}. "
        "On test data: lstmcli evaluate."
    )
