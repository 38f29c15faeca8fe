"""Whether a fan's bands hold what they promise: coverage, its standard error, and width."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.intervals import hac_standard_error
from lstmcli.evaluation.metrics import central_bands, inside, width
from lstmcli.evaluation.pooling import by_date, count_dates, independent, overlap, pooled
from lstmcli.evaluation.significance import SignificanceTest, christoffersen_unconditional
from lstmcli.forecasting.forecast import Forecast

TOLERANCE = 0.02


@dataclass(frozen=True)
class Band:
    """One central band at one step.

    nominal : the share that it promises to hold. coverage : the share that it held, pooled by date.
    standard_error : HAC, across the cutoffs that one window reaches over; None for one date. Where
        every window was held, or none, that is 0 and knows nothing: the binomial error of the
        nominal share on the windows that do not overlap takes its place.
    good : |coverage - nominal| at most 2 points or 2 standard errors, whichever is larger.
    width : mean, in units of the last price. n_dates : cutoff dates.
    test : Christoffersen's, on windows that do not overlap; for one series only.
    """

    step: int
    nominal: float
    coverage: float
    standard_error: float | None
    good: bool
    width: float
    n_dates: int
    test: SignificanceTest


def bands(
    forecast: Forecast,
    step: int,
    actual: NDArray[np.float64],
    cutoff: NDArray[np.datetime64],
    end: NDArray[np.datetime64],
) -> tuple[Band, ...]:
    """Check every central band of a fan at one step, widest first; empty for a point forecast.

    actual, cutoff, end : (N,) at that step; NaN where it has not happened.
    """
    known = ~np.isnan(actual)
    if forecast.quantiles is None or not known.any():
        return ()
    cutoff, end, actual = cutoff[known], end[known], actual[known]
    lag, apart = overlap(cutoff, end) - 1, independent(cutoff, end)
    column = forecast.column(step)
    found = []
    for nominal, below, above in central_bands(forecast.levels):
        low, high = (forecast.quantiles[known, column, level] for level in (below, above))
        held = inside(low, high, actual)  # (N,)
        series = by_date(held, cutoff)[1]
        coverage, error = float(series.mean()), hac_standard_error(series, lag)
        if error is not None and coverage in (0.0, 1.0):
            error = math.sqrt(nominal * (1.0 - nominal) / count_dates(cutoff[apart]))
        allowed = max(TOLERANCE, 2.0 * (error or 0.0))
        found.append(
            Band(
                step=step,
                nominal=nominal,
                coverage=coverage,
                standard_error=error,
                good=abs(coverage - nominal) <= allowed + 1e-12,
                width=float(pooled(width(low, high), cutoff)),
                n_dates=len(series),
                test=_test(held[apart], cutoff[apart], nominal),
            )
        )
    return tuple(found)


def _test(
    held: NDArray[np.float64], cutoff: NDArray[np.datetime64], nominal: float
) -> SignificanceTest:
    n = count_dates(cutoff)
    if n < held.size:
        why = "symbols on one date are not independent; the standard error takes its place"
        return SignificanceTest("Christoffersen unconditional", None, None, n, why)
    return christoffersen_unconditional(int(held.sum()), n, nominal)
