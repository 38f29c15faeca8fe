"""What a training run came to: where the model lies, and how it scored beside the baselines."""

from dataclasses import asdict, fields
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.verdict import verdict
from lstmcli.report.console import make_table
from lstmcli.report.numbers import count, percent
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.training.loop import Epoch
from lstmcli.workflows.train import TrainReport


def train_view(report: TrainReport) -> View:
    """Show the run, its validation scores and the decision; the rows are the epochs."""

    def document() -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "train",
            "model": str(report.model),
            "path": str(report.model.folder),
            "unchanged": report.unchanged,
            "promoted": report.decision.promoted,
            "why": report.decision.why,
            "metadata": report.metadata.record,
            "notes": list(report.notes),
            "failures": [asdict(failure) for failure in report.failures],
        }

    def rows() -> list[dict[str, Any]]:
        return [epoch.columns() for epoch in report.history]

    # Nothing is trained where all is unchanged: a header without what differs by network.
    known = [field.name for field in fields(Epoch) if field.name != "gradient_norms"]
    return View(lambda: _tables(report), document, rows, known if report.unchanged else ())


def _tables(report: TrainReport) -> list[RenderableType]:
    if report.unchanged:
        return [
            f"unchanged: {report.model} was made by the same settings, data and versions, "
            "so nothing was trained. --force trains anyway."
        ]
    kept, found = report.metadata, report.metadata.record
    windows = kept.windows
    cut = ", cut short by --timeout" if kept.stopped == "timeout" else ""
    run = make_table(f"Trained {report.model}", ["", ""], left=2)
    for label, text in (
        ("Network", f"{found['network']}, {found['parameters']} weights on {found['device']}"),
        ("Rows", f"{windows['rows']} of {len(kept.symbols)} series"),
        (
            "Windows",
            f"{windows['train']} train, {windows['validation']} validate, "
            f"{windows['test']} held back",
        ),
        ("Test span", f"from {kept.test_start}"),
        ("Epochs", f"{kept.epochs}, the best is {kept.best_epoch}{cut}"),
        ("Seconds", f"{found['duration_seconds']:.1f}"),
        ("Kept in", str(report.model.folder)),
    ):
        run.add_row(label, text)
    promoted = "is the champion" if report.decision.promoted else "is not the champion"
    return [
        run,
        *_validation(report),
        f"{report.model} {promoted}: {report.decision.why}.",
        *_later(report),
    ]


def _later(report: TrainReport) -> list[RenderableType]:
    if report.decision.sessions_needed is None:
        return []
    return [f"Then: lstmcli models promote {report.model} --if-better."]


def _validation(report: TrainReport) -> list[RenderableType]:
    if not report.metadata.windows["validation"]:
        return ["No validation score: no window validates."]
    if report.scores is None:
        return [
            "No validation score: the validating windows overlap the training windows, "
            "so it would prove nothing."
        ]
    table = make_table(
        f"Validation, {count(report.scores.n_independent, 'independent window')}",
        ["", "Path RMSE", "Path MAE", "Direction"],
    )
    for name, scores in report.scores.models.items():
        table.add_row(
            name,
            percent(scores.path.rmse, 3),
            percent(scores.path.mae, 3),
            percent(scores.direction[-1].two_way.accuracy, 1),
        )
    return [table, f"Validation chose the epoch, so this flatters: {verdict(report.scores)}"]
