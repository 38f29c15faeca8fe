"""Fit a model to series by settings, without writing to disk."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from lstmcli.config import Settings, Train
from lstmcli.dataset.inputs import fit_inputs
from lstmcli.dataset.scaling import LAGS, Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.windows import Windows, contexts, flat_cutoffs, join
from lstmcli.errors import ModelError, TrainingError
from lstmcli.forecasting.har import Har, bars_per_year, fit_har, prior_sharpe
from lstmcli.forecasting.model import TrainedModel, log_ranges, new_member
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import Samples, gradient_probe, make_floor, make_samples
from lstmcli.learning.transfer import Donor, Phase, match, take_over
from lstmcli.networks.build import body_and_head, named_layers
from lstmcli.runs.checkpoint import Checkpoint
from lstmcli.training.device import drawn_from, seeded
from lstmcli.training.group import ALONE, Group
from lstmcli.training.loop import Epoch, mean_loss, train_epochs
from lstmcli.training.objective import Lanes
from lstmcli.training.trainee import Snapshot, Stop, new_trainee

Stopped = Stop | Literal["timeout", "error"]
_SCALE_ROWS = 1_000_000  # maximum for fitting the scaling `batch`, to limit memory


@dataclass(frozen=True)
class Course:
    """Options to observe, checkpoint, stop and resume a fit.

    on_epoch, keep : called after each epoch, `keep` first. has_time : returns whether a number of
    seconds is left; None for no limit. start : checkpoint of an earlier fit of the same plan and
    settings. group : the processes that share the fit; rank 0 decides whether there is time.
    """

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    keep: Callable[[Checkpoint], None] = lambda checkpoint: None
    has_time: Callable[[float], bool] | None = None
    start: Checkpoint | None = None
    group: Group = ALONE


UNWATCHED = Course()


@dataclass
class Fit:
    """The result of a fit, perhaps incomplete.

    stopped : why training of the last network ended. error : set if a network diverged after a good
    epoch. start_loss : validation loss before the first epoch; None without a fan.
    """

    model: TrainedModel
    history: list[Epoch]
    stopped: Stopped
    error: TrainingError | None = None
    start_loss: float | None = None

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are kept; 0 for the initial weights."""
        return max((epoch.epoch for epoch in self.history if epoch.best), default=0)

    @property
    def best_loss(self) -> float | None:
        """The validation loss of the best epoch."""
        losses = [epoch.validation_loss for epoch in self.history if epoch.best]
        return losses[-1] if losses else self.start_loss


Fitting = Callable[[Plan, Settings, torch.device, Course, Donor | None], Fit]
"""A function with the signature of `fit`, which may run on a cluster."""


def fit(
    plan: Plan,
    settings: Settings,
    device: torch.device,
    course: Course = UNWATCHED,
    donor: Donor | None = None,
) -> Fit:
    """Train a network on the plan's windows, or an ensemble with one seed per member.

    donor : a model to start from, for all weights that match. Raises TrainingError if a network had
    no good epoch, or no time for a new one.
    """
    inputs = _fit_inputs(plan, settings)
    rows = join(
        plan.series,
        season="month" in settings.window.features,
        inputs=settings.window.inputs,
        fitted=inputs,
    )
    scale = _fit_scale(rows, plan, settings)
    linear = None if donor is None else donor.linear(settings)
    har = fit_linear(plan, settings, linear) if settings.model.head == "direct" else None
    model = TrainedModel(
        network=nn.Identity(),
        settings=settings,
        fitted=None if scale is None else scale.to(device),
        trained_on=tuple(each.symbol for each in plan.series),
        har=har,
        inputs=inputs,
    )
    run, members, start = Fit(model, [], "epochs"), list[nn.Module](), course.start
    if settings.model.network == "har":
        return run
    rows = rows.to(device)
    fitted = model.fitted if har is None else make_floor(rows, plan, settings, har)
    if start is not None:
        run.history, run.error = list(start.history), start.error
        for weights in start.members:
            with seeded(0, device):  # these random weights are overwritten below
                members.append(new_member(settings))
            with _checkpoint_errors():
                members[-1].load_state_dict(weights)
            members[-1].to(device)
    known, snapshot = len(run.history), None if start is None else start.snapshot
    while len(members) < settings.train.members and run.stopped != "timeout":
        seed = settings.train.seed + len(members)
        with seeded(seed, device):
            network = new_member(settings)
            if donor is not None and not donor.linear_only:
                found, theirs = match(donor, settings), donor.model.members
                old = theirs[len(members) % len(theirs)]
                take_over(network, old, found.inputs, head=found.head)
            network.to(device)
            generators = {
                "shuffle": torch.Generator().manual_seed(seed),
                "steps": torch.Generator(device).manual_seed(seed),
                **drawn_from(device),
            }
            samples = make_samples(rows, plan, settings, fitted, generators["steps"], course.group)
            kept = gradient_probe(rows, plan, settings, fitted)
            if har is not None and run.start_loss is None:
                run.start_loss = mean_loss(
                    network,
                    samples.objective,
                    samples.validation,
                    samples.batch_size,
                    course.group,
                )
            train, before = settings.train, tuple(each.state_dict() for each in members)
            _fit_member(
                run, before, network, samples, generators, train, course, donor, snapshot, kept
            )
            members.append(network.requires_grad_())
            snapshot = None
    lacking = settings.train.members - len({epoch.member for epoch in run.history})
    if run.stopped == "timeout" and (lacking or len(run.history) == known):
        raise TrainingError(
            "out of time",
            why=f"{lacking} of {settings.train.members} networks have no epoch"
            if lacking
            else f"no epoch after epoch {run.history[-1].epoch} was done",
            next_step="Pass a longer --timeout; --resume continues from the last epoch kept.",
        )
    network = members[0] if len(members) == 1 else nn.ModuleList(members)
    run.model, run.stopped = replace(model, network=network), "error" if run.error else run.stopped
    return run


class _OutOfTime(Exception):
    """Raised when time is up; caught within this file."""


@contextmanager
def _checkpoint_errors() -> Iterator[None]:
    """Raise ModelError for a checkpoint that claims to be of this run but does not fit."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            "the checkpoint is damaged", why=str(error), next_step="Train without --resume."
        ) from error


def _fit_member(
    run: Fit,
    before: tuple[dict[str, Tensor], ...],
    network: nn.Module,
    samples: Samples,
    generators: Mapping[str, torch.Generator],
    train: Train,
    course: Course,
    donor: Donor | None,
    snapshot: Snapshot | None,
    kept: Callable[[nn.Module], float] | None,
) -> None:
    """Train one network in phases, from the start or from a snapshot of the last epoch.

    run : collects the epochs. before : the weights of the finished networks.

    A fan starts as the linear fan, and remains it if no epoch has a lower validation loss.

    An error after a good epoch is stored in `run`, and that epoch is kept.
    """

    def has_time(seconds: float) -> bool:
        if course.has_time is None:
            return True
        return course.group.agree(course.has_time(seconds), samples.validation.device)

    def objective(network: nn.Module, batch: Tensor | Lanes) -> Tensor:
        if not has_time(0.0):
            raise _OutOfTime
        return samples.objective(network, batch)

    member, rate, last = len(before) + 1, train.learning_rate, None
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
        if last is not None:
            trainee.best_loss, trainee.best_weights = last.best_loss, last.best_weights
        elif snapshot is not None:
            with _checkpoint_errors():
                trainee.restore(snapshot)
        elif run.start_loss is not None:
            trainee.keep_weights(run.start_loss)
        epochs = train_epochs(
            trainee,
            objective,
            samples.train,
            samples.validation,
            batch_size=samples.batch_size,
            clip_norm=train.clip_norm,
            labels_per_sample=samples.labels_per_sample,
            layers=named_layers(network),
            kept=kept,
            group=course.group,
        )
        try:
            with closing(epochs):
                for epoch in epochs:
                    epoch = replace(epoch, member=member, phase=number)
                    run.history.append(epoch)
                    now = Checkpoint(before, trainee.snapshot(), tuple(run.history), run.error)
                    course.keep(now)
                    course.on_epoch(epoch)
                    if trainee.stopped is None and not has_time(epoch.seconds):
                        raise _OutOfTime  # too little time for the next epoch
            run.stopped = trainee.stopped or "epochs"
        except _OutOfTime:
            run.stopped = "timeout"
            return
        except TrainingError as error:
            if not trainee.epoch:
                raise
            run.error, run.stopped = run.error or error, "error"
            return
        last = trainee


def _fit_scale(rows: Windows, plan: Plan, settings: Settings) -> Scale | None:
    """Fit the scaling on training rows only."""
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


def _fit_inputs(plan: Plan, settings: Settings) -> Scale | None:
    """Fit the scale of own inputs on training rows only; None if there are none."""
    if not settings.window.inputs:
        return None
    pairs = zip(plan.series, plan.splits, strict=True)
    parts = [each.extras[: part.train_rows] for each, part in pairs if each.extras is not None]
    return fit_inputs(parts, settings.window.inputs)


def fit_linear(plan: Plan, settings: Settings, start: Har | None = None) -> Har:
    """Fit the linear fan on the training rows. start : a fan to shrink towards."""
    own, rows = settings.forecast, [split.train_rows for split in plan.splits]
    series = [each.part(slice(n)) for each, n in zip(plan.series, rows, strict=True)]
    return fit_har(
        [each.log_prices for each in series],
        horizon=settings.window.horizon,
        levels=own.quantile_levels,
        bars_per_year=bars_per_year(max(series, key=len).dates),
        priors=[prior_sharpe(e.symbol, own.prior_sharpe, own.prior_by_symbol) for e in series],
        ranges=[log_ranges(each, settings) for each in series],
        start=start,
    )
