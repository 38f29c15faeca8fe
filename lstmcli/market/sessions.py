"""Exchange sessions against a price history: what is odd, what comes next, how old it is.

Every verb asks here, so that import, check, train, predict and --strict find the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.calendars import FIRST_TRUSTED, Days, calendar_of
from lstmcli.market.intervals import MONTHS, as_days, dates_after, infer_interval, weekday_of
from lstmcli.market.schedule import LONGEST_CLOSURE, Schedule, schedule_named, schedule_of

if TYPE_CHECKING:
    import pandas as pd

    from lstmcli.market.prices import Prices

__all__ = [
    "OddDays",
    "calendar_of",
    "future_dates",
    "infer_interval",
    "missing_sessions",
    "odd_days",
    "schedule_of",
    "sessions_behind",
    "tell_unknown",
]

_DAY = np.timedelta64(1, "D")
_HALF_YEAR = np.timedelta64(182, "D")
_SHOWN = 3
_INDIA = "XBOM"


@dataclass(frozen=True)
class OddDays:
    """What is odd about the dates of a history, all ascending.

    missing : sessions without a bar, or Mondays of weeks and first days of months without one.
    extra : bars on days without a session. note : why the dates were compared with weekdays alone,
    "" where they follow a calendar.
    """

    missing: Days
    extra: Days
    note: str = ""

    def runs(self, which: Days, days: Days) -> list[Days]:
        """Return the missing sessions in runs that no bar of `days` interrupts."""
        before = np.searchsorted(days, which)
        found = np.split(which, np.flatnonzero(np.diff(before)) + 1)
        return [run for run in found if run.size]


def future_dates(prices: Prices, n: int) -> Days:
    """The dates of the n bars after the last one, shape (n,), strictly increasing.

    Daily bars take the sessions of `schedule_of`; other intervals take their own steps.
    """
    days = as_days(prices.frame.index)  # type: ignore[arg-type]
    if prices.interval != "1d":
        return dates_after(days, n, prices.interval)
    schedule = schedule_of(days, prices.symbol, from_feed=prices.from_feed)
    # The longest closures take a third of a month; a week of one day is more than any has.
    following = schedule.between(days[-1] + 1, days[-1] + 7 * n + 60)
    return following[:n]


def tell_unknown(prices: Prices, dates: Days) -> tuple[str, ...]:
    """Return notes on what is not known of the sessions up to the last of `dates`, as forecast."""
    if prices.interval != "1d" or not dates.size:
        return ()
    days = as_days(prices.frame.index)  # type: ignore[arg-type]
    schedule = schedule_of(days, prices.symbol, from_feed=prices.from_feed)
    if not schedule.calendars:
        return (f"{schedule.note}: weekdays are taken, holidays are not known",)
    notes = []
    if dates[-1] > schedule.known_until:
        notes.append(f"holidays after {schedule.known_until} are not known")
    ahead = np.arange(days[-1] + 1, dates[-1] + 1)
    unsure = ahead[~schedule.is_session(ahead) & ~schedule.is_closed(ahead)]
    if unsure.size:
        names = _some(schedule.calendars)
        notes.append(f"the dates fit {names}, not all of which trade on {_some(unsure)}: left out")
    if _INDIA in schedule.calendars and _has_diwali(ahead):
        notes.append("special sessions (Muhurat, on Diwali) are not known")
    return tuple(notes)


def odd_days(
    index: pd.DatetimeIndex | Days, symbol: str, interval: str, *, from_feed: bool = False
) -> OddDays:
    """Find the sessions without a bar and the bars on days without a session.

    Where no calendar fits, a break is reported when it is longer than any exchange's, or when the
    series keeps no holidays: it has bars at New Year and on Christmas.
    """
    days = as_days(index)
    if interval in ("1wk", "1mo"):
        return OddDays(_missing_periods(days, interval), days[:0])
    if days.size == 0 or interval != "1d":
        return OddDays(days[:0], days[:0])
    schedule = schedule_of(days, symbol, from_feed=from_feed)
    first, last = max(days[0], schedule.known_from), min(days[-1], schedule.known_until)
    parts = [_odd_by_weekday(days[days < first], schedule)] if days[0] < first else []
    if first <= last:
        parts.append(_odd_by_calendar(days[(days >= first) & (days <= last)], schedule))
    ...
    return OddDays(days, days)
