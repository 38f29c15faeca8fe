"""Conformal calibration: widen or narrow fans until their coverage equals the nominal coverage.

For each central band and step, one factor multiplies the distance of both levels from the median,
so the median does not change and scaling a series scales its fan. The factors come only from
validation windows, are smoothed over the steps, and shrink towards 1 (no change) if there are few
independent windows. Overlapping windows are dependent, so the finite sample guarantee of the papers
does not hold: this is an empirical correction, judged by its coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.forecasting.forecast import central_bands

_PRIOR = 100.0  # independent windows at which half of the fitted log factor is applied
_DEGREE = 2  # of the polynomial in the log of the step
_LARGEST = 10.0


@dataclass(frozen=True)
class Calibration:
    """Factors on the distances from the median.

    factors : (H, Q) float64, positive; 0 marks the median, from which distances are measured.
    """

    factors: Floats


def fit_calibration(
    quantiles: Floats, levels: Sequence[float], actual: Floats, *, n_independent: Floats
) -> Calibration:
    """Fit the factors on the validation windows of all symbols, in any order.

    quantiles : (N, H, Q) log moves, in the order of `levels`, which ascend and include 0.5.
    actual : (N, H), NaN where the outcome is not known yet.
    n_independent : (H,) number of validation windows of each length that do not overlap in time,
        not multiplied by the number of symbols.
    """
    assert quantiles.shape == (*actual.shape, len(levels)), (
        "shapes of quantiles and outcomes differ"
    )
    assert n_independent.shape == actual.shape[1:], "n_independent needs one value per step"
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
            # A level without a mirror image uses the factor of the band that ends nearest to it.
            apart = [abs(nominal / 2 - abs(level - 0.5)) for nominal, *_ in bands]
            factors[:, index] = fitted[int(np.argmin(apart))]
    return Calibration(factors)


def calibrate(quantiles: Floats, calibration: Calibration) -> Floats:
    """Return the adjusted quantiles, (..., n, Q) for the first n of the H fitted steps.

    The median does not change, and quantiles never cross whatever the factors, because distances
    from the median are kept non-decreasing outwards. Raises ValueError if the shapes do not match.
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
    """Return the factor at which each band just contains the outcome, (N, H); NaN if unknown.

    max((median - y) / (median - low), (y - median) / (high - median)): the score of conformalized
    quantile regression, Romano, Patterson & Candes (2019), eq. 6, as a ratio instead of a distance,
    because a distance would not scale with the series.
    """
    moved = actual - quantiles[..., middle]
    edge = np.where(moved > 0, quantiles[..., high], quantiles[..., low])
    width = np.abs(edge - quantiles[..., middle])
    scores = np.full(actual.shape, np.inf)  # stays infinite on a side without width
    np.divide(np.abs(moved), width, out=scores, where=width > 0)
    scores[moved == 0] = 0.0
    scores[np.isnan(moved)] = np.nan
    return scores


def _fit_band(scores: Floats, nominal: float, n_independent: Floats) -> Floats:
    """Return the smoothed and shrunk factors of one band from its scores (N, H): (H,)."""
    known = (~np.isnan(scores)).sum(axis=0)
    # Vovk, Gammerman & Shafer (2005); Romano et al. (2019), eq. 8: the ceil((n + 1) nominal)-th
    # smallest of n scores. If that rank exceeds n, use the largest score (the papers use infinity).
    ranks = np.ceil(np.round((known + 1) * nominal, 9)).astype(np.int64)
    ascending = np.sort(scores.T, axis=1)  # NaN last
    at = np.clip(ranks, 1, np.maximum(known, 1)) - 1
    chosen = np.take_along_axis(ascending, at[:, None], axis=1)[:, 0] if len(scores) else 1.0
    logs = np.log(np.clip(np.where(known > 0, chosen, 1.0), 1 / _LARGEST, _LARGEST))
    smooth = _smoothed(logs, np.where(known > 0, n_independent, 0.0))
    shrunk = smooth * n_independent / (n_independent + _PRIOR)
    return np.asarray(np.exp(np.clip(shrunk, -math.log(_LARGEST), math.log(_LARGEST))))


def _smoothed(values: Floats, weights: Floats) -> Floats:
    """Fit a weighted polynomial in the log of the step and return its values; 0 without weights."""
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
    """Make distances from the median non-decreasing outwards; the nearest comes first."""
    return np.maximum.accumulate(np.maximum(distances, 0.0), axis=-1)
