"""Split cutoffs into training, validation and test: chronological parts separated by a purge.

Rows are divided into three spans by date. A window belongs to the span of its cutoff, and the last
`purge` cutoffs of the training and the validation span are dropped; with a purge of at least the
horizon, no label of one part reaches into the next part. An embargo also drops cutoffs after the
fitted rows (in Lopez de Prado 2018, section 7.4.2, it drops training rows after a test). Contexts
may reach back across a border, because using the past is not a leak.

    rows      |---------- training ---------|------ validation ------|-------- test --------|
    cutoffs       |==== train ====|  purge  |== validate ==|  purge  | embargo |== test ==|
                                             \\ validation_start       \\ first row after train_end
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lstmcli.arrays import Days, Ints
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError
from lstmcli.market.prices import bars_of, infer_interval


@dataclass(frozen=True)
class Split:
    """Cutoff rows of one series.

    train_rows, fit_rows : number of rows before the validation span, and before the test span.
    """

    train: range
    validation: range
    test: range
    train_rows: int
    fit_rows: int


@dataclass(frozen=True)
class Borders:
    """The dates that divide every series.

    validation_start : the first day of validation. train_end : the last day of training and
    validation. test_start : the first day that may be a test cutoff.
    """

    validation_start: np.datetime64
    train_end: np.datetime64
    test_start: np.datetime64


def find_borders(
    series: Sequence[Series],
    *,
    train_end: np.datetime64 | None,
    train_fraction: float,
    validation_fraction: float,
    embargo: int = 0,
) -> Borders:
    """Find borders common to all series, so that no symbol trains on another's test days.

    `train_end` is the last day of training and validation; without it they use the first
    `train_fraction` of the dates. The last `validation_fraction` of these dates validate, none if
    it is 0. `embargo` is the number of following dates that are not test cutoffs.
    """
    dates = np.unique(np.concatenate([each.dates for each in series]))
    if train_end is None:
        fitted = dates[: round(train_fraction * len(dates))]
    else:
        fitted = dates[dates <= train_end]
    n_train = len(fitted) - round(validation_fraction * len(fitted))
    if not 0 < n_train < len(fitted) + (validation_fraction == 0):
        raise DataError(
            "too few rows to split",
            where=f"split.train_end {train_end}" if train_end is not None else "split",
            why=f"{len(fitted)} of {len(dates)} rows come before the test span",
            next_step="Give more rows or another split.train_end.",
        )
    last = len(fitted) - 1
    start = fitted[n_train] if n_train <= last else _after(dates, last)
    return Borders(start, train_end=fitted[-1], test_start=_after(dates, last + embargo))


def split_series(
    series: Series, borders: Borders, *, context_length: int, horizon: int, purge: int
) -> Split:
    """Split one series at the borders. Parts may be empty; `check_split` rejects these."""
    first = context_length - 1
    validation_row = int(np.searchsorted(series.dates, borders.validation_start))
    fit_rows = int(np.searchsorted(series.dates, borders.train_end, side="right"))
    test_row = int(np.searchsorted(series.dates, borders.test_start))
    return Split(
        train=_span(first, validation_row - purge),
        validation=_span(max(first, validation_row), fit_rows - purge),
        test=_span(max(first, test_row), len(series) - horizon),
        train_rows=validation_row,
        fit_rows=fit_rows,
    )


def check_split(
    series: Series,
    split: Split,
    *,
    context_length: int,
    purge: int,
    train_fraction: float | None,
    validation_fraction: float,
    pool: Borders | None = None,
) -> None:
    """Raise DataError if the series has too few windows to train or, if required, to validate.

    train_fraction : None if a date ends the fitted rows. pool : the borders, if they also depend on
        the dates of other series; None if they depend only on this series.
    """
    if split.train and (split.validation or not validation_fraction):
        return
    if pool is not None:
        start = pool.validation_start
        needs, found, days = context_length + purge, split.train_rows, f"before {start}"
        part = "validation" if validation_fraction else "the test span"
        why = f"{part} of the series trained together starts on that day"
        if split.train:
            needs, found = purge + 1, split.fit_rows - split.train_rows
            days = f"from {start} to {pool.train_end}"
            why = "the series trained together validate in that span"
        raise DataError(
            f"needs {needs} rows {days}, has {found}",
            where=series.symbol,
            why=f"{why}, and its {len(series)} rows run from {series.dates[0]} to "
            f"{series.dates[-1]}",
            next_step="Train it --from a model of the others, or leave it out.",
        )

    def is_enough(rows: int) -> bool:
        fitted = rows if train_fraction is None else round(train_fraction * rows)
        train = fitted - round(validation_fraction * fitted)
        validates = fitted - purge > train or not validation_fraction
        return train - purge >= context_length and validates

    found, span = len(series), ""
    if train_fraction is None:
        found, span = split.fit_rows, " up to split.train_end"
    raise DataError(
        f"needs {next(filter(is_enough, itertools.count(found + 1)))} rows{span}, has {found}",
        where=series.symbol,
        why=f"a context of {context_length} and purges of {purge} leave "
        f"{len(split.train)} windows to train and {len(split.validation)} to validate"
        f"{_unless_daily(series)}",
        next_step="Give a longer series, or a smaller window.context_length or window.horizon.",
    )


def _unless_daily(series: Series) -> str:
    """Return the interval in words if the bars are not daily, which readers might assume."""
    interval = infer_interval(series.dates)
    return "" if interval == "1d" else f"; these are {bars_of(interval)}"


def split_shuffled(
    series: Series,
    *,
    context_length: int,
    train_fraction: float,
    validation_fraction: float,
    generator: torch.Generator,
) -> tuple[Split, Ints]:
    """Split one series as the lab did: the first windows train, a random few of them validate.

    Windows overlap across the border and no row is purged: this flaw of the published lab is kept
    to demonstrate it. Returns the split (whose `train` still includes the validation windows) and
    the randomly chosen cutoff rows of the validation windows, ascending.
    """
    first, count = context_length - 1, len(series) - context_length
    if count < 20:
        raise DataError(
            f"needs {context_length + 20} rows, has {len(series)}",
            where=series.symbol,
            why=_unless_daily(series).removeprefix("; "),
            next_step="Give a longer series.",
        )
    n_train = round(train_fraction * count)
    order = torch.randperm(n_train, generator=generator).numpy() + first
    split = Split(
        train=range(first, first + n_train),
        validation=range(first, first),
        test=range(first + n_train, first + count),
        train_rows=first + n_train + 1,
        fit_rows=first + n_train + 1,
    )
    return split, np.sort(order[: max(1, round(validation_fraction * n_train))])


def _after(dates: Days, row: int) -> np.datetime64:
    """Return the day after the date of a row, which may lie beyond the last date.

    Rows beyond it are assumed to take the longest time that the same number of rows took before.
    """
    day: np.datetime64 = dates[min(row, len(dates) - 1)] + np.timedelta64(1, "D")
    to_come = min(row, 2 * (len(dates) - 1)) - (len(dates) - 1)
    return day if to_come <= 0 else day + (dates[to_come:] - dates[:-to_come]).max()


def _span(start: int, stop: int) -> range:
    return range(start, max(start, stop))
