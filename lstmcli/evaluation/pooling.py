"""How losses of many symbols and overlapping windows become one number, and how many count.

Symbols forecast on the same date are no independent evidence, so a loss is averaged over the
symbols of each cutoff date first and over the dates after; every test runs on that series of
dates. NaN is what has not happened yet and is left out of every mean.
"""

import numpy as np
from numpy.typing import NDArray


def by_date(
    values: NDArray[np.float64], cutoff: NDArray[np.datetime64]
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Average over the symbols of each cutoff date.

    values : (N,) or (N, K). cutoff : (N,), in any order.
    Returns the D dates, ascending, and their means, (D,) or (D, K), NaN where nothing is known.
    """
    dates, group = group_dates(cutoff)
    return dates, by_group(values, group, dates.size)


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


def pooled(values: NDArray[np.float64], cutoff: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Average over the symbols at each cutoff date, then over the dates.

    values : (N,) or (N, K). Returns () or (K,), NaN where nothing is known.
    """
    return mean_known(by_date(values, cutoff)[1], axis=0)


def date_weights(known: NDArray[np.bool_], cutoff: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """The weight of each value in its pooled mean, for many means of values known alike.

    known : (N, K). cutoff : (N,). Returns (N, K), 0 where not known: `pooled` of such values is
    `(weights * values).sum(axis=0)`, as far as anything is known.
    """
    dates, group = group_dates(cutoff)
    counts = np.zeros((dates.size, known.shape[1]))
    for column in range(known.shape[1]):
        counts[:, column] = np.bincount(group, known[:, column], counts.shape[0])
    shares = counts[group] * np.count_nonzero(counts, axis=0)
    weights = np.zeros(known.shape)
    np.divide(1.0, shares, out=weights, where=known)
    return weights


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
    share no day. At least 1.
    """
    dates, _, last = _last_end(cutoff, end)
    reach = np.searchsorted(dates, last) - np.arange(dates.size)
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
