"""Which past bars a backtest forecasts from: every `step_size`-th session of each calendar."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series

_SAME_CALENDAR = 0.98


def choose_cutoffs(
    series: Sequence[Series],
    *,
    first: np.datetime64,
    last: np.datetime64 | None = None,
    step_size: int,
    n_windows: int | None = None,
    context_length: int,
    horizon: int,
    offsets: Sequence[int] = (0,),
) -> list[NDArray[np.int64]]:
    """Return the cutoff rows of each series, ascending, (N_s,) each.

    Each calendar counts its own sessions: forward from `first` (included), or, with `n_windows`,
    backward from the last date that any of its series can be scored from. A series takes part on
    the dates that it has a bar of, with `context_length` rows up to it and `horizon` rows after it.

    offsets : where each grid of `step_size` starts, counted from `first`.
    """
    usable = [_usable(each, first, last, context_length, horizon) for each in series]
    dates = [each.dates[rows] for each, rows in zip(series, usable, strict=True)]
    calendars = np.array(calendars_of(series))
    chosen = {}
    for calendar in np.unique(calendars):
        own = [dates[s] for s in np.flatnonzero(calendars == calendar)]
        sessions = np.unique(np.concatenate(own))
        if n_windows is None:
            grids = [sessions[offset::step_size] for offset in offsets]
        else:
            grids = [sessions[::-step_size][:n_windows]]
        chosen[calendar] = np.concatenate(grids)
    return [
        rows[np.isin(days, chosen[calendar])].astype(np.int64)
        for rows, days, calendar in zip(usable, dates, calendars, strict=True)
    ]


def calendars_of(series: Sequence[Series]) -> list[int]:
    """Number the exchange calendars that the series follow, by their dates alone.

    Two series share a calendar where at least 98 % of their dates, over the time that both cover,
    are the same: single missing bars make no difference, other holidays do.
    """
    found: list[int] = []
    known: list[NDArray[np.datetime64]] = []
    for each in series:
        number = next((k for k, days in enumerate(known) if _agree(days, each.dates)), len(known))
        if number == len(known):
            known.append(each.dates)
        elif not np.isin(each.dates, known[number], assume_unique=True).all():
            known[number] = np.union1d(known[number], each.dates)
        found.append(number)
    return found


def _agree(one: NDArray[np.datetime64], other: NDArray[np.datetime64]) -> bool:
    """Whether two calendars are the same over the time that both cover, or share none."""
    low, high = max(one[0], other[0]), min(one[-1], other[-1])
    ours, theirs = (days[(days >= low) & (days <= high)] for days in (one, other))
    common = int(np.isin(ours, theirs, assume_unique=True).sum())
    return bool(common >= _SAME_CALENDAR * (ours.size + theirs.size - common))


def _usable(
    series: Series,
    first: np.datetime64,
    last: np.datetime64 | None,
    context_length: int,
    horizon: int,
) -> NDArray[np.int64]:
    rows = np.arange(context_length - 1, max(context_length - 1, len(series) - horizon))
    dates = series.dates[rows]
    inside = dates >= first
    return rows[inside if last is None else inside & (dates <= last)]
