"""Which days a series trades on, decided by its symbol and by its own dates.

A symbol in Yahoo's notation (VOD.L, ^GSPC, BTC-USD, and AAPL where Yahoo sent the bars) has its
exchange's calendar, unless its dates contradict that, or follow another one without any exception
where Yahoo did not send them. Any other name is no evidence: its dates are
compared with every calendar there is, over the last years and outside of breaks that are longer
than any exchange keeps, which are holes in the data. A calendar fits where

- no bar is on a holiday,
- every session has a bar, and
- at least five of its holidays fall on days that would be sessions otherwise.

Bars on days of the week that the series does not use, such as a few Saturdays, are left out of it.
Where none fits, the one that differs least does, if bars are on at most one in twenty of its
holidays and at most half as many sessions as holidays have none, or a tenth of all sessions for New
York's where the name is a word such as AAPL. What differs is reported. Of several calendars only
the sessions that all share are taken, so that no date ahead is a holiday of the exchange, whichever
of them it is. Where no calendar fits, weekdays are taken, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.calendars import (
    FIRST_TRUSTED,
    LAST_KNOWN,
    Days,
    calendar_of,
    calendar_table,
    is_named_share,
    known_until,
    sessions_of,
    special_days,
)
from lstmcli.market.prices import DAY, weekday_of, weekmask

LONGEST_CLOSURE = 10  # weekdays, of any exchange since 1990 but Athens in 2015
FEWEST_HOLIDAYS = 5
MOST_HOLIDAYS = 26  # weekdays a year, of any exchange
TRADED_HOLIDAYS = 0.05  # at most, as a share of the holidays without a bar
MISSING_SESSIONS = 0.5  # the same
MISSING_OF_CLAIM = 0.1  # of the sessions
_JUDGED = np.timedelta64(4 * 366, "D")
_YEAR = np.timedelta64(366, "D")
_RECENT = 250
_DATES_THAT_ARE_SESSIONS = 0.97
_SESSIONS_THAT_HAVE_BARS = 0.90
_LONGEST_GAP = np.timedelta64(10, "D")
_WEEK = 7


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
        first = [table.first[table.row(name)] for name in self.calendars]
        return max(first, default=LAST_KNOWN)

    @property
    def known_until(self) -> np.datetime64:
        """Return the last day whose holidays all calendars know; there is none for weekdays."""
        return min(map(known_until, self.calendars), default=FIRST_TRUSTED)

    def is_session(self, days: Days) -> NDArray[np.bool_]:
        """Return for each day whether all calendars have a session, or the weekday is in use."""
        if not self.calendars:
            return np.array(self.weekdays)[weekday_of(days)]
        return np.asarray(np.all([_is_open(name, days) for name in self.calendars], axis=0))

    def is_closed(self, days: Days) -> NDArray[np.bool_]:
        """Return for each day whether no calendar has a session, or the weekday is not in use."""
        if not self.calendars:
            return ~self.is_session(days)
        return ~np.asarray(np.any([_is_open(name, days) for name in self.calendars], axis=0))

    def may_rest(self, days: Days) -> NDArray[np.bool_]:
        """Return for each day whether a possible calendar is closed or does not know the day."""
        found = np.full(days.size, not self.possible)
        table = calendar_table()
        for name in self.possible:
            known = (days >= table.first[table.row(name)]) & (days <= known_until(name))
            found |= ~known | ~_is_open(name, days)
        return found

    def explains(self, days: Days) -> bool:
        """Return whether one of the possible calendars is closed on all of these days."""
        return any(not _is_open(name, days).any() for name in self.possible)

    def is_special(self, days: Days) -> NDArray[np.bool_]:
        """Return for each day whether the calendars leave it open if there was a session."""
        special = [each for each in map(special_days, self.calendars) if each.size]
        return np.isin(days, np.concatenate(special)) if special else np.zeros(days.size, bool)

    def between(self, first: np.datetime64, last: np.datetime64) -> Days:
        """Return the sessions from `first` to `last`, both included; the array is shared."""
        return _between(self, first, last)

    def facts(self) -> dict[str, list[str] | list[bool]]:
        """Return what a sidecar keeps, so that the dates need not be read for it again."""
        return {"calendars": list(self.calendars), "weekdays": list(self.weekdays)}

    @classmethod
    def noted(cls, facts: object) -> Schedule | None:
        """Return the schedule of a sidecar, which may hold anything; None where it has none."""
        if not isinstance(facts, dict):
            return None
        names, weekdays = facts.get("calendars"), facts.get("weekdays")
        if not (isinstance(names, list) and isinstance(weekdays, list)):
            return None
        is_known = all(name in calendar_table().names for name in names)
        is_week = len(weekdays) == 7 and all(isinstance(each, bool) for each in weekdays)
        if not is_known or not is_week or not any([*names, *weekdays]):
            return None
        return cls(tuple(names), tuple(weekdays))


def schedule_of(days: Days, symbol: str, *, from_feed: bool = False) -> Schedule:
    """Return the schedule of a series with these dates, (N,) increasing, of daily bars.

    from_feed : whether Yahoo sent the bars under that symbol.
    """
    recent = days[days >= days[-1] - _JUDGED] if days.size else days
    own = own_calendar(symbol, from_feed=from_feed)
    claim = calendar_of(symbol) if own is None else None
    return _decide(recent.astype("datetime64[D]").tobytes(), own, claim, from_feed)


def own_calendar(symbol: str, *, from_feed: bool = False) -> str | None:
    """Return the calendar that a symbol names by itself; a bare word names one only from Yahoo."""
    return None if is_named_share(symbol) and not from_feed else calendar_of(symbol)


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


@lru_cache(maxsize=1024)  # many series have the same dates
def _decide(dates: bytes, own: str | None, claim: str | None, from_feed: bool) -> Schedule:
    days: Days = np.frombuffer(dates, dtype="datetime64[D]")
    differing = None if own is None else _differing(days[-_RECENT:], sessions_of(own))
    if own is not None and differing is not None and (from_feed or differing < FEWEST_HOLIDAYS):
        return Schedule((own,))
    in_use = tuple(weekmask(days)) if days.size else Schedule(()).weekdays
    if all(in_use) and own is None:
        return Schedule(("24/7",))
    fit = _fitting(days, claim)
    if own is not None and differing is not None and not fit.is_exact:
        return Schedule((own,))
    if fit.calendars:
        return Schedule(fit.calendars)
    if own is not None:
        why = f"the dates do not follow the calendar of {own}"
    elif fit.without < FEWEST_HOLIDAYS:
        why = "the dates hold too few holidays to tell the exchange"
    else:
        why = "no exchange's calendar fits the dates"
    return Schedule((), in_use, why, fit.possible)


@dataclass(frozen=True)
class _Fit:
    """Calendars that fit, and how many weekdays have no bar; the rest as for Schedule."""

    calendars: tuple[str, ...] = ()
    is_exact: bool = False
    without: int = 0
    possible: tuple[str, ...] = ()


def _fitting(days: Days, claim: str | None) -> _Fit:
    """Compare dates with all calendars; `claim` is the one that the series' name suggests."""
    days = days[(days >= FIRST_TRUSTED) & (days <= LAST_KNOWN)]
    if days.size < 2:
        return _Fit()
    table = calendar_table()
    begin = int(_column(days[:1])[0])
    span = np.arange(days[0], days[-1] + DAY)
    has_bar = np.zeros(span.size, dtype=bool)
    has_bar[_column(days) - begin] = True
    judged = ~_in_hole(days, span)
    is_session = table.is_session[:, begin : begin + span.size]
    rows = np.flatnonzero((table.first <= days[-1]) & (table.known_until >= days[0]))
    rows = rows[rows != table.row("24/7")]  # nothing contradicts it
    traded = has_bar & judged & np.array(weekmask(days))[weekday_of(span)]
    unsure = _unsure(rows, span)
    extra = np.count_nonzero(traded & ~is_session[rows] & ~unsure, axis=1)
    # This rules out most calendars, and leaves the rest of the work to be done for few.
    few = extra <= TRADED_HOLIDAYS * MOST_HOLIDAYS * (_JUDGED / _YEAR)
    rows, extra, unsure = rows[few], extra[few], unsure[few]
    missing, holidays = np.zeros(rows.size, int), np.zeros(rows.size, int)
    for number, row in enumerate(rows):
        sure = judged & ~unsure[number]
        missing[number] = np.count_nonzero(sure & is_session[row] & ~has_bar)
        is_holiday = _is_holiday(int(row), begin, span.size)
        holidays[number] = np.count_nonzero(sure & is_holiday & ~has_bar)
    enough = holidays >= FEWEST_HOLIDAYS
    differing = missing + extra
    fits = enough & (differing == 0)
    is_exact = bool(fits.any())
    names = np.array([table.names[row] for row in rows], dtype=object)
    if not is_exact:
        most = np.where(names == claim, MISSING_OF_CLAIM * days.size, MISSING_SESSIONS * holidays)
        nearly = enough & (extra <= TRADED_HOLIDAYS * holidays) & (missing <= most)
        fits = nearly & (differing == differing[nearly].min(initial=span.size))
    return _Fit(
        calendars=tuple(names[fits]),
        is_exact=is_exact,
        without=int(np.count_nonzero(judged & np.is_busday(span) & ~has_bar)),
        possible=tuple(names[extra == 0]),
    )


def _unsure(rows: NDArray[np.intp], span: Days) -> NDArray[np.bool_]:
    """Return for each calendar and day whether the calendar does not know the day."""
    table = calendar_table()
    unsure = np.zeros((rows.size, span.size), dtype=bool)
    for number, row in enumerate(rows):
        first, last = table.first[row], table.known_until[row]
        if first > span[0] or last < span[-1]:
            unsure[number] = (span < first) | (span > last)
        special = special_days(table.names[row])
        if special.size:
            unsure[number] |= np.isin(span, special)
    return unsure


def _is_holiday(row: int, begin: int, size: int) -> NDArray[np.bool_]:
    """Return for a range of columns whether a session would be due, but for a holiday.

    One is due where the week before or after has a session on the same day of the week: that holds
    through changes of the week, as from Sunday to Thursday to Monday to Friday.
    """
    week = calendar_table().is_session[row]
    padded = np.pad(week, _WEEK)[begin : begin + size + 2 * _WEEK]
    due = padded[: -2 * _WEEK] | padded[2 * _WEEK :]
    return np.asarray(due & ~padded[_WEEK:-_WEEK])


def _in_hole(days: Days, span: Days) -> NDArray[np.bool_]:
    """Return for each day of the span whether it is in a break longer than exchanges keep."""
    inside = np.zeros(span.size, dtype=bool)
    absent = np.busday_count(days[:-1] + DAY, days[1:])
    for at in np.flatnonzero(absent > LONGEST_CLOSURE):
        inside |= (span > days[at]) & (span < days[at + 1])
    return inside


def _is_open(calendar: str, days: Days) -> NDArray[np.bool_]:
    """Return for each day whether a calendar has a session.

    Outside of the years recorded, the weekdays of the nearest sessions are taken.
    """
    sessions = sessions_of(calendar)
    at = np.minimum(np.searchsorted(sessions, days), sessions.size - 1)
    found: NDArray[np.bool_] = sessions[at] == days
    for outside, nearest in (
        (days > _last_recorded(calendar), sessions[-60:]),
        (days < sessions[0], sessions[:60]),
    ):
        if outside.any():
            found[outside] = np.isin(weekday_of(days[outside]), weekday_of(nearest))
    return found


def _last_recorded(calendar: str) -> np.datetime64:
    """Return the last day of which a calendar says anything, be it without some holidays."""
    end = sessions_of(calendar)[-1].astype("datetime64[Y]") + np.timedelta64(1, "Y")
    return max(known_until(calendar), end.astype("datetime64[D]") - DAY)


def _differing(recent: Days, sessions: Days) -> int | None:
    """Return how many of the latest dates differ from a calendar's, None where it is not theirs."""
    recent = recent[(recent >= sessions[0]) & (recent <= sessions[-1])]
    if recent.size == 0:
        return None
    begin, end = np.searchsorted(sessions, recent[[0, -1]])
    # Only the span is compared: the whole calendar costs milliseconds for each of many series.
    span = sessions[begin : end + 1]
    extra = int(np.count_nonzero(~np.isin(recent, span)))
    missing = np.setdiff1d(span, recent, assume_unique=True)
    # A long hole says that data are missing, not that the exchange was closed each of those days.
    after = np.minimum(np.searchsorted(recent, missing), recent.size - 1)
    short = int(np.count_nonzero(recent[after] - recent[after - 1] <= _LONGEST_GAP))
    if extra > (1 - _DATES_THAT_ARE_SESSIONS) * recent.size:
        return None
    if recent.size < _SESSIONS_THAT_HAVE_BARS * (recent.size + short):
        return None
    return extra + short


def _column(days: Days) -> NDArray[np.int64]:
    """Return the columns of the table that belong to days."""
    return (days - FIRST_TRUSTED).astype(np.int64)
