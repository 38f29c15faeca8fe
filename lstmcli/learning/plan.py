"""Plans: the rows of each series used for training, validation and test."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from lstmcli.arrays import Ints
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
    """The rows of each series used for training, validation and test.

    validation : the validation cutoff rows of each series.
    train : the training cutoff rows of each series, without those for validation.
    validation_start : the first validation day; None if there is none or they are random.
    test_start : the first day whose bar may be a test cutoff.
    """

    series: tuple[Series, ...]
    splits: tuple[Split, ...]
    train: tuple[Ints, ...]
    validation: tuple[Ints, ...]
    validation_start: np.datetime64 | None
    test_start: np.datetime64

    def counts(self) -> dict[str, int]:
        """Return the number of rows of all series and of windows of each part."""
        return {
            "rows": sum(len(each) for each in self.series),
            "train": sum(len(split.train) for split in self.splits),
            "validation": sum(len(rows) for rows in self.validation),
            "test": sum(len(split.test) for split in self.splits),
        }

    @property
    def validates(self) -> bool:
        """Whether there are validation windows."""
        return any(map(len, self.validation))

    def held_back_from(self, day: np.datetime64) -> "Plan":
        """Return the plan without test cutoffs before a day."""
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

    def validated_after(self, day: np.datetime64) -> "Plan":
        """Return the plan without validation cutoffs up to a day; none at all may remain."""
        kept = tuple(
            rows[each.dates[rows] > day]
            for each, rows in zip(self.series, self.validation, strict=True)
        )
        return replace(self, validation=kept)

    def count_dates(self) -> int:
        """Return the number of training and validation dates over all series."""
        pairs = zip(self.series, self.splits, strict=True)
        return len(np.unique(np.concatenate([each.dates[: part.fit_rows] for each, part in pairs])))

    def fingerprint(self) -> str:
        """Return a SHA-256 of all symbols, dates and values."""
        digest = hashlib.sha256()
        for each in self.series:
            digest.update(each.symbol.encode())
            digest.update(each.dates.astype("datetime64[D]").astype("<i8").tobytes())
            digest.update(each.values.astype("<f8").tobytes())
            if each.extras is not None:
                digest.update(each.extras.astype("<f8").tobytes())
        return digest.hexdigest()


def plan_between(series: Sequence[Series], borders: Borders, settings: Settings) -> Plan:
    """Split every series at the given borders; parts may be empty."""
    splits = [_split(each, borders, settings) for each in series]
    validates = settings.split.validation_fraction > 0
    return Plan(
        series=tuple(series),
        splits=tuple(splits),
        train=tuple(np.asarray(part.train, dtype=np.int64) for part in splits),
        validation=tuple(np.asarray(part.validation, dtype=np.int64) for part in splits),
        validation_start=borders.validation_start if validates else None,
        test_start=borders.test_start,
    )


def without_validation(settings: Settings) -> Settings:
    """Return settings with which every labelled row of a plan is used for training."""
    return settings.changed(split={"train_fraction": 1.0, "validation_fraction": 0.0})


def plan_suitable(
    series: Sequence[Series], settings: Settings, failures: Sequence[Failure] = ()
) -> tuple[Plan, list[Failure]]:
    """Split all suitable series; unsuitable ones become failures.

    Whether a series is suitable depends on the borders, and these on the remaining series. So the
    shortest series are dropped first, and one that fits in the end is added again. Raises
    AllFailedError if no series is left.
    """
    if settings.split.method == "shuffled":
        try:
            return _shuffled_plan(series, settings), list(failures)
        except DataError as error:
            failed = [Failure.of(each.symbol, error) for each in series]
            raise AllFailedError([*failures, *failed]) from error
    errors: dict[str, DataError] = {}
    left = list(series)
    while left:
        plan, borders, unsuitable = _plan(left, settings)
        if not unsuitable:
            break
        if len(unsuitable) == len(left):
            shortest = min(map(len, left))
            unsuitable = {e.symbol: unsuitable[e.symbol] for e in left if len(e) == shortest}
        errors |= unsuitable
        left = [each for each in left if each.symbol not in errors]
    else:
        for each in series:  # its problem if trained on alone
            with suppress(DataError):  # too few rows to split at all
                errors |= _plan([each], settings)[2]
        failed = [Failure.of(each.symbol, errors[each.symbol]) for each in series]
        raise AllFailedError([*failures, *failed])
    for each in sorted(series, key=len, reverse=True):
        if each.symbol in errors and why_unsuitable(each, plan, borders, settings) is None:
            more = [one for one in series if one.symbol not in errors or one is each]
            with_it, other_borders, unsuitable = _plan(more, settings)
            if not unsuitable:
                plan, borders = with_it, other_borders
                del errors[each.symbol]
    found = [
        Failure.of(
            each.symbol, why_unsuitable(each, plan, borders, settings) or errors[each.symbol]
        )
        for each in series
        if each.symbol in errors
    ]
    return plan, [*failures, *found]


def _plan(
    series: Sequence[Series], settings: Settings
) -> tuple[Plan, Borders, dict[str, DataError]]:
    """Split every series by date; return the errors of unsuitable ones by symbol."""
    split = settings.split
    borders = find_borders(
        series,
        train_end=None if split.train_end is None else np.datetime64(split.train_end),
        train_fraction=split.train_fraction,
        validation_fraction=split.validation_fraction,
        embargo=split.embargo,
    )
    plan = plan_between(series, borders, settings)
    found = {each.symbol: why_unsuitable(each, plan, borders, settings) for each in series}
    return plan, borders, {name: error for name, error in found.items() if error is not None}


def why_unsuitable(
    each: Series, plan: Plan, borders: Borders, settings: Settings
) -> DataError | None:
    """Return why a series cannot be trained on with a plan's borders, or None."""
    split = _split(each, borders, settings)
    lacks = not split.train or (settings.split.validation_fraction and not split.validation)
    apart = lacks and any(not np.array_equal(each.dates, other.dates) for other in plan.series)
    try:
        _check_moves(each, split, settings)
        check_split(
            each,
            split,
            context_length=settings.window.context_length,
            purge=settings.purge,
            train_fraction=None if settings.split.train_end else settings.split.train_fraction,
            validation_fraction=settings.split.validation_fraction,
            pool=borders if apart else None,
        )
    except DataError as error:
        return error
    return None


def _split(each: Series, borders: Borders, settings: Settings) -> Split:
    window = settings.window
    return split_series(
        each,
        borders,
        context_length=window.context_length,
        horizon=window.horizon,
        purge=settings.purge,
    )


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
    _check_moves(series[0], split, settings)
    return Plan(
        series=tuple(series),
        splits=(split,),
        train=(np.setdiff1d(np.asarray(split.train, dtype=np.int64), validation),),
        validation=(validation,),
        validation_start=None,
        test_start=series[0].dates[split.test.start],
    )


def _check_moves(series: Series, split: Split, settings: Settings) -> None:
    if settings.model.head == "direct":
        check_moves(series, split.train_rows, settings.window.horizon)


def plan_prices(
    loaded: Sequence[Prices], settings: Settings, failures: Sequence[Failure]
) -> tuple[Plan, list[Failure]]:
    """Split all suitable price tables; unsuitable ones become failures."""
    failed, series = list(failures), []
    for each in loaded:
        try:
            series.append(series_for(settings, each))
        except DataError as error:
            failed.append(Failure.of(each.symbol, error))
    return plan_suitable(series, settings, failed)


def with_known_features(settings: Settings, loaded: Sequence[Prices]) -> Settings:
    """Drop features that no series has, since the network could not learn from them."""
    if settings.window.scaling != "volatility":
        return settings
    known = {name for each in loaded for name in known_features(each)}
    known |= {each.text for each in settings.window.inputs}
    if not {"high", "low"} <= known:
        known -= {"high", "low"}
    features = tuple(name for name in settings.window.features if name in known)
    return settings.changed(window={"features": features})
