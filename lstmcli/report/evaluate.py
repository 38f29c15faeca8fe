"""The backtest for a reader: every window, the scores beside the baselines, the verdict."""

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.scores import ModelScores
from lstmcli.report.comparisons import movement_table, pairs_tables
from lstmcli.report.console import make_table
from lstmcli.report.directions import direction_tables
from lstmcli.report.numbers import count, number, percent
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.report.windows import window_rows, windows_table
from lstmcli.workflows.evaluate import EvaluateReport
from lstmcli.workflows.looks import Looks

_MOST_REFITS = 12
_SHOWN_BANDS = (0.5, 0.8, 0.95)


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
    if report.settings.split.method == "shuffled":
        found.append(
            "This recipe repeats the published lab with its flaws: windows overlap between "
            "training, validation and test, without a purge; the scores below are honest."
        )
    if report.fitted_cutoffs:
        found.append(
            f"{report.fitted_cutoffs} of {report.scores.n_windows} windows start before "
            f"{report.test_start}, in rows that the model was fitted on: they prove nothing."
        )
    return [*found, *map(_looks, report.looks)]


def _document(report: EvaluateReport) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "evaluate",
        "models": [str(model) for model in report.models],
        "price": report.price,
        "horizon": report.horizon,
        "step_size": report.step_size,
        "test_start": str(report.test_start),
        "fitted_cutoffs": report.fitted_cutoffs,
        "refits": [asdict(refit) for refit in report.refits],
        "looks": [asdict(looks) for looks in report.looks],
        "split_method": report.settings.split.method,
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
    main = report.scores.models[report.scores.model]
    return [
        windows_table(report),
        f"{found['rows']} rows; {found['train']} training, {found['test']} test windows; "
        f"{found['evaluated']} evaluated, {report.step_size} rows apart "
        f"({report.scores.n_independent} independent).",
        _scores(report),
        *pairs_tables(report.scores),
        _steps(report, main),
        *_fans(report, main),
        *direction_tables(report.scores, main),
        movement_table(report.scores),
        *_refits(report),
        *caveats(report),
        *(f"Verdict: {text}" for text in report.verdicts.values()),
    ]


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


def _looks(looks: Looks) -> str:
    times = f"The test span of {looks.name} from {looks.test_start} has been looked at "
    if looks.count == 1:
        return times + "once, by this evaluation."
    return (
        times + f"{looks.count} times; a model or setting chosen by an earlier look scores better "
        "here than it will on new data."
    )


def _scores(report: EvaluateReport) -> RenderableType:
    against = _points(report)
    fans = report.scores.models[report.scores.model].path.crps is not None
    table = make_table(
        f"Scores over steps 1 to {report.horizon}, in % of the last price",
        ["", "Path RMSE", "Path MAE", "MASE"]
        + (["CRPS"] if fans else [])
        + [f"Skill vs {name}" for name in against]
        + ["p vs drift", "Direction", "Balanced"],
    )
    for name, scores in report.scores.models.items():
        two_way = scores.direction[-1].two_way
        test = scores.tests.get("drift")
        table.add_row(
            name,
            percent(scores.path.rmse, 3),
            percent(scores.path.mae, 3),
            number(scores.path.mase),
            *([percent(scores.path.crps, 3)] if fans else []),
            *(percent(scores.path.skill.get(other), 1, sign=True) for other in against),
            number(test.p if test else None),
            percent(two_way.accuracy, 1),
            percent(two_way.balanced_accuracy, 1),
        )
    return table


def _points(report: EvaluateReport) -> list[str]:
    """The baselines that skills are shown against in columns; the others stand pair by pair."""
    return [name for name in report.scores.against if name != "scaled_climatology"]


def _fans(report: EvaluateReport, main: ModelScores) -> list[RenderableType]:
    """Show the fan of the first model by step beside the others, and what its bands covered."""
    if main.steps.crps is None:
        return []
    table = make_table(
        "CRPS by step, in % of the last price",
        ["Step", main.model, *(f"Skill vs {name}" for name in main.steps.crps_skill)],
        left=0,
    )
    for step in (direction.step for direction in main.direction):
        table.add_row(
            str(step),
            percent(main.steps.crps[step - 1], 3),
            *(percent(skill[step - 1], 1, sign=True) for skill in main.steps.crps_skill.values()),
        )
    return [table, _bands(report, main)]


def _bands(report: EvaluateReport, main: ModelScores) -> RenderableType:
    rival = report.scores.models.get("scaled_climatology")
    table = make_table(
        "What the bands covered",
        ["Step", "Band", "Covered", "+-", "Good", "Width", "Climatology covered", "Width"],
        left=0,
    )
    theirs = {(band.step, band.nominal): band for band in (rival.bands if rival else ())}
    for band in main.bands:
        if not any(abs(band.nominal - shown) < 1e-9 for shown in _SHOWN_BANDS):
            continue
        other = theirs.get((band.step, band.nominal))
        table.add_row(
            str(band.step),
            percent(band.nominal, 0),
            percent(band.coverage, 1),
            percent(band.standard_error, 1),
            "yes" if band.good else "no",
            percent(band.width),
            percent(other.coverage if other else None, 1),
            percent(other.width if other else None),
        )
    return table


def _steps(report: EvaluateReport, main: ModelScores) -> RenderableType:
    against = _points(report)
    table = make_table(
        "RMSE by step, in % of the last price",
        ["Step", main.model, *against, *(f"Skill vs {name}" for name in against)],
        left=0,
    )
    models = report.scores.models
    for step in (direction.step for direction in main.direction):
        table.add_row(
            str(step),
            percent(main.steps.rmse[step - 1], 3),
            *(percent(models[name].steps.rmse[step - 1], 3) for name in against),
            *(percent(main.steps.skill[name][step - 1], 1, sign=True) for name in against),
        )
    return table
