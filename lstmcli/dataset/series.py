"""The bars of one symbol as a table, from which windows are taken.

Column 0 is the forecast price; the other columns are the features in the requested order. Missing
values stay NaN until a window is scaled.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lstmcli.arrays import Days, Floats, Ints
from lstmcli.dataset.inputs import raw_inputs
from lstmcli.errors import DataError
from lstmcli.features import OwnInput
from lstmcli.market.prices import PriceChoice, Prices, price_column


@dataclass(frozen=True)
class Series:
    """T bars of one symbol.

    dates : (T,) datetime64[D], strictly increasing.
    values : (T, C) float64; column 0 is the forecast price, adjusted or not according to `price`.
    last_close : (T,) float64, the unadjusted close, to which forecast moves are applied.
    inputs : the indices of the F columns that the network reads, in order.
    price : the source column of column 0. currency : "" if unknown.
    extras : (T, E) own inputs, transformed, neither lagged nor scaled; None without own inputs.
    """

    symbol: str
    dates: Days
    values: Floats
    last_close: Floats
    inputs: tuple[int, ...]
    price: str
    currency: str = ""
    extras: Floats | None = None

    def __len__(self) -> int:
        return len(self.dates)

    def until(self, rows: Ints) -> "Series":
        """Return the series up to the latest of `rows`."""
        return self.part(slice(int(rows.max()) + 1 if len(rows) else 0))

    def between(self, first: np.datetime64, last: np.datetime64) -> "Series":
        """Return the bars from one day to another, both inclusive."""
        start, stop = self.dates.searchsorted(first), self.dates.searchsorted(last, side="right")
        return self.part(slice(int(start), int(stop)))

    def part(self, rows: slice) -> "Series":
        """Return some of the bars."""
        return replace(
            self,
            dates=self.dates[rows],
            values=self.values[rows],
            last_close=self.last_close[rows],
            extras=None if self.extras is None else self.extras[rows],
        )

    def fingerprint(self) -> str:
        """Return a hash of the dates, values and last closes, as 16 hexadecimal digits."""
        found = hashlib.blake2b(digest_size=8)
        extras = () if self.extras is None else (self.extras,)
        for array in (self.dates.astype(np.int64), self.values, self.last_close, *extras):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    @property
    def log_prices(self) -> Floats:
        """Natural logarithm of the forecast price, (T,)."""
        return np.asarray(np.log(self.values[:, 0]))


def make_series(
    prices: Prices,
    *,
    features: Sequence[str],
    price: PriceChoice = "auto",
    optional: bool = False,
    inputs: Sequence[OwnInput] = (),
) -> Series:
    """Extract the forecast price and the features from a price table.

    Open, high and low are multiplied by the ratio of the forecast price to the close, to match an
    adjusted close. inputs : the own inputs. If features are `optional`, a feature without a column
    is all NaN; otherwise it raises DataError. An own input that cannot be computed also does.
    """
    column = price_column(prices.frame, price, f"{prices.symbol}, {prices.source}")
    known = known_features(prices) if optional else tuple(features)
    # Convert to one array first: taking a column from a frame costs as much as all the rest.
    table = dict(zip(map(str, prices.frame), prices.frame.to_numpy(np.float64).T, strict=True))
    target, close = table[column], table["Close"]
    columns, read = [target], list[int]()
    for feature in features:
        if feature == "close":
            read.append(0)
            continue
        if feature == "month":
            continue  # no column: it follows from the dates
        read.append(len(columns))
        if feature not in known:
            columns.append(np.full(len(target), np.nan))
        else:
            columns.append(_feature(prices, table, feature, target / close))
    return Series(
        symbol=prices.symbol,
        dates=prices.frame.index.to_numpy().astype("datetime64[D]"),
        values=np.column_stack(columns),
        last_close=close.copy(),  # a view would keep the whole frame in memory
        inputs=tuple(read),
        price=column,
        currency=prices.currency,
        extras=raw_inputs(prices, inputs) if inputs else None,
    )


def known_features(prices: Prices) -> tuple[str, ...]:
    """Return the features for which a price table has at least one value."""
    names = ("close", "open", "high", "low", "volume")
    empty = np.isnan(prices.frame.to_numpy(np.float64)).all(axis=0)
    filled = {name for name, none in zip(prices.frame, empty, strict=True) if not none}
    return tuple(name for name in names if name.capitalize() in filled)


def _feature(
    prices: Prices, table: Mapping[str, Floats], feature: str, adjustment: Floats
) -> Floats:
    name = feature.capitalize()
    if name not in table:
        raise DataError(
            f"no {name} column",
            where=f"{prices.symbol} in {prices.source}",
            why="found " + ", ".join(table),
            next_step="Remove it from window.features.",
        )
    return table[name] if feature == "volume" else table[name] * adjustment
