"""The trials of a study: the next one run and kept, all of them ranked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import optuna

from lstmcli.config import Settings
from lstmcli.evaluation.choice import standard_error
from lstmcli.runs.study import Record, State, Study
from lstmcli.workflows.search import Sampler, ask, values_of
from lstmcli.workflows.space import Space, value_of
from lstmcli.workflows.trial import Bench, TimeUp, run_trial

Pruner = Literal["median", "none"]
_WARM_UP = 3  # epochs of its first fit for which every trial is spared
_ORDER: tuple[State, ...] = ("complete", "pruned", "failed", "running")


@dataclass(frozen=True)
class Search:
    """What is searched, and how. trials : how many the study is to have, with those it has."""

    space: Space
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = 40
    folds: int = 3


@dataclass(frozen=True)
class Trial:
    """One trial: the values it took of the settings searched, and what came of it.

    score : the mean of `scores`, those of the folds, in units of the last price; None unless it is
    complete. reason : why it failed.
    """

    number: int
    state: State
    values: dict[str, Any]
    score: float | None
    standard_error: float | None
    scores: tuple[float, ...]
    epochs: int
    seconds: float
    reason: str


def try_next(
    study: Study, bench: Bench, search: Search, most: int, clock: Callable[[], float]
) -> int | None:
    """Run the next trial and keep what came of it; returns its number.

    None where all below the number `most` are finished or at work, or the time is over.
    """
    began = clock()
    own, seed = recipe_values(bench.settings, search.space), bench.settings.train.seed
    choose = partial(ask, space=search.space, recipe=own, sampler=search.sampler, seed=seed)
    claimed = study.claim(most, choose) if bench.has_time() else None
    if claimed is None:
        return None
    number, trial = claimed
    values = own if number == 0 else values_of(trial.params, search.space)
    try:
        outcome = run_trial(bench, values, partial(_is_hopeless, trial))
    except TimeUp:
        study.drop(trial)
        return None
    result = {
        "scores": outcome.scores,
        "epochs": outcome.epochs,
        "seconds": round(clock() - began, 3),
        "reason": outcome.reason,
    }
    study.finish(trial, outcome.state, result, outcome.value)
    return number


def pruner_of(search: Search, bench: Bench) -> optuna.pruners.BasePruner:
    """Return what prunes: a trial worse than the median of the complete ones at its stage."""
    if search.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_warmup_steps=0 if bench.stages is None else _WARM_UP)


def ranked(study: Study, settings: Settings, space: Space) -> list[Trial]:
    """Return all trials: the complete ones by score, then the others by number."""
    trials = [_trial(record, recipe_values(settings, space), space) for record in study.records()]
    return sorted(
        trials, key=lambda each: (_ORDER.index(each.state), each.score or 0.0, each.number)
    )


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the complete trial with the lowest score, the earlier one of two."""
    return next((trial for trial in trials if trial.score is not None), None)


def finished(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are no longer at work."""
    return [trial for trial in trials if trial.state != "running"]


def recipe_values(settings: Settings, space: Space) -> dict[str, Any]:
    """Return the recipe's own values of what is searched."""
    return {key: value_of(settings, key) for key in space}


def _is_hopeless(trial: optuna.Trial, stage: int, value: float) -> bool:
    trial.report(value, stage)
    return trial.should_prune()


def _trial(record: Record, own: Mapping[str, Any], space: Space) -> Trial:
    scores = tuple(record.result.get("scores", ()))
    return Trial(
        number=record.number,
        state=record.state,
        values=dict(own) if record.number == 0 else values_of(record.params, space),
        score=record.value,
        standard_error=standard_error(scores) if record.state == "complete" else None,
        scores=scores,
        epochs=record.result.get("epochs", 0),
        seconds=record.result.get("seconds", 0.0),
        reason=record.result.get("reason", ""),
    )
