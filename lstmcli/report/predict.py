"""Forecasts of the sessions ahead, in prices, beside the naive forecast."""

import math
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.long_table import forecast_rows
from lstmcli.report.numbers import move, percent, price
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.predict import PredictReport, SymbolForecast

_SHOWN_STEPS = (1, 5, 20, 50)


def predict_view(report: PredictReport, *, all_steps: bool = False) -> View:
    """Show steps 1, 5, 20, 50 and the last, or all of them; the rows are the long table."""

    def rows() -> list[dict[str, Any]]:
        return [row for each in report.forecasts for row in _rows(each)]

    def document() -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "predict",
            "model": str(report.model),
            "horizon": report.horizon,
            "validation": report.metadata["validation"],
            "forecasts": [
                {
                    "symbol": each.symbol,
                    "cutoff": str(each.cutoff),
                    "last_close": each.last_close,
                    "price": each.price,
                    "trained_on": each.trained_on,
                    "warnings": list(each.warnings),
                    "steps": [_step(row) for row in _rows(each)],
                }
                for each in report.forecasts
            ],
            "notes": list(report.notes),
            "failures": [asdict(failure) for failure in report.failures],
        }

    return View(lambda: _tables(report, all_steps), document, rows)


def _rows(each: SymbolForecast) -> list[dict[str, Any]]:
    return list(
        forecast_rows(
            each.symbol, each.cutoff, each.last_close, each.dates, each.actual, each.forecast
        )
    )


def _step(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in row if key not in ("symbol", "cutoff", "last_close")}


def _tables(report: PredictReport, all_steps: bool) -> list[RenderableType]:
    happened = any(not math.isnan(each.actual[0]) for each in report.forecasts)
    table = make_table(
        f"Forecast by {report.model}, {report.horizon} steps ahead",
        ["Symbol", "Cutoff", "Date", "Step", "Last close = naive", "Forecast", "Change"]
        + (["Actual"] if happened else []),
        left=3,
    )
    for each in report.forecasts:
        for row, log_move in zip(_rows(each), each.forecast.median[0], strict=True):
            step = row["step"]
            if not (all_steps or step in _SHOWN_STEPS or step == report.horizon):
                continue
            cells = [each.symbol, row["cutoff"], row["date"], str(step)]
            cells += [price(each.last_close), price(row["median"]), move(log_move)]
            actual = "-" if row["actual"] is None else price(row["actual"])
            table.add_row(*cells, *([actual] if happened else []))
    columns = sorted({each.price for each in report.forecasts})
    return [table, f"Log moves of {' and '.join(columns)}, on the last Close.", _record(report)]


def _record(report: PredictReport) -> str:
    """Say what such forecasts were worth on validation, beside the baselines."""
    found = report.metadata["validation"]
    if found is None:
        return "This model has no validation score; see lstmcli evaluate."
    errors = {name: percent(each["rmse"], 3) for name, each in found["models"].items()}
    return (
        f"Path RMSE on {found['n_independent']} independent validation windows: "
        f"{errors['network']}, naive {errors['naive']}, drift {errors['drift']}. "
        "On test data: lstmcli evaluate."
    )
