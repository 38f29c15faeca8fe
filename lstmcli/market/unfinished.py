"""Bars of sessions that are still open, which every feed hands out as if they were done.

A daily bar counts half an hour after its exchange's close, half days included; where the exchange
is not known, once its day is over there. A week's and a month's bar count when they are past. A
feed that last saw a trade before the close made its bar of half a session. It waits for the next
opening, since until then a share without a later trade looks like a feed that lags; on an exchange
whose hours are not known (Tel Aviv under pandas 3) it does not.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from lstmcli.market.calendars import calendar_of, library_calendar, sessions_of

SETTLING = timedelta(minutes=30)  # quotes lag by up to 20 minutes, and closing auctions take some
LAST_TRADE = timedelta(minutes=1)  # before the close, of shares that trade up to it


def drop_unfinished(
    frame: pd.DataFrame,
    *,
    symbol: str,
    interval: str,
    time_zone: str,
    now: datetime,
    market_time: datetime | None = None,
) -> pd.DataFrame:
    """The bars that are final at `now` (zone-aware).

    frame : indexed by session date, oldest first; a week or month is dated by its first day.
    time_zone : of the exchange; an empty or unknown one is taken for UTC.
    market_time : of the last trade that the feed knew of, zone-aware; None where it does not say.
    """
    zone, rows = zone_of(time_zone) or ZoneInfo("UTC"), len(frame)
    while rows and not _is_over(frame.index[rows - 1].date(), symbol, interval, zone, now):
        rows -= 1
    if rows and market_time:
        rows -= _is_half_made(frame.index[rows - 1].date(), symbol, interval, market_time, now)
    return frame.iloc[:rows]


def bars_due(
    last: date, *, symbol: str, interval: str, time_zone: str, now: datetime
) -> int | None:
    """How many bars after `last` are final at `now`; None where no calendar tells."""
    zone = zone_of(time_zone)
    if zone is None:
        return None
    today = now.astimezone(zone).date()
    if interval != "1d":  # the bar that `today` belongs to is never over
        months = (today.year - last.year) * 12 + today.month - last.month
        return max(0, (months if interval == "1mo" else (today - last).days // 7) - 1)
    calendar = calendar_of(symbol)
    sessions = sessions_of(calendar) if calendar else np.array([], dtype="datetime64[D]")
    day = np.datetime64(last, "D")
    at = int(np.searchsorted(sessions, day))
    if at + 1 >= sessions.size or sessions[at] != day:
        return None
    end = int(np.searchsorted(sessions, np.datetime64(today, "D"), side="right"))
    following = sessions[at + 1 : end]
    if following.size and not _is_over(following[-1].item(), symbol, interval, zone, now):
        following = following[:-1]
    return int(following.size)


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of that name, None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _is_over(day: date, symbol: str, interval: str, zone: ZoneInfo, now: datetime) -> bool:
    if now >= datetime.combine(_end(day, interval), time(), zone):
        return True
    if interval != "1d" or now.astimezone(zone).date() < day:
        return False
    close, _ = _hours(calendar_of(symbol), day)
    return close is not None and now >= close + SETTLING


def _is_half_made(
    day: date, symbol: str, interval: str, market_time: datetime, now: datetime
) -> bool:
    """Whether the feed's last trade lies before the close of the bar's last session.

    Not once the next session has opened: then there was no later trade.
    """
    calendar, last = calendar_of(symbol), day
    if interval != "1d":
        sessions = sessions_of(calendar) if calendar else np.array([], dtype="datetime64[D]")
        before = np.searchsorted(sessions, np.datetime64(_end(day, interval), "D"))
        last = sessions[before - 1].item() if before else day
    close, opens = _hours(calendar, last)
    if close is None or market_time >= close - LAST_TRADE:
        return False
    return opens is None or now < opens


def _end(day: date, interval: str) -> date:
    """The day after the last of a bar."""
    if interval == "1mo":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "1wk" else 1)


def _hours(name: str | None, day: date) -> tuple[datetime | None, datetime | None]:
    """When an exchange closes on a day and opens after it; None where no calendar says."""
    if name is None or name.startswith("24/"):
        return None, None
    calendar, session = library_calendar(name), pd.Timestamp(day)
    if (
        calendar is None
        or not calendar.first_session <= session < calendar.last_session
        or not calendar.is_session(session)
    ):
        return None, None
    following = calendar.next_session(session)
    return (
        calendar.session_close(session).to_pydatetime(),
        calendar.session_open(following).to_pydatetime(),
    )
