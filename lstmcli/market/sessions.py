"""Infer the calendar of a series, its missing sessions and its future dates.

A symbol in Yahoo's notation (VOD.L, ^GSPC, BTC-USD; AAPL only if Yahoo sent the bars) gets the
calendar of its exchange, unless the dates contradict it or, for bars from other sources, follow
another calendar exactly. Other names prove nothing: their dates of the last years are compared with
all calendars. Breaks longer than any exchange's closure count as missing data and are ignored. A
calendar fits if

- no bar is on a holiday,
- every session has a bar, and
- at least five of its holidays fall on days that would otherwise be sessions.

Bars on unused days of the week, such as a few Saturdays, are ignored. If no calendar fits exactly,
the one with the fewest differences is used, provided that at most one in twenty of its holidays has
a bar and that the sessions without a bar are at most half as many as the holidays, or a tenth of
all sessions for New York if the name is a word such as AAPL. The differences are reported. If
several calendars fit, only their common sessions are used, so that no future date is a holiday of
any of them. If none fits, weekdays are used, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.arrays import Days, Mask
from lstmcli.market.calendars import (
    FIRST_TRUSTED,
    LAST_KNOWN,
    Schedule,
    calendar_of,
    calendar_table,
    is_among,
    is_open,
    is_over,
    known_until,
    own_calendar,
    sessions_of,
    special_days,
    zone_of,
)
from lstmcli.market.prices import (
    DAY,
    MONTHS,
    Prices,
    as_days,
    dates_after,
    first_days,
    infer_interval,
    period_of,
    unit_of,
    weekday_of,
    weekmask,
)
from lstmcli.printable import first_few

if TYPE_CHECKING:
    import pandas as pd

MOST_BEHIND = 3  # a stored series that lacks more finished bars is out of date
LONGEST_CLOSURE = 10  # weekdays; of all exchanges since 1990, except Athens in 2015
FEWEST_HOLIDAYS = 5
MOST_HOLIDAYS = 26  # weekdays per year, of any exchange
TRADED_HOLIDAYS = 0.05  # maximum, relative to the holidays without a bar
MISSING_SESSIONS = 0.5  # maximum, relative to the holidays without a bar
MISSING_OF_CLAIM = 0.1  # maximum, relative to the sessions, for the calendar that a name suggests
_JUDGED = np.timedelta64(4 * 366, "D")
_RECENT = 250
_DATES_THAT_ARE_SESSIONS = 0.97
_SESSIONS_THAT_HAVE_BARS = 0.90
_LONGEST_GAP = np.timedelta64(10, "D")
_HALF_YEAR, _YEAR = np.timedelta64(182, "D"), np.timedelta64(1, "Y")
_INDIA = "XBOM"
_STRAY = 0.02


def schedule_of(days: Days, symbol: str, *, from_feed: bool = False) -> Schedule:
    """Infer the schedule of a series of daily bars.

    days : (N,) dates, increasing.
    from_feed : whether the bars were downloaded from Yahoo under that symbol.
    """
    recent = days[days >= days[-1] - _JUDGED] if days.size else days
    own = own_calendar(symbol, from_feed=from_feed)
    claim = calendar_of(symbol) if own is None else None
    return _decide(recent.astype("datetime64[D]").tobytes(), own, claim, from_feed)


@lru_cache(maxsize=1024)  # many series have the same dates
def _decide(dates: bytes, own: str | None, claim: str | None, from_feed: bool) -> Schedule:
    days: Days = np.frombuffer(dates, dtype="datetime64[D]")
    differing = None if own is None else _differing(days[-_RECENT:], sessions_of(own))
    if own and differing is not None and (from_feed or differing < FEWEST_HOLIDAYS):
        return Schedule((own,))
    if days.size and all(weekmask(days)) and own is None:
        return Schedule(("24/7",))
    found, is_exact = _fitting(days, claim)
    if own and differing is not None and not is_exact:
        return Schedule((own,))
    if own and not found.calendars:
        return replace(found, note=f"the dates do not follow the calendar of {own}")
    return found


def _differing(recent: Days, sessions: Days) -> int | None:
    """Count the differences between dates and a calendar; None if it does not fit."""
    recent = recent[(recent >= sessions[0]) & (recent <= sessions[-1])]
    if recent.size == 0:
        return None
    begin, end = np.searchsorted(sessions, recent[[0, -1]])
    # Compare only the span of the dates: the whole calendar would cost milliseconds per series.
    span = sessions[begin : end + 1]
    extra = int(np.count_nonzero(~np.isin(recent, span)))
    missing = np.setdiff1d(span, recent, assume_unique=True)
    # A long hole means missing data, not that the exchange was closed on all of those days.
    after = np.minimum(np.searchsorted(recent, missing), recent.size - 1)
    short = int(np.count_nonzero(recent[after] - recent[after - 1] <= _LONGEST_GAP))
    if extra > (1 - _DATES_THAT_ARE_SESSIONS) * recent.size:
        return None
    if recent.size < _SESSIONS_THAT_HAVE_BARS * (recent.size + short):
        return None
    return extra + short


def _fitting(days: Days, claim: str | None) -> tuple[Schedule, bool]:
    """Return the calendars that fit the dates, and whether the fit is exact.

    claim : the calendar that the series' name suggests.
    """
    in_use = weekmask(days) if days.size else [*Schedule(()).weekdays]
    days = days[(days >= FIRST_TRUSTED) & (days <= LAST_KNOWN)]
    too_few = Schedule(
        (), tuple(in_use), "the dates have too few holidays to identify the exchange"
    )
    if days.size < 2:
        return too_few, False
    table, span = calendar_table(), np.arange(days[0], days[-1] + DAY)
    rows = np.flatnonzero((table.first <= days[-1]) & (table.known_until >= days[0]))
    rows = rows[rows != table.row("24/7")]  # it would always fit
    names = np.array([table.names[row] for row in rows], dtype=object)
    # A day counts as a holiday if the week before or after has a session on the same weekday. This
    # also works when an exchange moves its week, e.g. from Sunday-Thursday to Monday-Friday.
    columns = np.arange(span[0] - 7 * DAY, span[-1] + 8 * DAY) - FIRST_TRUSTED
    weeks = table.is_session.take(columns.astype(np.int64), axis=1, mode="clip")[rows]
    is_session = weeks[:, 7:-7]
    is_holiday = (weeks[:, :-14] | weeks[:, 14:]) & ~is_session
    has_bar = np.isin(span, days)
    # Breaks longer than any exchange's closure are missing data, not closed days.
    absent = np.append(0, np.busday_count(days[:-1] + DAY, days[1:]))
    judged = has_bar | (absent[np.searchsorted(days, span)] <= LONGEST_CLOSURE)
    sure = judged & (span >= table.first[rows, None]) & (span <= table.known_until[rows, None])
    for number, name in enumerate(names):
        if (special := special_days(name)).size:
            sure[number] &= ~np.isin(span, special)
    traded = has_bar & np.array(in_use)[weekday_of(span)]
    extra = np.count_nonzero(sure & traded & ~is_session, axis=1)
    missing = np.count_nonzero(sure & is_session & ~has_bar, axis=1)
    holidays = np.count_nonzero(sure & is_holiday & ~has_bar, axis=1)
    enough, differing = holidays >= FEWEST_HOLIDAYS, missing + extra
    fits = enough & (differing == 0)
    if is_exact := bool(fits.any()):
        return Schedule(tuple(names[fits])), is_exact
    most = np.where(names == claim, MISSING_OF_CLAIM * days.size, MISSING_SESSIONS * holidays)
    nearly = enough & (extra <= TRADED_HOLIDAYS * holidays) & (missing <= most)
    if nearly.any():
        return Schedule(tuple(names[nearly & (differing == differing[nearly].min())])), False
    possible = tuple(names[extra == 0])
    if np.count_nonzero(judged & np.is_busday(span) & ~has_bar) < FEWEST_HOLIDAYS:
        return replace(too_few, possible=possible), False
    return Schedule((), tuple(in_use), "no exchange's calendar fits the dates", possible), False


@dataclass(frozen=True)
class OddDays:
    """Missing and extra dates of a history.

    missing : runs of consecutive sessions without a bar; for weekly and monthly bars, the first
        days of the weeks or months. unit : the singular noun for them.
    extra : dates of bars on days without a session, ascending.
    doubtful : number of weekdays without a bar that may be holidays of an unknown exchange.
    """

    missing: tuple[Days, ...] = ()
    extra: Days = field(default_factory=lambda: np.array([], dtype="datetime64[D]"))
    doubtful: int = 0
    unit: str = "weekday"


def schedule_for(prices: Prices) -> Schedule:
    """Return the schedule of a price table."""
    return schedule_of(_days(prices), prices.symbol, from_feed=prices.from_feed)


def future_dates(prices: Prices, n: int, schedule: Schedule | None = None) -> Days:
    """Return the dates (n,) of the next n bars.

    schedule : sessions of daily bars, by default inferred from the prices. Other intervals continue
        the pattern of their dates.
    """
    days = _days(prices)
    if prices.interval != "1d":
        return dates_after(days, n, prices.interval)
    # Enough even for one session per week and the longest closure, a third of a month.
    end = days[-1] + (7 * n + 60) * DAY
    return (schedule or schedule_for(prices)).between(days[-1] + DAY, end)[:n]


def note_unknown(prices: Prices, dates: Days, schedule: Schedule | None = None) -> tuple[str, ...]:
    """Return notes on unknown holidays and sessions among the forecast `dates`."""
    if prices.interval != "1d" or not dates.size:
        return ()
    return _note_unknown(schedule or schedule_for(prices), _days(prices)[-1], dates[-1])


def _days(prices: Prices) -> Days:
    return as_days(prices.frame.index)


@lru_cache(maxsize=64)  # many series end on the same day
def _note_unknown(schedule: Schedule, last: np.datetime64, end: np.datetime64) -> tuple[str, ...]:
    if not schedule.calendars:
        return (f"{schedule.note}: weekdays are used, holidays are not known",)
    notes = []
    if end > schedule.known_until:
        notes.append(f"holidays after {schedule.known_until} are not known")
    ahead = np.arange(last + DAY, end + DAY)
    unsure = ahead[~schedule.is_session(ahead) & ~schedule.is_closed(ahead)]
    if unsure.size:
        names = first_few(schedule.calendars)
        left_out = f"which do not all trade on {first_few(unsure)}: left out"
        notes.append(f"the dates fit {names}, {left_out}")
    # Diwali falls within the five weeks from mid-October.
    of_year = ahead - ahead.astype("datetime64[Y]").astype("datetime64[D]")
    if _INDIA in schedule.calendars and ((of_year >= 287 * DAY) & (of_year <= 324 * DAY)).any():
        notes.append("special sessions (Muhurat, on Diwali) are not known")
    return tuple(notes)


def odd_days(
    index: pd.DatetimeIndex | Days, symbol: str, interval: str, *, from_feed: bool = False
) -> OddDays:
    """Find the sessions without a bar and the bars on days without a session.

    If no calendar fits, weekdays without a bar may be holidays and count as doubtful. They count as
    missing instead if there are more in a row or in a year than any exchange has, if all calendars
    that no bar contradicts have sessions on them, or if the series has bars on New Year's Day and
    Christmas and so keeps no holidays.
    """
    days = as_days(index)
    if days.size == 0 or interval not in ("1d", "1wk", "1mo"):
        return OddDays()
    if interval != "1d":
        own = own_calendar(symbol, from_feed=from_feed)
        return OddDays(_missing_periods(days, interval, own), unit=unit_of(interval))
    schedule = schedule_of(days, symbol, from_feed=from_feed)
    if not schedule.calendars:
        return _by_weekday(days, schedule)
    first, last = max(days[0], schedule.known_from), min(days[-1], schedule.known_until)
    every = schedule.between(first, last)
    known = days[(days >= first) & (days <= last)]
    if known.size == days.size and np.array_equal(known, every):
        return OddDays()  # the usual case
    every = every[~schedule.is_special(every)]
    missing = _runs(np.setdiff1d(every, known, assume_unique=True), days)
    extra = known[schedule.is_closed(known) & ~schedule.is_special(known)]
    before, after = (
        _by_weekday(each, schedule) for each in (days[days < first], days[days > last])
    )
    missing = (*before.missing, *missing, *after.missing)
    extra = np.concatenate([before.extra, extra, after.extra])
    return OddDays(missing, extra, unit="exchange session")


def missing_sessions(
    index: pd.DatetimeIndex | Days, symbol: str, interval: str = "1d", *, from_feed: bool = False
) -> Days:
    """Return the missing sessions that `odd_days` finds, ascending."""
    missing = odd_days(index, symbol, interval, from_feed=from_feed).missing
    return np.concatenate([as_days(index)[:0], *missing])


def note_odd_days(odd: OddDays) -> list[str]:
    """Return one sentence on missing sessions and one on extra bars, if there are any."""
    notes = []
    if n := sum(run.size for run in odd.missing):
        verb = f"{odd.unit} is" if n == 1 else f"{odd.unit}s are"
        notes.append(f"{n} {verb} missing: {first_few(map(format_run, odd.missing))}.")
    if n := odd.extra.size:
        verb = "bar lies on a day" if n == 1 else "bars lie on days"
        notes.append(f"{n} {verb} without a session: {first_few(odd.extra)}.")
    return notes


def note_doubtful(odd: OddDays) -> list[str]:
    """Return a sentence on weekdays that may be holidays or missing data."""
    if not odd.doubtful:
        return []
    days = "weekday has" if odd.doubtful == 1 else "weekdays have"
    return [f"{odd.doubtful} {days} no bar and may be holidays: no exchange's calendar fits."]


def format_run(run: Days) -> str:
    """Format the first and last day of a run."""
    return str(run[0]) if run.size == 1 else f"{run[0]} to {run[-1]}"


def sessions_behind(last: date, schedule: Schedule, interval: str, today: date) -> int:
    """Count the bars after `last` that were complete before `today`.

    A week or month counts once it is over, on whatever day its bar is dated.
    """
    if interval in MONTHS:
        months = (today.year - last.year) * 12 + today.month - last.month
        return max(0, months // MONTHS[interval] - 1)
    if interval != "1d":
        step = 7 if interval == "1wk" else int(interval.rstrip("dD"))
        return max(0, (today - last).days // step - 1)
    begin, end = np.datetime64(last, "D") + DAY, np.datetime64(today, "D")
    return schedule.between(begin, end - DAY).size


def bars_due(last: date, symbol: str, interval: str, time_zone: str, now: datetime) -> int | None:
    """Count the bars after `last` that are final at `now`; None without a calendar."""
    zone, calendar = zone_of(time_zone), calendar_of(symbol)
    if zone is None:
        return None
    today = now.astimezone(zone).date()
    if interval == "1d":
        if calendar is None or np.datetime64(last, "D") not in sessions_of(calendar):
            return None
        if is_over(today, symbol, interval, zone, now):
            today += timedelta(days=1)
    schedule = Schedule((calendar,) if calendar else ())
    return sessions_behind(last, schedule, interval, today)


def _by_weekday(days: Days, schedule: Schedule) -> OddDays:
    """Find missing and extra dates by the weekdays in use, without a calendar."""
    if days.size == 0:
        return OddDays()
    every = np.arange(days[0], days[-1] + DAY)
    every = every[np.array(schedule.weekdays)[weekday_of(every)]]
    missing = every[~is_among(every, days)]
    runs, stray = _runs(missing, days), days[_is_stray(days, schedule)]
    years = np.arange(days[0].astype("datetime64[Y]"), days[-1].astype("datetime64[Y]") + _YEAR)
    new_year = is_among(years.astype("datetime64[D]"), days)
    christmas = is_among((years + _YEAR).astype("datetime64[D]") - 7 * DAY, days)
    is_plain = all(schedule.weekdays[:5]) and not any(schedule.weekdays[5:])
    if is_plain and new_year.any() and christmas.any():
        return OddDays(runs, stray)  # the series keeps no holidays: all runs are missing data
    may_rest = np.full(missing.size, not schedule.possible)
    for name in schedule.possible:
        first = calendar_table().first[calendar_table().row(name)]
        known = (missing >= first) & (missing <= known_until(name))
        may_rest |= ~known | ~is_open(name, missing)
    # A hole may include holidays: the majority of its days decides.
    resting = missing[may_rest]
    rests = [run for run in runs if 2 * np.count_nonzero(np.isin(run, resting)) >= run.size]
    doubtful = np.concatenate([days[:0], *(run for run in rests if run.size <= LONGEST_CLOSURE)])
    if doubtful.size > FEWEST_HOLIDAYS + MOST_HOLIDAYS * (every.size / 261):
        return OddDays(runs, stray)
    holes = _runs(np.setdiff1d(missing, doubtful, assume_unique=True), days)
    is_explained = any(not is_open(name, doubtful).any() for name in schedule.possible)
    return OddDays(holes, stray, 0 if is_explained else doubtful.size)


def _is_stray(days: Days, schedule: Schedule) -> Mask:
    """Mark dates on weekdays that have bars in less than half of the weeks around.

    This excludes Saturdays from years with Saturday sessions, and changes of the trading week.
    """
    stray = ~np.array(schedule.weekdays)[weekday_of(days)]
    for weekday in np.unique(weekday_of(days[stray])):
        which = weekday_of(days) == weekday
        same = days[which]
        low, high = same - _HALF_YEAR, same + _HALF_YEAR
        count = np.searchsorted(same, high, side="right") - np.searchsorted(same, low)
        weeks = (np.minimum(high, days[-1]) - np.maximum(low, days[0])) / (7 * DAY)
        stray[which] = 2 * count < weeks
    return stray


def _missing_periods(days: Days, interval: str, own: str | None) -> tuple[Days, ...]:
    """Return runs of weeks or months without a bar, by their first days.

    Weeks without a session of the exchange are not missing. If the exchange is unknown, weeks in
    which any exchange had no session are not missing either.
    """
    periods = period_of(days, interval)
    missing = np.setdiff1d(np.arange(periods[0], periods[-1] + 1), periods)
    starts = first_days(missing, days, interval)
    if interval == "1wk":
        starts = starts[_had_sessions(starts, own)]
    return _runs(starts, days)


def _had_sessions(starts: Days, own: str | None) -> Mask:
    """Mark weeks in which the exchange, or all known exchanges, had a session."""
    table = calendar_table()
    rows = np.arange(len(table.names)) if own is None else np.array([table.row(own)])
    ends = starts + 6 * DAY
    known = (table.first[rows, None] <= starts) & (table.known_until[rows, None] >= ends)
    columns = (starts[:, None] - FIRST_TRUSTED).astype(np.int64) + np.arange(7)
    columns = np.clip(columns, 0, table.is_session.shape[1] - 1)
    has_session = table.is_session[rows[:, None, None], columns].any(axis=2)
    return np.asarray((has_session | ~known).all(axis=0))


def _runs(missing: Days, days: Days) -> tuple[Days, ...]:
    """Split missing days into runs between two bars of `days`."""
    cuts = np.flatnonzero(np.diff(np.searchsorted(days, missing))) + 1
    return tuple(run for run in np.split(missing, cuts) if run.size)


def closed_rows(days: Days, filled: Mask, symbol: str) -> Mask:
    """Mark the rows (N,) without values on days when the exchange is closed.

    For weekly bars these are the weekdays on which no bar is dated; for monthly bars there are
    none.
    days : (N,) in any order. filled : (N,) whether a row has values.
    """
    empty = ~filled
    if not empty.any() or not filled.any():
        return np.zeros(days.size, dtype=bool)
    dates = np.unique(days[filled])
    interval = infer_interval(dates)
    if interval == "1d":
        # Single days before the first value or after the last may be holidays; a long run of
        # weekdays is not.
        outside = ((days < dates[0]) | (days > dates[-1])) & np.is_busday(days)
        closed = empty & ~np.isin(days, missing_sessions(dates, symbol))
        return closed & ~outside if outside.sum() > LONGEST_CLOSURE else closed
    if interval != "1wk":
        return np.zeros(days.size, dtype=bool)
    unused = np.bincount(weekday_of(dates), minlength=7) <= _STRAY * dates.size
    return empty & unused[weekday_of(days)]
