"""Up or down: how often the sign of the move was right, beside the best constant answer.

A move counts as up when it is above zero, and as down otherwise. A forecast of exactly zero makes
no call and counts as a miss; a model that never makes one has no accuracy.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.intervals import Interval, clopper_pearson
from lstmcli.evaluation.pooling import count_dates, float_or_none, independent, pooled
from lstmcli.evaluation.significance import (
    SignificanceTest,
    pesaran_timmermann,
    pesaran_timmermann_by_date,
)


@dataclass(frozen=True)
class TwoWay:
    """How often the direction of the move up to one step was right.

    accuracy, balanced_accuracy : over all cutoffs, pooled by date; None where undefined (`why`).
    always, always_accuracy : the best constant answer over these cutoffs, and how often it holds.
    up_actual, up_predicted : share of rises, and of calls of a rise.
    n_windows : symbols times cutoffs. n_independent : cutoff dates that do not overlap.
    independent_accuracy, interval, always_independent : on those alone, with the exact interval.
    test : Pesaran-Timmermann, on those alone.
    """

    accuracy: float | None
    balanced_accuracy: float | None
    always: Literal["up", "down"] | None
    always_accuracy: float | None
    up_actual: float | None
    up_predicted: float | None
    n_windows: int
    n_independent: int
    independent_accuracy: float | None
    always_independent: float | None
    interval: Interval
    test: SignificanceTest
    why: str | None = None


def two_way(
    predicted: NDArray[np.float64],
    actual: NDArray[np.float64],
    cutoff: NDArray[np.datetime64],
    end: NDArray[np.datetime64],
) -> TwoWay:
    """Score the signs of predicted against actual moves.

    predicted, actual : (N,) log moves, NaN in `actual` where it has not happened.
    cutoff, end : (N,) first and last date of each window; `end` tells which windows overlap.
    """
    known = ~np.isnan(actual)
    if not known.all():  # a copy of many windows is long
        predicted, actual, cutoff, end = predicted[known], actual[known], cutoff[known], end[known]
    why = _no_call(predicted)
    up = actual > 0.0
    hit = np.where(up, predicted > 0.0, predicted < 0.0).astype(np.float64)
    apart = independent(cutoff, end)
    n_independent = count_dates(cutoff[apart])
    share = float_or_none(pooled(hit[apart], cutoff[apart]))
    interval = (
        Interval(None, None, 0.95, n_independent, why)
        if why is not None or share is None
        else clopper_pearson(share * n_independent, n_independent)
    )
    up_actual = float_or_none(pooled(up.astype(np.float64), cutoff))
    constant, at_best = _best_constant(up_actual)
    return TwoWay(
        accuracy=None if why else float_or_none(pooled(hit, cutoff)),
        balanced_accuracy=None if why else _balanced(hit, up, cutoff),
        always=constant,
        always_accuracy=at_best,
        up_actual=up_actual,
        up_predicted=float_or_none(pooled((predicted > 0.0).astype(np.float64), cutoff)),
        n_windows=actual.size,
        n_independent=n_independent,
        independent_accuracy=None if why else share,
        always_independent=_best_constant(
            float_or_none(pooled(up[apart].astype(np.float64), cutoff[apart]))
        )[1],
        interval=interval,
        test=_test((predicted > 0.0)[apart], up[apart], cutoff[apart], why),
        why=why,
    )


def probability_below(
    quantiles: NDArray[np.float64], levels: tuple[float, ...], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probability that a fan gives to moves below a value; linear between its quantiles.

    Beyond the outermost quantiles it stays at the outermost level, so that a fan of 0.025 to 0.975
    never claims more than 97.5 %.

    quantiles : (N, Q), ascending along Q. value : (N,). Returns (N,).
    """
    at = np.array(levels)
    right = np.clip((quantiles <= value[:, None]).sum(axis=1), 1, at.size - 1)
    rows = np.arange(value.size)
    low, high = quantiles[rows, right - 1], quantiles[rows, right]
    gap = high - low
    fraction = (value >= high).astype(np.float64)  # holds where two quantiles coincide
    np.divide(value - low, gap, out=fraction, where=gap > 0.0)
    levels_low, levels_high = at[right - 1], at[right]
    below: NDArray[np.float64] = levels_low + np.clip(fraction, 0.0, 1.0) * (
        levels_high - levels_low
    )
    return below


def _no_call(predicted: NDArray[np.float64]) -> str | None:
    if not predicted.size:
        return "no window has its outcome yet"
    if not predicted.any():
        return "it predicts no move, so it makes no call"
    return None


def _best_constant(
    up: float | None,
) -> tuple[Literal["up", "down"] | None, float | None]:
    if up is None:
        return None, None
    return ("up", up) if up >= 0.5 else ("down", 1.0 - up)


def _balanced(
    hit: NDArray[np.float64], up: NDArray[np.bool_], cutoff: NDArray[np.datetime64]
) -> float | None:
    if up.all() or not up.any():
        return None
    shares = [
        float(pooled(hit * kind, cutoff)) / float(pooled(kind, cutoff))
        for kind in (up.astype(np.float64), (~up).astype(np.float64))
    ]
    return sum(shares) / 2.0


def _test(
    calls: NDArray[np.bool_],
    up: NDArray[np.bool_],
    cutoff: NDArray[np.datetime64],
    why: str | None,
) -> SignificanceTest:
    n = count_dates(cutoff)
    if why is not None:
        return SignificanceTest("Pesaran-Timmermann", None, None, n, why)
    if n < cutoff.size:
        return pesaran_timmermann_by_date(calls, up, cutoff)
    return pesaran_timmermann(calls, up)
