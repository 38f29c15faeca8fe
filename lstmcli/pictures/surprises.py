"""Prices with the ranges expected on the previous day, and the surprising moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstmcli.pictures.fans import Dates, Floats
from lstmcli.printable import count_of
from lstmcli.report.anomalies import expected, format_chance
from lstmcli.report.tables import percent

if TYPE_CHECKING:
    from lstmcli.workflows.anomalies import AnomalyReport, Watched


@dataclass(frozen=True)
class Surprises:
    """One symbol's prices, (T,), and the expected range of each session.

    title, words, currency : as in `Fan`. low, high : (T,) ends of the range, NaN for sessions that
    were not checked. found : (T,) whether the session's move was found.
    """

    title: str
    words: str
    currency: str
    dates: Dates
    prices: Floats
    low: Floats
    high: Floats
    found: NDArray[np.bool_]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Return a mask of the checked sessions, (T,)."""
        return np.isfinite(self.low)

    @property
    def drawn(self) -> Floats:
        """Return all prices that a drawing shows, in one array; NaN among them."""
        return np.concatenate([self.prices, self.low, self.high])


def surprises(report: "AnomalyReport") -> Iterator[Surprises]:
    """Yield the picture of each symbol, first those with a surprising move."""
    order = [*(each.symbol for each in report.found), *report.symbols]
    places = {symbol: place for place, symbol in enumerate(dict.fromkeys(order))}
    for each in sorted(report.watched, key=lambda each: places[each.symbol]):
        yield _surprises_of(report, each)


def _surprises_of(report: "AnomalyReport", each: "Watched") -> Surprises:
    own = [one for one in report.found if one.symbol == each.symbol]
    last = next(one for one in report.latest if one.symbol == each.symbol)
    judged = int(np.isfinite(each.low).sum())
    words = f"by {last.model}; {len(own) or 'none'} of {count_of(judged, 'move')} below "
    words += f"{format_chance(report.probability)}, {expected(judged * report.probability)}"
    return Surprises(
        title=f"{each.symbol}: {percent(last.coverage, 0)} ranges up to {each.dates[-1]}",
        words=words + f"; {each.price}" * (each.price != "Close"),
        currency=each.currency,
        dates=each.dates,
        prices=each.prices,
        low=each.low,
        high=each.high,
        found=np.isin(each.dates.astype(str), [one.date for one in own]),
    )
