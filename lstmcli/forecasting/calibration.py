"""Conformal calibration: widen or narrow fans until their coverage is the nominal one.

For each central band and step one factor multiplies the distance of both its levels from the
median, so that the median does not change and a scaled series has a scaled fan. Factors come from
validation windows alone, are smooth over the steps, and shrink towards 1 (no change) where
validation holds few independent windows. Overlapping windows are dependent, which voids the finite
sample guarantee of the papers: this is an empirical correction, judged by its coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.forecasting.forecast import central_bands

_PRIOR = 100.0  # independent windows at which half of the log factor is believed
_DEGREE = 2  # of the polynomial in the log of the step
_LARGEST = 10.0


@dataclass(frozen=True)
class Calibration:
    """Factors of the distances from the median.

    factors : (H, Q) float64, positive; 0 marks the median, from which distances are measured.
    """

    factors: Floats


def fit_calibration(
    quantiles: Floats, levels: Sequence[float], actual: Floats, *, n_independent: Floats
) -> Calibration:
    """Fit on the validation windows of all symbols, in any order.

    quantiles : (N, H, Q) log moves, in the order of `levels`, which ascend and hold 0.5.
    actual : (N, H), NaN where the outcome is not known yet.
    n_independent : (H,) validation windows of that many steps that do not overlap in time,
        whatever the number of symbols.
    """
    assert quantiles.shape == (*actual.shape, len(levels)), (
        "shapes of quantiles and outcomes differ"
    )
    assert n_independent.shape == actual.shape[1:], "n_independent is not one a step"
    assert np.isfinite(quantiles).all(), "quantiles are not finite"
    middle = list(levels).index(0.5)
    factors = np.ones(quantiles.shape[1:])
    factors[:, middle] = 0.0
    bands = central_bands(levels)
    fitted = [
        _fit_band(_scores(quantiles, actual, low, middle, high), nominal, n_independent)
        for nominal, low, high in bands
    ]
    for index, level in enumerate(levels):
        if index != middle and bands:
            # A level without a mirror image follows the band that ends nearest to it.
            apart = [abs(nominal / 2 - abs(level - 0.5)) for nominal, *_ in bands]
            factors[:, index] = fitted[int(np.argmin(apart))]
    return Calibration(factors)


def calibrate(quantiles: Floats, calibration: Calibration) -> Floats:
    """Return the adjusted quantiles, (..., n, Q) for the first n of the H steps fitted.

    The median is unchanged and no two quantiles cross, whatever the factors: distances from the
    median never decrease outwards. Raises ValueError when shapes differ.
    """
    steps, count = quantiles.shape[-2:]
    factors = calibration.factors
    if steps > len(factors) or count != factors.shape[1]:
        raise ValueError(f"quantiles {quantiles.shape} do not fit factors {factors.shape}")
    middle = int(np.argmin(factors[0]))
    median = quantiles[..., middle, None]
    above = (quantiles[..., middle + 1 :] - median) * factors[:steps, middle + 1 :]
    below = (median - quantiles[..., :middle])[..., ::-1] * factors[:steps, :middle][:, ::-1]
    lower = median - _outwards(below)
    return np.concatenate([lower[..., ::-1], median, median + _outwards(above)], axis=-1)


def _scores(quantiles: Floats, actual: Floats, low: int, middle: int, high: int) -> Floats:
    """Return the factor at which each band would just hold the outcome, (N, H); NaN unknown.

    max((median - y) / (median - low), (y - median) / (high - median)): the score of conformalized
    quantile regression, Romano, Patterson & Candes (2019), eq. 6, in relative form: their distance
    would not follow the scale of the series.
    """
    moved = actual - quantiles[..., middle]
    edge = np.where(moved > 0, quantiles[..., high], quantiles[..., low])
    width = np.abs(edge - quantiles[..., middle])
    scores = np.full(actual.shape, np.inf)  # beyond a side of no width
    np.divide(np.abs(moved), width, out=scores, where=width > 0)
    scores[moved == 0] = 0.0
    scores[np.isnan(moved)] = np.nan
    return scores


def _fit_band(scores: Floats, nominal: float, n_independent: Floats) -> Floats:
    """Return the factors of one band from its scores (N, H), smooth and shrunk: (H,)."""
    known = (~np.isnan(scores)).sum(axis=0)
    # Vovk, Gammerman & Shafer (2005); Romano et al. (2019), eq. 8: the ceil((n + 1) nominal)-th
    # smallest of n scores. Where that is beyond the last (theirs is infinite) it is the last.
    ranks = np.ceil(np.round((known + 1) * nominal, 9)).astype(np.int64)
    ascending = np.sort(scores.T, axis=1)  # NaN last
    at = np.clip(ranks, 1, np.maximum(known, 1)) - 1
    chosen = np.take_along_axis(ascending, at[:, None], axis=1)[:, 0] if len(scores) else 1.0
    logs = np.log(np.clip(np.where(known > 0, chosen, 1.0), 1 / _LARGEST, _LARGEST))
    smooth = _smoothed(logs, np.where(known > 0, n_independent, 0.0))
    shrunk = smooth * n_independent / (n_independent + _PRIOR)
    return np.asarray(np.exp(np.clip(shrunk, -math.log(_LARGEST), math.log(_LARGEST))))


def _smoothed(values: Floats, weights: Floats) -> Floats:
    """Return a weighted least-squares polynomial in the log of the step; 0 without weights."""
    used = weights > 0
    if not used.any():
        return np.zeros_like(values)
    steps = np.log(np.arange(1.0, len(values) + 1))
    degree = min(_DEGREE, int(used.sum()) - 1)
    powers = (steps - steps[used].mean())[:, None] ** np.arange(degree + 1)
    root = np.sqrt(weights[used])
    found, *_ = np.linalg.lstsq(powers[used] * root[:, None], values[used] * root, rcond=None)
    return np.asarray(powers @ found)


def _outwards(distances: Floats) -> Floats:
    """Make distances from the median, the nearest first, never decrease."""
    return np.maximum.accumulate(np.maximum(distances, 0.0), axis=-1)
