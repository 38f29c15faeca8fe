"""The one shape of every forecast, from a network or a baseline."""

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
    """

    median: NDArray[np.float64]
    quantiles: NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
