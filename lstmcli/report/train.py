"""The result of a training, and the trials of a study, ranked."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from lstmcli.evaluation.verdict import fan_against, verdict
from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.numbers import percent
from lstmcli.report.tables import Column, list_table, make_table
from lstmcli.training.loop import Epoch
from lstmcli.workflows.train import TrainReport

if TYPE_CHECKING:  # Optuna is an extra
    from lstmcli.workflows.tune import TuneReport

_SCORES: list[Column] = [
    ("", "model"),
    ("Path RMSE", lambda each: percent(each.path.rmse, 3)),
    ("Path MAE", lambda each: percent(each.path.mae, 3)),
    ("Direction", lambda each: percent(each.direction[-1].two_way.accuracy, 1)),
]


def train_view(report: TrainReport) -> View:
    """Show the run, its validation scores and the decision; the rows are the epochs."""
    # Nothing is trained where all is unchanged: a header without what differs by network.
    known = [field.name for field in fields(Epoch) if field.name != "gradient_norms"]
    return View(
        lambda: _train_tables(report),
        lambda: make_document(
            "train",
            model=str(report.model),
            path=str(report.model.folder),
            unchanged=report.unchanged,
            promoted=report.decision.promoted,
            why=report.decision.why,
            metadata=report.metadata.record,
            notes=report.notes,
            failures=report.failures,
        ),
        lambda: [epoch.columns() for epoch in report.history],
        known if report.unchanged else (),
    )


def _train_tables(report: TrainReport) -> list[RenderableType]:
    model, kept, found = report.model, report.metadata, report.metadata.record
    if report.unchanged:
        return [
            f"unchanged: {model} was made by the same settings, data and versions, "
            "so nothing was trained. --force trains anyway."
        ]
    counts = "{train} train, {validation} validate, {test} held back"
    cut = ", cut short by --timeout" if kept.stopped == "timeout" else ""
    facts = [
        ("Network", f"{found['network']}, {found['parameters']} weights on {found['device']}"),
        ("Rows", f"{kept.windows['rows']} of {len(kept.symbols)} series"),
        ("Windows", counts.format_map(kept.windows)),
        ("Test span", f"from {kept.test_start}"),
        ("Epochs", f"{kept.epochs}, the best is {kept.best_epoch}{cut}"),
        ("Seconds", f"{found['duration_seconds']:.1f}"),
        ("Kept in", str(model.folder)),
    ]
    shown: list[RenderableType] = [make_table(f"Trained {model}", ["", ""], facts, left=2)]
    if report.scores is not None:
        title = f"Validation, {count_of(report.scores.n_independent, 'independent window')}"
        shown.append(list_table(title, _SCORES, report.scores.models.values()))
        shown.append(f"Validation chose the epoch, so this flatters: {verdict(report.scores)}")
        shown += _network_adds(report)
    elif kept.windows["validation"]:
        shown.append(
            "No validation score: the validating windows overlap the training windows, "
            "so it would prove nothing."
        )
    else:
        shown.append("No validation score: no window validates.")
    promoted = "is the champion" if report.decision.promoted else "is not the champion"
    shown.append(f"{model} {promoted}: {report.decision.why}.")
    if report.decision.sessions_needed is not None:
        shown.append(f"Then: lstmcli models promote {model} --if-better.")
    return shown


def _network_adds(report: TrainReport) -> Iterator[str]:
    """Yield what the network of a fan adds to the linear fan on the validation windows."""
    network = report.metadata.record["network"]
    if report.scores is None or not report.metadata.har or network == "har":
        return
    started = report.metadata.record.get("from")
    if report.metadata.best_epoch == 0 and (not started or started.get("linear_only")):
        yield "The network adds nothing: no epoch validated better, so it is identical to har."
    elif added := fan_against(report.scores.models["network"], "har"):
        if report.metadata.best_epoch == 0:
            yield "No epoch validated better than the weights that it started from."
        yield f"What the network adds to har, the linear fan. {added}"


def tune_view(report: "TuneReport") -> View:
    """Show the trials, the best first; the rows are the trials."""
    return View(
        lambda: _tune_tables(report),
        lambda: make_document(
            "tune",
            study=report.name,
            path=str(report.folder),
            recipe=str(report.recipe),
            objective=report.objective,
            sampler=report.search.sampler,
            pruner=report.search.pruner,
            wanted=report.search.trials,
            folds=[
                {"first": fold.days[0], "last": fold.days[1], "symbols": fold.symbols}
                for fold in report.folds
            ],
            trials=report.trials,
            best=report.trials[0].number,
            gain=report.gain,
            verdict=report.verdict,
            notes=report.notes,
            failures=report.failures,
        ),
        lambda: [
            {
                "rank": rank,
                "trial": trial.number,
                "state": trial.state,
                report.objective: trial.score,
                "standard_error": trial.standard_error,
                **{
                    f"fold_{n + 1}": dict(enumerate(trial.scores)).get(n)
                    for n in range(len(report.folds))
                },
                **{key: _flat(trial.values.get(key)) for key in report.search.space},
                "epochs": trial.epochs,
                "seconds": trial.seconds,
                "reason": trial.reason,
            }
            for rank, trial in enumerate(report.trials, start=1)
        ],
    )


def _tune_tables(report: "TuneReport") -> list[RenderableType]:
    first, last = report.folds[0].days[0], report.folds[-1].days[1]
    score = {"crps": "CRPS", "rmse": "Path RMSE"}[report.objective]

    def value(key: str) -> Column:
        def shown(trial: Any) -> object:
            found = trial.values.get(key)
            return f"{found:.4g}" if isinstance(found, float) else _flat(found)

        return key.split(".")[1], shown

    columns: list[Column] = [
        ("Trial", lambda each: each.number or "0, the recipe"),
        (score, lambda each: percent(each.score, 4)),
        ("+-", lambda each: percent(each.standard_error, 4)),
        *map(value, report.search.space),
        ("Epochs", "epochs"),
        ("Seconds", lambda each: f"{each.seconds:.1f}"),
        ("State", "state"),
    ]
    folds = count_of(len(report.folds), "validation fold")
    failed = [trial for trial in report.trials if trial.state == "failed"]
    why = [f"{count_of(len(failed), 'trial')} failed; trial {t.number}: {t.reason}" for t in failed]
    return [
        list_table(
            f"{score} in % of the last price, {folds} from {first} to {last}",
            columns,
            report.trials,
        ),
        "+-: the standard error over the folds, mostly because some are harder than others.",
        *why[:1],
        f"Verdict: {report.verdict}",
        f"Trial {report.trials[0].number} is kept as a recipe: lstmcli train --config "
        f"{report.recipe}",
    ]


def _flat(value: Any) -> Any:
    """Return a value for a flat row: a list as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple) else value
