"""Compare a price history with exchange sessions: odd days, future sessions, its age.

All commands use these functions, so that they report the same days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.calendars import (
    FIRST_TRUSTED,
    calendar_of,
    calendar_table,
    is_over,
    sessions_of,
    zone_of,
)
from lstmcli.market.intervals import (
    DAY,
    MONTHS,
    Days,
    as_days,
    dates_after,
    first_days,
    infer_interval,
    period_of,
    unit_of,
    weekday_of,
)
from lstmcli.market.schedule import (
    FEWEST_HOLIDAYS,
    LONGEST_CLOSURE,
    MOST_HOLIDAYS,
    Schedule,
    own_calendar,
    schedule_of,
)
from lstmcli.printable import first_few

if TYPE_CHECKING:
    import pandas as pd

    from lstmcli.market.prices import Prices

_HALF_YEAR, _YEAR = np.timedelta64(182, "D"), np.timedelta64(1, "Y")
_INDIA = "XBOM"
Mask = NDArray[np.bool_]
_STRAY = 0.02


@dataclass(frozen=True)
class OddDays:
    """What is odd about the dates of a history.

    missing : sessions without a bar in runs that no bar interrupts; for weekly and monthly bars the
        first days of weeks and months. unit : what they are, in the singular.
    extra : bars on days without a session, ascending.
    doubtful : how many weekdays have no bar, and may be holidays of an exchange that is not known.
    """

    missing: tuple[Days, ...] = ()
    extra: Days = field(default_factory=lambda: np.array([], dtype="datetime64[D]"))
    doubtful: int = 0
    unit: str = "weekday"


def schedule_for(prices: Prices) -> Schedule:
    """Return the schedule of a price table."""
    days = as_days(prices.frame.index)  # type: ignore[arg-type]
    return schedule_of(days, prices.symbol, from_feed=prices.from_feed)


def future_dates(prices: Prices, n: int, schedule: Schedule | None = None) -> Days:
    """Return the dates (n,) of the n bars after the last one.

    Daily bars take the sessions of the `schedule`, by default that of the prices; other intervals
    take their own steps.
    """
    if prices.interval != "1d":
        return dates_after(as_days(prices.frame.index), n, prices.interval)  # type: ignore[arg-type]
    last = _last_day(prices)
    # The longest closures take a third of a month; a week of one day is more than any has.
    following = (schedule or schedule_for(prices)).between(last + DAY, last + (7 * n + 60) * DAY)
    return following[:n]


def note_unknown(prices: Prices, dates: Days, schedule: Schedule | None = None) -> tuple[str, ...]:
    """Return notes on what is not known of the sessions up to the last of `dates`, as forecast.

    schedule : by default that of the prices.
    """
    if prices.interval != "1d" or not dates.size:
        return ()
    return _note_unknown(schedule or schedule_for(prices), _last_day(prices), dates[-1])


def _last_day(prices: Prices) -> np.datetime64:
    day: np.datetime64 = as_days(prices.frame.index.to_numpy()[-1:])[0]
    return day


@lru_cache(maxsize=64)  # many series end on the same day
def _note_unknown(schedule: Schedule, last: np.datetime64, end: np.datetime64) -> tuple[str, ...]:
    if not schedule.calendars:
        return (f"{schedule.note}: weekdays are taken, holidays are not known",)
    notes = []
    if end > schedule.known_until:
        notes.append(f"holidays after {schedule.known_until} are not known")
    ahead = np.arange(last + DAY, end + DAY)
    unsure = ahead[~schedule.is_session(ahead) & ~schedule.is_closed(ahead)]
    if unsure.size:
        names = first_few(schedule.calendars)
        notes.append(
            f"the dates fit {names}, not all of which trade on {first_few(unsure)}: left out"
        )
    if _INDIA in schedule.calendars and _has_diwali(ahead):
        notes.append("special sessions (Muhurat, on Diwali) are not known")
    return tuple(notes)


def odd_days(
    index: pd.DatetimeIndex | Days, symbol: str, interval: str, *, from_feed: bool = False
) -> OddDays:
    """Find the sessions without a bar, at any length, and the bars on days without a session.

    Where no calendar fits, weekdays without a bar may be holidays: they are doubtful, unless there
    are more in a row or in a year than any exchange has, or the calendars that no bar contradicts
    have sessions, or the series has bars at New Year and on Christmas and so keeps no holidays.
    """
    days = as_days(index)
    if days.size == 0 or interval not in ("1d", "1wk", "1mo"):
        return OddDays()
    if interval != "1d":
        own = own_calendar(symbol, from_feed=from_feed)
        return OddDays(_missing_periods(days, interval, own), unit=unit_of(interval))
    schedule = schedule_of(days, symbol, from_feed=from_feed)
    if not schedule.calendars:
        return _by_weekday(days, schedule, keeps_holidays=_keeps_holidays(days, schedule))
    first, last = max(days[0], schedule.known_from), min(days[-1], schedule.known_until)
    every = schedule.between(first, last)
    known = days[(days >= first) & (days <= last)]
    if known.size == days.size and np.array_equal(known, every):
        return OddDays()  # as nearly all are
    every = every[~schedule.is_special(every)]
    odd = OddDays(
        missing=_runs(np.setdiff1d(every, known, assume_unique=True), days),
        extra=known[schedule.is_closed(known) & ~schedule.is_special(known)],
    )
    before, after = (
        _by_weekday(part, schedule) for part in (days[days < first], days[days > last])
    )
    missing = (*before.missing, *odd.missing, *after.missing)
    extra = np.concatenate([before.extra, odd.extra, after.extra])
    return OddDays(missing, extra, unit="exchange session")


def missing_sessions(
    index: pd.DatetimeIndex | Days, symbol: str, interval: str = "1d", *, from_feed: bool = False
) -> Days:
    """Return the missing days of `odd_days`, ascending."""
    missing = odd_days(index, symbol, interval, from_feed=from_feed).missing
    return np.concatenate([as_days(index)[:0], *missing])


def note_odd_days(odd: OddDays) -> list[str]:
    """Return a sentence on the missing days, and one on the bars on days without a session."""
    notes = []
    if n := sum(run.size for run in odd.missing):
        verb = f"{odd.unit} is" if n == 1 else f"{odd.unit}s are"
        notes.append(f"{n} {verb} missing: {first_few(map(format_run, odd.missing))}.")
    if n := odd.extra.size:
        verb = "bar lies on a day" if n == 1 else "bars lie on days"
        notes.append(f"{n} {verb} without a session: {first_few(odd.extra)}.")
    return notes


def note_doubtful(odd: OddDays) -> list[str]:
    """Return a sentence on the weekdays that may be holidays or holes."""
    if not odd.doubtful:
        return []
    days = "weekday has" if odd.doubtful == 1 else "weekdays have"
    return [f"{odd.doubtful} {days} no bar and may be holidays: no exchange's calendar fits."]


def format_run(run: Days) -> str:
    """Return the first and last day of a run."""
    return str(run[0]) if run.size == 1 else f"{run[0]} to {run[-1]}"


def sessions_behind(last: date, schedule: Schedule, interval: str, today: date) -> int:
    """Return how many bars a history that ends at `last` lacks, complete before `today`.

    A week or month counts once it is over, whichever of its days its bar is dated by.
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
    """Count the bars after `last` that are final at `now`; None where no calendar tells."""
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


def _by_weekday(days: Days, schedule: Schedule, *, keeps_holidays: bool = True) -> OddDays:
    """Compare dates with the weekdays in use."""
    if days.size == 0:
        return OddDays()
    every = np.arange(days[0], days[-1] + DAY)
    every = every[np.array(schedule.weekdays)[weekday_of(every)]]
    missing = np.setdiff1d(every, days, assume_unique=True)
    runs, stray = _runs(missing, days), days[_is_stray(days, schedule)]
    if not keeps_holidays:
        return OddDays(runs, stray)
    # Holidays may lie in a hole too: most of its days decide.
    rests = [run for run in runs if 2 * np.count_nonzero(schedule.may_rest(run)) >= run.size]
    doubtful = np.concatenate([days[:0], *(run for run in rests if run.size <= LONGEST_CLOSURE)])
    if doubtful.size > FEWEST_HOLIDAYS + MOST_HOLIDAYS * (every.size / 261):
        return OddDays(runs, stray)
    holes = _runs(np.setdiff1d(missing, doubtful, assume_unique=True), days)
    return OddDays(holes, stray, 0 if schedule.explains(doubtful) else doubtful.size)


def _is_stray(days: Days, schedule: Schedule) -> NDArray[np.bool_]:
    """Return for each date whether its weekday has bars in less than half of the weeks around.

    So Saturdays of the times when exchanges met on them are none, nor a change of the week.
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


def _keeps_holidays(days: Days, schedule: Schedule) -> bool:
    """Return whether weekdays at New Year and Christmas, as exchanges keep them, have no bar."""
    years = np.arange(days[0].astype("datetime64[Y]"), days[-1].astype("datetime64[Y]") + _YEAR)
    new_year = np.isin(years.astype("datetime64[D]"), days)
    christmas = np.isin((years + _YEAR).astype("datetime64[D]") - 7 * DAY, days)
    is_plain = all(schedule.weekdays[:5]) and not any(schedule.weekdays[5:])
    return not (is_plain and new_year.any() and christmas.any())


def _missing_periods(days: Days, interval: str, own: str | None) -> tuple[Days, ...]:
    """Return the weeks or months without a bar, by their first days, in runs.

    Weeks in which the own exchange had no session are none, nor those in which any exchange had
    none where it is not known.
    """
    periods = period_of(days, interval)
    missing = np.setdiff1d(np.arange(periods[0], periods[-1] + 1), periods)
    starts = first_days(missing, days, interval)
    if interval == "1wk":
        starts = starts[_had_sessions(starts, own)]
    return _runs(starts, days)


def _had_sessions(starts: Days, own: str | None) -> NDArray[np.bool_]:
    """Return for each week whether the exchange had a session, or all that know that week had."""
    table = calendar_table()
    rows = np.arange(len(table.names)) if own is None else np.array([table.row(own)])
    ends = starts + 6 * DAY
    known = (table.first[rows, None] <= starts) & (table.known_until[rows, None] >= ends)
    columns = (starts[:, None] - FIRST_TRUSTED).astype(np.int64) + np.arange(7)
    columns = np.clip(columns, 0, table.is_session.shape[1] - 1)
    has_session = table.is_session[rows[:, None, None], columns].any(axis=2)
    return np.asarray((has_session | ~known).all(axis=0))


def _runs(missing: Days, days: Days) -> tuple[Days, ...]:
    """Return missing days in runs that no bar of `days` interrupts."""
    cuts = np.flatnonzero(np.diff(np.searchsorted(days, missing))) + 1
    return tuple(run for run in np.split(missing, cuts) if run.size)


def _has_diwali(days: Days) -> bool:
    """Return whether the days reach into the five weeks in which Diwali falls."""
    of_year = days - days.astype("datetime64[Y]").astype("datetime64[D]")
    return bool(((of_year >= 287 * DAY) & (of_year <= 324 * DAY)).any())


def closed_rows(days: Days, filled: Mask, symbol: str) -> Mask:
    """Mark the rows (N,) without values on days when the exchange of `symbol` is closed.

    days : (N,) in any order. filled : (N,) rows with values. Weekly bars leave out the weekdays
    that they are never dated by; monthly bars leave out none.
    """
    empty = ~filled
    if not empty.any() or not filled.any():
        return np.zeros(days.size, dtype=bool)
    dates = np.unique(days[filled])
    interval = infer_interval(dates)
    if interval == "1d":
        # A holiday before the first value or after the last is no session; a run of weekdays is.
        outside = ((days < dates[0]) | (days > dates[-1])) & np.is_busday(days)
        closed = empty & ~np.isin(days, missing_sessions(dates, symbol))
        return closed & ~outside if outside.sum() > LONGEST_CLOSURE else closed
    if interval != "1wk":
        return np.zeros(days.size, dtype=bool)
    unused = np.bincount(weekday_of(dates), minlength=7) <= _STRAY * dates.size
    return empty & unused[weekday_of(days)]
