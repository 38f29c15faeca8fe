"""Is the difference more than luck? The formal tests, each with its paper.

Where a test has no answer (too few windows, a forecast that never changes) the record says why and
holds no number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.distributions import chi2_sf, normal_sf, student_t_two_sided
from lstmcli.evaluation.intervals import MIN_WINDOWS, autocovariances
from lstmcli.evaluation.pooling import by_date


@dataclass(frozen=True)
class SignificanceTest:
    """What a test found.

    statistic, p : None where undefined; then `why` says the reason.
    n : the observations that the test counts (cutoff dates, never symbols times dates).
    note : a departure from the textbook form that was needed here, or None.
    """

    name: str
    statistic: float | None
    p: float | None
    n: int
    why: str | None = None
    note: str | None = None


def diebold_mariano(
    loss_a: NDArray[np.float64], loss_b: NDArray[np.float64], h: int = 1
) -> SignificanceTest:
    """Test two-sided that two forecasts have the same expected loss.

    Diebold & Mariano (1995) with the small-sample factor and Student's t of Harvey, Leybourne &
    Newbold (1997). A negative statistic is in favour of `a`. Undefined below max(2 h, 20) dates.

    loss_a, loss_b : (D,) by cutoff date, in the order of time. h : cutoffs that one window reaches
        across; 1 for windows that do not overlap.
    """
    name, n = "Diebold-Mariano", loss_a.size
    needed = max(2 * h, MIN_WINDOWS)
    if n < needed:
        return _undefined(name, n, _too_few(n, needed))
    difference = loss_a - loss_b
    if not np.all(np.isfinite(difference)):
        return _undefined(name, n, "some losses are not finite")
    if np.ptp(difference) <= 1e-12 * max(np.abs(loss_a).max(), np.abs(loss_b).max()):
        return _undefined(name, n, "the two losses differ by the same amount at every cutoff")
    statistic, kernel = harvey_statistic(difference, h)
    note = None if kernel == "rectangular" else "Bartlett kernel: rectangular variance not positive"
    return SignificanceTest(name, statistic, student_t_two_sided(statistic, n - 1), n, note=note)


def harvey_statistic(difference: NDArray[np.float64], h: int) -> tuple[float, str]:
    """The corrected Diebold-Mariano statistic of a loss difference, and the kernel it rests on.

    The kernel is rectangular up to lag h - 1; where that variance is not positive, Bartlett's
    weights 1 - k / h, which cannot fail so, take its place (Newey & West 1987).
    """
    n = difference.size
    gamma = autocovariances(difference, h - 1)
    kernel, variance = "rectangular", float(gamma[0] + 2.0 * gamma[1:].sum())
    if variance <= 0.0:
        weights = 1.0 - np.arange(1, h) / h
        kernel, variance = "bartlett", float(gamma[0] + 2.0 * np.sum(weights * gamma[1:]))
    factor = (n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n  # Harvey et al. (1997)
    return float(difference.mean()) / math.sqrt(variance / n) * math.sqrt(factor), kernel


def pesaran_timmermann(
    predicted_up: NDArray[np.bool_], actual_up: NDArray[np.bool_]
) -> SignificanceTest:
    """Test one-sided that calls of direction are better than independent of what happened.

    Pesaran & Timmermann (1992), against the normal; (n,) windows of one series that do not
    overlap. A constant answer cannot be told from luck by it, so the test is undefined there, and
    below 20 windows, where the normal is no guide.
    """
    name, n = "Pesaran-Timmermann", predicted_up.size
    why = _no_direction_test(predicted_up, actual_up, n)
    if why is not None:
        return _undefined(name, n, why)
    hit = float(np.mean(predicted_up == actual_up))
    x, y = float(np.mean(predicted_up)), float(np.mean(actual_up))
    chance = y * x + (1.0 - y) * (1.0 - x)
    hit_variance = chance * (1.0 - chance) / n
    chance_variance = (
        (2.0 * y - 1.0) ** 2 * x * (1.0 - x) / n
        + (2.0 * x - 1.0) ** 2 * y * (1.0 - y) / n
        + 4.0 * y * x * (1.0 - y) * (1.0 - x) / n**2
    )
    statistic = (hit - chance) / math.sqrt(hit_variance - chance_variance)
    return SignificanceTest(name, statistic, normal_sf(statistic), n)


def pesaran_timmermann_by_date(
    predicted_up: NDArray[np.bool_],
    actual_up: NDArray[np.bool_],
    cutoff: NDArray[np.datetime64],
) -> SignificanceTest:
    """The same question for several symbols, whose moves on one date are no independent evidence.

    The numerator of Pesaran & Timmermann (1992) is twice the covariance of calls and outcomes. Its
    terms are averaged over the symbols of each cutoff date, and the mean over the D dates is tested
    against its own spread, one-sided, with Student's t and D - 1 degrees of freedom: each date is
    one cluster.

    predicted_up, actual_up, cutoff : (N,) rows whose windows do not overlap between dates.
    """
    name = "Pesaran-Timmermann by date"
    x, y = predicted_up.astype(np.float64), actual_up.astype(np.float64)
    dates, means = by_date(np.column_stack([x, y]), cutoff)
    n = dates.size
    why = _no_direction_test(predicted_up, actual_up, n)
    if why is not None:
        return _undefined(name, n, why)
    mean_x, mean_y = means.mean(axis=0)
    terms = by_date((x - mean_x) * (y - mean_y), cutoff)[1]
    if np.ptp(terms) <= 1e-12:
        return _undefined(name, n, "calls and outcomes agree to the same degree on every date")
    statistic = float(terms.mean()) / math.sqrt(float(terms.var(ddof=1)) / n)
    two_sided = student_t_two_sided(statistic, n - 1)
    return SignificanceTest(
        name, statistic, two_sided / 2.0 if statistic > 0 else 1.0 - two_sided / 2.0, n
    )


def christoffersen_unconditional(hits: int, n: int, nominal: float) -> SignificanceTest:
    """Test that a band covers its nominal share, by the likelihood ratio.

    Christoffersen (1998), section 3.1, LR_uc, chi-squared with one degree of freedom; the same as
    Kupiec (1995). hits : actuals inside the band, of n windows that do not overlap.
    """
    name = "Christoffersen unconditional"
    if n < MIN_WINDOWS:
        return _undefined(name, n, _too_few(n, MIN_WINDOWS))
    found = _bernoulli_log_likelihood(hits, n, hits / n)
    ratio = max(0.0, 2.0 * (found - _bernoulli_log_likelihood(hits, n, nominal)))
    return SignificanceTest(name, ratio, chi2_sf(ratio, 1), n)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for having asked several times, Holm (1979).

    None (an undefined test) stays None and is not counted.
    """
    asked = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(asked):
        running = max(running, min(1.0, (len(asked) - rank) * p))
        adjusted[i] = running
    return adjusted


def _no_direction_test(
    predicted_up: NDArray[np.bool_], actual_up: NDArray[np.bool_], n: int
) -> str | None:
    if n < MIN_WINDOWS:
        return _too_few(n, MIN_WINDOWS)
    if predicted_up.all() or not predicted_up.any():
        return "the forecast gives the same answer every time"
    if actual_up.all() or not actual_up.any():
        return "the outcome was the same every time"
    return None


def _bernoulli_log_likelihood(hits: int, n: int, p: float) -> float:
    inside = hits * math.log(p) if hits else 0.0
    outside = (n - hits) * math.log1p(-p) if hits < n else 0.0
    return inside + outside


def _too_few(n: int, needed: int) -> str:
    return f"too few windows for a test ({n}, at least {needed} are needed)"


def _undefined(name: str, n: int, why: str) -> SignificanceTest:
    return SignificanceTest(name, None, None, n, why)
