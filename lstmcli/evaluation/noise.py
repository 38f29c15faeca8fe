"""Prices whose later bars are noise: what a forecast from before them must not notice."""

from dataclasses import replace

import numpy as np

from lstmcli.market.prices import Prices

_DEVIATION = 0.5  # of the log of a rewritten value


def rewritten(prices: Prices, after: np.datetime64, generator: np.random.Generator) -> Prices:
    """Return the prices with every value of every bar later than `after` replaced by noise.

    The noise is independent of what stood there: lognormal about the last positive value of its
    column that stays, about 1 where there is none. Missing values are filled too; dates stay.
    """
    frame = prices.frame.copy()
    kept = int((frame.index.to_numpy() <= after).sum())
    values = frame.to_numpy(np.float64, copy=True)
    for column in values.T:
        known = column[:kept][column[:kept] > 0]
        level = known[-1] if len(known) else 1.0
        column[kept:] = level * np.exp(generator.normal(0.0, _DEVIATION, len(column) - kept))
    frame.iloc[kept:] = values[kept:]
    return replace(prices, frame=frame)
