"""Bars of another length: weekly prices for a model of daily bars, or among daily series.

Steps are counted in bars, so that a forecast by such a model would be one of other dates.
"""

from collections.abc import Sequence
from dataclasses import replace

from lstmcli.errors import DataError
from lstmcli.market.intervals import are_alike, bars_of, infer_interval, may_be
from lstmcli.market.prices import Prices
from lstmcli.market.store import STORE
from lstmcli.workflows.failures import Failure


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
    """The interval of the dates; of stored bars that of their folder, unless they differ much."""
    if prices.source != STORE:
        return prices.interval
    found = infer_interval(prices.frame.index)  # type: ignore[arg-type]
    return prices.interval if len(prices.frame) < 10 or "D" in found else found
