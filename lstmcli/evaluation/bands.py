"""Scores of a fan: pinball loss and reliability of each level, coverage and width of each band.

The reliability of a quantile is the share of actuals at or below it: 90 % for a true quantile of
level 0.9. `FanSums` goes through the windows once, in chunks that fit into a processor's cache.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.evaluation import metrics
from lstmcli.evaluation.pooling import Pool, Weights, chunks, floats_or_none
from lstmcli.evaluation.significance import (
    MIN_WINDOWS,
    SignificanceTest,
    chi2_sf,
    christoffersen_unconditional,
    overlapping_error,
    too_few,
)
from lstmcli.forecasting.forecast import Fan, Forecast, central_bands

CHUNK = 128  # windows at a time, which fit into a processor's cache


@dataclass(frozen=True)
class LevelScore:
    """Scores of one quantile level at one step, pooled.

    pinball : mean, in units of the last price, without a factor 2. below : share of the actuals at
    or below the quantile.
    """

    step: int
    level: float
    pinball: float
    below: float


@dataclass(frozen=True)
class StepBand:
    """Coverage and mean width (in units of the last price) of a central band at each step 1..H."""

    nominal: float
    coverage: list[float | None]
    width: list[float | None]


@dataclass(frozen=True)
class FanSteps:
    """A fan pooled over windows, by level and step: (Q, H) each; NaN without any outcome.

    below, strictly_below : shares of the actuals at or below, and strictly below, the quantile.
    price : the mean quantile as a price divided by the last price.
    """

    levels: tuple[float, ...]
    pinball: Floats
    below: Floats
    strictly_below: Floats
    price: Floats


class FanSums:
    """Pool a fan over its windows, some windows at a time.

    actual : (N, H), NaN if not known yet. weights : of the known outcomes. Raises ValueError if no
    level lies between 0.05 and 0.95.
    """

    def __init__(self, levels: Sequence[float], actual: Floats, weights: Weights) -> None:
        self._levels, self._actual, self._weights = tuple(levels), actual, weights
        self._share = metrics.crps_weights(levels)
        self._means = np.zeros((4, len(levels), actual.shape[1]))

    def add(self, quantiles: Fan, first: int, stop: int) -> Floats:
        """Add the windows first..stop - 1; all calls but the last add a multiple of CHUNK.

        quantiles : (N, H, Q) of cumulative log moves. Returns the CRPS of these windows, (n, H),
        NaN where the actual is NaN.
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
        return FanSteps(self._levels, *self._weights.means(self._means))


def level_scores(
    fan: FanSteps, asked: Sequence[int], steps: Sequence[int]
) -> tuple[LevelScore, ...]:
    """Score every level at the requested steps that have any outcome.

    steps : the steps of the fan's columns.
    """
    return tuple(
        LevelScore(step, float(level), float(fan.pinball[q, column]), float(below))
        for step in asked
        for column in [steps.index(step)]
        for q, level in enumerate(fan.levels)
        if not np.isnan(below := fan.below[q, column])
    )


def step_bands(fan: FanSteps) -> tuple[StepBand, ...]:
    """Return every central band at every step, widest first."""
    return tuple(
        StepBand(
            nominal,
            floats_or_none(fan.below[high] - fan.strictly_below[low]),
            floats_or_none(fan.price[high] - fan.price[low]),
        )
        for nominal, low, high in central_bands(fan.levels)
    )


BINS = 10
_TEST = "Pearson chi-squared"


@dataclass(frozen=True)
class PitHistogram:
    """PIT histogram at one step.

    edges : of the 10 bins, from 0 to 1. shares : of the actuals in each bin, pooled; they
    sum to 1, and each is 0.1 for a calibrated fan. n : observations (cutoff dates).
    deviation : half the sum of |share - 0.1|, the share of windows in a wrong bin.
    test : Pearson's chi-squared test of a flat histogram, on windows that do not overlap; for one
    series only.
    """

    step: int
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    n: int
    deviation: float
    test: SignificanceTest


def pit_histogram(forecast: Forecast, step: int, actual: Floats, pool: Pool) -> PitHistogram | None:
    """Return the PIT histogram at one step; None for a point forecast or without any outcome.

    actual : (N,) at that step, NaN if not known yet; `pool` holds the same windows.
    """
    known = ~np.isnan(actual)
    if forecast.quantiles is None or not known.any():
        return None
    edges = np.linspace(0.0, 1.0, BINS + 1)
    rows, pool = np.flatnonzero(known).astype(np.int32), pool.keep(known)
    weights, apart = pool.weights(np.ones((pool.size, 1), dtype=np.bool_))[:][:, 0], pool.apart
    shares, masses = np.zeros(BINS), np.zeros(BINS)
    for part in chunks(len(rows)):
        fan = forecast.quantiles[rows[part], forecast.column(step), :]
        mass = bin_masses(fan, forecast.levels, actual[rows[part]], edges)
        shares += weights[part] @ mass
        masses += mass[apart[part]].sum(axis=0)
    return PitHistogram(
        step=step,
        edges=tuple(edges.round(9).tolist()),
        shares=tuple(shares.tolist()),
        n=pool.n_units,
        deviation=float(np.abs(shares - 1.0 / BINS).sum() / 2.0),
        test=_flat(masses, pool.keep(apart)),
    )


def bin_masses(fan: Floats, levels: Sequence[float], actual: Floats, edges: Floats) -> Floats:
    """Distribute the mass 1 of each window over the bins; (N, Q), (N,) and (B + 1,) to (N, B).

    The non-randomised form of Czado, Gneiting & Held (2009, equation 2); the levels below and above
    the actual are its P(x - 1) and P(x).
    """
    low, high = _possible_levels(fan, np.asarray(levels, dtype=np.float64), actual)
    gap = (high - low)[:, None]
    below = (edges >= high[:, None]).astype(np.float64)
    np.divide(edges - low[:, None], gap, out=below, where=gap > 0.0)
    below = np.clip(below, 0.0, 1.0)
    below[:, 0], below[:, -1] = 0.0, 1.0
    return np.diff(below, axis=1)


def _possible_levels(fan: Floats, levels: Floats, actual: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest possible level of the actual, (N,) each."""
    strictly = (fan < actual[:, None]).sum(axis=1)
    at_most = (fan <= actual[:, None]).sum(axis=1)
    padded = np.concatenate([[0.0], levels, [1.0]])
    tied = at_most > strictly  # the first and the last quantile that the actual equals
    low = np.where(tied, padded[strictly + 1], padded[strictly])
    high = np.where(tied, padded[at_most], padded[at_most + 1])
    between = ~tied & (strictly > 0) & (strictly < levels.size)
    rows, left = np.flatnonzero(between), strictly[between] - 1
    below, above = fan[rows, left], fan[rows, left + 1]
    exact = low[between] + (high - low)[between] * (actual[between] - below) / (above - below)
    low[between], high[between] = exact, exact
    return low, high


def _flat(masses: Floats, pool: Pool) -> SignificanceTest:
    """Test whether the summed masses of the bins, (BINS,), are equal."""
    n = pool.n_units
    why = None
    if n < pool.size:
        why = "symbols on one date are not independent; the deviation takes its place"
    elif n < MIN_WINDOWS:
        # Roscoe & Byars (1971): at 5 % the expected count per bin may be as low as 1 if all are
        # equal; with 20 windows it is 2.
        why = too_few(n, MIN_WINDOWS)
    if why is not None:
        return SignificanceTest(_TEST, None, None, n, why)
    expected = n / BINS
    statistic = float(np.sum((masses - expected) ** 2) / expected)
    return SignificanceTest(_TEST, statistic, chi2_sf(statistic, BINS - 1), n)


TOLERANCE = 0.02
LOOSEST = 0.05  # a coverage is not judged if two standard errors exceed this


@dataclass(frozen=True)
class Band:
    """Scores of one central band at one step.

    nominal : the nominal coverage. coverage : the share of actuals inside, pooled.
    standard_error : as in Diebold and Mariano's test. For one series, or if the coverage is 0 or 1,
        at least the binomial error of the nominal share on windows that do not overlap. None if
        all windows overlap.
    good : |coverage - nominal| is at most 2 points or 2 standard errors, whichever is larger. None
        if there are too few windows to judge: below 20 windows that do not overlap, or if 2
        standard errors exceed 5 points.
    width : mean, in units of the last price. n_dates : observations (cutoff dates).
    test : Christoffersen's, on windows that do not overlap; for one series only.
    """

    step: int
    nominal: float
    coverage: float
    standard_error: float | None
    good: bool | None
    width: float
    n_dates: int
    test: SignificanceTest


def bands(forecast: Forecast, step: int, actual: Floats, pool: Pool) -> tuple[Band, ...]:
    """Score every central band of a fan at one step, widest first; empty for a point forecast.

    actual : (N,) at that step, NaN if not known yet; `pool` holds the same windows.
    """
    known = ~np.isnan(actual)
    if forecast.quantiles is None or not known.any():
        return ()
    actual, pool = actual[known], pool.keep(known)
    column = forecast.column(step)
    found = []
    for nominal, below, above in central_bands(forecast.levels):
        low, high = (forecast.quantiles[known, column, level] for level in (below, above))
        held = metrics.inside(low, high, actual)  # (N,)
        series = pool.series(held)
        coverage, error = float(series.mean()), _standard_error(series, nominal, pool)
        off, loose = abs(coverage - nominal), 2.0 * (error or 0.0)
        few = pool.n_independent < MIN_WINDOWS or loose > LOOSEST + 1e-12
        found.append(
            Band(
                step=step,
                nominal=nominal,
                coverage=coverage,
                standard_error=error,
                good=None if few else off <= max(TOLERANCE, loose) + 1e-12,
                width=pool.mean(metrics.path_error(high, low)),
                n_dates=pool.n_units,
                test=_test(held[pool.apart], pool.keep(pool.apart), nominal),
            )
        )
    return tuple(found)


def _standard_error(held: Floats, nominal: float, pool: Pool) -> float | None:
    """Return the standard error of a coverage; held : (U,) share inside by observation."""
    if pool.n_independent < 2 or held.size <= pool.reach:
        return None
    error, _ = overlapping_error(held, pool.reach)
    coverage = float(held.mean())
    if pool.size > pool.n_units and 0.0 < coverage < 1.0:
        return error  # no binomial floor: means over several symbols vary less than single windows
    return max(error, math.sqrt(nominal * (1.0 - nominal) / pool.n_independent))


def _test(held: Floats, pool: Pool, nominal: float) -> SignificanceTest:
    n = pool.n_units
    if n < held.size:
        why = "symbols on one date are not independent; the standard error takes its place"
        return SignificanceTest("Christoffersen unconditional", None, None, n, why)
    return christoffersen_unconditional(int(held.sum()), n, nominal)
