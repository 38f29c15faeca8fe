"""One trial: a network of its settings is fitted and scored on each fold, unless it is pruned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lstmcli.config import Settings
from lstmcli.errors import DataError, TrainingError, UsageError
from lstmcli.market.prices import Prices
from lstmcli.runs.study import State
from lstmcli.training.loop import Epoch
from lstmcli.workflows.fit import Course, fit
from lstmcli.workflows.folds import Fold, plan_fold, score_fold
from lstmcli.workflows.space import Space, value_of, with_values

# Where one of these is searched, the losses of two trials are not of one kind.
_SHAPE_THE_LOSS = frozenset(
    {
        "window.context_length",
        "window.features",
        "window.scaling",
        "train.members",
        "train.labels",
        "train.chunk_length",
        "train.burn_in",
        "train.volatility_weight",
        "train.loss",
    }
)


class TimeUp(Exception):
    """The time allowed is over; the trial counts as never begun."""


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. scores : by fold, as far as it came. reason : why it failed."""

    state: State
    scores: tuple[float, ...] = ()
    epochs: int = 0
    reason: str = ""

    @property
    def value(self) -> float | None:
        """The mean score, which trials are ranked by; None where not all folds have one."""
        return float(np.mean(self.scores)) if self.state == "complete" else None


@dataclass(frozen=True)
class Bench:
    """What all trials of a run have in common.

    known, folds : the prices up to the test span, and the spans that validate. stages : where
    trials are compared by the loss of each epoch, how many a fit has at most; None where they are
    compared by the score of each fold.
    """

    settings: Settings
    known: Sequence[Prices]
    folds: Sequence[Fold]
    device: torch.device
    stages: int | None
    has_time: Callable[[], bool]
    on_epoch: Callable[[Epoch], None]


def run_trial(
    bench: Bench, values: Mapping[str, Any], is_hopeless: Callable[[int, float], bool]
) -> Outcome:
    """Fit and score the settings with some values changed on every fold.

    is_hopeless : is told of a stage and of the value there, and says whether to prune. A trial
    that diverges, or whose settings or data do not go together, has failed. Raises TimeUp.
    """
    watch = _Watch(bench, is_hopeless)
    scores: list[float] = []
    try:
        settings = with_values(bench.settings, values, where="trial")
        for fold in bench.folds:
            own, plan = plan_fold(bench.known, settings, fold)
            done = fit(plan, own, bench.device, Course(on_epoch=watch.after_epoch))
            if done.error is not None:
                raise done.error
            scores.append(score_fold(done.model, plan))
            if len(scores) < len(bench.folds):
                watch.after_fold(scores)
    except _Pruned:
        return Outcome("pruned", tuple(scores), watch.epochs)
    except (TrainingError, DataError, UsageError) as error:
        return Outcome("failed", tuple(scores), watch.epochs, str(error))
    return Outcome("complete", tuple(scores), watch.epochs)


def stages_by_epoch(settings: Settings, space: Space) -> int | None:
    """Return how many epochs a fit can have where the losses of all trials compare, else None."""
    if _SHAPE_THE_LOSS & set(space):
        return None
    return most("train.epochs", settings, space)


def most(key: str, settings: Settings, space: Space) -> int:
    """Return the largest value of a count among the settings and the space."""
    own = int(value_of(settings, key))
    return max(own, *map(int, space[key].bounds)) if key in space else own


class _Pruned(Exception):
    """The trial is worse than others were at the same stage."""


@dataclass
class _Watch:
    """Looks on after each epoch and fold, and ends a trial that has no time or no prospects.

    best : the best validation loss of each fit so far; their mean is the value at an epoch.
    """

    bench: Bench
    is_hopeless: Callable[[int, float], bool]
    epochs: int = 0
    best: list[float] = field(default_factory=list)

    def after_epoch(self, epoch: Epoch) -> None:
        self.epochs += 1
        self.bench.on_epoch(epoch)
        if not self.bench.has_time():
            raise TimeUp
        assert epoch.validation_loss is not None  # every fold has windows that validate
        if epoch.epoch == 1:  # of the next fit: another fold, or another member on the same
            self.best.append(epoch.validation_loss)
        self.best[-1] = min(self.best[-1], epoch.validation_loss)
        if self.bench.stages is not None:
            stage = (len(self.best) - 1) * self.bench.stages + epoch.epoch - 1
            self._prune(stage, float(np.mean(self.best)))

    def after_fold(self, scores: Sequence[float]) -> None:
        if self.bench.stages is None:
            self._prune(len(scores) - 1, float(np.mean(scores)))

    def _prune(self, stage: int, value: float) -> None:
        if self.is_hopeless(stage, value):
            raise _Pruned
