"""The backtest for a reader: every window, the scores beside the baselines, the verdict."""

from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.evaluation.direction import direction_hits
from lstmcli.evaluation.trend import CLASSES, actual_trend, predicted_trend
from lstmcli.learning.evidence import tell_looks
from lstmcli.report.console import make_table
from lstmcli.report.numbers import BASE_RATE_UNKNOWN, ahead, count, price, price_basis
from lstmcli.report.score_tables import score_tables
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.evaluate import EvaluateReport

_MOST_REFITS = 12


def evaluate_view(report: EvaluateReport) -> View:
    """Show the windows, the scores and the verdict; the rows are the windows of every network."""
    return View(lambda: _tables(report), lambda: _document(report), lambda: window_rows(report))


def counts(report: EvaluateReport) -> dict[str, int]:
    """Return rows, training and test windows as trained, and the cutoffs evaluated here."""
    windows = report.metadata[0].windows
    return {
        "rows": windows["rows"],
        "train": windows["train"],
        "validation": windows["validation"],
        "test": windows["test"],
        "evaluated": report.scores.n_windows,
    }


def caveats(report: EvaluateReport) -> list[str]:
    """Say what stands in the way of believing the figures."""
    found = []
    if report.recipes[0].split.method == "shuffled":
        found.append(
            "This recipe repeats the published lab with its flaws: windows overlap between "
            "training, validation and test, without a purge; the scores below are honest."
        )
    return [*found, *tell_looks(report.looks)]


def _document(report: EvaluateReport) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "evaluate",
        "models": [str(model) for model in report.models],
        "price": report.series[0].price,
        "horizon": report.horizon,
        "step_size": report.step_size,
        "test_start": str(report.test_start),
        "trained_until": str(report.trained_until),
        "fitted_cutoffs": report.fitted_cutoffs,
        "refits": [asdict(refit) for refit in report.refits],
        "looks": report.looks and asdict(report.looks),
        "split_method": report.recipes[0].split.method,
        "windows": counts(report),
        "verdicts": report.verdicts,
        "tuning": {
            name: recipe.tuning.model_dump()
            for name, recipe in zip(report.verdicts, report.recipes, strict=True)
        },
        "scores": asdict(report.scores),
        "forecasts": window_rows(report),
        "notes": list(report.notes),
        "failures": [asdict(failure) for failure in report.failures],
    }


def _tables(report: EvaluateReport) -> list[RenderableType]:
    found = counts(report)
    return [
        windows_table(report),
        f"{found['rows']} rows; {found['train']} training, {found['test']} test windows; "
        f"{found['evaluated']} evaluated, {count(report.step_size, 'row')} apart "
        f"({report.scores.n_independent} independent).",
        price_basis(each.price for each in report.series),
        *score_tables(report.scores, f"1 to {report.horizon}"),
        *_base_rates(report),
        *_refits(report),
        *caveats(report),
        *(f"Verdict: {text}" for text in report.verdicts.values()),
    ]


def _base_rates(report: EvaluateReport) -> list[RenderableType]:
    chances = report.scores.models[report.scores.model].chances
    known = not chances or chances[0].base_rate is not None
    return [] if known else [f"Chance of a rise: {BASE_RATE_UNKNOWN}."]


def _refits(report: EvaluateReport) -> list[RenderableType]:
    """Show when each model was fitted again, the latest times where there are many."""
    if not report.refits:
        return []
    shown = report.refits[-_MOST_REFITS:]
    title = (
        f"Fitted again {count(len(report.refits), 'time')} on the rows known at the first cutoff"
    )
    if len(shown) < len(report.refits):
        title += f" (the last {len(shown)}; all with --format json)"
    table = make_table(
        title,
        ["Model", "First cutoff", "Rows from", "to", "Symbols", "Rows", "Training", "Validation"]
        + ["Best epoch"],
        left=4,
    )
    for refit in shown:
        counts = (refit.symbols, refit.rows, refit.train, refit.validation, refit.epoch)
        table.add_row(refit.model, refit.since, refit.first, refit.last, *map(str, counts))
    return [table]


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
    distance = ahead(report.horizon, report.metadata[0].interval)
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
