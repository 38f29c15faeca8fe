"""Is a chance of a rise worth more than how often prices rise anyway? Brier scores and reliability.

A chance stands next to its base rate, the share of rises in training rows, and is scored against
it. Unchanged prices are neither rises nor falls and are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.direction import probability_below
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import Pool, float_or_none
from lstmcli.forecasting.forecast import Forecast

BINS = 10
_CHUNK = 4096  # windows at a time, so that memory stays flat


@dataclass(frozen=True)
class ChanceBin:
    """Chances within a tenth: their mean, the share that rose, and how many windows they are."""

    mean: float | None
    rose: float | None
    n_windows: int


@dataclass(frozen=True)
class Chances:
    """The chances of a rise at one step.

    mean : of the chances. base_rate : share of rises in training rows; None where the model does
    not know it. rose : the share that rose.
    brier : mean of (chance - rise)^2, Brier (1950), without a factor 2. brier_base : of the base
    rate. skill : 1 - brier / brier_base.
    reliability : from chances below 10 % to those of 90 % and more. All pooled but the bins.
    """

    step: int
    mean: float
    base_rate: float | None
    rose: float
    brier: float
    brier_base: float | None
    skill: float | None
    n_windows: int
    reliability: tuple[ChanceBin, ...]


def chances(
    forecast: Forecast,
    step: int,
    actual: NDArray[np.float64],
    pool: Pool,
    base_rate: float | None,
) -> Chances | None:
    """Score the chances of a rise that a fan gives; None for a point forecast, or without outcome.

    actual : (N,) log moves at that step, NaN where they have not happened; the pool is of the same
        windows.
    """
    moved = ~np.isnan(actual) & (actual != 0.0)
    if forecast.quantiles is None or not moved.any():
        return None
    rows = np.flatnonzero(moved).astype(np.int32)
    chance = np.empty(len(rows))
    for first in range(0, len(rows), _CHUNK):
        some = slice(first, first + _CHUNK)
        fan = forecast.quantiles[rows[some], forecast.column(step), :]
        chance[some] = 1.0 - probability_below(fan, forecast.levels, np.zeros(len(fan)))
    rose, pool = (actual[moved] > 0.0).astype(np.float64), pool.keep(moved)
    brier = float(pool.mean((chance - rose) ** 2))
    base = None if base_rate is None else float(pool.mean((base_rate - rose) ** 2))
    return Chances(
        step=step,
        mean=float(pool.mean(chance)),
        base_rate=base_rate,
        rose=float(pool.mean(rose)),
        brier=brier,
        brier_base=base,
        skill=skill(brier, base),
        n_windows=pool.size,
        reliability=_reliability(chance, rose),
    )


def rise_counts(log_prices: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    """Count the rises, and all moves but those of zero, of every step in a history: (2, H)."""
    found = np.zeros((2, horizon))
    for step in range(1, min(horizon, len(log_prices) - 1) + 1):
        moves = log_prices[step:] - log_prices[:-step]
        found[:, step - 1] = np.count_nonzero(moves > 0.0), np.count_nonzero(moves != 0.0)
    return found


def _reliability(chance: NDArray[np.float64], rose: NDArray[np.float64]) -> tuple[ChanceBin, ...]:
    # 1 - 0.9 is a little less than a tenth, and a chance of 10 %.
    tenth = np.minimum((chance * BINS + 1e-9).astype(np.int64), BINS - 1)
    count = np.bincount(tenth, minlength=BINS)
    means, shares = (
        np.divide(np.bincount(tenth, each, BINS), count, out=np.full(BINS, np.nan), where=count > 0)
        for each in (chance, rose)
    )
    return tuple(
        ChanceBin(float_or_none(mean), float_or_none(share), int(n))
        for mean, share, n in zip(means, shares, count, strict=True)
    )
