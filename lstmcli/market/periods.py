"""Weeks and months of weekly and monthly bars: which one a date stands for, and whether it is over.

A feed hands out the week or month that is still running, and with it a second, live row of it.
Both look like finished bars to all that reads them.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.calendars import Days
from lstmcli.market.intervals import DAY, weekday_of
from lstmcli.market.prices import Bars, Noted

_SUNDAY = 6
_FRIDAY = 4
# Two bars of one period lie closer than the shortest period is long: four-weekly bars pass for
# monthly ones, and twice in a month is right for them.
_CLOSER = {"1wk": np.timedelta64(6, "D"), "1mo": np.timedelta64(27, "D")}


def period_of(days: Days, interval: str) -> NDArray[np.int64]:
    """Return the number of the week or month that each bar of a series stands for.

    Weeks run from Monday to Sunday, or from Sunday where most bars are dated on Sundays.
    """
    if interval == "1mo":
        return days.astype("datetime64[M]").astype(np.int64)
    return (days.astype(np.int64) + 3 + _shift(days)) // 7


def first_days(periods: NDArray[np.int64], days: Days, interval: str) -> Days:
    """Return the first days of the periods of a series with dates `days`."""
    if interval == "1mo":
        return periods.astype("datetime64[M]").astype("datetime64[D]")
    return (periods * 7 - 3 - _shift(days)).astype("datetime64[D]")


def latest_date(today: date, interval: str) -> np.datetime64:
    """Return the latest date that a bar may have: tomorrow, or the last of the running period."""
    day = np.datetime64(today, "D")
    if interval == "1mo":
        return max(day + DAY, _end(np.array([day]), interval)[0])
    # A week may be dated by the Sunday that ends it.
    return day + DAY * max(1, _SUNDAY - today.weekday() if interval == "1wk" else 1)


def leave_out_unfinished(bars: Bars, interval: str, today: date, kept: date | None = None) -> Noted:
    """Leave out rows of a week or month that is not over, and second rows of one that is.

    bars : oldest first. kept : date of a row that was stored as unfinished on purpose.
    A week is over after Sunday, or after its last day where most bars are dated on Fridays or
    Saturdays.
    """
    if interval not in _CLOSER or bars.days.size == 0:
        return bars, []
    period = period_of(bars.days, interval)
    is_open = _end(bars.days, interval) >= np.datetime64(today, "D")
    is_open &= period == period[-1]
    second = np.zeros(bars.days.size, dtype=bool)
    second[1:] = (np.diff(period) == 0) & (np.diff(bars.days) < _CLOSER[interval])
    if kept is not None:
        is_open &= bars.days != np.datetime64(kept, "D")
    second &= ~is_open
    if not (is_open | second).any():
        return bars, []
    word = {"1wk": "week", "1mo": "month"}[interval]
    notes = []
    if is_open.any():
        shown = " and ".join(map(str, bars.days[is_open]))
        notes.append(f"Left out the bar of {shown}: its {word} is not over.")
    if second.any():
        count = int(second.sum())
        which = "a second bar" if count == 1 else f"{count} second bars"
        notes.append(f"Left out {which} of one {word}, the last of {bars.days[second][-1]}.")
    return bars.keep(~(is_open | second)), notes


def _end(days: Days, interval: str) -> Days:
    """Return the last day of each bar's period."""
    if interval == "1mo":
        first = (days.astype("datetime64[M]") + np.timedelta64(1, "M")).astype("datetime64[D]")
        last: Days = np.subtract(first, DAY)
        return last
    usual = _usual(days)
    length = usual if _FRIDAY <= usual < _SUNDAY else 6
    return first_days(period_of(days, interval), days, interval) + length * DAY


def _shift(days: Days) -> int:
    """Return 1 where weeks begin on Sunday, else 0."""
    return int(_usual(days) == _SUNDAY)


def _usual(days: Days) -> int:
    """Return the weekday on which most bars are dated."""
    return int(np.bincount(weekday_of(days), minlength=7).argmax())
