"""From series and settings to a trained model: the part of training that keeps nothing on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from lstmcli.config import Settings
from lstmcli.dataset.scaling import LAGS, Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.windows import Windows, contexts, flat_cutoffs, join
from lstmcli.errors import TrainingError
from lstmcli.forecasting.model import TrainedModel, new_member
from lstmcli.training.device import seeded
from lstmcli.training.loop import Epoch, train_epochs
from lstmcli.workflows.plan import Plan
from lstmcli.workflows.samples import make_samples
from lstmcli.workflows.start import start_fan

_SCALE_ROWS = 1_000_000  # of the windows that `batch` is fitted on: memory stays flat


@dataclass
class Fit:
    """A model as far as training came: `error` is set where it broke down after a good epoch."""

    model: TrainedModel
    history: list[Epoch] = field(default_factory=list)
    error: TrainingError | None = None


def fit(
    plan: Plan,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Fit:
    """Train a new network on the plan's windows, each member of an ensemble from its own seed.

    Raises TrainingError if no epoch was good.
    """
    rows = join(plan.series, season="month" in settings.window.features)
    fitted = _fit_scale(rows, plan, flat_cutoffs(rows, plan.train), settings)
    rows = rows.to(device)
    fitted = None if fitted is None else fitted.to(device)
    members, history, error = [], [], None
    for number in range(1, settings.train.members + 1):
        member, epochs, failed = _fit_member(number, rows, plan, settings, fitted, device, on_epoch)
        members.append(member)
        history += epochs
        error = error or failed
    model = TrainedModel(
        network=members[0] if len(members) == 1 else nn.ModuleList(members),
        settings=settings,
        fitted=fitted,
        trained_on=tuple(each.symbol for each in plan.series),
    )
    return Fit(model, history, error)


def _fit_member(
    number: int,
    rows: Windows,
    plan: Plan,
    settings: Settings,
    fitted: Scale | None,
    device: torch.device,
    on_epoch: Callable[[Epoch], None],
) -> tuple[nn.Module, list[Epoch], TrainingError | None]:
    """Train one network; an error after a good epoch is returned, with that epoch's weights."""
    train = settings.train
    seed = train.seed + number - 1
    history: list[Epoch] = []
    with seeded(seed, device):
        network = new_member(settings)
        start_fan(network, plan, settings)
        network = network.to(device)
        samples = make_samples(rows, plan, settings, fitted, seed)
        epochs = train_epochs(
            network,
            samples.objective,
            samples.train,
            samples.validation,
            epochs=train.epochs,
            batch_size=train.batch_size,
            optimizer=train.optimizer,
            learning_rate=train.learning_rate,
            weight_decay=train.weight_decay,
            schedule=train.schedule,
            clip_norm=train.clip_norm,
            patience=train.patience,
            generator=torch.Generator().manual_seed(seed),
            labels_per_sample=samples.labels_per_sample,
        )
        try:
            for epoch in epochs:
                history.append(replace(epoch, member=number))
                on_epoch(history[-1])
        except TrainingError as error:
            if not history:
                raise
            return network, history, error
    return network, history, None


def _fit_scale(
    rows: Windows, plan: Plan, train_index: torch.Tensor, settings: Settings
) -> Scale | None:
    """Fit what the scaling needs, on training rows alone."""
    if settings.window.scaling in LAGS:
        parts = [
            range(offset, offset + split.train_rows)
            for offset, split in zip(rows.offsets, plan.splits, strict=True)
        ]
        return fit_return_scale(rows.values, parts, LAGS[settings.window.scaling])
    if settings.window.scaling == "batch":
        length = settings.window.context_length
        every = max(1, len(train_index) * length // _SCALE_ROWS)
        return fit_batch_scale(contexts(rows, train_index[::every], length))
    return None
