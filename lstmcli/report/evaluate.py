"""The backtest for a reader: every window, the scores beside the baselines, the verdict."""

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.learning.evidence import tell_looks
from lstmcli.report.console import make_table
from lstmcli.report.numbers import BASE_RATE_UNKNOWN, count
from lstmcli.report.price_basis import price_basis
from lstmcli.report.score_tables import score_tables
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.report.windows import window_rows, windows_table
from lstmcli.workflows.evaluate import EvaluateReport

_MOST_REFITS = 12


def evaluate_view(report: EvaluateReport) -> View:
    """Show the windows, the scores and the verdict; the rows are the windows of every network."""
    return View(lambda: _tables(report), lambda: _document(report), lambda: window_rows(report))


def counts(report: EvaluateReport) -> dict[str, int]:
    """Return rows, training and test windows as trained, and the cutoffs evaluated here."""
    windows = report.metadata[0]["windows"]
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
