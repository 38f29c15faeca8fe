"""The one shape of every forecast, from a network or a baseline."""

from collections.abc import Iterable
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


def join_forecasts(parts: Iterable[Forecast], count: int) -> Forecast:
    """Put forecasts of the same kind behind one another, `count` in all.

    Each part is copied as it comes, so that no more than one is held beside the whole.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = Forecast(
                np.empty((count, *part.median.shape[1:])),
                None if part.quantiles is None else np.empty((count, *part.quantiles.shape[1:])),
                part.levels,
                None if part.spread is None else np.empty((count, *part.spread.shape[1:])),
            )
        rows = slice(done, done + len(part.median))
        for into, given in (
            (whole.median, part.median),
            (whole.quantiles, part.quantiles),
            (whole.spread, part.spread),
        ):
            if into is not None and given is not None:
                into[rows] = given
        done = rows.stop
    if whole is None or done != count:
        raise ValueError(f"{done} of {count} forecasts")
    return whole
