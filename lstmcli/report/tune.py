"""The trials of a study, ranked, and what the choice of the best one is worth."""

import json
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.numbers import count, percent
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.tune import Trial, TuneReport

_SCORES = {"crps": "CRPS", "rmse": "Path RMSE"}


def tune_view(report: TuneReport) -> View:
    """Show the trials, the best first; the rows are the trials."""
    return View(lambda: _tables(report), lambda: _document(report), lambda: _rows(report))


def _document(report: TuneReport) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "tune",
        "study": report.name,
        "path": str(report.folder),
        "recipe": str(report.recipe),
        "objective": report.objective,
        "sampler": report.search.sampler,
        "pruner": report.search.pruner,
        "wanted": report.wanted,
        "folds": [
            {"first": fold.days[0], "last": fold.days[1], "symbols": list(fold.symbols)}
            for fold in report.folds
        ],
        "trials": [asdict(trial) for trial in report.trials],
        "best": report.trials[0].number,
        "gain": None if report.gain is None else asdict(report.gain),
        "verdict": report.verdict,
        "notes": list(report.notes),
        "failures": [asdict(failure) for failure in report.failures],
    }


def _rows(report: TuneReport) -> list[dict[str, Any]]:
    return [
        {
            "rank": rank,
            "trial": trial.number,
            "state": trial.state,
            report.objective: trial.score,
            "standard_error": trial.standard_error,
            **{
                f"fold_{number}": trial.scores[number - 1] if number <= len(trial.scores) else None
                for number in range(1, len(report.folds) + 1)
            },
            **{key: _cell(trial.values.get(key)) for key in report.search.space},
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "reason": trial.reason,
        }
        for rank, trial in enumerate(report.trials, start=1)
    ]


def _tables(report: TuneReport) -> list[RenderableType]:
    first, last = report.folds[0].days[0], report.folds[-1].days[1]
    score = _SCORES[report.objective]
    keys = list(report.search.space)
    table = make_table(
        f"{score} in % of the last price, {count(len(report.folds), 'validation fold')} from "
        f"{first} to {last}",
        ["Trial", score, "+-", *(key.split(".")[1] for key in keys), "Epochs", "Seconds", "State"],
        left=1,
    )
    for trial in report.trials:
        table.add_row(
            f"{trial.number}, the recipe" if trial.number == 0 else str(trial.number),
            percent(trial.score, 4),
            percent(trial.standard_error, 4),
            *(_shown(trial.values.get(key)) for key in keys),
            str(trial.epochs),
            f"{trial.seconds:.1f}",
            trial.state,
        )
    return [
        table,
        "+-: the standard error over the folds, most of it how much harder one is than another.",
        *_failed(report.trials),
        f"Verdict: {report.verdict}",
        f"Trial {report.trials[0].number} is kept as a recipe: lstmcli train --config "
        f"{report.recipe}",
    ]


def _failed(trials: tuple[Trial, ...]) -> list[str]:
    """Say why the first of the trials that failed did."""
    failed = [trial for trial in trials if trial.state == "failed"]
    if not failed:
        return []
    return [f"{count(len(failed), 'trial')} failed; trial {failed[0].number}: {failed[0].reason}"]


def _cell(value: Any) -> Any:
    """A value for a flat row: a list as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(_cell(value))
