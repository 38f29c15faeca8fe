"""Rows of a shared table that are none of a series: those of days on which its exchange is closed.

Next to a currency or another exchange, a share's column is empty on weekends and holidays. Such a
row is no missing price. An empty field of a session is one, and stays to be counted.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.calendars import calendar_of, sessions_of
from lstmcli.market.intervals import infer_interval

Days = NDArray[np.datetime64]
Mask = NDArray[np.bool_]

_BARS_OFF_CALENDAR = 0.01
_STRAY = 0.02
_LONGEST_BREAK = np.timedelta64(10, "D")


def closed_rows(days: Days, filled: Mask, symbol: str, quiet_days: Callable[[], Days]) -> Mask:
    """The rows (N,) without values on days when the exchange of `symbol` is closed.

    days : (N,) in any order. filled : (N,) rows with values.
    quiet_days : called where the exchange is not known; gives the `days_of_currencies` of the
        table, which are holidays in a short break.
    """
    empty = ~filled
    if not empty.any() or not filled.any():
        return np.zeros(days.size, dtype=bool)
    interval = infer_interval(np.unique(days[filled]))
    closed: Mask = empty & np.isin(_weekdays(days), _rest_days(days[filled], interval))
    if interval != "1d":
        return closed
    own = _own_sessions(days, filled, symbol)
    if own is not None:
        known, is_session = own
        return np.where(known, empty & ~is_session, closed)
    holiday = empty & np.isin(days, quiet_days()) & _in_short_breaks(days, np.sort(days[filled]))
    return closed | holiday


def days_of_currencies(filled: Iterable[Days]) -> Days:
    """The days on which only series that never rest have bars; `filled` are the days of each."""
    resting: list[Days] = []
    others: list[Days] = []
    for days in filled:
        (resting if _rest_days(days, "1d").size else others).append(days)
    if not others:
        return np.array([], dtype="datetime64[D]")
    return np.setdiff1d(np.concatenate(others), np.concatenate([*resting, others[0][:0]]))


def _rest_days(filled: Days, interval: str) -> NDArray[np.int64]:
    """The weekdays, 0 for Monday, without bars: any of weekly bars, of daily ones a weekend."""
    counts = np.bincount(_weekdays(filled), minlength=7)
    unused: NDArray[np.int64] = np.flatnonzero(counts <= _STRAY * filled.size)
    if interval == "1wk":
        return unused
    on_sundays = counts[6] > _STRAY * filled.size
    weekend = (4, 5) if on_sundays else (5, 6)
    return np.intersect1d(unused, weekend if interval == "1d" else ())


def _own_sessions(days: Days, filled: Mask, symbol: str) -> tuple[Mask, Mask] | None:
    """Which days (N,) the calendar of the symbol's exchange knows, and which are its sessions.

    None where the shape of the symbol names no exchange, or the bars contradict it.
    """
    calendar = calendar_of(symbol)
    sessions = sessions_of(calendar) if calendar else days[:0]
    if sessions.size == 0:
        return None
    known = (days >= sessions[0]) & (days <= sessions[-1])
    begin, end = np.searchsorted(sessions, (days.min(), days.max() + 1))  # the rest costs time
    is_session = np.isin(days, sessions[begin:end])
    inside = filled & known
    fits = inside.any() and (~is_session[inside]).mean() <= _BARS_OFF_CALENDAR
    return (known, is_session) if fits else None


def _in_short_breaks(days: Days, filled: Days) -> Mask:
    """Whether the bars before and after each day lie no more than a long holiday apart."""
    after = np.clip(np.searchsorted(filled, days), 1, filled.size - 1)
    short: Mask = filled[after] - filled[after - 1] <= _LONGEST_BREAK
    return short


def _weekdays(days: Days) -> NDArray[np.int64]:
    return (days.astype(np.int64) + 3) % 7
