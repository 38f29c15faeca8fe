"""What a valid price table is: one symbol's bars, checked once (`validate.py`), trusted after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.intervals import as_days

Noted = tuple["Bars", list[str]]

FIRST_DATE = np.datetime64("1678-01-01", "D")
MAX_NULL_SHARE = 0.05


@dataclass(frozen=True)
class Bars:
    """N rows of one symbol on their way to a price table.

    days : (N,) datetime64[D].
    columns : name -> (N,) float64, NaN where there is no value.
    rows : (N,) position of each row in the raw table, for `line_of`.
    from_feed : whether Yahoo sent the bars under that symbol.
    """

    symbol: str
    source: str
    days: NDArray[np.datetime64]
    columns: dict[str, NDArray[np.float64]]
    rows: NDArray[np.int64]
    line_of: Callable[[int], int] | None = None
    from_feed: bool = False

    def where(self, row: int | None = None) -> str:
        """Symbol and source, with the line of row number `row` where it is known."""
        place = f"{self.symbol}, {self.source}"
        if row is None or self.line_of is None:
            return place
        return f"{place} line {self.line_of(int(self.rows[row]))}"

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Bars":
        """The rows of a mask, or in the order of an index."""
        columns = {name: values[which] for name, values in self.columns.items()}
        return replace(self, days=self.days[which], columns=columns, rows=self.rows[which])


def bars_from_frame(
    frame: pd.DataFrame,
    names: Sequence[str],
    symbol: str,
    source: str,
    line_of: Callable[[int], int] | None,
) -> Bars:
    """The columns called `names` of a frame whose dates are its index or its column `Date`.

    A zone is dropped, not converted: the session is the local date.
    """
    dates = pd.DatetimeIndex(frame["Date"] if "Date" in frame.columns else frame.index)
    days = as_days(dates.tz_localize(None))
    columns = {
        name: frame[name].to_numpy(dtype=np.float64) for name in names if name in frame.columns
    }
    return Bars(symbol, source, days, columns, np.arange(days.size), line_of)


def order_bars(bars: Bars) -> Noted:
    """Oldest first, every date once; contradictory bars of one date raise DataError."""
    notes = []
    if np.any(bars.days[1:] < bars.days[:-1]):
        bars = bars.keep(np.argsort(bars.days, kind="stable"))
        notes.append("Sorted the rows by date.")
    repeated = np.zeros(bars.days.size, dtype=bool)
    repeated[1:] = bars.days[1:] == bars.days[:-1]
    if not repeated.any():
        return bars, notes
    differs = np.zeros(bars.days.size, dtype=bool)
    for values in bars.columns.values():
        both_missing = np.isnan(values[1:]) & np.isnan(values[:-1])
        differs[1:] |= (values[1:] != values[:-1]) & ~both_missing
    wrong = np.flatnonzero(repeated & differs)
    if wrong.size:
        raise DataError(
            "contradictory rows for one date",
            where=bars.where(wrong[0]),
            why=f"{bars.days[wrong[0]]} has rows with different values",
            next_step="Keep one row a date; intraday bars and several symbols in one column of "
            "dates cannot be used.",
        )
    notes.append(f"Dropped {_rows(repeated.sum())} that repeated another of the same date.")
    return bars.keep(~repeated), notes


def refuse_bad_dates(bars: Bars, latest: np.datetime64) -> None:
    """Raise DataError for a missing date and for one after `latest` or out of range."""
    wrong = np.flatnonzero(np.isnat(bars.days) | (bars.days > latest) | (bars.days < FIRST_DATE))
    if wrong.size:
        day = bars.days[wrong[0]]
        raise DataError(
            "missing date" if np.isnat(day) else "date out of range",
            where=bars.where(wrong[0]),
            why=f"found {day}, expected a date from {FIRST_DATE} to {latest}",
            next_step="Correct or remove the row.",
        )


def drop_null_rows(bars: Bars, targets: Sequence[str]) -> Noted:
    """Without the rows that lack a price; DataError when they are all or more than 5 %."""
    null = np.zeros(bars.days.size, dtype=bool)
    for name in targets:
        null |= np.isnan(bars.columns[name])
    count, total = int(null.sum()), bars.days.size
    if count == 0:
        return bars, []
    if count > MAX_NULL_SHARE * total:
        raise DataError(
            "no prices" if count == total else "too many rows without a price",
            where=bars.where(),
            why=f"{count} of {_rows(total)} have no {' or '.join(targets)}, the first on "
            f"{bars.days[null][0]}; at most 5 % may",
            next_step="Mend the source or start later.",
        )
    note = f"Dropped {_rows(count)} without a price, the first on {bars.days[null][0]}."
    return bars.keep(~null), [note]


def between(bars: Bars, start: date | None, end: date | None) -> Bars:
    """The rows from `start` to `end`, both included; DataError where there is none."""
    if start is None and end is None:
        return bars
    kept = np.ones(bars.days.size, dtype=bool)
    if start is not None:
        kept &= bars.days >= np.datetime64(start, "D")
    if end is not None:
        kept &= bars.days <= np.datetime64(end, "D")
    if kept.any():
        return bars.keep(kept)
    raise DataError(
        "no rows in the range",
        where=bars.where(),
        why=f"data.start {start} to data.end {end}, the rows run from {bars.days[0]} to "
        f"{bars.days[-1]}",
        next_step="Change data.start or data.end.",
    )


def _rows(count: int | np.integer) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


COLUMNS = (
    "Open",
    "High",
    "Low",
    "Close",
    "Adj Close",
    "Volume",
    "Dividends",
    "Stock Splits",
)

PriceChoice = Literal["auto", "close", "adj_close"]


class Note(str):
    """A note with details for readers who ask for them: `--verbose` shows them after it."""

    details: str

    def __new__(cls, text: str, details: str = "") -> "Note":
        """Make a note; it is its text."""
        note = super().__new__(cls, text)
        note.details = details
        return note


@dataclass(frozen=True)
class Prices:
    """One symbol's bars, oldest first.

    frame : index `Date` of tz-naive midnights, strictly increasing; columns a subset of COLUMNS in
        that order, float64, `Close` always among them. Missing or bad optional values are NaN.
    interval : "1d", "1wk", "1mo", or a pandas frequency inferred from the dates.
    source : the file, "stdin" or "store".
    notes : one plain sentence for everything that was dropped, sorted or marked missing.
    cut : the day of an unusable row right before the first one here; None where there is none.
    left_out : the days of bars that were left out for an impossible close.
    doubted : whether opens, highs and lows were left out that have another basis than the closes.
    from_feed : whether Yahoo sent the bars under that symbol.
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

    def named_notes(self) -> tuple[str, ...]:
        """Return the notes with the symbol in front, details and all."""
        return tuple(
            Note(f"{self.symbol}: {note}", details and f"{self.symbol}: {details}")
            for note in self.notes
            for details in [getattr(note, "details", "")]
        )


def price_column(
    prices: Prices | pd.DataFrame | list[str], price: PriceChoice, *, where: str = ""
) -> str:
    """The column that is forecast: "Adj Close" where there is one, else "Close", unless chosen.

    Raises DataError when "adj_close" is asked for and there is none.
    """
    if isinstance(prices, Prices):
        where = where or f"{prices.symbol}, {prices.source}"
        prices = prices.frame
    has_adjusted = "Adj Close" in (prices if isinstance(prices, list) else prices.columns)
    if price == "adj_close" and not has_adjusted:
        raise DataError(
            "no Adj Close column",
            where=where,
            next_step='Set data.price to "auto" or "close".',
        )
    return "Adj Close" if has_adjusted and price != "close" else "Close"
