"""Whether a fan's bands hold what they promise: coverage, its standard error, and width."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.intervals import MIN_WINDOWS, overlapping_error
from lstmcli.evaluation.metrics import central_bands, inside, width
from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.significance import SignificanceTest, christoffersen_unconditional
from lstmcli.forecasting.forecast import Forecast

TOLERANCE = 0.02
LOOSEST = 0.05  # two standard errors beyond which a coverage says nothing


@dataclass(frozen=True)
class Band:
    """One central band at one step.

    nominal : the share that it promises to hold. coverage : the share that it held, pooled.
    standard_error : as of Diebold and Mariano's test; for one series at least the binomial error of
        the nominal share on windows that do not overlap, which also stands in where every window
        was held, or none. None where all windows overlap.
    good : |coverage - nominal| at most 2 points or 2 standard errors, whichever is larger; None
        below 20 windows that do not overlap, and where 2 standard errors exceed 5 points: too few
        windows to judge.
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


def bands(
    forecast: Forecast, step: int, actual: NDArray[np.float64], pool: Pool
) -> tuple[Band, ...]:
    """Check every central band of a fan at one step, widest first; empty for a point forecast.

    actual : (N,) at that step, NaN where it has not happened; the pool is of the same windows.
    """
    known = ~np.isnan(actual)
    if forecast.quantiles is None or not known.any():
        return ()
    actual, pool = actual[known], pool.keep(known)
    column = forecast.column(step)
    found = []
    for nominal, below, above in central_bands(forecast.levels):
        low, high = (forecast.quantiles[known, column, level] for level in (below, above))
        held = inside(low, high, actual)  # (N,)
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
                width=float(pool.mean(width(low, high))),
                n_dates=pool.n_units,
                test=_test(held[pool.apart], pool.keep(pool.apart), nominal),
            )
        )
    return tuple(found)


def _standard_error(held: NDArray[np.float64], nominal: float, pool: Pool) -> float | None:
    """The standard error of a coverage; held : (U,) share of each observation."""
    if pool.n_independent < 2 or held.size <= pool.reach:
        return None
    error, _ = overlapping_error(held, pool.reach)
    coverage = float(held.mean())
    if pool.size > pool.n_units and 0.0 < coverage < 1.0:
        return error  # means over several symbols vary less than single windows do
    return max(error, math.sqrt(nominal * (1.0 - nominal) / pool.n_independent))


def _test(held: NDArray[np.float64], pool: Pool, nominal: float) -> SignificanceTest:
    n = pool.n_units
    if n < held.size:
        why = "symbols on one date are not independent; the standard error takes its place"
        return SignificanceTest("Christoffersen unconditional", None, None, n, why)
    return christoffersen_unconditional(int(held.sum()), n, nominal)
