"""From series and settings to a trained model: the part of training that keeps nothing on disk."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import Split, check_split, find_borders, split_series, split_shuffled
from lstmcli.dataset.windows import Windows, contexts, flat_cutoffs, join
from lstmcli.errors import TrainingError, UsageError
from lstmcli.forecasting.model import TrainedModel, new_network
from lstmcli.training.device import seeded
from lstmcli.training.loop import Epoch, train_epochs
from lstmcli.training.objective import next_step_objective

_SCALE_ROWS = 1_000_000  # of the windows that `batch` is fitted on: memory stays flat


@dataclass(frozen=True)
class Plan:
    """Which rows of which series train, choose and test.

    validation : the validating cutoff rows of each series.
    train : the training cutoff rows of each series, without those that validate.
    validation_start : the first day that validates, None where validation is drawn at random.
    test_start : the first day whose bar may be a test cutoff.
    """

    series: tuple[Series, ...]
    splits: tuple[Split, ...]
    train: tuple[NDArray[np.int64], ...]
    validation: tuple[NDArray[np.int64], ...]
    validation_start: np.datetime64 | None
    test_start: np.datetime64

    def counts(self) -> dict[str, int]:
        """Return the rows of all series and the windows of each part."""
        return {
            "rows": sum(len(each) for each in self.series),
            "train": sum(len(split.train) for split in self.splits),
            "validation": sum(len(rows) for rows in self.validation),
            "test": sum(len(split.test) for split in self.splits),
        }

    def fingerprint(self) -> str:
        """Return a SHA-256 of every symbol, date and value."""
        digest = hashlib.sha256()
        for each in self.series:
            digest.update(each.symbol.encode())
            digest.update(each.dates.astype("datetime64[D]").astype("<i8").tobytes())
            digest.update(each.values.numpy().astype("<f8").tobytes())
        return digest.hexdigest()


@dataclass
class Fit:
    """A model as far as training came: `error` is set where it broke down after a good epoch."""

    model: TrainedModel
    history: list[Epoch] = field(default_factory=list)
    error: TrainingError | None = None


def make_plan(series: Sequence[Series], settings: Settings) -> Plan:
    """Split every series as the settings say; raises DataError when one is too short."""
    if settings.split.method == "shuffled":
        return _shuffled_plan(series, settings)
    split, window = settings.split, settings.window
    borders = find_borders(
        series,
        train_end=None if split.train_end is None else np.datetime64(split.train_end),
        train_fraction=split.train_fraction,
        validation_fraction=split.validation_fraction,
    )
    splits = []
    for each in series:
        part = split_series(
            each,
            borders,
            context_length=window.context_length,
            horizon=window.horizon,
            purge=settings.purge,
        )
        check_split(
            each,
            part,
            context_length=window.context_length,
            purge=settings.purge,
            train_fraction=None if split.train_end else split.train_fraction,
            validation_fraction=split.validation_fraction,
        )
        splits.append(part)
    return Plan(
        series=tuple(series),
        splits=tuple(splits),
        train=tuple(np.asarray(part.train, dtype=np.int64) for part in splits),
        validation=tuple(np.asarray(part.validation, dtype=np.int64) for part in splits),
        validation_start=borders.validation_start,
        test_start=borders.train_end + np.timedelta64(1, "D"),
    )


def fit(
    plan: Plan,
    settings: Settings,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Fit:
    """Train a new network on the plan's windows; raises TrainingError if no epoch was good."""
    window, train = settings.window, settings.train
    rows = join(plan.series)
    train_index = flat_cutoffs(rows, plan.train)
    fitted = _fit_scale(rows, plan, train_index, settings)
    with seeded(train.seed, device):
        model = TrainedModel(
            network=new_network(settings).to(device),
            settings=settings,
            fitted=None if fitted is None else fitted.to(device),
            trained_on=tuple(each.symbol for each in plan.series),
        )
        result = Fit(model)
        objective = next_step_objective(
            rows.to(device),
            context_length=window.context_length,
            inputs=plan.series[0].inputs,
            scaling=window.scaling,
            fitted=model.fitted,
            loss=train.loss,
        )
        epochs = train_epochs(
            model.network,
            objective,
            train_index.to(device),
            flat_cutoffs(rows, plan.validation).to(device),
            epochs=train.epochs,
            batch_size=train.batch_size,
            optimizer=train.optimizer,
            learning_rate=train.learning_rate,
            weight_decay=train.weight_decay,
            schedule=train.schedule,
            clip_norm=train.clip_norm,
            patience=train.patience,
            generator=torch.Generator().manual_seed(train.seed),
        )
        try:
            for epoch in epochs:
                result.history.append(epoch)
                on_epoch(epoch)
        except TrainingError as error:
            if not result.history:
                raise
            result.error = error
    return result


def _fit_scale(
    rows: Windows, plan: Plan, train_index: torch.Tensor, settings: Settings
) -> Scale | None:
    """Fit what the scaling needs, on training rows alone."""
    if settings.window.scaling == "log_return":
        parts = [
            range(offset, offset + split.train_rows)
            for offset, split in zip(rows.offsets, plan.splits, strict=True)
        ]
        return fit_return_scale(rows.values, parts)
    if settings.window.scaling == "batch":
        length = settings.window.context_length
        every = max(1, len(train_index) * length // _SCALE_ROWS)
        return fit_batch_scale(contexts(rows, train_index[::every], length))
    return None


def _shuffled_plan(series: Sequence[Series], settings: Settings) -> Plan:
    if len(series) != 1:
        raise UsageError(
            "split.method shuffled takes one series",
            why=f"found {len(series)}",
            next_step="Use the chronological split.",
        )
    split, validation = split_shuffled(
        series[0],
        context_length=settings.window.context_length,
        train_fraction=settings.split.train_fraction,
        validation_fraction=settings.split.validation_fraction,
        generator=torch.Generator().manual_seed(settings.train.seed),
    )
    return Plan(
        series=tuple(series),
        splits=(split,),
        train=(np.setdiff1d(np.asarray(split.train, dtype=np.int64), validation),),
        validation=(validation,),
        validation_start=None,
        test_start=series[0].dates[split.test.start],
    )
