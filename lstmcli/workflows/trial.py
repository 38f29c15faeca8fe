"""One trial of a search: a network of its settings, fitted and scored on each fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from lstmcli.config import Settings
from lstmcli.errors import DataError, TrainingError, UsageError
from lstmcli.learning.fit import Course, fit
from lstmcli.learning.folds import Fold, plan_fold, score_fold
from lstmcli.market.prices import Prices
from lstmcli.training.loop import Epoch
from lstmcli.workflows.space import Space, value_of, with_values

# Where one of these is searched, the losses of two trials are not of one kind.
_SHAPE_THE_LOSS = {
    "window.context_length", "window.features", "window.scaling", "train.members", "train.labels",
    "train.chunk_length", "train.burn_in", "train.volatility_weight", "train.loss",
}  # fmt: skip


class TimeUp(Exception):
    """The time allowed is over; the trial counts as never begun."""


@dataclass(frozen=True)
class Bench:
    """What all trials of a run have in common.

    known, folds : the prices up to the test span, and the spans that validate.
    """

    settings: Settings
    space: Space
    known: Sequence[Prices]
    folds: tuple[Fold, ...]
    device: torch.device
    has_time: Callable[[], bool]
    on_epoch: Callable[[Epoch], None]

    @property
    def by_epoch(self) -> bool:
        """Whether trials compare by the loss of each epoch, or else by the score of each fold."""
        return not _SHAPE_THE_LOSS & set(self.space)


def run_trial(bench: Bench, trial: optuna.Trial, values: Mapping[str, Any]) -> FrozenTrial:
    """Fit and score the settings with some values changed on every fold, unless it is pruned.

    A trial that diverges, or whose settings or data do not go together, has failed.

    Returns the trial as it ended, its value the mean score, with its `scores`, `epochs` and the
    `reason` why it failed among its user attributes. Raises TimeUp.
    """
    scores: list[float] = []
    best: list[float] = []  # validation loss of each fit; their mean is the value at an epoch
    epochs: list[Epoch] = []
    longest_fit = most("train.epochs", bench.settings, bench.space)

    def after_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        bench.on_epoch(epoch)
        if not bench.has_time():
            raise TimeUp
        assert epoch.validation_loss is not None  # every fold has windows that validate
        if epoch.epoch == 1:  # of the next fit: another fold, or another member on the same
            best.append(epoch.validation_loss)
        best[-1] = min(best[-1], epoch.validation_loss)
        if bench.by_epoch:
            prune((len(best) - 1) * longest_fit + epoch.epoch - 1, best)

    def prune(stage: int, losses: Sequence[float]) -> None:
        trial.report(float(np.mean(losses)), stage)
        if trial.should_prune():
            raise optuna.TrialPruned

    state, reason = TrialState.COMPLETE, ""
    try:
        settings = with_values(bench.settings, values, where="trial")
        for fold in bench.folds:
            own, plan = plan_fold(bench.known, settings, fold)
            done = fit(plan, own, bench.device, Course(on_epoch=after_epoch))
            if done.error is not None:
                raise done.error
            scores.append(score_fold(done.model, plan))
            if not bench.by_epoch and len(scores) < len(bench.folds):
                prune(len(scores) - 1, scores)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except (TrainingError, DataError, UsageError) as error:
        state, reason = TrialState.FAIL, str(error)
    score = float(np.mean(scores)) if state == TrialState.COMPLETE else None
    ended = trial.study.tell(trial, score, state)
    ended.user_attrs = {"scores": scores, "epochs": len(epochs), "reason": reason}
    return ended


def most(key: str, settings: Settings, space: Space) -> int:
    """Return the largest value of a count among the settings and the space."""
    own = int(value_of(settings, key))
    return max(own, *map(int, space[key].bounds)) if key in space else own
