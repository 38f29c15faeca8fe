"""Exchange calendars: the exchange of a symbol, its sessions and its hours.

The sessions come from `sessions.npz`, a table of all calendars of exchange_calendars, written by
tests/calendar_table.py. The library itself takes 0.5 s to import and some 15 s to build all
calendars, and cannot build five of them under pandas 3, including Tel Aviv's. Compared with the
dates of the S&P 500, New York's calendar is exact from 1970 on and lacks about ten holidays a year
before, so earlier dates are not used. `exchanges.csv` has the time zone of each calendar, and
Yahoo's symbol suffixes and indices.
"""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Mask
from lstmcli.market.prices import DAY, weekday_of

if TYPE_CHECKING:
    import pandas as pd

FIRST_TRUSTED = np.datetime64("1970-01-01", "D")
LAST_KNOWN = np.datetime64("2100-12-31", "D")
SETTLING = timedelta(minutes=30)  # quotes lag by up to 20 minutes; closing auctions take time too
LAST_TRADE = timedelta(minutes=1)  # last trade before the close, for actively traded shares
TABLE = Path(__file__).with_name("sessions.npz")
_LOCK = threading.Lock()

_EXCHANGES = [
    line.split(",")
    for line in Path(__file__).with_name("exchanges.csv").read_text("ascii").splitlines()[1:]
]
ZONES = {calendar: zone for calendar, zone, _, _ in _EXCHANGES}
_SUFFIXES = {suffix: row[0] for row in _EXCHANGES for suffix in row[2].split()}
_INDICES = {index: row[0] for row in _EXCHANGES for index in row[3].split()}
_QUOTE_CURRENCIES = {
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "CNY", "HKD", "KRW", "INR", "BRL",
    "MXN", "TRY", "RUB", "BTC", "ETH", "USDT", "USDC",
}  # fmt: skip
# Days on which Bombay traded although its calendar has a holiday or weekend, mostly the one-hour
# Muhurat session on the evening of Diwali. Some histories have bars for them, others do not. Those
# on weekdays are from pandas_market_calendars. On 2026-01-15 Bombay was closed for elections.
_SPECIAL = {
    "XBOM": (
        "1998-10-19 1999-11-07 2000-10-26 2001-11-14 2002-11-04 2003-10-25 2004-11-12 2005-11-01 "
        "2006-10-21 2007-11-09 2008-10-28 2009-10-17 2010-11-05 2011-10-26 2012-01-07 2012-03-03 "
        "2012-09-08 2012-11-13 2013-05-11 2013-11-03 2014-03-22 2014-10-23 2015-02-28 2015-11-11 "
        "2016-10-30 2017-10-19 2018-11-07 2019-10-27 2020-02-01 2020-11-14 2021-11-04 2022-10-24 "
        "2023-11-12 2024-01-20 2024-03-02 2024-05-18 2024-11-01 2025-02-01 2025-10-21 2026-01-15 "
        "2026-02-01 2026-11-08"
    )
}
_US_SHARE = re.compile(r"[A-Z]{1,5}(-[A-Z]{1,2})?")


def calendar_of(symbol: str) -> str | None:
    """Return the calendar name of a symbol; None if its form names no exchange."""
    symbol = symbol.upper()
    base, dash, currency = symbol.rpartition("-")
    if symbol.endswith("=X"):
        return "24/5"
    if symbol.endswith("=F"):
        return "CMES"
    if dash and base and currency in _QUOTE_CURRENCIES:
        return "24/7"
    if symbol.startswith("^"):
        return _INDICES.get(symbol)
    if "." in symbol:
        return _SUFFIXES.get(symbol.rpartition(".")[2])
    return "XNYS" if _US_SHARE.fullmatch(symbol) else None


def own_calendar(symbol: str, *, from_feed: bool = False) -> str | None:
    """Return the calendar of a symbol; a bare word has one only in bars from Yahoo."""
    is_word = _US_SHARE.fullmatch(symbol.upper()) is not None
    return None if is_word and not from_feed else calendar_of(symbol)


@dataclass(frozen=True)
class CalendarTable:
    """All calendars, one row each; one column per day, FIRST_TRUSTED to LAST_KNOWN.

    first : the first recorded session of each calendar.
    known_until : the last day with known holidays. Later sessions may ignore holidays that are
        announced year by year, or all holidays.
    """

    names: tuple[str, ...]
    first: Days
    known_until: Days
    is_session: Mask

    def row(self, calendar: str) -> int:
        """Return the row of a calendar."""
        return self.names.index(calendar)


@cache
def calendar_table() -> CalendarTable:
    """Load the shipped table, and add the calendars 24/5 and 24/7 of no exchange."""
    with np.load(TABLE, allow_pickle=False) as stored:
        n_days = int((LAST_KNOWN - FIRST_TRUSTED).astype(int)) + 1
        exchanges = np.unpackbits(stored["sessions"], axis=1, count=n_days).astype(bool)
        names, first, until = stored["names"], stored["first"], stored["known_until"]
    every_day = np.arange(FIRST_TRUSTED, LAST_KNOWN + DAY)
    # Currencies do not trade on Christmas and New Year's Day.
    currencies = (
        np.is_busday(every_day) & ~_is_new_year(every_day) & ~_is_new_year(every_day + 7 * DAY)
    )
    return CalendarTable(
        names=("24/5", "24/7", *names.tolist()),
        first=np.append([FIRST_TRUSTED] * 2, first),
        known_until=np.append([LAST_KNOWN] * 2, until),
        is_session=np.vstack([currencies, np.ones(n_days, dtype=bool), exchanges]),
    )


def sessions_of(calendar: str) -> Days:
    """Return the recorded sessions of a calendar from FIRST_TRUSTED to LAST_KNOWN.

    Half days are sessions. The array is shared and read-only.
    """
    return _sessions(calendar)[0]


def known_until(calendar: str) -> np.datetime64:
    """Return the last day whose holidays a calendar knows."""
    return _sessions(calendar)[1]


@cache
def special_days(calendar: str) -> Days:
    """Return the days on which a calendar may or may not have a session."""
    return np.array(_SPECIAL.get(calendar, "").split(), dtype="datetime64[D]")


@dataclass(frozen=True)
class Schedule:
    """The days on which a series trades.

    calendars : names of the calendars that fit the dates; empty if weekdays are used.
    weekdays : Monday to Sunday, whether each has bars; used if no calendar fits.
    note : why weekdays are used, or "".
    possible : calendars that no bar contradicts, if none fits.
    """

    calendars: tuple[str, ...]
    weekdays: tuple[bool, ...] = (True,) * 5 + (False,) * 2
    note: str = ""
    possible: tuple[str, ...] = ()

    @property
    def known_from(self) -> np.datetime64:
        """Return the first day that all calendars know; LAST_KNOWN for weekdays."""
        table = calendar_table()
        return max((table.first[table.row(name)] for name in self.calendars), default=LAST_KNOWN)

    @property
    def known_until(self) -> np.datetime64:
        """Return the last day with known holidays; FIRST_TRUSTED for weekdays."""
        return min(map(known_until, self.calendars), default=FIRST_TRUSTED)

    def _open(self, days: Days) -> Mask:
        """Return whether each calendar is open on each day (K, N); one row for weekdays."""
        by_calendar = [is_open(name, days) for name in self.calendars]
        return np.array(by_calendar or [np.array(self.weekdays)[weekday_of(days)]])

    def is_session(self, days: Days) -> Mask:
        """Mark the days on which all calendars have a session, or the weekday is in use."""
        return np.asarray(self._open(days).all(axis=0))

    def is_closed(self, days: Days) -> Mask:
        """Mark the days on which no calendar has a session, or the weekday is not in use."""
        return np.asarray(~self._open(days).any(axis=0))

    def is_special(self, days: Days) -> Mask:
        """Mark the days on which the calendars may or may not have a session."""
        return np.isin(days, np.concatenate([days[:0], *map(special_days, self.calendars)]))

    def between(self, first: np.datetime64, last: np.datetime64) -> Days:
        """Return the sessions from `first` to `last`, both included; the array is shared."""
        return _between(self, first, last)

    def facts(self) -> dict[str, list[str] | list[bool]]:
        """Return the values to store in a sidecar, which saves reading the dates again."""
        return {"calendars": list(self.calendars), "weekdays": list(self.weekdays)}

    @classmethod
    def noted(cls, facts: Any) -> Schedule | None:
        """Read a schedule from unchecked values of a sidecar; None if invalid."""
        try:
            found = cls(tuple(facts["calendars"]), tuple(facts["weekdays"]))
            is_known = set(found.calendars) <= set(calendar_table().names)
        except (TypeError, KeyError):
            return None
        is_week = len(found.weekdays) == 7 and all(isinstance(day, bool) for day in found.weekdays)
        return found if is_known and is_week and any([*found.calendars, *found.weekdays]) else None


@lru_cache(maxsize=64)  # many series begin and end on the same days
def _between(schedule: Schedule, first: np.datetime64, last: np.datetime64) -> Days:
    if len(schedule.calendars) == 1:
        sessions = sessions_of(schedule.calendars[0])
        if sessions[0] <= first and last <= sessions[-1]:
            return sessions[slice(*np.searchsorted(sessions, [first, last + DAY]))]
    days = np.arange(first, last + DAY)
    found: Days = days[schedule.is_session(days)]
    found.flags.writeable = False
    return found


def is_open(calendar: str, days: Days) -> Mask:
    """Mark the days on which a calendar has a session.

    Outside the recorded years, the weekdays of the nearest sessions are used.
    """
    sessions = sessions_of(calendar)
    found = is_among(days, sessions)
    # The last recorded year is complete, though some holidays may be missing.
    end = (sessions[-1].astype("datetime64[Y]") + 1).astype("datetime64[D]") - DAY
    for outside, nearest in (
        (days > max(known_until(calendar), end), sessions[-60:]),
        (days < sessions[0], sessions[:60]),
    ):
        if outside.any():
            found[outside] = np.isin(weekday_of(days[outside]), weekday_of(nearest))
    return found


def is_among(some: NDArray[Any], days: Days) -> Mask:
    """Mark the days of `some` that are among the sorted `days`; faster than `np.isin`."""
    at = np.minimum(np.searchsorted(days, some), days.size - 1)
    return np.asarray(days[at] == some)


def library_sessions(calendar: str) -> tuple[Days, np.datetime64] | None:
    """Return the sessions of the installed library and the last day they cover.

    Returns None if the library cannot build the calendar (see `library_calendar`).
    """
    known = library_calendar(calendar)
    if known is None:
        return None
    low, high = known.bound_min(), known.bound_max()  # bounds of the recorded years
    first = str(FIRST_TRUSTED) if low is None else max(str(FIRST_TRUSTED), f"{low:%Y-%m-%d}")
    last = str(LAST_KNOWN) if high is None else min(str(LAST_KNOWN), f"{high:%Y-%m-%d}")
    found = library_calendar(calendar, start=first, end=last)
    if found is None:
        return None
    return found.sessions.to_numpy().astype("datetime64[D]"), np.datetime64(last, "D")


@cache
def library_calendar(name: str, **span: str) -> Any:
    """Return a calendar of the installed exchange_calendars, with hours, or None.

    The library raises ValueError outside the recorded years, and for XTAE under pandas 3. It raises
    NotImplementedError for ASEX, XBEL, XBSE and XCYS under pandas 3.
    """
    # The lock is needed because warning filters are global to the process, and so that workers do
    # not each build a calendar. The filter hides pandas deprecation warnings.
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        try:
            return exchange_calendars.get_calendar(name, **span)
        except (ValueError, NotImplementedError):
            return None


@cache
def _sessions(calendar: str) -> tuple[Days, np.datetime64]:
    """Return the table's sessions, or the library's if it knows later ones."""
    table = calendar_table()
    row = table.row(calendar)
    days = FIRST_TRUSTED + np.flatnonzero(table.is_session[row])
    until = table.known_until[row]
    if until < LAST_KNOWN and _library_is_another():
        newer = library_sessions(calendar)
        # LAST_KNOWN as the end proves nothing: holidays not yet announced are missing before it.
        if newer is not None and until < newer[1] < LAST_KNOWN:
            days, until = newer
    days.flags.writeable = False
    return days, until


@cache
def _library_is_another() -> bool:
    """Return whether the installed library's version differs from the table's."""
    with np.load(TABLE, allow_pickle=False) as stored:
        written_with = str(stored["version"])
    try:
        return version("exchange_calendars") != written_with
    except PackageNotFoundError:
        return False


def _is_new_year(days: Days) -> Mask:
    return np.asarray(days == days.astype("datetime64[Y]").astype("datetime64[D]"))


def zone_of(name: str) -> ZoneInfo | None:
    """Return the time zone with a name, None for an unknown name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def drop_unfinished(
    frame: pd.DataFrame,
    symbol: str,
    interval: str,
    time_zone: str,
    now: datetime,
    market_time: datetime | None = None,
) -> pd.DataFrame:
    """Return the bars that are final at `now`, without unfinished ones at the end.

    If the feed's last trade is earlier than the close of the last session, the last bar may cover
    only part of that session. It is dropped until the next session opens, because until then a
    share that simply did not trade later looks the same.

    frame : indexed by session date, oldest first; weeks and months are dated by their first day.
    time_zone : time zone of the exchange; UTC if empty or unknown.
    now, market_time : current time and time of the feed's last trade, zone-aware; market_time is
        None if unknown.
    """
    zone, rows = zone_of(time_zone) or ZoneInfo("UTC"), len(frame)
    while rows and not is_over(frame.index[rows - 1].date(), symbol, interval, zone, now):
        rows -= 1
    calendar = calendar_of(symbol)
    if rows and market_time and calendar:
        last: date = frame.index[rows - 1].date()
        if interval != "1d":
            sessions, end = sessions_of(calendar), np.datetime64(_day_after(last, interval), "D")
            last = sessions[np.searchsorted(sessions, end) - 1].item()
        hours = _hours(calendar, last)
        if hours and market_time < hours[0] - LAST_TRADE and now < hours[1]:
            rows -= 1
    return frame.iloc[:rows]


def is_over(day: date, symbol: str, interval: str, zone: ZoneInfo, now: datetime) -> bool:
    """Return whether the bar of a day, or of the period that begins then, is final.

    A weekly or monthly bar is final once its period is over. A daily bar is final half an hour
    after the close of its exchange, also on half days; if the hours are unknown (Tel Aviv under
    pandas 3), it is final once the day is over there.
    """
    if now >= datetime.combine(_day_after(day, interval), time(), zone):
        return True
    if interval != "1d" or now.astimezone(zone).date() < day:
        return False
    hours = _hours(calendar_of(symbol), day)
    return hours is not None and now >= hours[0] + SETTLING


def _day_after(day: date, interval: str) -> date:
    """Return the day after the period of a bar."""
    if interval == "1mo":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "1wk" else 1)


@cache
def _all_closes(name: str) -> pd.Series[pd.Timestamp]:
    """Return the recorded closing times of an exchange's sessions in UTC."""
    import pandas as pd

    known = library_calendar(name)
    if known is None:
        return pd.Series(index=pd.DatetimeIndex([]), dtype="datetime64[s]")
    low = known.bound_min()
    first = str(FIRST_TRUSTED) if low is None else max(str(FIRST_TRUSTED), f"{low:%Y-%m-%d}")
    closes: pd.Series[pd.Timestamp] = (library_calendar(name, start=first) or known).closes
    return closes.dt.tz_convert(None)


def closes_of(calendar: str, days: Days) -> Days:
    """Return the closing times of days, (N,) datetime64[s] in UTC; NaT if unknown.

    Markets that never close end the day at midnight UTC.
    """
    if calendar.startswith("24/"):
        return np.asarray((days + DAY).astype("datetime64[s]"))
    return _all_closes(calendar).reindex(days).to_numpy().astype("datetime64[s]")


def _hours(name: str | None, day: date) -> tuple[datetime, datetime] | None:
    """Return the close of an exchange on a day and its next opening; None if unknown."""
    calendar = None if name is None or name.startswith("24/") else library_calendar(name)
    if calendar is None:
        return None
    try:
        following = calendar.next_session(str(day))
        return calendar.session_close(str(day)), calendar.session_open(following)
    except ValueError:  # not a session, or outside the recorded years
        return None
