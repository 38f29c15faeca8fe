"""How losses of many symbols and overlapping windows become one number, and how many count.

Symbols forecast on the same date are no independent evidence, so a loss is averaged over the
symbols of each observation in time first and over the observations after; every test runs on that
series. NaN is what has not happened yet and is left out of every mean.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pool:
    """N windows, and how they pool into observations in time.

    Windows of one calendar pool by cutoff date. Where calendars differ they pool by block: a block
    is as long as the longest span in it (see `blocks`), and one that holds half of the symbols or
    fewer is left out of every mean and test.

    cutoff, end : (N,) last date known, last date forecast.
    symbol : (N,) numbers of the symbols; each window its own unless given.
    block : (N,) ascending with the cutoff; None where all windows are of one calendar.
    """

    cutoff: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    symbol: NDArray[np.intp] | None = None
    block: NDArray[np.intp] | None = None

    def keep(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Pool":
        """Return the windows of a mask, or of row numbers."""
        return Pool(
            self.cutoff[rows],
            self.end[rows],
            None if self.symbol is None else self.symbol[rows],
            None if self.block is None else self.block[rows],
        )

    @property
    def size(self) -> int:
        """The number of windows, N."""
        return self.cutoff.size

    @cached_property
    def unit(self) -> NDArray[np.intp]:
        """Which observation each window is part of, (N,), in the order of time; -1 for none."""
        if self.block is None or not self.size:
            return group_dates(self.cutoff)[1]
        counted = self._held > 0 if self._is_thin else self._is_full
        number = np.where(counted, np.cumsum(counted) - 1, -1)
        return np.asarray(number[self.block], dtype=np.intp)

    @cached_property
    def _held(self) -> NDArray[np.intp]:
        """How many symbols each block holds."""
        assert self.block is not None, "only where there are blocks"
        assert self.symbol is not None, "blocks hold symbols"
        pairs = np.unique(np.column_stack([self.block, self.symbol]), axis=0)
        return np.bincount(pairs[:, 0])

    @cached_property
    def _is_full(self) -> NDArray[np.bool_]:
        """Which blocks hold more than half of the symbols."""
        assert self.symbol is not None, "blocks hold symbols"
        return np.asarray(2 * self._held > np.unique(self.symbol).size)

    @property
    def _is_thin(self) -> bool:
        """Whether no block does; then all of them pool, and none counts as independent."""
        return not self._is_full.any()

    @cached_property
    def n_units(self) -> int:
        """The number of observations, U: cutoff dates, or blocks that count."""
        return int(self.unit.max(initial=-1)) + 1

    @cached_property
    def reach(self) -> int:
        """How many observations one window reaches across, itself included."""
        return overlap(self.cutoff, self.end) if self.block is None else 2

    @cached_property
    def apart(self) -> NDArray[np.bool_]:
        """The windows that count as independent, (N,)."""
        if self.block is None:
            return independent(self.cutoff, self.end)
        return np.asarray(self.unit >= 0)

    @cached_property
    def n_independent(self) -> int:
        """How many observations share no day with another."""
        if self.block is None:
            return count_dates(self.cutoff[self.apart])
        return 0 if not self.size or self._is_thin else self.n_units

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which pair of observation and symbol each counted window is of, and each pair's unit."""
        unit = self.unit[self.unit >= 0]
        if self.block is None:
            return np.arange(unit.size), unit
        assert self.symbol is not None, "blocks come with the symbols that they hold"
        symbol = self.symbol[self.unit >= 0]
        pairs, which = np.unique(np.column_stack([unit, symbol]), axis=0, return_inverse=True)
        return which.reshape(-1), pairs[:, 0]

    def series(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over each symbol's windows in an observation, then over its symbols.

        values : (N,) or (N, K), NaN where unknown. Returns (U,) or (U, K).
        """
        pair, unit = self._pairs
        if self.block is not None:
            values = by_group(values[self.unit >= 0], pair, unit.size)
        return by_group(values, unit, self.n_units)

    def by_symbol(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over each symbol's windows in each observation; (N,) to (U, S), NaN for none."""
        assert self.symbol is not None, "only a pool that knows its symbols"
        numbers, symbol = np.unique(self.symbol, return_inverse=True)
        counted = self.unit >= 0
        at = self.unit[counted] * numbers.size + symbol[counted]
        size = self.n_units * numbers.size
        sums = np.bincount(at, values[counted], size).astype(np.float64)
        counts = np.bincount(at, minlength=size)
        return _ratio(sums, counts).reshape(self.n_units, numbers.size)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average `series` over the observations, () or (K,); NaN where nothing is known."""
        return mean_known(self.series(values), axis=0)

    def weights(self, known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The weight of each value in its mean, for many means of values known alike.

        known : (N, K). Returns (N, K), 0 where not known: `mean` of such values is
        `(weights * values).sum(axis=0)`, as far as anything is known.
        """
        counted = self.unit >= 0
        pair, unit = self._pairs
        weights = np.zeros(known.shape)
        for column in range(known.shape[1]):
            own = known[counted, column]
            windows = np.bincount(pair, own, unit.size)
            symbols = np.bincount(unit, windows > 0, self.n_units)
            shares = windows[pair] * symbols[unit[pair]] * np.count_nonzero(symbols)
            into = np.zeros(own.size)
            np.divide(1.0, shares, out=into, where=own)
            weights[counted, column] = into
        return weights


def blocks(
    cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64], calendar: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """Cut time into blocks that each calendar's windows fit into; None for a single calendar.

    Each block begins where the one before it ends, and is as long as the longest window, or
    distance of two cutoffs, that any calendar has at that time. So the blocks of a share and a coin
    are the share's own windows, and those of three exchanges about as many as the slowest has.

    cutoff, end, calendar : (N,). Returns (N,) block numbers in the order of time.
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
        else:  # nothing for a whole block
            day = following
    return np.searchsorted(np.array(starts), cutoff, side="right") - 1


def _spans(
    cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64]
) -> tuple[NDArray[np.datetime64], NDArray[np.timedelta64]]:
    """One calendar's cutoff dates, and how long its windows or the way to the next cutoff are."""
    dates, _, last = _last_end(cutoff, end)
    lengths = last - dates
    if dates.size > 1:
        gaps = np.diff(dates)
        # A hole in the data is no distance between cutoffs.
        lengths[:-1] = np.maximum(lengths[:-1], np.minimum(gaps, 2 * np.median(gaps)))
    return dates, lengths


def phases(
    cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64], calendar: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Number the chains of windows that do not overlap: each calendar's cutoffs taken in turn.

    cutoff, end, calendar : (N,). Returns (N,) from 0 to one less than a window's reach.
    """
    found = np.zeros(cutoff.size, dtype=np.intp)
    for each in np.unique(calendar):
        own = calendar == each
        found[own] = group_dates(cutoff[own])[1] % overlap(cutoff[own], end[own])
    return found


def by_group(
    values: NDArray[np.float64], group: NDArray[np.intp], count: int
) -> NDArray[np.float64]:
    """Average over the members of each group 0..count - 1, of which none is empty.

    values : (N,) or (N, K). group : (N,). Returns (count,) or (count, K), NaN where nothing is
    known.
    """
    sums = np.empty((count, *values.shape[1:]))
    counts = np.empty(sums.shape)
    counts[...] = np.bincount(group, minlength=count).reshape(count, *(1,) * (values.ndim - 1))
    for column in np.ndindex(values.shape[1:]):
        own = values[:, *column]
        known = ~np.isnan(own)
        if not known.all():
            own = np.where(known, own, 0.0)
            counts[:, *column] = np.bincount(group, known, count)
        sums[:, *column] = np.bincount(group, own, count)
    return _ratio(sums, counts)


def group_dates(
    dates: NDArray[np.datetime64],
) -> tuple[NDArray[np.datetime64], NDArray[np.intp]]:
    """The distinct dates, ascending, and which of them each row has, (N,).

    As np.unique says, without its sorting: days are whole numbers that lie close together.
    """
    if not dates.size or dates.dtype != np.dtype("datetime64[D]"):
        return np.unique(dates, return_inverse=True)
    days = dates.view(np.int64)
    first = days.min()
    there = np.bincount(days - first) > 0
    return (first + np.flatnonzero(there)).astype(dates.dtype), (np.cumsum(there) - 1)[days - first]


def by_symbol(symbol: NDArray[np.str_]) -> tuple[list[str], NDArray[np.intp]]:
    """The symbols in the order given, and which of them each row belongs to, (N,)."""
    names, first, group = np.unique(symbol, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return names[order].tolist(), place[group]


def mean_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Average over an axis without its NaNs; NaN where there is nothing else."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def independent(cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """Choose the rows whose forecast windows do not overlap in time.

    The first cutoff date is taken, then each time the first one that is not before the last end of
    the windows taken so far. All symbols of a chosen date are chosen, and count as one.

    cutoff : (N,) last date known. end : (N,) last date forecast. Returns (N,).
    """
    dates, group, last = _last_end(cutoff, end)
    chosen = np.zeros(dates.size, dtype=np.bool_)
    at = 0
    while at < dates.size:
        chosen[at] = True
        at = max(at + 1, int(np.searchsorted(dates, last[at])))
    return np.asarray(chosen[group])


def count_dates(cutoff: NDArray[np.datetime64]) -> int:
    """The number of distinct cutoff dates."""
    return group_dates(cutoff)[0].size


def overlap(cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64]) -> int:
    """The `h` of the design: how many cutoff dates one window reaches across, itself included.

    For one series it equals ceil(step / step_size). Losses at cutoffs that far apart, or further,
    share no day. At least 1. The window of a date is the one that half of its symbols' end by: a
    share that was halted for a year makes no window of all symbols a year longer, of which a test
    would be wrong more often than it says.
    """
    dates, group = group_dates(cutoff)
    counts = np.bincount(group, minlength=dates.size)
    middle = np.cumsum(counts) - counts + counts // 2
    typical = end[np.lexsort((end, group))][middle]
    reach = np.searchsorted(dates, typical) - np.arange(dates.size)
    return max(1, int(reach.max(initial=1)))


def float_or_none(value: NDArray[np.float64] | float) -> float | None:
    """A plain float for the records, None in place of NaN."""
    number = float(value)
    return None if np.isnan(number) else number


def _last_end(
    cutoff: NDArray[np.datetime64], end: NDArray[np.datetime64]
) -> tuple[NDArray[np.datetime64], NDArray[np.intp], NDArray[np.datetime64]]:
    """The distinct cutoff dates, which of them each row has, and their windows' last end."""
    dates, group = group_dates(cutoff)
    last = dates.astype(end.dtype)
    # As whole numbers, for which numpy is quick.
    np.maximum.at(last.view(np.int64), group, end.view(np.int64))
    return dates, group, last


def _ratio(
    sums: NDArray[np.float64], counts: NDArray[np.float64] | NDArray[np.int64]
) -> NDArray[np.float64]:
    means = np.full(np.shape(sums), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
