"""Convert time stamps to session dates, and combine intraday bars.

The daily bar of a feed begins at midnight of the exchange. For Frankfurt that is 23:00 UTC of the
day before (22:00 in summer), so dates taken literally would include Sundays and no Fridays. If no
symbol names the exchange, its zone is one in which the stamps are midnights or trading hours on
weekdays. If such zones give different dates, that is an error.
"""

from dataclasses import replace
from datetime import date, timedelta, timezone

import numpy as np

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.errors import DataError
from lstmcli.market.calendars import ZONES, calendar_of
from lstmcli.market.prices import MONTHS, Bars, infer_interval, repeats, weekday_of
from lstmcli.printable import at_line
from lstmcli.reading.dates import NO_OFFSET, Minutes, Stamps

NEW_YORK = "America/New_York"
_ON_SUNDAYS = ("Asia/Riyadh", "Asia/Tel_Aviv", "Asia/Dubai")
_TRADING = (7 * 60, 18 * 60)
_TRADING_NEW_YORK = (9 * 60, 16 * 60 + 30)
_EVENING, _LAST_HALF_HOUR = 20 * 60, 23 * 60 + 30
_MOST = 0.9
_FEW = 0.02
_ONE_HOUR = 60
_SEVERAL = 1.5  # bars per day from which on they count as intraday bars
_CUT = 0.5  # share of the usual number of bars below which a first or last session is incomplete


def refuse_mixed_offsets(stamps: Stamps, lines: Ints, where: str) -> None:
    """Raise DataError for the first line with an offset from another time zone.

    Offsets may differ by one hour, since winter and summer time do.
    """
    highest = np.maximum.accumulate(stamps.offsets)
    wrong = np.flatnonzero(highest - np.minimum.accumulate(stamps.offsets) > _ONE_HOUR)
    if wrong.size:
        raise DataError(
            "mixed time zones",
            where=at_line(where, lines[wrong[0]]),
            why="its UTC offset differs from earlier rows by more than one hour",
            next_step="Write all dates as YYYY-MM-DD.",
        )


def session_days(stamps: Stamps, filled: Mask, symbol: str, where: str) -> tuple[Days, list[str]]:
    """Return the session dates (N,), and a note if they differ from the text.

    filled : (N,) whether the series has values in a row; in a wide table the other rows may be
        stamps of another exchange.
    Raises DataError if the dates are ambiguous.
    """
    if not stamps.minutes.any() or not filled.any():
        return stamps.days, []
    seen = stamps.keep(np.flatnonzero(filled)[np.argsort(stamps.instants()[filled])])
    zone = _zone(seen, symbol, where)
    if zone is None:
        return stamps.days, []
    days = _in_zone(stamps.instants(), zone)[0]
    moved = np.flatnonzero((days != stamps.days) & filled)
    if moved.size == 0:
        return days, []
    last = int(moved[-1])
    example = f"{_shown(stamps, last)} is the session of {days[last]}"
    return days, [f"Dates are those of the time zone {zone}: {example}."]


def bars_within_days(stamps: Stamps) -> str:
    """Return the spacing of intraday bars, e.g. "5 min"; "" for daily or longer ones."""
    times = np.unique(stamps.instants())
    days = np.unique(stamps.days)
    if days.size == 0 or times.size < _SEVERAL * days.size:
        return ""
    apart = np.diff(times).astype(np.int64)
    minutes = int(np.median(apart[apart < 24 * 60]))
    return f"{minutes} min" if minutes % 60 else f"{minutes // 60} h"


def join_sessions(bars: Bars, stamps: Stamps, today: date) -> Bars:
    """Combine intraday bars (N,) into one bar per session, oldest first.

    The result has the first open, the highest high, the lowest low, the sums of volumes and
    dividends, and the last close and last value of any other column. The last session is left out
    if it is not over, and the first and last if less than half of their bars are present.
    bars : dated by session. stamps : (N,) their times.
    Raises DataError for conflicting bars of one time.
    """
    priced = ~np.isnan(bars.columns["Close"])
    if not priced.any():
        return bars
    bars, instants = bars.keep(priced), stamps.instants()[priced]
    order = np.lexsort((instants, bars.days))
    bars, instants = bars.keep(order), instants[order]
    again = repeats(instants) & repeats(bars.days)
    for values in bars.columns.values():
        if (differs := again & ~repeats(values)).any():
            row = int(np.argmax(differs))
            raise DataError(
                f"conflicting rows for {instants[row]}",
                where=bars.where(row),
                why="found rows with different values, expected one row per minute",
                next_step="Keep one of them.",
            )
    bars = bars.keep(~again)
    starts = np.flatnonzero(~repeats(bars.days))
    ends = np.append(starts[1:], bars.days.size)
    joined = {}
    for name, values in bars.columns.items():
        if name == "Open":
            joined[name] = values[starts]
        elif name in ("High", "Stock Splits"):
            joined[name] = np.fmax.reduceat(values, starts)
        elif name == "Low":
            joined[name] = np.fmin.reduceat(values, starts)
        elif name in ("Volume", "Dividends"):
            known = np.add.reduceat(~np.isnan(values), starts) > 0
            joined[name] = np.where(known, np.add.reduceat(np.nan_to_num(values), starts), np.nan)
        else:
            joined[name] = values[ends - 1]
    counts, days = ends - starts, bars.days[starts]
    whole = np.ones(days.size, dtype=bool)
    notes = [f"Combined {counts.sum():,} intraday bars into {days.size:,} sessions."]
    for at in (0, -1):
        if counts[at] < _CUT * np.median(counts):
            whole[at] = False
            notes.append(f"Left out the session of {days[at]}: the file has only part of it.")
    if days[-1] >= np.datetime64(today, "D"):
        whole[-1] = False
        notes.append(f"Left out the session of {days[-1]}: it may not be over.")
    lines = None if bars.lines is None else bars.lines[starts]
    return replace(bars, days=days, columns=joined, lines=lines).keep(whole).noted(*notes)


def _zone(seen: Stamps, symbol: str, where: str) -> str | None:
    """Find the time zone of the session dates; None to keep dates as written."""
    naive = bool((seen.offsets == NO_OFFSET).all())
    as_written = bool(((seen.minutes <= _EVENING) | (seen.minutes >= _LAST_HALF_HOUR)).all())
    if as_written and np.mean(seen.minutes == 0) >= _MOST:
        return None
    calendar = calendar_of(symbol)
    # DAX and BMW look like New York symbols too.
    is_certain = calendar in ZONES and (calendar != "XNYS" or symbol.startswith("^"))
    is_like_us = calendar == "XNYS" and symbol.isupper()
    # Without an offset, or with one other than UTC, the written date may be the local one.
    may_be_local = naive or (not is_certain and seen.offsets.any())
    if may_be_local and as_written and _is_week(seen.days):
        return None
    likely: dict[bytes, str] = {}
    possible: dict[bytes, str] = {}  # Tel Aviv's close on a Sunday may be Tokyo's midnight
    for zone in [ZONES[str(calendar)]] if is_certain else dict.fromkeys(ZONES.values()):
        days, minutes = _in_zone(seen.instants(), zone)
        # The last stamp may be the current time rather than midnight.
        is_midnight = not minutes[: max(1, minutes.size - 1)].any()
        if not is_midnight and (naive or not (is_certain or _is_trading(minutes, days))):
            continue
        in_new_york = zone == NEW_YORK and _within(minutes, _TRADING_NEW_YORK)
        if is_like_us and in_new_york and _is_week(days):
            return zone
        if _is_week(days) or (is_midnight and _is_week(days, zone)):
            likely.setdefault(days.tobytes(), zone)
        elif _is_week(days, zone):
            possible.setdefault(days.tobytes(), zone)
    found = likely or possible
    if len(found) == 1:
        return next(iter(found.values()))
    if not found and not is_certain and as_written and _is_week(seen.days):
        return None  # no pattern, e.g. times of intraday bars
    raise DataError(
        "cannot tell the session of a time stamp",
        where=where,
        why=f"found {_shown(seen, seen.days.size - 1)}, which may belong to that day or to "
        "the next",
        next_step="Write the dates as YYYY-MM-DD, or give the series the symbol of its exchange, "
        "such as NAME.DE=FILE.",
    )


def _in_zone(instants: Days, zone: str) -> tuple[Days, Minutes]:
    """Return local dates and minutes since the start of the day.

    Where a clock change skips midnight, the day starts at 01:00.
    """
    import pandas as pd

    index = pd.DatetimeIndex(instants.astype("datetime64[s]"), tz="UTC").tz_convert(zone)
    local = index.tz_localize(None).to_numpy()
    days = local.astype("datetime64[D]")
    minutes = (local - days).astype("timedelta64[m]").astype(np.int64)
    if (minutes == 60).any():
        before = (index - pd.Timedelta(minutes=1)).tz_localize(None).to_numpy()
        minutes[(minutes == 60) & (before.astype("datetime64[D]") < days)] = 0
    return days, minutes


def _is_trading(minutes: Minutes, days: Days) -> bool:
    """Return whether the times look like openings or closings, or ends of every day."""
    if _is_every_day(days):
        return _within(minutes, (_LAST_HALF_HOUR, 24 * 60))
    near = np.abs(minutes - np.median(minutes)) < 30
    return _within(minutes, _TRADING) and bool(near.mean() >= _MOST)


def _within(minutes: Minutes, span: tuple[int, int]) -> bool:
    return bool(((minutes == 0) | ((minutes >= span[0]) & (minutes < span[1]))).all())


def _is_week(days: Days, zone: str = "") -> bool:
    """Return whether dates are weekdays only, all days, or firsts of months."""
    share = _weekday_shares(days)
    if share[5] + share[6] <= _FEW or _is_every_day(days):
        return True
    if infer_interval(np.unique(days)) in MONTHS:
        return bool((days == days.astype("datetime64[M]").astype("datetime64[D]")).all())
    return zone in _ON_SUNDAYS and bool(share[5] <= _FEW)


def _is_every_day(days: Days) -> bool:
    return bool(_weekday_shares(days).min() >= 0.1)


def _weekday_shares(days: Days) -> Floats:
    """Return the share of each weekday (7,), starting on Monday."""
    return np.bincount(weekday_of(days), minlength=7) / max(1, days.size)


def _shown(stamps: Stamps, row: int) -> str:
    offset, minutes = int(stamps.offsets[row]), int(stamps.minutes[row])
    shown = f"{stamps.days[row]} {minutes // 60:02d}:{minutes % 60:02d}"
    if offset == NO_OFFSET:
        return shown
    return shown + (f"{timezone(timedelta(minutes=offset))}"[3:] or " UTC")
