"""Screens of `train` and `tune`: the result of a training, and the ranked trials of a study."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from lstmcli.evaluation.verdict import fan_against
from lstmcli.printable import count_of, printable
from lstmcli.report import View, make_document
from lstmcli.report.tables import (
    GOOD,
    OWN,
    Column,
    NextSteps,
    fact_table,
    in_prose,
    list_table,
    percent,
    sparkline,
    styled,
)
from lstmcli.training.loop import Epoch
from lstmcli.workflows.train import TrainReport

if TYPE_CHECKING:  # Optuna is an extra
    from lstmcli.workflows.tune import Trial, TuneReport

_NAMED = 3  # symbols
_WORDS = ("har", "linear", "peephole")  # network names that are not abbreviations


def train_view(report: TrainReport, *, typed: str = "") -> View:
    """Show the run, its validation scores and the promotion; the rows are the epochs.

    typed : options that select the data or the model, for suggested commands.
    """
    # If nothing was trained, the CSV still gets a header, without the columns per layer.
    known = [field.name for field in fields(Epoch) if field.name != "gradient_norms"]
    return View(
        lambda: _train_tables(report, typed),
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


def _train_tables(report: TrainReport, typed: str) -> list[RenderableType]:
    model, decision = report.model, report.decision
    following = NextSteps(f"lstmcli predict {typed}", f"lstmcli evaluate {typed}")
    if report.unchanged:
        return [
            f"unchanged: {model} has the same settings, data and versions, "
            "so nothing was trained. Use --force to train anyway.",
            following,
        ]
    if decision.promoted:
        outcome = styled("In use now", GOOD)
        outcome.append(f": {model}, {decision.why}.")
    else:
        stays = f" ({decision.against} stays)" if decision.against else ""
        outcome = Text(f"Not in use{stays}: {decision.why}.")
    if decision.sessions_needed is not None:
        outcome.append(f" Then: lstmcli models promote {model} --if-better.")
    return [
        styled(f"Trained {model} in {report.metadata.record['duration_seconds']:.1f} s", "bold"),
        "",
        fact_table([*_run_facts(report), *_validation_facts(report)]),
        "",
        outcome.append(printable(f" Saved in {model.folder}")),
        following,
    ]


def _run_facts(report: TrainReport) -> Iterator[tuple[str, str]]:
    kept, found = report.metadata, report.metadata.record
    names = [each.symbol for each in kept.symbols]
    data = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} series"
    first, last = min(each.first for each in kept.symbols), max(each.last for each in kept.symbols)
    yield "Data", f"{data}, {sum(each.rows for each in kept.symbols):,} bars, {first} to {last}"
    network, device = found["network"], found["device"]
    shown = network if network in _WORDS else network.upper()
    device = "CPU" if device == "cpu" else device
    batches = f", batches of {found['batch_size']:,}" if found["batch_size"] else ""
    yield "Network", f"{shown}, {found['parameters']:,} weights, {device}{batches}"
    counts = "{train:,} train, {validation:,} validate, {test:,} kept for evaluate"
    yield "Windows", f"{counts.format_map(kept.windows)} (from {kept.test_start})"
    losses = [each.validation_loss for each in report.history if each.validation_loss is not None]
    epochs = f"{kept.epochs}, best {kept.best_epoch}"
    epochs += ", cut short by --timeout" if kept.stopped == "timeout" else ""
    if len(losses) > 1:
        epochs += f"   {sparkline(losses)}  validation loss {min(losses):.4g} to {max(losses):.4g}"
    if kept.epochs:
        yield "Epochs", epochs


def _validation_facts(report: TrainReport) -> Iterator[tuple[str, str]]:
    """Yield the validation errors, and the gain of a fan's network over the linear fan."""
    scores, kept = report.scores, report.metadata
    if scores is None:
        yield (
            "Validation",
            "none: the validation windows overlap the training windows, so it would prove nothing"
            if kept.windows["validation"]
            else "none: there are no validation windows",
        )
        return
    errors = [
        f"{'' if name == scores.model else f'{name} '}{percent(scores.models[name].path.rmse)}"
        for name in (scores.model, "naive", "drift")
    ]
    windows = count_of(scores.n_independent, "date" if scores.n_symbols > 1 else "window")
    symbols = f" of {scores.n_symbols} symbols" * (scores.n_symbols > 1)
    yield "Validation", f"error {', '.join(errors)} on {windows}{symbols}"
    yield "", "optimistic, because the same data chose the best epoch"
    if not kept.har or kept.record["network"] == "har":
        return
    started = kept.record.get("from")
    if kept.best_epoch == 0 and (not started or started.get("linear_only")):
        yield "Beyond har", "identical to har, the linear fan: the network adds nothing"
        return
    if kept.best_epoch == 0:
        yield "", "no epoch validated better than the initial weights"
    if added := fan_against(scores.models[scores.model], "har"):
        yield "Beyond har", added.removesuffix(".")


def tune_view(report: "TuneReport") -> View:
    """Show the trials, the best first; these are also the rows."""
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
    best = report.trials[0].number

    def name(trial: "Trial") -> object:
        shown = f"{trial.number}{' (recipe)' * (not trial.number)}"
        return styled(f"{shown} *", OWN) if trial.number == best else shown

    def value(key: str) -> Column:
        def shown(trial: "Trial") -> object:
            found = trial.values.get(key)
            if isinstance(found, list | tuple):
                return ", ".join(map(str, found))
            return f"{found:.4g}" if isinstance(found, float) else found

        return key.split(".")[1].replace("_", "_\n"), shown

    columns: list[Column] = [
        ("Trial", name),
        ("CRPS" if report.objective == "crps" else "Error", lambda each: percent(each.score)),
        *map(value, report.search.space),
        ("+-", lambda each: percent(each.standard_error)),
        ("Epochs", "epochs"),
        ("Seconds", lambda each: f"{each.seconds:.1f}"),
        ("State", "state"),
    ]
    if all(each.state == "complete" for each in report.trials):
        columns.pop()
    title = (
        f"{report.name}: {count_of(len(report.trials), 'trial')}, validated on {first} to {last} "
        f"({count_of(len(report.folds), 'fold')})"
    )
    failed = [trial for trial in report.trials if trial.state == "failed"]
    why = [f"{count_of(len(failed), 'trial')} failed; trial {t.number}: {t.reason}" for t in failed]
    return [
        list_table(title, columns, report.trials, drop=("Seconds", "Epochs", "+-")),
        *in_prose([*why[:1], report.verdict]),
        f"Saved the settings of trial {best} as a recipe: {report.recipe}",
        NextSteps(f"lstmcli train --config {report.recipe}"),
    ]


def _flat(value: Any) -> Any:
    """Return a value for a flat row; lists become JSON."""
    return json.dumps(value) if isinstance(value, list | tuple) else value
