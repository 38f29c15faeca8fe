"""Bars from the feed that are fit to be stored: finished, checked, in our own columns.

Every feed sends the bar of a session that is still open. A daily bar counts half an hour after its
exchange's close, half days included; where the exchange is not known, once its day is over there. A
week's and a month's bar count when they are past. Where the feed's last trade lies before the
close, its bar is of half a session and waits for the next opening: until then a share without a
later trade looks the same. An exchange without known hours (Tel Aviv under pandas 3) has no such
check.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from lstmcli.market.calendars import calendar_of, library_calendar, sessions_of, zone_of
from lstmcli.market.intervals import unit_of
from lstmcli.market.prices import COLUMNS
from lstmcli.market.throttle import Gate
from lstmcli.market.validate import bars_from_frame, check_bars
from lstmcli.market.yahoo import Interval, NothingInRange, fetch_bars
from lstmcli.printable import count_of

SETTLING = timedelta(minutes=30)  # quotes lag by up to 20 minutes, and closing auctions take some
LAST_TRADE = timedelta(minutes=1)  # before the close, of shares that trade up to it


@dataclass(frozen=True)
class Answer:
    """The feed's bars of one symbol.

    frame : all of COLUMNS by session date, oldest first; never empty.
    time_zone, currency : of the exchange, "" where the feed names none.
    partial : date of a bar that is kept although its session is still open.
    notes : one phrase for everything that was left out, marked missing or looks odd.
    behind : finished sessions after the last bar; 0 without a calendar.
    """

    frame: pd.DataFrame
    time_zone: str
    currency: str
    partial: str | None
    notes: tuple[str, ...]
    behind: int = 0


def fetch_answer(
    symbol: str,
    *,
    start: date | None,
    end: date | None,
    interval: Interval,
    time_zone: str,
    include_partial: bool,
    now: datetime,
    gate: Gate,
) -> Answer:
    """Fetch the bars from `start` to `end`, both included, as of `now`.

    Raises what `fetch_bars` and `check_bars` raise, and NothingInRange when the only bar is
    unfinished.
    """
    bars = fetch_bars(
        symbol, start=start, end=end, interval=interval, time_zone=time_zone, gate=gate
    )
    done = drop_unfinished(
        bars.frame,
        symbol=symbol,
        interval=interval,
        time_zone=bars.time_zone,
        now=now,
        market_time=bars.market_time,
    )
    partial = None if len(done) == len(bars.frame) else str(bars.frame.index[len(done)].date())
    frame = bars.frame if include_partial else done
    if frame.empty:
        found = f"only the unfinished bar of {partial}"
        raise NothingInRange(symbol, found, "Try again after the close.")
    checked = check_bars(
        bars_from_frame(frame, symbol, "Yahoo", from_feed=True),
        today=now.astimezone(zone_of(bars.time_zone) or UTC).date(),
        interval=interval,
        mend=True,
        unfinished=date.fromisoformat(partial) if include_partial and partial else None,
    )
    notes = []
    if bars.n_dropped:
        notes.append(f"{count_of(bars.n_dropped, 'row')} without a price left out")
    if partial:
        kept = "kept" if include_partial else "left out"
        notes.append(f"the unfinished bar of {partial} {kept}")
    notes += [note.rstrip(".") for note in checked.notes]
    last, zone, until = frame.index[-1].date(), bars.time_zone, now
    if end is not None:  # no bar is expected after that day
        until = min(now, datetime.combine(end + timedelta(days=1), time(), UTC))
    behind = bars_due(last, symbol=symbol, interval=interval, time_zone=zone, now=until) or 0
    if behind:
        notes.append(f"stale: the answer ends {last}, {count_of(behind, unit_of(interval))} ago")
    return Answer(
        frame=checked.frame.reindex(columns=list(COLUMNS)),
        time_zone=bars.time_zone,
        currency=bars.currency,
        partial=partial if include_partial else None,
        notes=tuple(notes),
        behind=behind,
    )


def drop_unfinished(
    frame: pd.DataFrame,
    *,
    symbol: str,
    interval: str,
    time_zone: str,
    now: datetime,
    market_time: datetime | None = None,
) -> pd.DataFrame:
    """Return the bars that are final at `now` (zone-aware).

    frame : indexed by session date, oldest first; a week or month is dated by its first day.
    time_zone : of the exchange; UTC where it is empty or unknown.
    market_time : of the feed's last trade, zone-aware; None where it names none.
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
    """Count the bars after `last` that are final at `now`; None without a calendar."""
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


def _is_over(day: date, symbol: str, interval: str, zone: ZoneInfo, now: datetime) -> bool:
    if now >= datetime.combine(_day_after(day, interval), time(), zone):
        return True
    if interval != "1d" or now.astimezone(zone).date() < day:
        return False
    close, _ = _hours(calendar_of(symbol), day)
    return close is not None and now >= close + SETTLING


def _is_half_made(
    day: date, symbol: str, interval: str, market_time: datetime, now: datetime
) -> bool:
    """Return whether the feed's last trade was before the close of the bar's last session.

    Not once the next session has opened: then there was no later trade.
    """
    calendar, last = calendar_of(symbol), day
    if interval != "1d":
        sessions = sessions_of(calendar) if calendar else np.array([], dtype="datetime64[D]")
        before = np.searchsorted(sessions, np.datetime64(_day_after(day, interval), "D"))
        last = sessions[before - 1].item() if before else day
    close, opens = _hours(calendar, last)
    if close is None or market_time >= close - LAST_TRADE:
        return False
    return opens is None or now < opens


def _day_after(day: date, interval: str) -> date:
    """Return the day after the last day of a bar."""
    if interval == "1mo":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "1wk" else 1)


def _hours(name: str | None, day: date) -> tuple[datetime | None, datetime | None]:
    """Return when an exchange closes on a day and next opens; None without a calendar."""
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
