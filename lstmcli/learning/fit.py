"""From series and settings to a trained model: the part of training that keeps nothing on disk."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, from_numpy, nn

from lstmcli.config import Settings, Train
from lstmcli.dataset.scaling import LAGS, Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.windows import Windows, contexts, flat_cutoffs, join
from lstmcli.errors import DataError, ModelError, TrainingError
from lstmcli.forecasting.baselines import climatology, gaussian_quantiles
from lstmcli.forecasting.model import TrainedModel, new_member
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import Samples, gradient_probe, make_samples
from lstmcli.learning.transfer import Donor, Phase, match, take_over
from lstmcli.networks.build import body_and_head, named_layers
from lstmcli.networks.heads import QuantileFan
from lstmcli.runs.checkpoint import Checkpoint
from lstmcli.training.device import drawn_from, seeded
from lstmcli.training.loop import Epoch, train_epochs
from lstmcli.training.objective import Lanes
from lstmcli.training.trainee import Snapshot, Stop, new_trainee

Stopped = Stop | Literal["timeout", "error"]
_SCALE_ROWS = 1_000_000  # of the windows that `batch` is fitted on: memory stays flat


@dataclass(frozen=True)
class Course:
    """How a fit is watched, kept between its epochs, stopped and resumed.

    on_epoch, keep : called after each epoch, `keep` first. has_time : whether a number of seconds
    are left. start : where an earlier fit of the same plan and settings was stopped.
    """

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    keep: Callable[[Checkpoint], None] = lambda checkpoint: None
    has_time: Callable[[float], bool] = lambda seconds: True
    start: Checkpoint | None = None


UNWATCHED = Course()


@dataclass
class Fit:
    """A model as far as training came.

    stopped : why the last of its networks had no further epoch. error : set where one broke down
    after a good epoch.
    """

    model: TrainedModel
    history: list[Epoch]
    stopped: Stopped
    error: TrainingError | None = None


def fit(
    plan: Plan,
    settings: Settings,
    device: torch.device,
    course: Course = UNWATCHED,
    donor: Donor | None = None,
) -> Fit:
    """Train a new network on the plan's windows, each member of an ensemble from its own seed.

    donor : whose weights it starts with, where they fit. Raises TrainingError if a network had no
    good epoch, or the time allowed no new one.
    """
    rows = join(plan.series, season="month" in settings.window.features)
    fitted = _fit_scale(rows, plan, settings)
    rows = rows.to(device)
    fitted = None if fitted is None else fitted.to(device)
    run, start = _Run([], []), course.start
    if start is not None:
        run = _Run([], list(start.history), start.error)
        for weights in start.members:
            with seeded(0, device):  # the weights drawn here are replaced at once
                run.members.append(new_member(settings))
            with _checkpoint_errors():
                run.members[-1].load_state_dict(weights)
            run.members[-1].to(device)
    known, snapshot = len(run.history), None if start is None else start.snapshot
    while len(run.members) < settings.train.members and run.stopped != "timeout":
        seed = settings.train.seed + len(run.members)
        with seeded(seed, device):
            network = new_member(settings)
            start_fan(network, plan, settings)
            if donor is not None:
                found, members = match(donor, settings), donor.model.members
                old = members[len(run.members) % len(members)]
                take_over(network, old, found.inputs, head=found.head)
            network.to(device)
            generators = {
                "shuffle": torch.Generator().manual_seed(seed),
                "steps": torch.Generator(device).manual_seed(seed),
                **drawn_from(device),
            }
            samples = make_samples(rows, plan, settings, fitted, generators["steps"])
            kept = gradient_probe(rows, plan, settings, fitted)
            _fit_member(
                run, network, samples, generators, settings.train, course, donor, snapshot, kept
            )
            run.members.append(network.requires_grad_())
            snapshot = None
    lacking = settings.train.members - len({epoch.member for epoch in run.history})
    if run.stopped == "timeout" and (lacking or len(run.history) == known):
        raise TrainingError(
            "out of time",
            why=f"{lacking} of {settings.train.members} networks have no epoch"
            if lacking
            else f"no epoch after epoch {run.history[-1].epoch} was done",
            next_step="Pass a longer --timeout; --resume goes on from the last epoch kept.",
        )
    model = TrainedModel(
        network=run.members[0] if len(run.members) == 1 else nn.ModuleList(run.members),
        settings=settings,
        fitted=fitted,
        trained_on=tuple(each.symbol for each in plan.series),
    )
    return Fit(model, run.history, "error" if run.error else run.stopped, run.error)


@dataclass
class _Run:
    """How far a fit has come: the networks that are done, all epochs, the first failure."""

    members: list[nn.Module]
    history: list[Epoch]
    error: TrainingError | None = None
    stopped: Stopped = "epochs"


class _OutOfTime(Exception):
    """The seconds allowed are over; it never leaves this file."""


@contextmanager
def _checkpoint_errors() -> Iterator[None]:
    """Raise ModelError for a checkpoint that says that it is of this run, and is not."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            "the checkpoint is damaged", why=str(error), next_step="Train without --resume."
        ) from error


def _fit_member(
    run: _Run,
    network: nn.Module,
    samples: Samples,
    generators: Mapping[str, torch.Generator],
    train: Train,
    course: Course,
    donor: Donor | None,
    snapshot: Snapshot | None,
    kept: Callable[[nn.Module], float] | None,
) -> None:
    """Train one network, phase by phase, from its start or from a snapshot of the last epoch.

    An error after a good epoch is kept, with that epoch.
    """

    def objective(network: nn.Module, batch: Tensor | Lanes) -> Tensor:
        if not course.has_time(0.0):
            raise _OutOfTime
        return samples.objective(network, batch)

    member, weights = len(run.members) + 1, tuple(each.state_dict() for each in run.members)
    rate, before = train.learning_rate, None
    phases = (Phase(False, rate),) if donor is None else donor.phases(rate)
    first = 1 if snapshot is None else run.history[-1].phase
    for number, phase in enumerate(phases[first - 1 :], first):
        body_and_head(network)[0].requires_grad_(not phase.frozen)
        trainee = new_trainee(
            network,
            epochs=train.epochs,
            optimizer=train.optimizer,
            learning_rate=phase.learning_rate,
            weight_decay=train.weight_decay,
            schedule=train.schedule,
            patience=train.patience,
            generators=generators,
            done=sum(each.member == member and each.phase < number for each in run.history),
        )
        if before is not None:
            trainee.best_loss, trainee.best_weights = before.best_loss, before.best_weights
        elif snapshot is not None:
            with _checkpoint_errors():
                trainee.restore(snapshot)
        epochs = train_epochs(
            trainee,
            objective,
            samples.train,
            samples.validation,
            batch_size=train.batch_size,
            clip_norm=train.clip_norm,
            labels_per_sample=samples.labels_per_sample,
            layers=named_layers(network),
            kept=kept,
        )
        try:
            with closing(epochs):
                for epoch in epochs:
                    epoch = replace(epoch, member=member, phase=number)
                    run.history.append(epoch)
                    now = Checkpoint(weights, trainee.snapshot(), tuple(run.history), run.error)
                    course.keep(now)
                    course.on_epoch(epoch)
                    if trainee.stopped is None and not course.has_time(epoch.seconds):
                        raise _OutOfTime  # the next epoch would not fit
            run.stopped = trainee.stopped or "epochs"
        except _OutOfTime:
            run.stopped = "timeout"
            return
        except TrainingError as error:
            if not trainee.epoch:
                raise
            run.error, run.stopped = run.error or error, "error"
            return
        before = trainee


def _fit_scale(rows: Windows, plan: Plan, settings: Settings) -> Scale | None:
    """Fit what the scaling needs, on training rows alone."""
    if settings.window.scaling in LAGS:
        parts = [
            range(offset, offset + split.train_rows)
            for offset, split in zip(rows.offsets, plan.splits, strict=True)
        ]
        return fit_return_scale(rows.values, parts, LAGS[settings.window.scaling])
    if settings.window.scaling == "batch":
        length, index = settings.window.context_length, flat_cutoffs(rows, plan.train)
        every = max(1, len(index) * length // _SCALE_ROWS)
        return fit_batch_scale(contexts(rows, index[::every], length))
    return None


_PRIOR = 20.0  # independent windows at which half of the climatology is believed
_MOST_SERIES = 100


def start_fan(network: nn.Module, plan: Plan, settings: Settings) -> None:
    """Start the fan of an untrained network near the climatology of the training rows.

    The mean over the series (over a hundred of them where there are more), drawn towards the normal
    quantiles where the rows hold few windows of that many steps that do not overlap. Nothing
    happens to a network without a fan, or without a series that is long enough.
    """
    _, head = body_and_head(network)
    if not isinstance(head, QuantileFan):
        return
    steps = range(1, settings.window.horizon + 1)
    levels = settings.forecast.quantile_levels
    every = -(-len(plan.series) // _MOST_SERIES)
    known, longest = [], 0
    for each, split in list(zip(plan.series, plan.splits, strict=True))[::every]:
        try:
            known.append(climatology(each.log_prices[: split.train_rows], steps, levels=levels))
        except DataError:
            continue  # too short to say what is usual
        longest = max(longest, split.train_rows)
    if known:
        independent = longest / np.array(steps, dtype=np.float64)[:, None]
        share = independent / (independent + _PRIOR)
        start = share * np.mean(known, axis=0) + (1 - share) * gaussian_quantiles(levels)
        head.start_at(from_numpy(start).float())
