"""Bars of sessions that are still open, which every feed hands out as if they were done.

A daily bar counts half an hour after its exchange's close, half days included; where the exchange
is not known, once its day is over there. A week's and a month's bar count when they are past.
"""

import warnings
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from lstmcli.market.calendars import calendar_of, sessions_of

SETTLING = timedelta(minutes=30)  # quotes lag by up to 20 minutes, and closing auctions take some


def drop_unfinished(
    frame: pd.DataFrame, *, symbol: str, interval: str, time_zone: str, now: datetime
) -> pd.DataFrame:
    """The bars that are final at `now` (zone-aware).

    frame : indexed by session date, oldest first; a week or month is dated by its first day.
    time_zone : of the exchange; an empty or unknown one is taken for UTC.
    """
    zone, rows = zone_of(time_zone) or ZoneInfo("UTC"), len(frame)
    while rows and not _is_over(frame.index[rows - 1].date(), symbol, interval, zone, now):
        rows -= 1
    return frame.iloc[:rows]


def is_up_to_date(last: date, *, symbol: str, interval: str, time_zone: str, now: datetime) -> bool:
    """Whether no bar after `last` can be final at `now`; False where no calendar tells."""
    zone, following = zone_of(time_zone), _next_bar(last, symbol, interval)
    if zone is None or following is None:
        return False
    return not _is_over(following, symbol, interval, zone, now)


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of that name, None where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _next_bar(last: date, symbol: str, interval: str) -> date | None:
    """The date of the bar after the one of `last`, None where no calendar knows both."""
    if interval == "1mo":
        return (last.replace(day=1) + timedelta(days=32)).replace(day=1)
    if interval == "1wk":
        return last + timedelta(days=7)
    calendar = calendar_of(symbol)
    sessions = sessions_of(calendar) if calendar else np.array([], dtype="datetime64[D]")
    day = np.datetime64(last, "D")
    at = int(np.searchsorted(sessions, day))
    if at + 1 >= sessions.size or sessions[at] != day:
        return None
    following: date = sessions[at + 1].item()
    return following


def _is_over(day: date, symbol: str, interval: str, zone: ZoneInfo, now: datetime) -> bool:
    if interval == "1mo":
        end = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        end = day + timedelta(days=7 if interval == "1wk" else 1)
    if now >= datetime.combine(end, time(), zone):
        return True
    if interval != "1d" or now.astimezone(zone).date() < day:
        return False
    close = _close(symbol, day)
    return close is not None and now >= close + SETTLING


def _close(symbol: str, day: date) -> datetime | None:
    """When the symbol's exchange closes on that day, None where the calendar does not say."""
    name = calendar_of(symbol)
    if name is None or name.startswith("24/"):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' deprecations, again
        import exchange_calendars

        week = timedelta(days=7)
        try:
            calendar = exchange_calendars.get_calendar(name, start=day - week, end=day + week)
            if not calendar.is_session(pd.Timestamp(day)):
                return None
            close: datetime = calendar.session_close(pd.Timestamp(day)).to_pydatetime()
        except (ValueError, NotImplementedError):  # a day it does not know, or see `calendars`
            return None
    return close
