"""Is the difference more than luck? The formal tests, each with its paper.

Where a test has no answer (too few windows, a forecast that never changes) the record says why and
holds no number.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.distributions import chi2_sf, normal_sf, student_t_two_sided
from lstmcli.evaluation.intervals import MIN_WINDOWS, overlapping_error
from lstmcli.evaluation.pooling import Pool, mean_known

Floats = NDArray[np.float64]
ASYMPTOTIC = 100  # windows from which the normal is a guide
_PERMUTATIONS = 4999
_ROWS = 256  # of a square table at a time


@dataclass(frozen=True)
class SignificanceTest:
    """What a test found.

    statistic, p : None where undefined; then `why` says the reason.
    n : the independent observations that the test counts, never symbols times dates.
    note : a departure from the textbook form that was needed here, or None.
    """

    name: str
    statistic: float | None
    p: float | None
    n: int
    why: str | None = None
    note: str | None = None


def diebold_mariano(
    loss_a: NDArray[np.float64],
    loss_b: NDArray[np.float64],
    h: int = 1,
    n_independent: int | None = None,
    fewest: int = MIN_WINDOWS,
) -> SignificanceTest:
    """Test two-sided that two forecasts have the same expected loss.

    Diebold & Mariano (1995) with the small-sample factor of Harvey, Leybourne & Newbold (1997). A
    negative statistic is in favour of `a`. Student's t has a degree of freedom for each independent
    observation but one, where the textbook counts all of them: overlapping windows are no more
    evidence. Undefined below `fewest` independent observations, or max(2 h, 20) of all.

    loss_a, loss_b : (U,) by observation, in the order of time. h : observations that one window
        reaches across; 1 for windows that do not overlap. n_independent : U unless given.
    """
    name, n = "Diebold-Mariano", loss_a.size if n_independent is None else n_independent
    difference, needed = loss_a - loss_b, max(2 * h, MIN_WINDOWS)
    if difference.size < needed:
        return _undefined(name, n, too_few(difference.size, needed))
    if n < fewest:
        return _undefined(name, n, too_few(n, fewest))
    if not np.all(np.isfinite(difference)):
        return _undefined(name, n, "some losses are not finite")
    if np.ptp(difference) <= 1e-12 * max(np.abs(loss_a).max(), np.abs(loss_b).max()):
        return _undefined(name, n, "the two losses differ by the same amount at every cutoff")
    error, kernel = overlapping_error(difference, h)
    statistic = float(difference.mean()) / error
    note = None if kernel == "rectangular" else "Bartlett kernel: rectangular variance not positive"
    return SignificanceTest(name, statistic, student_t_two_sided(statistic, n - 1), n, note=note)


def direction_test(
    predicted_up: NDArray[np.bool_], actual_up: NDArray[np.bool_], pool: Pool
) -> SignificanceTest:
    """Test one-sided that calls of direction go with what happened, on windows that are apart.

    For one series Fisher's exact test below 100 windows, Pesaran & Timmermann from there on. For
    several the outcomes' dates are permuted, so that neither symbols that move together nor those
    that rise more often than others count as evidence. A constant answer cannot be tested.

    predicted_up, actual_up : (N,) of the pool's windows.
    """
    name, n = "Permutation of dates", pool.n_units
    why = _no_direction_test(predicted_up, actual_up, pool.n_independent)
    if why is not None:
        return _undefined(name, n, why)
    if n == pool.size:
        test = fisher_exact if n < ASYMPTOTIC else pesaran_timmermann
        return test(predicted_up, actual_up)
    x, y = (pool.by_symbol(each) for each in (predicted_up, actual_up))
    if not _varies(x):
        return _undefined(name, n, "each symbol has the same answer every time")
    if not _varies(y):
        return _undefined(name, n, "the outcome of each symbol was the same every time")
    return _permutation(name, x, y)


def _permutation(name: str, x: Floats, y: Floats) -> SignificanceTest:
    """Permute the dates of y against those of x, (U, S) each, NaN where a symbol has no window.

    Both are overwritten, since they are long.
    """
    known = [~np.isnan(each) for each in (x, y)]
    for each, own in zip((x, y), known, strict=True):
        each -= np.nanmean(each)
        each[~own] = 0.0
    agreement = x @ y.T  # (U, U)
    x[:], y[:] = known
    for first in range(0, len(x), _ROWS):  # so that memory stays flat
        counts = x[first : first + _ROWS] @ y.T
        each = agreement[first : first + _ROWS]
        np.divide(each, counts, out=each, where=counts > 0)  # else it is 0
    found, generator, at = float(np.trace(agreement)), np.random.default_rng(0), np.arange(len(x))
    drawn = np.array(
        [agreement[at, generator.permutation(len(x))].sum() for _ in range(_PERMUTATIONS)]
    )
    beyond = int(np.count_nonzero(drawn >= found - 1e-12))
    spread = float(drawn.std())
    statistic = None if spread < 1e-9 else (found - float(drawn.mean())) / spread
    return SignificanceTest(name, statistic, (1 + beyond) / (1 + _PERMUTATIONS), len(x))


def fisher_exact(predicted_up: NDArray[np.bool_], actual_up: NDArray[np.bool_]) -> SignificanceTest:
    """Fisher's (1935) exact test, one-sided: are hits more frequent than by chance; (n,) windows.

    The statistic is the number of rises that were called.
    """
    n, ups, calls = predicted_up.size, int(actual_up.sum()), int(predicted_up.sum())
    hits = int((predicted_up & actual_up).sum())
    ways = sum(
        math.comb(ups, k) * math.comb(n - ups, calls - k) for k in range(hits, min(ups, calls) + 1)
    )
    return SignificanceTest("Fisher's exact", float(hits), ways / math.comb(n, calls), n)


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


def christoffersen_unconditional(hits: int, n: int, nominal: float) -> SignificanceTest:
    """Test that a band covers its nominal share, by the likelihood ratio.

    Christoffersen (1998), section 3.1, LR_uc, chi-squared with one degree of freedom; the same as
    Kupiec (1995). hits : actuals inside the band, of n windows that do not overlap.
    """
    name = "Christoffersen unconditional"
    if n < MIN_WINDOWS:
        return _undefined(name, n, too_few(n, MIN_WINDOWS))
    found = _bernoulli_log_likelihood(hits, n, hits / n)
    ratio = max(0.0, 2.0 * (found - _bernoulli_log_likelihood(hits, n, nominal)))
    return SignificanceTest(name, ratio, chi2_sf(ratio, 1), n)


def _no_direction_test(
    predicted_up: NDArray[np.bool_], actual_up: NDArray[np.bool_], n: int
) -> str | None:
    if n < MIN_WINDOWS:
        return too_few(n, MIN_WINDOWS)
    if predicted_up.all() or not predicted_up.any():
        return "the model gives the same answer every time: it has no view on direction"
    if actual_up.all() or not actual_up.any():
        return "the outcome was the same every time"
    return None


def _varies(values: Floats) -> bool:
    """Whether any symbol's values change from date to date, (U, S) with NaN for none."""
    apart = values - mean_known(values, axis=0)
    return bool((np.abs(apart, out=apart) > 1e-9).any())


def _bernoulli_log_likelihood(hits: int, n: int, p: float) -> float:
    inside = hits * math.log(p) if hits else 0.0
    outside = (n - hits) * math.log1p(-p) if hits < n else 0.0
    return inside + outside


def too_few(n: int, needed: int) -> str:
    """Say why there is no test."""
    return f"too few windows for a test ({n}, at least {needed} are needed)"


def _undefined(name: str, n: int, why: str) -> SignificanceTest:
    return SignificanceTest(name, None, None, n, why)
