"""The one shape of every forecast, from a network or a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Forecast:
    """Forecasts from N cutoffs as cumulative log moves away from the last price.

    `median[i, h - 1]` uses rows up to cutoff i and none after; the price forecast for step h is
    `last_close[i] * exp(median[i, h - 1])`.

    median : (N, H).
    quantiles : (N, H, Q), or None for a point forecast.
    levels : the Q probability levels, ascending; empty for a point forecast.
    spread : (N, H) standard deviation of the median over the members of an ensemble, else None.
    """

    median: NDArray[np.float64]
    quantiles: NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
    spread: NDArray[np.float64] | None = None

    def rows(self, index: slice) -> "Forecast":
        """Return some of the N forecasts."""
        return Forecast(
            self.median[index],
            None if self.quantiles is None else self.quantiles[index],
            self.levels,
            None if self.spread is None else self.spread[index],
        )


def join_forecasts(forecasts: Sequence[Forecast]) -> Forecast:
    """Put forecasts of the same kind behind one another."""
    quantiles = [each.quantiles for each in forecasts if each.quantiles is not None]
    spreads = [each.spread for each in forecasts if each.spread is not None]
    return Forecast(
        median=np.concatenate([each.median for each in forecasts]),
        quantiles=np.concatenate(quantiles) if quantiles else None,
        levels=forecasts[0].levels,
        spread=np.concatenate(spreads) if spreads else None,
    )
