"""Exchange sessions against a price history: what is missing, what comes next, how old it is.

A calendar is believed only where the history's own dates agree with it, so that a CSV series of
any name (`SPX`, `sp500`) gets New York's holidays when it follows them and none when it does not.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.market.calendars import FIRST_TRUSTED, Days, calendar_of, sessions_of
from lstmcli.market.intervals import MONTHS, as_days, dates_after, infer_interval

if TYPE_CHECKING:
    import pandas as pd

    from lstmcli.market.prices import Prices

__all__ = [
    "calendar_of",
    "future_dates",
    "infer_interval",
    "missing_sessions",
    "sessions_behind",
]

_DAY = np.timedelta64(1, "D")
_RECENT = 250
_DATES_THAT_ARE_SESSIONS = 0.97
_SESSIONS_THAT_HAVE_BARS = 0.90
_LONGEST_BREAK = np.timedelta64(10, "D")


def future_dates(prices: Prices, n: int) -> Days:
    """The dates of the n bars after the last one, shape (n,), strictly increasing.

    Daily bars take the exchange's sessions where the history agrees with them, and its own
    weekdays otherwise or beyond the last session known; other intervals take their own steps.
    """
    days = as_days(prices.frame.index)  # type: ignore[arg-type]
    if prices.interval != "1d":
        return dates_after(days, n, prices.interval)
    sessions = _agreed_sessions(days, prices.symbol)
    first = np.searchsorted(sessions, days[-1], side="right")
    following = sessions[first : first + n]
    if following.size < n:
        weeks = np.concatenate([days[-_RECENT:], following])
        following = np.concatenate([following, dates_after(weeks, n - following.size, "1d")])
    days_after: Days = following
    return days_after


def missing_sessions(index: pd.DatetimeIndex | Days, symbol: str) -> Days:
    """The sessions between the first and the last date that have no bar.

    Empty for other than daily bars, where no calendar agrees with the dates, and before the
    calendars can be trusted. Dates outside the calendar are no error.
    """
    days = as_days(index)
    if days.size == 0 or infer_interval(days) != "1d":
        return days[:0]
    sessions = _agreed_sessions(days, symbol)
    expected = _between(sessions, days[0], days[-1])
    return np.setdiff1d(expected, days, assume_unique=True)


def sessions_behind(last: date, symbol: str, interval: str, today: date) -> int:
    """How many bars a history ending at `last` lacks, counting only those complete before `today`.

    A week or month counts once it is over, whichever of its days its bar is dated by.
    """
    if interval in MONTHS:
        months = (today.year - last.year) * 12 + today.month - last.month
        return max(0, months // MONTHS[interval] - 1)
    if interval != "1d":
        step = 7 if interval == "1wk" else int(interval.rstrip("dD"))
        return max(0, (today - last).days // step - 1)
    begin, end = np.datetime64(last, "D") + _DAY, np.datetime64(today, "D")
    sessions = sessions_of(calendar_of(symbol) or "24/5")
    if sessions.size == 0 or begin < sessions[0] or end > sessions[-1]:
        return max(0, int(np.busday_count(begin, end)))
    return _between(sessions, begin, end - _DAY).size


def _agreed_sessions(days: Days, symbol: str) -> Days:
    """The sessions of the symbol's own calendar or of New York's, whichever the dates follow."""
    recent = days[-_RECENT:]
    recent = recent[recent >= FIRST_TRUSTED]
    for calendar in dict.fromkeys((calendar_of(symbol), "XNYS")):
        if calendar is None or recent.size == 0:
            continue
        sessions = sessions_of(calendar)
        if _agrees(recent, sessions):
            return sessions
    return days[:0]


def _agrees(recent: Days, sessions: Days) -> bool:
    if sessions.size == 0 or recent[-1] > sessions[-1]:
        return False
    recent = recent[recent >= sessions[0]]
    if recent.size == 0:
        return False
    # Only the span is compared: the whole calendar costs milliseconds for each of many series.
    span = _between(sessions, recent[0], recent[-1])
    if np.isin(recent, span).mean() < _DATES_THAT_ARE_SESSIONS:
        return False
    missing = np.setdiff1d(span, recent, assume_unique=True)
    # A long hole says that data are missing, not that the exchange was closed each of those days.
    after = np.searchsorted(recent, missing)
    short = missing[recent[after] - recent[after - 1] <= _LONGEST_BREAK]
    return recent.size >= _SESSIONS_THAT_HAVE_BARS * (recent.size + short.size)


def _between(sessions: Days, first: np.datetime64, last: np.datetime64) -> Days:
    """The sessions from `first` to `last`, both included, found without a look at all of them."""
    begin, end = np.searchsorted(sessions, first), np.searchsorted(sessions, last, side="right")
    return sessions[begin:end]
