"""Which exchange a symbol trades on, and the days on which that exchange is open.

The sessions come from `sessions.npz`, a table of all the calendars that exchange_calendars has,
written by tests/calendar_table.py: making them takes the library some 15 s, importing it 0.5 s, and
five of them, Tel Aviv's among them, cannot be made under pandas 3. Measured against the S&P 500's
own dates, New York's calendar is exact from 1970 on and lacks about ten holidays a year before, so
nothing earlier is believed. `exchanges.csv` has the time zone of each calendar, and the suffixes
of its symbols and the indices at Yahoo.
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
SETTLING = timedelta(minutes=30)  # quotes lag by up to 20 minutes, and closing auctions take some
LAST_TRADE = timedelta(minutes=1)  # before the close, of shares that trade up to it
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
# Days on which Bombay met although its calendar has a holiday or a weekend, mostly an hour's
# Muhurat session on the evening of Diwali: some histories have a bar for them, others none. Those
# on weekdays are from pandas_market_calendars. On 2026-01-15 it was closed for elections.
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
    """Return the exchange_calendars name for a symbol; None where its form names no exchange."""
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
    """Return the calendar that a symbol names by itself; a bare word names one only from Yahoo."""
    is_word = _US_SHARE.fullmatch(symbol.upper()) is not None
    return None if is_word and not from_feed else calendar_of(symbol)


@dataclass(frozen=True)
class CalendarTable:
    """All calendars, one row each, from FIRST_TRUSTED to LAST_KNOWN, one column a day.

    first : the first session recorded. known_until : the last day whose holidays are known; later
    sessions may lack those that are announced year by year, or all of them.
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
    """Return the table that ships, with the two calendars that belong to no exchange."""
    with np.load(TABLE, allow_pickle=False) as stored:
        n_days = int((LAST_KNOWN - FIRST_TRUSTED).astype(int)) + 1
        exchanges = np.unpackbits(stored["sessions"], axis=1, count=n_days).astype(bool)
        names, first, until = stored["names"], stored["first"], stored["known_until"]
    every_day = np.arange(FIRST_TRUSTED, LAST_KNOWN + DAY)
    # Currencies rest on Christmas and New Year's Day.
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
    """Return a calendar's sessions from FIRST_TRUSTED to LAST_KNOWN, as far as they are recorded.

    Half days are sessions. Treat the array as constant: it is shared.
    """
    return _sessions(calendar)[0]


def known_until(calendar: str) -> np.datetime64:
    """Return the last day for which a calendar's holidays are known."""
    return _sessions(calendar)[1]


@cache
def special_days(calendar: str) -> Days:
    """Return the days with a session that a calendar does not know for sure."""
    return np.array(_SPECIAL.get(calendar, "").split(), dtype="datetime64[D]")


@dataclass(frozen=True)
class Schedule:
    """The days on which a series trades.

    calendars : those that its dates follow; none for weekdays.
    weekdays : Monday to Sunday, which of them carry bars where no calendar fits.
    note : why weekdays are taken, "" where nothing needs to be said.
    possible : calendars that no bar contradicts, where none fits.
    """

    calendars: tuple[str, ...]
    weekdays: tuple[bool, ...] = (True,) * 5 + (False,) * 2
    note: str = ""
    possible: tuple[str, ...] = ()

    @property
    def known_from(self) -> np.datetime64:
        """Return the first day that all calendars know; there is none for weekdays."""
        table = calendar_table()
        return max((table.first[table.row(name)] for name in self.calendars), default=LAST_KNOWN)

    @property
    def known_until(self) -> np.datetime64:
        """Return the last day whose holidays all calendars know; there is none for weekdays."""
        return min(map(known_until, self.calendars), default=FIRST_TRUSTED)

    def _open(self, days: Days) -> Mask:
        """Return for each calendar which days it has (K, N); without one those of the weekdays."""
        by_calendar = [is_open(name, days) for name in self.calendars]
        return np.array(by_calendar or [np.array(self.weekdays)[weekday_of(days)]])

    def is_session(self, days: Days) -> Mask:
        """Return for each day whether all calendars have a session, or the weekday is in use."""
        return np.asarray(self._open(days).all(axis=0))

    def is_closed(self, days: Days) -> Mask:
        """Return for each day whether no calendar has a session, or the weekday is not in use."""
        return np.asarray(~self._open(days).any(axis=0))

    def is_special(self, days: Days) -> Mask:
        """Return for each day whether the calendars leave it open if there was a session."""
        return np.isin(days, np.concatenate([days[:0], *map(special_days, self.calendars)]))

    def between(self, first: np.datetime64, last: np.datetime64) -> Days:
        """Return the sessions from `first` to `last`, both included; the array is shared."""
        return _between(self, first, last)

    def facts(self) -> dict[str, list[str] | list[bool]]:
        """Return what a sidecar keeps, so that the dates need not be read for it again."""
        return {"calendars": list(self.calendars), "weekdays": list(self.weekdays)}

    @classmethod
    def noted(cls, facts: Any) -> Schedule | None:
        """Return the schedule of a sidecar, which may hold anything; None where it has none."""
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
    """Return for each day whether a calendar has a session.

    Outside of the years recorded, the weekdays of the nearest sessions are taken.
    """
    sessions = sessions_of(calendar)
    found = is_among(days, sessions)
    # The last year recorded is known as a whole, be it without some holidays.
    end = (sessions[-1].astype("datetime64[Y]") + 1).astype("datetime64[D]") - DAY
    for outside, nearest in (
        (days > max(known_until(calendar), end), sessions[-60:]),
        (days < sessions[0], sessions[:60]),
    ):
        if outside.any():
            found[outside] = np.isin(weekday_of(days[outside]), weekday_of(nearest))
    return found


def is_among(some: NDArray[Any], days: Days) -> Mask:
    """Return which of some days are among others, which are in order (`np.isin` sorts them)."""
    at = np.minimum(np.searchsorted(days, some), days.size - 1)
    return np.asarray(days[at] == some)


def library_sessions(calendar: str) -> tuple[Days, np.datetime64] | None:
    """Return what the installed exchange_calendars knows: sessions, and the day they end with.

    None where it cannot make the calendar (see `library_calendar`).
    """
    known = library_calendar(calendar)
    if known is None:
        return None
    low, high = known.bound_min(), known.bound_max()  # of the years that are recorded
    first = str(FIRST_TRUSTED) if low is None else max(str(FIRST_TRUSTED), f"{low:%Y-%m-%d}")
    last = str(LAST_KNOWN) if high is None else min(str(LAST_KNOWN), f"{high:%Y-%m-%d}")
    found = library_calendar(calendar, start=first, end=last)
    if found is None:
        return None
    return found.sessions.to_numpy().astype("datetime64[D]"), np.datetime64(last, "D")


@cache
def library_calendar(name: str, **span: str) -> Any:
    """Return a calendar of the installed exchange_calendars, with hours; None where it has none.

    It raises ValueError outside the years that are recorded, and for XTAE under pandas 3; and
    NotImplementedError for ASEX, XBEL, XBSE and XCYS under pandas 3.
    """
    # One at a time: the filters of warnings are the whole process's, and workers would each make
    # the calendar that the library keeps. It warns of pandas' deprecations.
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars

        try:
            return exchange_calendars.get_calendar(name, **span)
        except (ValueError, NotImplementedError):
            return None


@cache
def _sessions(calendar: str) -> tuple[Days, np.datetime64]:
    """Return the table's sessions, or the installed library's where that one has later ones."""
    table = calendar_table()
    row = table.row(calendar)
    days = FIRST_TRUSTED + np.flatnonzero(table.is_session[row])
    until = table.known_until[row]
    if until < LAST_KNOWN and _library_is_another():
        newer = library_sessions(calendar)
        # An end of LAST_KNOWN says nothing: holidays that are announced are missing before it.
        if newer is not None and until < newer[1] < LAST_KNOWN:
            days, until = newer
    days.flags.writeable = False
    return days, until


@cache
def _library_is_another() -> bool:
    """Return whether another exchange_calendars is installed than the table was written with."""
    with np.load(TABLE, allow_pickle=False) as stored:
        written_with = str(stored["version"])
    try:
        return version("exchange_calendars") != written_with
    except PackageNotFoundError:
        return False


def _is_new_year(days: Days) -> Mask:
    return np.asarray(days == days.astype("datetime64[Y]").astype("datetime64[D]"))


def zone_of(name: str) -> ZoneInfo | None:
    """Return the time zone of that name, None for an unknown name."""
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
    """Return the bars that are final at `now` (zone-aware), of a feed that sends open ones too.

    Where the feed's last trade lies before the close of a bar's last session, the bar is of half a
    session and waits for the next opening: until then a share without a later trade looks the same.

    frame : indexed by session date, oldest first; a week or month is dated by its first day.
    time_zone : of the exchange; UTC where it is empty or unknown.
    market_time : of the feed's last trade, zone-aware; None where it names none.
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
    """Return whether the bar of a day is final: of a week or month, once it is past.

    A daily bar is half an hour after its exchange's close, half days included; where the hours are
    not known (Tel Aviv under pandas 3), once its day is over there.
    """
    if now >= datetime.combine(_day_after(day, interval), time(), zone):
        return True
    if interval != "1d" or now.astimezone(zone).date() < day:
        return False
    hours = _hours(calendar_of(symbol), day)
    return hours is not None and now >= hours[0] + SETTLING


def _day_after(day: date, interval: str) -> date:
    """Return the day after the last day of a bar."""
    if interval == "1mo":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "1wk" else 1)


@cache
def _all_closes(name: str) -> pd.Series[pd.Timestamp]:
    """Return when each session of an exchange ends in UTC, as far as its hours are recorded."""
    import pandas as pd

    known = library_calendar(name)
    if known is None:
        return pd.Series(index=pd.DatetimeIndex([]), dtype="datetime64[s]")
    low = known.bound_min()
    first = str(FIRST_TRUSTED) if low is None else max(str(FIRST_TRUSTED), f"{low:%Y-%m-%d}")
    closes: pd.Series[pd.Timestamp] = (library_calendar(name, start=first) or known).closes
    return closes.dt.tz_convert(None)


def closes_of(calendar: str, days: Days) -> Days:
    """Return when the session of each day ends, (N,) datetime64[s] in UTC; NaT where unknown.

    Days that never close end with the day in UTC.
    """
    if calendar.startswith("24/"):
        return np.asarray((days + DAY).astype("datetime64[s]"))
    return _all_closes(calendar).reindex(days).to_numpy().astype("datetime64[s]")


def _hours(name: str | None, day: date) -> tuple[datetime, datetime] | None:
    """Return when an exchange closes on a day and next opens; None where that is not known."""
    calendar = None if name is None or name.startswith("24/") else library_calendar(name)
    if calendar is None:
        return None
    try:
        following = calendar.next_session(str(day))
        return calendar.session_close(str(day)), calendar.session_open(following)
    except ValueError:  # no session, or none that is recorded
        return None
