"""Check raw bars: refuse, drop, mark as missing or note, and return a valid price table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Required, TypedDict

import numpy as np

from lstmcli.arrays import Floats, Mask
from lstmcli.errors import DataError
from lstmcli.market.bar_checks import note_jumps, usable_rows
from lstmcli.market.calendars import SETTLING, Schedule, closes_of
from lstmcli.market.prices import (
    COLUMNS,
    DAY,
    MONTHS,
    Bars,
    PriceChoice,
    Prices,
    as_days,
    infer_interval,
    latest_date,
    period_end,
    period_of,
    price_column,
    repeats,
)
from lstmcli.market.sessions import note_doubtful, note_odd_days, odd_days, schedule_for
from lstmcli.printable import Note, count_of

if TYPE_CHECKING:
    import pandas as pd

FIRST_DATE = np.datetime64("1678-01-01", "D")
MAX_NULL_SHARE = 0.05
LONG_GAP = np.timedelta64(120, "D")
LONG_STILL = 20  # last closes that are equal
_ACTIONS = ("Dividends", "Stock Splits")
_LONG = {"3mo": "quarter", "6mo": "half-year", "1y": "year"}
# Two bars of one period are closer than the shortest period is long: four-weekly bars look like
# monthly ones, and a month may have two of them.
_CLOSER = {"1wk": np.timedelta64(6, "D"), "1mo": np.timedelta64(27, "D")}


def bars_from_frame(
    frame: pd.DataFrame, symbol: str, source: str, *, from_feed: bool = False
) -> Bars:
    """Take COLUMNS from a frame with parsed dates in its index.

    A zone is dropped, not converted: the session is the local date.
    from_feed : whether Yahoo sent the bars under that symbol.
    """
    import pandas as pd

    days = as_days(pd.DatetimeIndex(frame.index).tz_localize(None))
    columns = {
        name: frame[name].to_numpy(dtype=np.float64) for name in COLUMNS if name in frame.columns
    }
    return Bars(symbol, source, days, columns, from_feed=from_feed)


class Checks(TypedDict, total=False):
    """Options of `check_bars` that every reader of prices passes on."""

    price: PriceChoice
    strict: bool
    today: Required[date]
    start: date | None
    end: date | None
    around: date | None


def check_bars(
    bars: Bars,
    *,
    price: PriceChoice = "auto",
    strict: bool = False,
    today: date,
    interval: str | None = None,
    start: date | None = None,
    end: date | None = None,
    around: date | None = None,
    mend: bool = False,
    unfinished: date | None = None,
) -> Prices:
    """Return the valid price table in bars with a Close; raise DataError where there is none.

    price : which column is forecast, as for `price_column`; it and Close must be right in every
        row, while bad values of the others are marked missing.
    strict : missing sessions and long gaps raise instead of being noted.
    today : dates after the day that follows it are refused.
    interval : that of the dates by default.
    start, end : the first and last day that count; rows outside are neither checked nor noted.
    around, mend : as for `usable_rows`.
    unfinished : date of a weekly or monthly bar that is kept although its period is not over.
    """
    if bars.days.size == 0:
        raise DataError("no rows", where=bars.where(), next_step="Give a file with prices in it.")
    _refuse_bad_dates(bars, interval, today)
    bars = _between(_order(bars), start, end)
    bars = drop_empty_columns(bars, ["Close"])
    column = price_column(bars.columns, price, bars.where())
    targets = list(dict.fromkeys(["Close", column]))
    bars = _drop_null_rows(bars, targets)
    interval = interval or infer_interval(bars.days)
    bars = _leave_out_unfinished(bars, interval, today, unfinished)
    if bars.days.size == 0:
        why = " ".join(bars.notes).rstrip(".")
        raise DataError("no finished bars", where=bars.where(), why=why)
    bars, odd = usable_rows(bars, targets, around=around, mend=mend)
    bars = _mark_missing(bars, targets, odd)
    bars = bars.noted(*note_jumps(bars, column, interval))
    if (count := count_equal_closes(bars.columns["Close"])) >= LONG_STILL:
        since = f"The last {count} closes are equal, since {bars.days[-count]}"
        bars = bars.noted(f"{since}: halted, pegged, or no longer updated.")
    bars = bars.noted(*_note_gaps(bars, interval, strict))
    facts = bars.source, bars.notes, bars.cut, bars.left_out, bars.doubted, bars.from_feed
    return Prices(bars.symbol, frame_of(bars), interval, *facts)


def frame_of(bars: Bars) -> pd.DataFrame:
    """Return bars as the table that `Prices` has, its values one array of (C, N)."""
    import pandas as pd

    names = [name for name in COLUMNS if name in bars.columns]
    names += [name for name in bars.columns if name not in COLUMNS]
    return pd.DataFrame(
        np.stack([bars.columns[name] for name in names]).T,
        index=pd.DatetimeIndex(bars.days.astype("datetime64[ns]"), name="Date"),
        columns=_labels(tuple(names)).view(),
        copy=False,
    )


@lru_cache(maxsize=64)  # to make labels takes longer than to make a frame of numbers
def _labels(names: tuple[str, ...]) -> pd.Index[str]:
    import pandas as pd

    return pd.Index(names)


def drop_empty_columns(bars: Bars, targets: Sequence[str]) -> Bars:
    """Drop the optional columns without any value, and note it."""
    empty = [
        name
        for name, values in bars.columns.items()
        if name not in targets and np.isnan(values[:1]).all() and np.isnan(values).all()
    ]
    if not empty:
        return bars
    columns = {name: values for name, values in bars.columns.items() if name not in empty}
    bars = replace(bars, columns=columns)
    return bars.noted(
        *(f"{name} had no values and was left out." for name in empty if name not in _ACTIONS)
    )


def _order(bars: Bars) -> Bars:
    """Sort by date and drop repeated rows; raise DataError for different rows of one date."""
    if np.any(bars.days[1:] < bars.days[:-1]):
        bars = bars.keep(np.argsort(bars.days, kind="stable")).noted("Sorted the rows by date.")
    repeated = repeats(bars.days)
    if not repeated.any():
        return bars
    wrong = np.flatnonzero(repeated & ~np.all([*map(repeats, bars.columns.values())], axis=0))
    if wrong.size:
        raise DataError(
            f"conflicting rows for {bars.days[wrong[0]]}",
            where=bars.where(wrong[0]),
            why="found rows with different values, expected one row a date",
            next_step="Keep one row a date. If a column says which series each row is of, pass "
            "--columns symbol=COLUMN.",
        )
    count = count_of(repeated.sum(), "row")
    return bars.keep(~repeated).noted(f"Dropped {count} that repeated another of the same date.")


def count_equal_closes(close: Floats) -> int:
    """Count how many of the last closes are equal: 1 where the last one differs from the others."""
    changes = np.flatnonzero(close[1:] != close[:-1])
    return close.size - (int(changes[-1]) + 1 if changes.size else 0)


def _refuse_bad_dates(bars: Bars, interval: str | None, today: date) -> None:
    """Raise DataError for a missing date and for one out of range or in the future."""
    latest = latest_date(today, "1d")
    if (bars.days > latest).any():
        known = np.unique(bars.days[~np.isnat(bars.days)])  # slow, as is to infer from it
        latest = latest_date(today, interval or infer_interval(known))
    wrong = np.flatnonzero(np.isnat(bars.days) | (bars.days > latest) | (bars.days < FIRST_DATE))
    if wrong.size:
        day = bars.days[wrong[0]]
        raise DataError(
            "missing date" if np.isnat(day) else "date out of range",
            where=bars.where(wrong[0]),
            why=f"found {day}, expected a date from {FIRST_DATE} to {latest}",
            next_step="Correct or remove the row.",
        )


def _between(bars: Bars, start: date | None, end: date | None) -> Bars:
    """Keep the rows from `start` to `end`, both included; raise DataError where none is left."""
    first, last = np.datetime64(start or date.min, "D"), np.datetime64(end or date.max, "D")
    kept = (bars.days >= first) & (bars.days <= last)
    if kept.any():
        return bars.keep(kept)
    asked = {"start": start, "end": end}
    raise DataError(
        "no rows in the range",
        where=bars.where(),
        why=" and ".join(f"data.{name} is {day}" for name, day in asked.items() if day)
        + f", the rows run from {bars.days[0]} to {bars.days[-1]}",
        next_step="Change data.start or data.end.",
    )


def _drop_null_rows(bars: Bars, targets: Sequence[str]) -> Bars:
    """Drop the rows without a price; raise DataError where they are all or more than 5 %."""
    null = np.any([np.isnan(bars.columns[name]) for name in targets], axis=0)
    count, total = int(null.sum()), bars.days.size
    if count == 0:
        return bars
    first = f"the first on {bars.days[null][0]}"
    if count > MAX_NULL_SHARE * total:
        raise DataError(
            "no prices" if count == total else "too many rows without a price",
            where=bars.where(),
            why=f"{count} of {count_of(total, 'row')} have no {' or '.join(targets)}, {first}; "
            "at most 5 % may",
            next_step="Mend the source or start later.",
        )
    return bars.keep(~null).noted(f"Dropped {count_of(count, 'row')} without a price, {first}.")


def _leave_out_unfinished(bars: Bars, interval: str, today: date, kept: date | None) -> Bars:
    """Leave out rows of a period that is not over, and second rows of a week or month that is.

    bars : oldest first. kept : date of a row that was stored as unfinished on purpose.
    A week is over after Sunday, or after its last day where most bars are dated on Fridays or
    Saturdays.
    """
    if bars.days.size == 0:
        return bars
    if interval in _LONG:
        return _leave_out_running(bars, interval, today)
    if interval not in _CLOSER:
        return bars
    days, period = bars.days, period_of(bars.days, interval)
    is_open = period_end(days, interval) >= np.datetime64(today, "D")
    is_open &= period == period[-1]
    if kept is not None:
        is_open &= days != np.datetime64(kept, "D")
    second = np.append(False, (np.diff(period) == 0) & (np.diff(days) < _CLOSER[interval]))
    second &= ~is_open
    word = {"1wk": "week", "1mo": "month"}[interval]
    bars = bars.keep(~(is_open | second))
    if is_open.any():
        shown = " and ".join(map(str, days[is_open]))
        bars = bars.noted(f"Left out the bar of {shown}: its {word} is not over.")
    if count := int(second.sum()):
        which = "a second bar" if count == 1 else f"{count} second bars"
        bars = bars.noted(f"Left out {which} of one {word}, the last of {days[second][-1]}.")
    return bars


def _leave_out_running(bars: Bars, interval: str, today: date) -> Bars:
    """Leave out bars of a quarter, half-year or year that is not over.

    They begin on their dates where most of these are firsts of months, and end on them else.
    """
    months = bars.days.astype("datetime64[M]")
    ends = bars.days
    if 2 * np.count_nonzero(months.astype("datetime64[D]") == ends) > ends.size:
        following = (months + np.timedelta64(MONTHS[interval], "M")).astype("datetime64[D]")
        ends = np.asarray(np.subtract(following, DAY))
    is_over = ends < np.datetime64(today, "D")
    if is_over.all():
        return bars
    shown = " and ".join(map(str, bars.days[~is_over]))
    return bars.keep(is_over).noted(
        f"Left out the bar of {shown}: its {_LONG[interval]} is not over."
    )


def note_last(prices: Prices, now: datetime, schedule: Schedule | None = None) -> str | None:
    """Say of the last daily bar that its session is not over, or may not be; None where it is.

    Every session is over when its day has passed in UTC.
    """
    last, moment = as_days(prices.frame.index)[-1:], np.datetime64(now.replace(tzinfo=None), "s")
    if prices.interval != "1d" or last[0] < moment.astype("datetime64[D]"):
        return None
    names = (schedule or schedule_for(prices)).calendars
    ends = np.array([closes_of(name, last)[0] for name in names], "datetime64[s]")
    if ends.size and (moment >= ends + np.timedelta64(SETTLING)).all():
        return None
    verb = "is not" if ends.size and (moment < ends).all() else "may not be"
    return f"the session of the last bar, {last[0]}, {verb} over: its close may change"


def _mark_missing(bars: Bars, targets: Sequence[str], odd: dict[str, Mask]) -> Bars:
    """Make optional values missing that are impossible or odd, with a note for each column.

    odd : by column, where it contradicts the rest of its bar; the note's details have the dates.
    """
    columns, notes = dict(bars.columns), []
    for name in [name for name in columns if name in COLUMNS and name not in targets]:
        values = columns[name]
        lowest, is_odd = values.min(), name in odd and odd[name].any()
        is_positive = lowest > 0 or (lowest == 0 and name in _ACTIONS)
        if is_positive and values.max() < np.inf and not is_odd:
            continue  # as nearly all
        bad = (values < 0 if name in _ACTIONS else values <= 0) | np.isinf(values)
        wrong = odd.get(name, np.zeros_like(bad)) & ~bad & ~np.isnan(values)
        columns[name] = np.where(bad | wrong, np.nan, values)
        kinds = {"impossible": bad & (values != 0), "contradicting the rest of the bar": wrong}
        if name not in _ACTIONS:
            kinds = {"zero": values == 0, "empty": np.isnan(values), **kinds}
        counts = {kind: np.count_nonzero(mask) for kind, mask in kinds.items() if mask.any()}
        if counts:
            detail = ", ".join(f"{count} {kind}" for kind, count in counts.items())
            days = ", ".join(map(str, bars.days[wrong]))
            missing = f"{name} is missing in {sum(counts.values())} of {values.size} rows"
            more = f"{name} contradicts the rest of its bar on {days}." if days else ""
            notes.append(Note(f"{missing} ({detail}).", more))
    kept = drop_empty_columns(replace(bars, columns=columns), targets).columns
    return replace(bars.noted(*notes), columns=kept)


def _note_gaps(bars: Bars, interval: str, strict: bool) -> list[str]:
    """Note missing sessions and bars without one; with `strict` raise DataError for them."""
    odd = odd_days(bars.days, bars.symbol, interval, from_feed=bars.from_feed)
    notes = note_odd_days(odd)
    gaps = np.diff(bars.days)
    if gaps.size and interval not in ("1d", "1wk", "1mo"):
        # Yearly bars are further apart than a long gap in others.
        limit, at = max(LONG_GAP, 3 * np.median(gaps)), int(np.argmax(gaps))
        if count := np.count_nonzero(gaps > limit):
            notes.append(
                f"{count_of(count, 'gap')} longer than {limit // DAY} days, the longest from "
                f"{bars.days[at]} to {bars.days[at + 1]} ({gaps[at] // DAY} days)."
            )
    if notes and strict:
        raise DataError(
            "missing sessions" if odd.missing or not odd.extra.size else "bars without a session",
            where=bars.where(),
            why=" ".join(notes).rstrip("."),
            next_step="Mend the series or leave out --strict.",
        )
    return notes + note_doubtful(odd)
