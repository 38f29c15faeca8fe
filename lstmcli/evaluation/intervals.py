"""How far a figure can be trusted: intervals and standard errors for few, dependent windows.

An interval that cannot be had says why and never holds NaN.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.distributions import beta_quantile, normal_sf, student_t_quantile

MIN_WINDOWS = 20
_MIN_BLOCKS = 10


@dataclass(frozen=True)
class Interval:
    """A confidence interval from n independent windows (or dependent dates, where blocks are said).

    low, high : None where undefined; then `why` says the reason.
    """

    low: float | None
    high: float | None
    confidence: float
    n: int
    why: str | None = None


def clopper_pearson(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """The exact binomial interval of Clopper & Pearson (1934).

    hits : may lie between whole numbers where each window is the mean over several symbols; the
        beta form then holds it as Korn & Graubard (1998) do, every date counting as one trial.
    """
    if n < 1:
        return Interval(None, None, confidence, n, "there is no independent window")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits <= 0.0 else beta_quantile(tail, hits, n - hits + 1.0)
    high = 1.0 if hits >= n else beta_quantile(1.0 - tail, hits + 1.0, n - hits)
    return Interval(low, high, confidence, n)


def hac_standard_error(series: NDArray[np.float64], lag: int) -> float | None:
    """The standard error of the mean of a dependent series, Newey & West (1987).

    Bartlett weights 1 - k / (lag + 1) on the autocovariances (each divided by n) up to `lag`, which
    keep the variance from going negative. None for fewer than two values.

    series : (D,) in the order of time.
    """
    n = series.size
    if n < 2:
        return None
    gamma = autocovariances(series, min(lag, n - 1))
    weights = 1.0 - np.arange(1, gamma.size) / (lag + 1.0)
    return math.sqrt(max(0.0, float(gamma[0] + 2.0 * np.sum(weights * gamma[1:]))) / n)


def overlapping_error(series: NDArray[np.float64], h: int) -> tuple[float, str]:
    """The standard error of the mean of windows that reach across h observations, and its kernel.

    The kernel is rectangular up to lag h - 1, beyond which windows share no day; where that
    variance is not positive, Bartlett's weights 1 - k / h, which cannot fail so, take its place
    (Newey & West 1987). With the small-sample factor of Harvey, Leybourne & Newbold (1997).

    series : (D,) in the order of time, D > h.
    """
    n = series.size
    gamma = autocovariances(series, h - 1)
    kernel, variance = "rectangular", float(gamma[0] + 2.0 * gamma[1:].sum())
    if variance <= 0.0:
        weights = 1.0 - np.arange(1, h) / h
        kernel, variance = "bartlett", float(gamma[0] + 2.0 * np.sum(weights * gamma[1:]))
    factor = (n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n
    return math.sqrt(max(0.0, variance) / n / factor), kernel


def autocovariances(series: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Autocovariances at 0..lag, each a sum divided by the full n; returns (lag + 1,)."""
    n = series.size
    centred = series - series.mean()
    return np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(lag + 1)])


def bootstrap_skills(
    losses: Mapping[str, NDArray[np.float64]],
    pairs: Iterable[tuple[str, str]],
    *,
    block: int,
    generator: np.random.Generator,
    root: bool = False,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> dict[tuple[str, str], Interval]:
    """The expanded percentile interval of each pair's skill, from blocks of consecutive dates.

    Circular blocks of Politis & Romano (1992): `ceil(D / block)` of them, the same for every loss.
    The fewer blocks there are, the further out lie the percentiles, as in the expanded interval of
    Hesterberg (2015), because resamples of few blocks spread too little.
    The skill of (model, baseline) is 1 - ratio of means, or of roots of means with `root` (for RMSE
    from squared losses).

    losses : by model, (D,) by date, in the order of time. block : dates a block; 1 where windows do
        not overlap, else twice the cutoffs that one window reaches across (a block of one reach
        would see but two thirds of the variance). Undefined below ten blocks or 20 dates.
    """
    n = next((loss.size for loss in losses.values()), 0)
    needed = max(_MIN_BLOCKS * block, MIN_WINDOWS)
    if n < needed:
        why = f"too few cutoffs ({n}, at least {needed} needed)"
        return {pair: Interval(None, None, confidence, n, why) for pair in pairs}
    blocks = math.ceil(n / block)
    starts = generator.integers(0, n, size=(n_resamples, blocks))
    resampled = {name: _resampled_sums(loss, starts, block) for name, loss in losses.items()}
    return {
        (model, baseline): _skill_interval(
            resampled[model], resampled[baseline], n, blocks, root=root, confidence=confidence
        )
        for model, baseline in pairs
    }


def _resampled_sums(
    loss: NDArray[np.float64], starts: NDArray[np.int64], block: int
) -> NDArray[np.float64]:
    # Sums of every circular block once; a resample is then a few additions however long it is.
    around = np.concatenate([np.arange(loss.size), np.arange(block - 1)])
    sums = np.convolve(loss[around], np.ones(block), mode="valid")
    total: NDArray[np.float64] = sums[starts].sum(axis=1)
    return total


def _skill_interval(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    n: int,
    blocks: int,
    *,
    root: bool,
    confidence: float,
) -> Interval:
    if not np.all(theirs > 0.0):
        return Interval(None, None, confidence, n, "the baseline makes no error in some resamples")
    ratio = np.sqrt(ours / theirs) if root else ours / theirs
    wider = math.sqrt(blocks / (blocks - 1.0))
    tail = normal_sf(wider * student_t_quantile(confidence, blocks - 1))
    low, high = np.quantile(1.0 - ratio, [tail, 1.0 - tail])
    return Interval(float(low), float(high), confidence, n)
