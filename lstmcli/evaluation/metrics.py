"""Elementwise losses, before any averaging.

All errors are in units of the last price (0.03 is 3 % of it), so they can be averaged over symbols
and years. Forecasts and actuals are cumulative log moves; a NaN actual is not known yet and gives a
NaN loss, which `pooling` skips.
"""

from collections.abc import Sequence

import numpy as np

from lstmcli.arrays import Floats

CRPS_LEVELS = (0.05, 0.95)
_LEVEL_TOLERANCE = 1e-9


def path_error(forecast: Floats, actual: Floats) -> Floats:
    """Return exp(forecast) - exp(actual), the price error divided by the last price.

    For the upper and the lower edge of a band this is the width of the band.
    """
    return np.exp(forecast) - np.exp(actual)


def squared_error(forecast: Floats, actual: Floats) -> Floats:
    """Return the square of the path error; `rmse` is the root of its pooled mean."""
    return path_error(forecast, actual) ** 2


def absolute_error(forecast: Floats, actual: Floats) -> Floats:
    """Return the absolute path error; `mae` is its pooled mean."""
    return np.abs(path_error(forecast, actual))


def pinball(over: Floats, level: float | Floats) -> Floats:
    """Return the quantile loss of Koenker & Bassett (1978), without a factor of 2.

    max(level * over, (level - 1) * over), where `over` is the actual price minus the forecast
    price, exp(actual) - exp(forecast). At level 0.5 it is half the absolute error.
    """
    return np.maximum(level * over, (level - 1.0) * over)


def crps_weights(levels: Sequence[float]) -> Floats:
    """Return the weight of each level's pinball loss in the CRPS, (Q,).

    The continuous ranked probability score of Gneiting & Raftery (2007) in the quantile form of
    Laio & Tamea (2007): `crps` is twice the mean pinball loss of the levels from 0.05 to 0.95. The
    outer levels are excluded, so that fans with different outer levels are comparable. With
    symmetric levels, a fan without width scores its absolute error. Raises ValueError if no level
    lies in this range.
    """
    low, high = CRPS_LEVELS[0] - _LEVEL_TOLERANCE, CRPS_LEVELS[1] + _LEVEL_TOLERANCE
    inner = np.array([low <= level <= high for level in levels], dtype=np.float64)
    if not inner.any():
        raise ValueError(f"no level between {CRPS_LEVELS[0]} and {CRPS_LEVELS[1]} in {levels}")
    return np.asarray(inner * (2.0 / inner.sum()))


def inside(low: Floats, high: Floats, actual: Floats) -> Floats:
    """Return 1 if low <= actual <= high, else 0; NaN if the outcome is not known yet.

    `coverage` is the pooled mean.
    """
    hit = ((low <= actual) & (actual <= high)).astype(np.float64)
    return np.where(np.isnan(actual), np.nan, hit)


def mase_scale(prices: Floats) -> float | None:
    """Return the mean absolute one-step change of training prices, the divisor of MASE.

    Hyndman & Koehler (2006): the in-sample error of the naive forecast, in price units; divide only
    errors in price units by it. None if prices never change or there are fewer than two.
    """
    if prices.size < 2:
        return None
    scale = float(np.mean(np.abs(np.diff(prices))))
    return scale if scale > 0.0 else None


def skill(score: float | None, baseline: float | None) -> float | None:
    """Return 1 - score / baseline, the relative reduction of the baseline's error.

    Both are pooled means, so this is based on a ratio of means. None if either is unknown, or if
    the baseline has no error.
    """
    if score is None or baseline is None or not baseline > 0.0:
        return None
    return 1.0 - score / baseline
