"""Which rows of which series train, choose and test."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.series import Series, known_features
from lstmcli.dataset.split import (
    Borders,
    Split,
    check_split,
    find_borders,
    split_series,
    split_shuffled,
)
from lstmcli.errors import AllFailedError, DataError, Failure, UsageError
from lstmcli.evaluation.forecasters import check_moves
from lstmcli.forecasting.model import series_for
from lstmcli.market.prices import Prices


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
    plan, _, unsuitable = _plan(series, settings, validates)
    if unsuitable:
        raise next(iter(unsuitable.values()))
    return plan


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

    Which they are hangs on where all are split, and that on which are left: the shortest go first,
    and one that fits after all comes back. Raises AllFailedError when none is left.
    """
    if settings.split.method == "shuffled":
        try:
            return _shuffled_plan(series, settings), list(failures)
        except DataError as error:
            failed = [Failure.of(each.symbol, error) for each in series]
            raise AllFailedError([*failures, *failed]) from error
    if not series:
        raise AllFailedError(failures)
    errors: dict[str, DataError] = {}
    plan, borders, unsuitable = _plan(series, settings, validates)
    left = list(series)
    while unsuitable:
        if len(unsuitable) == len(left):
            shortest = min(map(len, left))
            going = {each.symbol for each in left if len(each) == shortest}
            unsuitable = {symbol: unsuitable[symbol] for symbol in going}
        errors |= unsuitable
        left = [each for each in left if each.symbol not in errors]
        if not left:
            raise AllFailedError([*failures, *_failures_alone(series, settings, validates, errors)])
        plan, borders, unsuitable = _plan(left, settings, validates)
    for each in sorted(series, key=len, reverse=True):
        if each.symbol in errors and _error(each, plan, borders, settings, validates) is None:
            more = [one for one in series if one.symbol not in errors or one is each]
            with_it, other_borders, unsuitable = _plan(more, settings, validates)
            if not unsuitable:
                plan, borders = with_it, other_borders
                del errors[each.symbol]
    found = [
        Failure.of(
            each.symbol,
            _error(each, plan, borders, settings, validates) or errors[each.symbol],
        )
        for each in series
        if each.symbol in errors
    ]
    return plan, [*failures, *found]


def _plan(
    series: Sequence[Series], settings: Settings, validates: bool
) -> tuple[Plan, Borders, dict[str, DataError]]:
    """Split every series by date, and say by symbol which are unsuitable and why."""
    train_fraction, validation_fraction = _fractions(settings, validates)
    train_end = settings.split.train_end
    borders = find_borders(
        series,
        train_end=None if train_end is None else np.datetime64(train_end),
        train_fraction=train_fraction,
        validation_fraction=validation_fraction,
        embargo=settings.split.embargo,
    )
    plan = plan_between(series, borders, settings)
    found = {each.symbol: _error(each, plan, borders, settings, validates) for each in series}
    unsuitable = {symbol: error for symbol, error in found.items() if error is not None}
    return plan if validates else replace(plan, validation_start=None), borders, unsuitable


def _error(
    each: Series, plan: Plan, borders: Borders, settings: Settings, validates: bool
) -> DataError | None:
    """Return why a series cannot be trained on where a plan's are split, None where it can."""
    train_fraction, validation_fraction = _fractions(settings, validates)
    context_length, horizon = settings.window.context_length, settings.window.horizon
    split = split_series(
        each, borders, context_length=context_length, horizon=horizon, purge=settings.purge
    )
    lacks = not split.train or (validation_fraction and not split.validation)
    apart = lacks and any(not np.array_equal(each.dates, other.dates) for other in plan.series)
    try:
        _check_moves([each], [split], settings)
        check_split(
            each,
            split,
            context_length=context_length,
            purge=settings.purge,
            train_fraction=None if settings.split.train_end else train_fraction,
            validation_fraction=validation_fraction,
            pool=borders if apart else None,
        )
    except DataError as error:
        return error
    return None


def _failures_alone(
    series: Sequence[Series], settings: Settings, validates: bool, errors: Mapping[str, DataError]
) -> list[Failure]:
    """Say of each series what it lacks to be trained on alone, where nothing can be together."""
    found = []
    for each in series:
        error = errors[each.symbol]
        with suppress(DataError):  # of too few rows to be split at all
            _, _, alone = _plan([each], settings, validates)
            error = alone.get(each.symbol, error)
        found.append(Failure.of(each.symbol, error))
    return found


def _fractions(settings: Settings, validates: bool) -> tuple[float, float]:
    """Return which share of the dates is fitted on, and which of those validates."""
    split = settings.split
    return (split.train_fraction, split.validation_fraction) if validates else (1.0, 0.0)


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


def plan_prices(
    loaded: Sequence[Prices],
    settings: Settings,
    failures: Sequence[Failure],
    *,
    validates: bool = True,
) -> tuple[Plan, list[Failure]]:
    """Split all series but those that are unsuitable, which become failures too."""
    failed, series = list(failures), []
    for each in loaded:
        try:
            series.append(series_for(settings, each))
        except DataError as error:
            failed.append(Failure.of(each.symbol, error))
    return plan_suitable(series, settings, failed, validates=validates)


def with_known_features(settings: Settings, loaded: Sequence[Prices]) -> Settings:
    """Leave out features that no series has: the network would never learn what they say."""
    if settings.window.scaling != "volatility":
        return settings
    known = {name for each in loaded for name in known_features(each)}
    if not {"high", "low"} <= known:
        known -= {"high", "low"}
    features = tuple(name for name in settings.window.features if name in known)
    window = settings.window.model_copy(update={"features": features})
    return settings.model_copy(update={"window": window})
