"""Price tables: one symbol's bars, which `validate.py` checks once and all other code trusts.

The distance between bars, their weeks and months, and the dates that follow all come from the
dates: weekdays in use, the weekday of weekly bars, the day pattern of monthly ones (first, last,
first or last business day, or a fixed day of the month).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.errors import DataError, Failure
from lstmcli.printable import Note, at_line

if TYPE_CHECKING:  # lists of the store go without it
    import pandas as pd

PriceChoice = Literal["auto", "close", "adj_close"]

COLUMNS = ("Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits")
DAY = np.timedelta64(1, "D")
STORE = "store"  # the source of prices that were read from there
_RECENT = 250
MONTHS = {"1mo": 1, "3mo": 3, "6mo": 6, "1y": 12}
_AGREES = 0.9
_WORDS = {
    "1d": ("session", "daily"), "1wk": ("week", "weekly"), "1mo": ("month", "monthly"),
    "3mo": ("quarter", "quarterly"), "6mo": ("bar", "half-yearly"), "1y": ("year", "yearly"),
}  # fmt: skip
_FRIDAY, _SUNDAY = 4, 6


@dataclass(frozen=True)
class Bars:
    """N rows of one symbol on their way to a price table.

    days : (N,) datetime64[D].
    columns : name -> (N,) float64, NaN where there is no value.
    lines : (N,) line of each row in the source, for messages.
    from_feed : whether Yahoo sent the bars under that symbol.
    notes, cut, left_out, doubted : as in `Prices`, of the steps so far.
    """

    symbol: str
    source: str
    days: Days
    columns: dict[str, Floats]
    lines: Ints | None = None
    from_feed: bool = False
    notes: tuple[str, ...] = ()
    cut: date | None = None
    left_out: tuple[date, ...] = ()
    doubted: bool = False

    def where(self, row: int | None = None) -> str:
        """Return symbol and source, with the line of row number `row` where known."""
        place = f"{self.symbol}, {self.source}"
        return place if row is None or self.lines is None else at_line(place, self.lines[row])

    def keep(self, which: Mask | Ints) -> Bars:
        """Keep the rows of a mask, or in the order of an index."""
        if which.dtype == bool and which.all():
            return self
        columns = {name: values[which] for name, values in self.columns.items()}
        lines = None if self.lines is None else self.lines[which]
        return replace(self, days=self.days[which], columns=columns, lines=lines)

    def noted(self, *notes: str) -> Bars:
        """Return the same bars with further notes."""
        return replace(self, notes=(*self.notes, *notes)) if notes else self


@dataclass(frozen=True)
class Prices:
    """One symbol's bars, oldest first.

    frame : index `Date` of tz-naive midnights, strictly increasing; columns a subset of COLUMNS in
        that order, float64, `Close` always among them. Missing or bad optional values are NaN.
        After them own inputs: `column:NAME` as read, `symbol:NAME` as known at each close.
    interval : "1d", "1wk", "1mo", or a pandas frequency inferred from the dates.
    source : the file, "stdin" or "store".
    notes : one plain sentence for everything that was dropped, sorted or marked missing.
    cut : the day of an unusable row right before the first one here; None where there is none.
    left_out : the days of bars that were left out for an impossible close.
    doubted : whether opens, highs and lows were left out that have another basis than the closes.
    from_feed : whether Yahoo sent the bars under that symbol.
    currency : of the prices, as USD; "" where it is not known.
    """

    symbol: str
    frame: pd.DataFrame
    interval: str
    source: str
    notes: tuple[str, ...] = ()
    cut: date | None = None
    left_out: tuple[date, ...] = ()
    doubted: bool = False
    from_feed: bool = False
    currency: str = ""

    def named_notes(self) -> tuple[str, ...]:
        """Return the notes with the symbol in front, details and all."""
        return tuple(Note.of(self.symbol, note) for note in self.notes)


def price_column(columns: Container[str], price: PriceChoice, where: str = "") -> str:
    """Return the column to forecast: as chosen, else "Adj Close" if present, else "Close".

    Raises DataError when "adj_close" is asked for and there is none.
    """
    has_adjusted = "Adj Close" in columns
    if price == "adj_close" and not has_adjusted:
        step = 'Set data.price to "auto" or "close".'
        raise DataError("no Adj Close column", where=where, next_step=step)
    return "Adj Close" if has_adjusted and price != "close" else "Close"


def infer_interval(index: pd.DatetimeIndex | Days) -> str:
    """Return "1d", "1wk", "1mo", "3mo", "6mo", "1y" or, for another spacing, a word such as "14D".

    The median distance decides, so that holidays and gaps do not; fewer than three dates are "1d".
    """
    days = as_days(index)
    if days.size < 3:
        return "1d"
    gaps = np.diff(days)
    if 2 * np.count_nonzero(gaps < 2 * DAY) > gaps.size:
        return "1d"  # without a median, which takes longer
    gap = float(np.median(gaps / DAY))
    if gap < 2:
        return "1d"
    named = {"1wk": (6, 8), "1mo": (27, 32), "3mo": (88, 93), "6mo": (180, 185), "1y": (364, 367)}
    for word, (low, high) in named.items():
        if low <= gap <= high:
            return word
    return f"{round(gap)}D"


def unit_of(interval: str) -> str:
    """Return the word for the distance of two bars: "session", "week", ..., else "bar"."""
    return _WORDS.get(interval, ("bar",))[0]


def bars_of(interval: str) -> str:
    """Return bars in words: "daily bars", or "bars every 14 days" for an unnamed distance."""
    if interval in _WORDS:
        return f"{_WORDS[interval][1]} bars"
    return f"bars every {interval.rstrip('dD')} days"


def are_alike(one: str, other: str) -> bool:
    """Return whether two intervals are equal, or unnamed and within a fifth of each other.

    Bars on the 1st and the 15th of a month look like 15 or 16 days apart, as the median falls.
    """
    if "D" in one and "D" in other:
        days = [int(interval.rstrip("D")) for interval in (one, other)]
        return max(days) <= 1.2 * min(days)
    return one == other


def may_be(index: pd.DatetimeIndex | Days, interval: str) -> bool:
    """Return whether the dates are too few to exclude an interval.

    Of a few days in a row, most distances may be weekends and holidays.
    """
    days = as_days(index)
    if days.size < 3:
        return True
    return interval == "1d" and days.size < 10 and float(np.median(np.diff(days) / DAY)) < 5


def as_read(
    prices: Prices, interval: str | None, reader: str = "the model reads"
) -> Prices | Failure:
    """Return prices of an interval as they are, and a Failure in place of others.

    interval : None for any. reader : who expects it, with a verb. Prices whose few dates do not say
    how far apart they are count as of that interval.
    """
    if interval is None:
        return prices
    found = _interval(prices)
    if are_alike(found, interval):
        return prices
    if may_be(prices.frame.index, interval):  # type: ignore[arg-type]
        return replace(prices, interval=interval)
    error = DataError(
        "cannot use bars of another length",
        where=f"{prices.symbol} in {prices.source}",
        why=f"{reader} {bars_of(interval)}, {prices.symbol} has {bars_of(found)}",
        next_step=f"Give {bars_of(interval)} of it, or train a model on {bars_of(found)}.",
    )
    return Failure.of(prices.symbol, error)


def most_common_interval(loaded: Sequence[Prices]) -> str | None:
    """Return the interval that most series have, the first of several; None for no series."""
    found = [_interval(each) for each in loaded]
    counts = [sum(are_alike(each, other) for other in found) for each in found]
    return found[counts.index(max(counts))] if found else None


def _interval(prices: Prices) -> str:
    """Return the interval of the dates; of stored bars their folder's, unless far off."""
    if prices.source != STORE:
        return prices.interval
    found = infer_interval(prices.frame.index)  # type: ignore[arg-type]
    return prices.interval if len(prices.frame) < 10 or "D" in found else found


def as_days(index: pd.Index | Days) -> Days:
    """Return the dates as datetime64[D]."""
    return np.asarray(index).astype("datetime64[D]")


def repeats(values: NDArray[Any]) -> Mask:
    """Return which values (N,) are equal to the one before, or missing as that one is."""
    both_missing = np.isnan(values[1:]) & np.isnan(values[:-1])
    return np.append(False, (values[1:] == values[:-1]) | both_missing)[: values.size]


def dates_after(days: Days, n: int, interval: str) -> Days:
    """Return the n dates (n,) that continue the pattern of `days` (N,)."""
    if interval in MONTHS:
        return _monthly(days, n, MONTHS[interval])
    if interval == "1wk":
        # From the usual weekday: a last bar moved by a holiday does not move the ones after.
        monday = days[-1] - weekday_of(days[-1:])[0] * DAY
        return np.asarray(monday + (_usual(days[-52:]) + 7 * np.arange(1, n + 1)) * DAY)
    if interval == "1d":
        first = np.busday_offset(days[-1] + DAY, 0, roll="forward", weekmask=weekmask(days))
        return np.busday_offset(first, np.arange(n), weekmask=weekmask(days))
    step = int(interval.rstrip("dD"))
    return np.asarray(days[-1] + np.arange(1, n + 1) * np.timedelta64(step, "D"))


def weekmask(days: Days) -> list[bool]:
    """Return which weekdays, Monday to Sunday, carry bars in the last 250 dates.

    Monday to Friday, with a weekend day added where it has half as many bars as other days (a few
    make-up sessions or misdated bars are not that), and a weekday left out only when 50 dates or
    more never show it.
    """
    recent = days[-_RECENT:]
    counts = np.bincount(weekday_of(recent), minlength=7)
    mask = [bool(count > 0 or (day < 5 and recent.size < 50)) for day, count in enumerate(counts)]
    for day in (5, 6):
        mask[day] = bool(counts[day] >= max(1, 0.5 * counts.max()))
    return mask


def weekday_of(days: Days) -> Ints:
    """Return the day of the week, 0 for Monday; 1970-01-01 was a Thursday."""
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _monthly(days: Days, n: int, step: int) -> Days:
    """Step by months, to the first or last (business) day or the fixed day that dates fall on."""
    import pandas as pd
    from pandas.tseries.offsets import BMonthBegin, BMonthEnd, MonthBegin, MonthEnd

    past = pd.DatetimeIndex(days[-36:])
    first = past[-1].to_period("M").to_timestamp()
    starts = pd.date_range(first, periods=n + 1, freq=f"{step}MS")[1:]
    for pattern in (MonthBegin(), MonthEnd(), BMonthBegin(), BMonthEnd()):
        if np.mean([pattern.is_on_offset(day) for day in past]) >= _AGREES:
            return as_days(pd.DatetimeIndex([pattern.rollforward(day) for day in starts]))
    usual = past.day.max()
    if np.mean(past.day == np.minimum(usual, past.days_in_month)) < _AGREES:
        usual = past.day[-1]
    within = np.minimum(usual, starts.days_in_month.to_numpy()) - 1
    return np.asarray(as_days(starts) + within * DAY)


def period_of(days: Days, interval: str) -> Ints:
    """Return the number of the week or month that each bar of a series stands for.

    Weeks run from Monday to Sunday, or from Sunday where most bars are dated on Sundays.
    """
    if interval == "1mo":
        return days.astype("datetime64[M]").astype(np.int64)
    return (days.astype(np.int64) + 3 + _shift(days)) // 7


def first_days(periods: Ints, days: Days, interval: str) -> Days:
    """Return the first days of the periods of a series with dates `days`."""
    if interval == "1mo":
        return periods.astype("datetime64[M]").astype("datetime64[D]")
    return (periods * 7 - 3 - _shift(days)).astype("datetime64[D]")


def latest_date(today: date, interval: str) -> np.datetime64:
    """Return the latest date that a bar may have: tomorrow, or the last of the running period."""
    day = np.datetime64(today, "D")
    if interval == "1mo":
        return max(day + DAY, period_end(np.array([day]), interval)[0])
    if interval in MONTHS:
        month = np.array([day]).astype("datetime64[M]") + np.timedelta64(MONTHS[interval], "M")
        last: Days = np.subtract(month.astype("datetime64[D]"), DAY)
        return max(day + DAY, last[0])
    # A week may be dated by the Sunday that ends it.
    return day + DAY * max(1, _SUNDAY - today.weekday() if interval == "1wk" else 1)


def period_end(days: Days, interval: str) -> Days:
    """Return the last day of each bar's period."""
    if interval == "1mo":
        first = (days.astype("datetime64[M]") + np.timedelta64(1, "M")).astype("datetime64[D]")
        return np.asarray(np.subtract(first, DAY))
    usual = _usual(days)
    length = usual if _FRIDAY <= usual < _SUNDAY else 6
    return first_days(period_of(days, interval), days, interval) + length * DAY


def _shift(days: Days) -> int:
    """Return 1 where weeks begin on Sunday, else 0."""
    return int(_usual(days) == _SUNDAY)


def _usual(days: Days) -> int:
    """Return the weekday on which most bars are dated."""
    return int(np.bincount(weekday_of(days), minlength=7).argmax())
