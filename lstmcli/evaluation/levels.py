"""A fan level by level: what each quantile costs, and how often the actual lies below it.

The shares below are the reliability of the fan: a true quantile of level 0.9 has 90 % of the
actuals at or below it. One pass over the windows gives the CRPS as well, in chunks that fit a
processor's cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation import metrics
from lstmcli.evaluation.pooling import Pool
from lstmcli.forecasting.forecast import Fan

Floats = NDArray[np.float64]

CHUNK = 128  # windows at a time, that fit a processor's cache


@dataclass(frozen=True)
class LevelScore:
    """One quantile level at one step, pooled.

    pinball : mean, in units of the last price, without a factor 2. below : share of the actuals at
    or below the quantile.
    """

    step: int
    level: float
    pinball: float
    below: float


@dataclass(frozen=True)
class StepBand:
    """Coverage and mean width (in the last price) of one central band at each step 1..H."""

    nominal: float
    coverage: list[float | None]
    width: list[float | None]


@dataclass(frozen=True)
class FanSteps:
    """A fan reduced to its levels and steps, (Q, H) each; NaN where nothing has happened.

    All are pooled. below, strictly_below : shares of the actuals that are at or below, or
    below, the quantile. price : the mean quantile as a price over the last one.
    """

    levels: tuple[float, ...]
    pinball: Floats
    below: Floats
    strictly_below: Floats
    price: Floats


class FanSums:
    """A fan that is reduced to its levels and steps, some windows at a time.

    actual : (N, H), NaN where it has not happened yet. Raises ValueError when no level lies between
    0.05 and 0.95.
    """

    def __init__(self, levels: Sequence[float], actual: Floats, pool: Pool) -> None:
        self._levels, self._actual = tuple(levels), actual
        self._weights = pool.weights(~np.isnan(actual))
        self._share = metrics.crps_weights(levels)
        self._means = np.zeros((4, len(levels), actual.shape[1]))

    def add(self, quantiles: Fan, first: int, stop: int) -> Floats:
        """Add the next windows, of which each call but the last gives a multiple of CHUNK.

        quantiles : (N, H, Q) of cumulative log moves. Returns the CRPS of those windows, (n, H),
        NaN like the actual.
        """
        levels, found = np.asarray(self._levels), np.empty((stop - first, self._actual.shape[1]))
        for start in range(first, stop, CHUNK):
            rows = slice(start, min(start + CHUNK, stop))
            known = ~np.isnan(self._actual[rows])
            fan, truth = quantiles[rows], np.where(known, self._actual[rows], 0.0)[..., None]
            price = np.exp(fan)
            loss = metrics.pinball(np.exp(truth) - price, levels)
            found[start - first : rows.stop - first] = np.where(known, loss @ self._share, np.nan)
            weights, each = self._weights[rows], (loss, truth <= fan, truth < fan, price)
            for mean, values in zip(self._means, each, strict=True):
                mean += np.einsum("nh,nhq->qh", weights, values)
        return found

    def steps(self) -> FanSteps:
        """Return the levels pooled over all windows."""
        nothing = ~self._weights.known.any(axis=0)
        return FanSteps(self._levels, *np.where(nothing, np.nan, self._means))


def window_crps(quantiles: Fan, levels: Sequence[float], actual: Floats) -> Floats:
    """The mean CRPS of each window over its steps, (N,); quantiles (N, H, Q), actual (N, H)."""
    at, share = np.asarray(levels, dtype=np.float64), metrics.crps_weights(levels)
    found = np.empty(len(actual))
    for first in range(0, len(actual), CHUNK):
        rows = slice(first, first + CHUNK)
        error = np.exp(actual[rows])[..., None] - np.exp(quantiles[rows])
        found[rows] = (metrics.pinball(error, at) @ share).mean(axis=1)
    return found


def level_scores(fan: FanSteps, columns: Mapping[int, int]) -> tuple[LevelScore, ...]:
    """Every level at the chosen steps, as far as anything has happened there.

    columns : step -> the column that holds it.
    """
    return tuple(
        LevelScore(step, float(level), float(fan.pinball[q, column]), float(below))
        for step, column in columns.items()
        for q, level in enumerate(fan.levels)
        if not np.isnan(below := fan.below[q, column])
    )


def step_bands(fan: FanSteps) -> tuple[StepBand, ...]:
    """Every central band at every step, widest first."""
    return tuple(
        StepBand(
            nominal,
            _numbers(fan.below[high] - fan.strictly_below[low]),
            _numbers(fan.price[high] - fan.price[low]),
        )
        for nominal, low, high in metrics.central_bands(fan.levels)
    )


def _numbers(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
