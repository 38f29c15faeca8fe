"""The windows of a backtest one by one: what was predicted `horizon` ahead, and what came."""

from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.evaluation.direction import direction_hits
from lstmcli.evaluation.trend import CLASSES, actual_trend, predicted_trend
from lstmcli.report.console import make_table
from lstmcli.report.numbers import ahead, price
from lstmcli.workflows.evaluate import EvaluateReport

_MOST_ROWS = 60


def window_rows(report: EvaluateReport) -> list[dict[str, Any]]:
    """Return one record a network and window, at the last step."""
    result, last = report.backtest, report.horizon - 1
    happened = actual_trend(
        result.actual[:, last], result.sigma, report.horizon, report.scores.flat_band
    )
    rows = []
    for model in report.models:
        forecast = result.forecasts[str(model)]
        calls = predicted_trend(
            forecast,
            result.sigma,
            report.horizon,
            report.scores.flat_band,
            report.thresholds.get(str(model)),
        )
        predicted = result.last_close * np.exp(forecast.median[:, last])
        actual = result.last_close * np.exp(result.actual[:, last])
        hits = direction_hits(forecast.median[:, last], result.actual[:, last])
        for index in range(len(result.cutoff)):
            moved = not np.isnan(hits[index])
            rows.append(
                {
                    "model": str(model),
                    "symbol": str(result.symbol[index]),
                    "cutoff": str(result.cutoff[index]),
                    "date": str(result.dates[index, last]),
                    "last_close": float(result.last_close[index]),
                    "predicted": float(predicted[index]),
                    "actual": float(actual[index]),
                    "predicted_trend": None if calls is None else CLASSES[calls[index]],
                    "actual_trend": CLASSES[happened[index]],
                    "trend_hit": None if calls is None else bool(calls[index] == happened[index]),
                    "direction_hit": bool(hits[index]) if moved else None,
                    "unchanged": bool(result.actual[index, last] == 0.0),
                    "in_training": bool(report.in_training[index]),
                }
            )
    return rows


def windows_table(report: EvaluateReport) -> RenderableType:
    """Show the first network's windows, the latest ones where there are many."""
    rows = [row for row in window_rows(report) if row["model"] == str(report.models[0])]
    shown = rows[-_MOST_ROWS:]
    distance = ahead(report.horizon, report.metadata[0]["interval"])
    title = f"{report.models[0]}, {distance}, {report.series[0].price}"
    if len(shown) < len(rows):
        title += f" (the last {len(shown)} of {len(rows)} windows; all with --format csv)"
    table = make_table(
        title,
        ["Symbol", "Cutoff", "Ahead", "Predicted trend", "Actual trend", "Trend", "Direction"]
        + ["Last close", "Predicted", "Actual"],
        left=7,
    )
    for row in shown:
        table.add_row(
            row["symbol"],
            row["cutoff"],
            row["date"],
            row["predicted_trend"] or "-",
            row["actual_trend"],
            _hit(row["trend_hit"]),
            "unchanged" if row["unchanged"] else _hit(row["direction_hit"]),
            price(row["last_close"]),
            price(row["predicted"]),
            price(row["actual"]),
        )
    return table


def _hit(hit: bool | None) -> str:
    return "-" if hit is None else "hit" if hit else "miss"
