"""Pooling: mean losses over many symbols and overlapping windows, and the independent windows.

Symbols forecast on the same date are not independent evidence. So a loss is averaged over the
symbols of each observation in time first, then over the observations; every test uses this series
of observations. NaN marks unknown outcomes, which every mean skips.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats, Ints, Mask

Codes = NDArray[np.integer[Any]]
"""Integer codes, with 32 bits for large arrays."""
Values = Floats | Mask
Dates = NDArray[Any]
"""Dates, or days since 1970, which take half the memory."""


@dataclass(frozen=True)
class Pool:
    """N windows pooled into observations in time.

    Windows of one calendar are pooled by cutoff date. If calendars differ, windows are pooled by
    block: a block is as long as the longest span in it (see `blocks`), and a block with half of the
    symbols or fewer is excluded from every mean and test.

    cutoff, end : (N,) last known date, last forecast date; stored as day numbers.
    symbol : (N,) index of each window's symbol, or None.
    block : (N,) ascending with the cutoff; None if all windows share a calendar.
    """

    cutoff: Dates
    end: Dates
    symbol: Codes | None = None
    block: Codes | None = None

    def __post_init__(self) -> None:
        for name in ("cutoff", "end"):
            object.__setattr__(self, name, day_numbers(getattr(self, name)))

    def keep(self, rows: Mask | Codes) -> "Pool":
        """Return the windows of a mask, or of row numbers."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        return Pool(
            self.cutoff[rows],
            self.end[rows],
            None if self.symbol is None else self.symbol[rows],
            None if self.block is None else self.block[rows],
        )

    @property
    def size(self) -> int:
        """Number of windows, N."""
        return self.cutoff.size

    @cached_property
    def unit(self) -> Codes:
        """Observation of each window, (N,), numbered in time order; -1 for no observation."""
        if self.block is None or not self.size:
            return self._dates[1]
        counted = self._held > 0 if self._is_thin else self._is_full
        number = np.where(counted, np.cumsum(counted) - 1, -1).astype(np.int32)
        return number[self.block]

    @cached_property
    def _dates(self) -> tuple[Dates, Codes, Dates]:
        """Distinct cutoff dates, the index of each window's date, and the last end by date."""
        dates, group, last = _last_end(self.cutoff, self.end)
        return dates, group.astype(np.int32), last

    @cached_property
    def _held(self) -> NDArray[np.intp]:
        """Number of symbols in each block."""
        assert self.block is not None, "only a pool by block has them"
        return np.bincount(self._with_symbol(self.block)[0])

    def _with_symbol(self, group: Codes) -> tuple[Ints, Codes]:
        """Return the group of each existing (group, symbol) pair, and each window's pair."""
        assert self.symbol is not None, "pooling by block needs symbols"
        count = int(self.symbol.max(initial=0)) + 1
        pairs, which = np.unique(group.astype(np.int64) * count + self.symbol, return_inverse=True)
        return pairs // count, which.astype(np.int32)

    @cached_property
    def _is_full(self) -> Mask:
        """Mask of the blocks that hold more than half of the symbols."""
        assert self.symbol is not None, "pooling by block needs symbols"
        return np.asarray(2 * self._held > np.unique(self.symbol).size)

    @property
    def _is_thin(self) -> bool:
        """Whether no block is full; then all blocks are pooled, but none counts as independent."""
        return not self._is_full.any()

    @cached_property
    def n_units(self) -> int:
        """Number of observations, U: cutoff dates, or blocks that are not excluded."""
        return int(self.unit.max(initial=-1)) + 1

    @cached_property
    def reach(self) -> int:
        """Number of observations that one window spans, including its own; at least 1.

        For one series it equals ceil(step / step_size). Losses at least that far apart share no
        day. The end of the windows of a date is the median over its symbols. Otherwise one share
        that was halted for a year would lengthen all windows by a year, and the error rate of the
        tests would exceed their level.
        """
        if self.block is not None:
            return 2
        dates, group, _ = self._dates
        counts = np.bincount(group, minlength=dates.size)
        middle = np.cumsum(counts) - counts + counts // 2
        first = int(self.end.min(initial=0))
        span = int(self.end.max(initial=0)) - first + 1
        ends = group.astype(np.int64)
        ends *= span
        ends += self.end - first
        ends.sort()  # by date, and by end within each
        reach = np.searchsorted(dates, ends[middle] % span + first) - np.arange(dates.size)
        return max(1, int(reach.max(initial=1)))

    @cached_property
    def apart(self) -> Mask:
        """Mask of windows that do not overlap in time and count as independent, (N,).

        If a date is chosen, all its symbols are chosen, and count as one observation.
        """
        return self._is_apart[self.unit] if self.block is None else np.asarray(self.unit >= 0)

    @cached_property
    def _is_apart(self) -> Mask:
        """Choose the first cutoff date, then always the next one not before the last end."""
        dates, _, last = self._dates
        chosen, at = np.zeros(dates.size, dtype=np.bool_), 0
        following = np.maximum(np.searchsorted(dates, last), np.arange(1, dates.size + 1)).tolist()
        while at < dates.size:
            chosen[at] = True
            at = following[at]
        return chosen

    @cached_property
    def n_independent(self) -> int:
        """Number of observations that share no day with another."""
        if self.block is None:
            return int(np.count_nonzero(self._is_apart))
        return 0 if not self.size or self._is_thin else self.n_units

    @property
    def _counted(self) -> slice | Mask:
        """Mask of windows that are part of an observation."""
        return slice(None) if self.block is None else self.unit >= 0

    @cached_property
    def groups(self) -> tuple[Codes, Codes | None]:
        """Groups to average first: observations, or the symbols within each block.

        Returns the group of each window, (N,), -1 for none; and the observation of each group, None
        if groups are observations.
        """
        if self.block is None:
            return self.unit, None
        counted = self.unit >= 0
        unit, group = self.keep(counted)._with_symbol(self.unit[counted])
        whole = np.full(self.size, -1, dtype=np.int32)
        whole[counted] = group
        return whole, unit

    def series(self, values: Values) -> Floats:
        """Average over each symbol's windows in an observation, then over its symbols.

        values : (N,), NaN where unknown. Returns (U,).
        """
        (group, unit), counted = self.groups, self._counted
        count = self.n_units if unit is None else unit.size
        means = by_group(values[counted], group[counted], count)
        return means if unit is None else by_group(means, unit, self.n_units)

    def by_symbol(self, values: Values) -> Floats:
        """Average over each symbol's windows in each observation; (N,) to (U, S), NaN if none."""
        assert self.symbol is not None, "only a pool with symbols"
        there, counted = np.bincount(self.symbol) > 0, self._counted
        count = int(np.count_nonzero(there))
        at = (np.cumsum(there) - 1)[self.symbol[counted]]
        at += self.unit[counted] * np.int64(count)
        return by_group(values[counted], at, self.n_units * count).reshape(self.n_units, count)

    def mean(self, values: Values) -> float:
        """Average `series` over the observations; NaN if no value is known."""
        return float(mean_known(self.series(values), axis=0))

    def weights(self, known: Mask) -> "Weights":
        """Return the weight of each value in its mean, for several means with the same mask.

        known : (N, K). Returns (N, K), 0 where not known. If any value of a column is known, its
        `mean` is `(weights * values).sum(axis=0)`.
        """
        group, unit = self.groups
        known = known if unit is None else known & (group >= 0)[:, None]
        shares = np.empty((self.n_units if unit is None else unit.size, known.shape[1]))
        for column, share in enumerate(shares.T):
            windows = np.bincount(group[known[:, column]], minlength=len(shares))
            symbols = windows if unit is None else np.bincount(unit, windows > 0, self.n_units)
            share[:] = windows * np.count_nonzero(symbols)
            if unit is not None:
                share *= symbols[unit]
        return Weights(known, group, shares)


@dataclass(frozen=True)
class Weights:
    """The weights of `Pool.weights`, (N, K), computed on access.

    known : (N, K). group : (N,) the row of `shares` for each window. shares : (G, K); a weight is
    1 / share.
    """

    known: Mask
    group: Codes
    shares: Floats

    def __getitem__(self, rows: slice) -> Floats:
        """Return the weights of some windows."""
        known = self.known[rows]
        return np.divide(1.0, self.shares[self.group[rows]], out=np.zeros(known.shape), where=known)

    def means(self, sums: Floats) -> Floats:
        """Return sums of weighted values, (..., K), with NaN for columns without known values."""
        return np.where(self.known.any(axis=0), sums, np.nan)


def blocks(cutoff: Days, end: Days, calendar: Codes) -> Codes | None:
    """Divide time into blocks that fit each calendar's windows; None for a single calendar.

    Each block starts at the end of the previous block, and is as long as the longest window, or
    distance between two cutoffs, of any calendar at that time. So the blocks of a share and a coin
    are the share's windows, and three exchanges have about as many blocks as the one with the
    fewest windows.

    cutoff, end, calendar : (N,). Returns (N,) block numbers in time order.
    """
    if np.unique(calendar).size < 2:
        return None
    spans = [
        _spans(cutoff[calendar == each], end[calendar == each]) for each in np.unique(calendar)
    ]
    dates = group_dates(cutoff)[0]
    starts, day = [], dates[0]
    while day <= dates[-1]:
        following = dates[np.searchsorted(dates, day)]
        length = max(
            lengths[max(0, np.searchsorted(days, day, side="right") - 1)] for days, lengths in spans
        )
        if following < day + length:
            starts.append(day)
            day = day + length
        else:  # skip a gap longer than a block
            day = following
    found = np.searchsorted(np.array(starts), cutoff, side="right") - 1
    return found.astype(np.int32)


def _spans(cutoff: Days, end: Days) -> tuple[Days, NDArray[np.timedelta64]]:
    """Return a calendar's cutoff dates, and the longer of window and distance to the next one."""
    dates, _, last = _last_end(cutoff, end)
    lengths = last - dates
    if dates.size > 1:
        gaps = np.diff(dates)
        # Limit the distance, so that a hole in the data does not lengthen a block.
        lengths[:-1] = np.maximum(lengths[:-1], np.minimum(gaps, 2 * np.median(gaps)))
    return dates, lengths


def phases(cutoff: Days, end: Days, calendar: Codes) -> Codes:
    """Assign each calendar's cutoffs in turn to chains of windows that do not overlap.

    cutoff, end, calendar : (N,). Returns (N,) chain numbers from 0 to reach - 1.
    """
    found = np.zeros(cutoff.size, dtype=np.int32)
    for each in np.unique(calendar):
        own = calendar == each
        pool = Pool(cutoff[own], end[own])
        found[own] = pool.unit % pool.reach
    return found


def chunks(count: int, size: int = 4096) -> Iterator[slice]:
    """Yield slices of `count` rows, `size` at a time, so that memory stays flat."""
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def by_group(values: Values, group: Codes, count: int) -> Floats:
    """Average over the members of each group 0..count - 1; (N,) to (count,), NaN if none known."""
    known = ~np.isnan(values)
    if not known.all():
        values, group = values[known], group[known]
    sums = np.bincount(group, values, count).astype(np.float64, copy=False)
    return _ratio(sums, np.bincount(group, minlength=count))


def group_dates(dates: Dates) -> tuple[Dates, NDArray[np.intp]]:
    """Return the distinct dates, ascending, and the index of each row's date, (N,).

    Faster than np.unique, which sorts: days are integers within a small range.
    """
    if not dates.size or dates.dtype not in ("datetime64[D]", "int32"):
        return np.unique(dates, return_inverse=True)
    days = dates if dates.dtype == np.int32 else dates.view(np.int64)
    first = days.min()
    there = np.bincount(days - first) > 0
    return (first + np.flatnonzero(there)).astype(dates.dtype), (np.cumsum(there) - 1)[days - first]


def day_numbers(dates: Dates) -> Codes:
    """Return days since 1970, in half the memory of dates."""
    return dates if dates.dtype == np.int32 else dates.astype("datetime64[D]").astype(np.int32)


def by_symbol(symbol: NDArray[np.str_]) -> tuple[list[str], Codes]:
    """Return the symbols in order of appearance, and the index of each row's symbol, (N,)."""
    # Rows of one symbol mostly follow one another, so finding runs is far faster than sorting.
    starts = np.flatnonzero(np.append(True, symbol[1:] != symbol[:-1])[: symbol.size])
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(each, len(numbers)) for each in symbol[starts].tolist()]
    lengths = np.diff(np.append(starts, symbol.size))
    return list(numbers), np.repeat(np.array(codes, dtype=np.int32), lengths)


def mean_known(values: Floats, axis: int) -> Floats:
    """Average over an axis, ignoring NaN; NaN if all values are NaN."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def count_dates(cutoff: Days) -> int:
    """Return the number of distinct cutoff dates."""
    return group_dates(cutoff)[0].size


def float_or_none(value: Floats | float) -> float | None:
    """Return a Python float, or None for NaN."""
    number = float(value)
    return None if np.isnan(number) else number


def floats_or_none(values: Floats) -> list[float | None]:
    """Return Python floats, with None for NaN."""
    return [float_or_none(value) for value in values.tolist()]


def _last_end(cutoff: Dates, end: Dates) -> tuple[Dates, NDArray[np.intp], Dates]:
    """Return the distinct cutoff dates, the index of each row's date, and the last end by date."""
    dates, group = group_dates(cutoff)
    last = dates.astype(end.dtype)
    # View as integers, which NumPy handles faster.
    number = np.int32 if end.dtype == np.int32 else np.int64
    np.maximum.at(last.view(number), group, end.view(number))
    return dates, group, last


def _ratio(sums: Floats, counts: Floats | Ints) -> Floats:
    means = np.full(np.shape(sums), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
