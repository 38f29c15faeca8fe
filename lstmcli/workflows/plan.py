"""Which rows of which series train, choose and test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import (
    Borders,
    Split,
    check_split,
    find_borders,
    split_series,
    split_shuffled,
)
from lstmcli.errors import DataError, UsageError
from lstmcli.workflows.failures import AllFailedError, Failure
from lstmcli.workflows.scoring import check_moves


@dataclass(frozen=True)
class Plan:
    """Which rows of which series train, choose and test.

    validation : the validating cutoff rows of each series.
    train : the training cutoff rows of each series, without those that validate.
    validation_start : the first day that validates, None where none does or some are drawn.
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

    @property
    def validates(self) -> bool:
        """Whether any window does."""
        return any(map(len, self.validation))

    def held_back_from(self, day: np.datetime64) -> "Plan":
        """Return the same with no test cutoff before a day."""
        splits = [
            replace(
                split,
                test=range(
                    min(split.test.stop, max(split.test.start, int(each.dates.searchsorted(day)))),
                    split.test.stop,
                ),
            )
            for each, split in zip(self.series, self.splits, strict=True)
        ]
        return replace(self, splits=tuple(splits), test_start=max(day, self.test_start))

    def count_dates(self) -> int:
        """Return how many dates train or validate, of all series together."""
        pairs = zip(self.series, self.splits, strict=True)
        return len(np.unique(np.concatenate([each.dates[: part.fit_rows] for each, part in pairs])))

    def fingerprint(self) -> str:
        """Return a SHA-256 of every symbol, date and value."""
        digest = hashlib.sha256()
        for each in self.series:
            digest.update(each.symbol.encode())
            digest.update(each.dates.astype("datetime64[D]").astype("<i8").tobytes())
            digest.update(each.values.astype("<f8").tobytes())
        return digest.hexdigest()


def make_plan(series: Sequence[Series], settings: Settings, *, validates: bool = True) -> Plan:
    """Split every series as the settings say; without `validates` all that is labelled trains.

    Raises DataError when one is too short, or a fan has no moves of it to learn from.
    """
    if settings.split.method == "shuffled":
        return _shuffled_plan(series, settings)
    split, window = settings.split, settings.window
    train_fraction = split.train_fraction if validates else 1.0
    validation_fraction = split.validation_fraction if validates else 0.0
    borders = find_borders(
        series,
        train_end=None if split.train_end is None else np.datetime64(split.train_end),
        train_fraction=train_fraction,
        validation_fraction=validation_fraction,
        embargo=split.embargo,
    )
    plan = plan_between(series, borders, settings)
    _check_moves(series, plan.splits, settings)
    for each, part in zip(series, plan.splits, strict=True):
        check_split(
            each,
            part,
            context_length=window.context_length,
            purge=settings.purge,
            train_fraction=None if split.train_end else train_fraction,
            validation_fraction=validation_fraction,
        )
    return plan if validates else replace(plan, validation_start=None)


def plan_between(series: Sequence[Series], borders: Borders, settings: Settings) -> Plan:
    """Split every series at given borders; parts may be empty."""
    window = settings.window
    splits = [
        split_series(
            each,
            borders,
            context_length=window.context_length,
            horizon=window.horizon,
            purge=settings.purge,
        )
        for each in series
    ]
    return Plan(
        series=tuple(series),
        splits=tuple(splits),
        train=tuple(np.asarray(part.train, dtype=np.int64) for part in splits),
        validation=tuple(np.asarray(part.validation, dtype=np.int64) for part in splits),
        validation_start=borders.validation_start,
        test_start=borders.test_start,
    )


def plan_suitable(
    series: Sequence[Series],
    settings: Settings,
    failures: Sequence[Failure] = (),
    *,
    validates: bool = True,
) -> tuple[Plan, list[Failure]]:
    """Split all series but those that are unsuitable, which join the failures.

    Raises AllFailedError when none is left.
    """
    failed = list(failures)
    left = {each.symbol: each for each in series}
    while left:
        try:
            return make_plan(list(left.values()), settings, validates=validates), failed
        except DataError as error:
            if error.where not in left:
                raise
            del left[error.where]
            failed.append(Failure(error.where, str(error), error.exit_code))
    raise AllFailedError(failed)


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
    _check_moves(series, [split], settings)
    return Plan(
        series=tuple(series),
        splits=(split,),
        train=(np.setdiff1d(np.asarray(split.train, dtype=np.int64), validation),),
        validation=(validation,),
        validation_start=None,
        test_start=series[0].dates[split.test.start],
    )


def _check_moves(series: Sequence[Series], splits: Sequence[Split], settings: Settings) -> None:
    if settings.model.head == "direct":
        for each, split in zip(series, splits, strict=True):
            check_moves(each, split.train_rows, settings.window.horizon)
