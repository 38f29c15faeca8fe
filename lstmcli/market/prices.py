"""Price tables: one symbol's bars, which `validate.py` checks once and all other code trusts."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.errors import DataError


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
    days: NDArray[np.datetime64]
    columns: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64] | None = None
    from_feed: bool = False
    notes: tuple[str, ...] = ()
    cut: date | None = None
    left_out: tuple[date, ...] = ()
    doubted: bool = False

    def where(self, row: int | None = None) -> str:
        """Return symbol and source, with the line of row number `row` where known."""
        place = f"{self.symbol}, {self.source}"
        return place if row is None or self.lines is None else f"{place} line {self.lines[row]}"

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Bars":
        """Keep the rows of a mask, or in the order of an index."""
        if which.dtype == bool and which.all():
            return self
        columns = {name: values[which] for name, values in self.columns.items()}
        lines = None if self.lines is None else self.lines[which]
        return replace(self, days=self.days[which], columns=columns, lines=lines)

    def noted(self, *notes: str) -> "Bars":
        """Return the same bars with further notes."""
        return replace(self, notes=(*self.notes, *notes))


COLUMNS = ("Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits")

PriceChoice = Literal["auto", "close", "adj_close"]


class Note(str):
    """A note with details, which `--verbose` shows after it."""

    details: str

    def __new__(cls, text: str, details: str = "") -> "Note":
        """Make a note, which is its text."""
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
    """Return the column to forecast: as chosen, else "Adj Close" if present, else "Close".

    Raises DataError when "adj_close" is asked for and there is none.
    """
    if isinstance(prices, Prices):
        where = where or f"{prices.symbol}, {prices.source}"
        prices = prices.frame
    has_adjusted = "Adj Close" in (prices if isinstance(prices, list) else prices.columns)
    if price == "adj_close" and not has_adjusted:
        raise DataError(
            "no Adj Close column", where=where, next_step='Set data.price to "auto" or "close".'
        )
    return "Adj Close" if has_adjusted and price != "close" else "Close"
