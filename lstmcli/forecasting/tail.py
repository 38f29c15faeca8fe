"""Chances beyond the outermost quantiles of a fan: a generalised Pareto tail on each side.

A move is measured in units of the distance from the median to the outermost quantile of its side,
which makes calm and volatile days, and different symbols, comparable. The chance of a move beyond
z > 1 is `rate * (1 + shape * (z - 1) / scale) ** (-1 / shape)` (Pickands 1975; Coles 2001, chapter
4). A symbol has few moves beyond 1, so the fit adds moves of other series, which together never
count for more than `_POOL_WORTH` of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstmcli.arrays import Floats

SMALLEST = 1e-7  # lower limit of every chance
_POOL_WORTH = 100.0  # moves beyond a quantile
_RATE_WORTH = 2000.0  # moves: the weight of the quantile's level, or of the pool, in the rate
# The prior, used if no move lies beyond the quantile; with many moves it changes little. The 21
# shipped series have shapes 0.16 and 0.32 and scales 0.26 and 0.28; Gaussian walks -0.1 and 0.2.
_SHAPE, _SHAPE_DEVIATION = 0.2, 0.15
_LOG_SCALE, _LOG_SCALE_DEVIATION = float(np.log(0.3)), 1.0
_LOWEST_SHAPE, _HIGHEST_SHAPE = -0.25, 0.9
_LEAST = 1e-12


class Side(NamedTuple):
    """One tail: the chance of a move beyond the quantile, and the Pareto parameters beyond it."""

    rate: float
    shape: float
    scale: float

    def chance(self, beyond: Floats) -> Floats:
        """Return the chance of moves beyond `beyond` distances, each at least 1: (N,)."""
        excess = np.maximum(beyond - 1.0, 0.0) / self.scale
        if abs(self.shape) < _LEAST:
            return np.asarray(self.rate * np.exp(-excess))
        inside = np.maximum(1.0 + self.shape * excess, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(self.rate * inside ** (-1.0 / self.shape))


@dataclass(frozen=True)
class Tail:
    """Both tails of a fan at one step, and the number of moves that they were fitted on.

    own, pooled : moves of the series itself, and of `series` other series.
    """

    below: Side
    above: Side
    own: int
    pooled: int
    series: int

    def probability(self, z: Floats) -> Floats:
        """Return the two-sided chance of moves at least as far out as z: (N,).

        z : (N,), from `distances`. The chance is twice the one-sided chance, and NaN between the
        outermost quantiles, where the fan itself gives the chance.
        """
        found = 2.0 * np.where(z > 0, self.above.chance(np.abs(z)), self.below.chance(np.abs(z)))
        return np.where(np.abs(z) > 1.0, np.clip(found, SMALLEST, 1.0), np.nan)


def distances(quantiles: Floats, median: Floats, actual: Floats) -> Floats:
    """Return the moves from the median in units of the distance to the outermost quantile: (N,).

    quantiles : (N, Q), ascending. median, actual : (N,). The result is negative below the median,
    and NaN if the outcome is unknown or the fan has no width.
    """
    moved = actual - median
    width = np.where(moved > 0, quantiles[:, -1] - median, median - quantiles[:, 0])
    found = np.full(len(moved), np.nan)
    np.divide(moved, width, out=found, where=width > _LEAST)
    return found


def fit_tail(
    own: Floats,
    pool: Sequence[Floats],
    *,
    levels: tuple[float, float],
    steps: int = 1,
    gap: int = 1,
) -> Tail:
    """Fit both tails on the distances of training moves, (N,) for the series and each other one.

    levels : nominal chance below the lowest and above the highest quantile, e.g. 0.025 each.
    steps : length of a move; moves from neighbouring cutoffs overlap. gap : rows between cutoffs of
    the pool; cutoffs of the series itself are one row apart.
    """
    own = own[np.isfinite(own)]
    others = np.concatenate([*pool, own[:0]])
    others = others[np.isfinite(others)]
    worth = 1.0 / steps, min(1.0, gap / steps)
    below = _side(-own, -others, own, level=levels[0], worth=worth)
    above = _side(own, others, -own, level=levels[1], worth=worth)
    return Tail(below, above, len(own), len(others), sum(len(each) > 0 for each in pool))


def _side(
    own: Floats, pool: Floats, mirrored: Floats, *, level: float, worth: tuple[float, float]
) -> Side:
    """Fit one side, where distances are positive; the other side replaces a missing pool."""
    each, of_pool = worth
    pooled = of_pool * len(pool)
    usual = (of_pool * np.count_nonzero(pool > 1) + _RATE_WORTH * level) / (pooled + _RATE_WORTH)
    beyond = each * np.count_nonzero(own > 1)
    rate = (beyond + _RATE_WORTH * usual) / (each * len(own) + _RATE_WORTH)
    joined = (pool if len(pool) else mirrored) - 1
    mine, joined = own[own > 1] - 1, joined[joined > 0]
    weight = min(of_pool if len(pool) else each, _POOL_WORTH / max(len(joined), 1))
    weights = np.repeat([each, weight], [len(mine), len(joined)])
    return Side(float(rate), *_pareto(np.concatenate([mine, joined]), weights))


def _pareto(excesses: Floats, weights: Floats) -> tuple[float, float]:
    """Return the shape and scale that maximise the posterior of the weighted excesses."""
    from scipy.optimize import minimize

    def loss(at: Floats) -> float:
        shape, scale = float(at[0]), float(np.exp(at[1]))
        prior = ((shape - _SHAPE) / _SHAPE_DEVIATION) ** 2 / 2
        prior += ((at[1] - _LOG_SCALE) / _LOG_SCALE_DEVIATION) ** 2 / 2
        inside = 1.0 + shape * excesses / scale
        if not _LOWEST_SHAPE <= shape <= _HIGHEST_SHAPE or inside.min(initial=1.0) <= 0:
            return np.inf
        logs = np.log(inside) * (1.0 / shape + 1.0) if abs(shape) > 1e-9 else excesses / scale
        return float(weights @ (at[1] + logs) + prior)

    exact = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 1000}  # the same result on all processors
    start = np.array([_SHAPE, _LOG_SCALE])
    found = minimize(loss, start, method="Nelder-Mead", options=exact).x
    return float(found[0]), float(np.exp(found[1]))
