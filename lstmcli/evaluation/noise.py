"""Prices whose later bars are replaced, removed or moved: an honest forecast stays the same.

The noise looks like prices (no High below the Close, no jump as of a split), since a reader may
refuse what does not.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.market.prices import Prices

_MEMORY = 16  # bars over which a deviation from the level fades
_DEVIATION = 0.1  # of each of the moves that add up to it: 40 % in all, 14 % from bar to bar
_RANGE = 0.02


def rewritten(
    prices: Prices, after: np.datetime64, generator: np.random.Generator, shift: float = 0.0
) -> Prices:
    """Return the prices with every value of every bar later than `after` replaced by noise.

    The noise is independent of the replaced values: about the last positive value of its column
    that stays, 1 where there is none, times exp(`shift`). Missing values are filled too; dates
    stay; there are no dividends and no splits.
    """
    frame = prices.frame.copy()
    kept = _kept(frame, after)
    if kept < len(frame):
        noise = _noise(frame.iloc[:kept], len(frame) - kept, generator, shift)
        frame.iloc[kept:] = np.column_stack([noise[str(name)] for name in frame])
    return replace(prices, frame=frame)


def cut(prices: Prices, after: np.datetime64) -> Prices:
    """Return the prices without the bars later than `after`."""
    return replace(prices, frame=prices.frame.iloc[: _kept(prices.frame, after)])


def thinned(prices: Prices, after: np.datetime64, bars: int) -> Prices:
    """Return the prices without the first bars later than `after`: the next date is another."""
    kept = _kept(prices.frame, after)
    return replace(prices, frame=prices.frame.drop(prices.frame.index[kept : kept + bars]))


def _kept(frame: pd.DataFrame, after: np.datetime64) -> int:
    return int((frame.index.to_numpy() <= after).sum())


def _noise(
    known: pd.DataFrame, rows: int, generator: np.random.Generator, shift: float
) -> dict[str, NDArray[np.float64]]:
    """Draw bars, column by column."""

    def level(name: str, default: float) -> float:
        values = known[name].to_numpy(np.float64) if name in known else np.empty(0)
        positive = values[values > 0]
        return float(positive[-1]) if len(positive) else default

    moves = generator.normal(0.0, _DEVIATION, rows + _MEMORY - 1)
    deviations = np.convolve(moves, np.ones(_MEMORY), mode="valid")
    closed = level("Close", 1.0) * np.exp(shift + deviations)
    opened = closed * np.exp(generator.normal(0.0, _RANGE, rows))
    above, below = np.exp(np.abs(generator.normal(0.0, _RANGE, (2, rows))))
    adjustment = level("Adj Close", 1.0) / level("Close", 1.0) * np.exp(generator.normal(0.0, 0.1))
    return {
        "Open": opened,
        "High": np.maximum(opened, closed) * above,
        "Low": np.minimum(opened, closed) / below,
        "Close": closed,
        "Adj Close": closed * adjustment,
        "Volume": level("Volume", 1.0) * np.exp(generator.normal(0.0, 0.5, rows)),
        "Dividends": np.zeros(rows),
        "Stock Splits": np.zeros(rows),
    }
