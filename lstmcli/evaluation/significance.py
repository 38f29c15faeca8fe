"""Statistical tests and confidence intervals, each with its source.

If a test is undefined (too few windows, a forecast that never changes), the result gives the reason
and no number. scipy.special takes 0.1 s to import, so only functions that need it import it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats, Mask
from lstmcli.evaluation.pooling import Pool, chunks, floats_or_none, mean_known
from lstmcli.printable import count_of


def normal_sf(x: float) -> float:
    """Return P(Z > x) for a standard normal Z."""
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def student_t_two_sided(t: float, df: float) -> float:
    """Return P(|T| > |t|) for Student's t with `df` degrees of freedom."""
    from scipy.special import stdtr

    return float(2.0 * stdtr(df, -abs(t)))


def student_t_quantile(confidence: float, df: float) -> float:
    """Return the t for which |T| < t with probability `confidence`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + confidence / 2.0))


def chi2_sf(x: float, df: int) -> float:
    """Return P(X > x) for a chi-squared X with `df` degrees of freedom."""
    from scipy.special import chdtrc

    return float(chdtrc(df, x))


MIN_WINDOWS = 20
_MIN_BLOCKS = 10


@dataclass(frozen=True)
class Interval:
    """A confidence interval from n independent windows, or n dates for a block bootstrap.

    low, high : None if undefined; `why` gives the reason.
    """

    low: float | None
    high: float | None
    confidence: float
    n: int
    why: str | None = None


def clopper_pearson(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """Return the exact binomial interval of Clopper & Pearson (1934).

    hits : not necessarily an integer, because a window may be the mean over several symbols; the
        beta form then applies as in Korn & Graubard (1998), with one trial per date.
    """
    if n < 1:
        return Interval(None, None, confidence, n, "there is no independent window")
    from scipy.special import betaincinv

    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits <= 0.0 else float(betaincinv(hits, n - hits + 1.0, tail))
    high = 1.0 if hits >= n else float(betaincinv(hits + 1.0, n - hits, 1.0 - tail))
    return Interval(low, high, confidence, n)


def hac_standard_error(series: Floats, lag: int) -> float | None:
    """Return the standard error of the mean of a dependent series, Newey & West (1987).

    Bartlett weights 1 - k / (lag + 1) on the autocovariances (each divided by n) up to `lag` keep
    the variance non-negative. None for fewer than two values.

    series : (D,) in time order.
    """
    n = series.size
    if n < 2:
        return None
    gamma = autocovariances(series, min(lag, n - 1))
    weights = 1.0 - np.arange(1, gamma.size) / (lag + 1.0)
    return math.sqrt(max(0.0, float(gamma[0] + 2.0 * np.sum(weights * gamma[1:]))) / n)


def overlapping_error(series: Floats, h: int) -> tuple[float, str]:
    """Return the standard error of the mean of overlapping windows, and its kernel.

    The kernel is rectangular up to lag h - 1, beyond which windows share no day. If that variance
    is not positive, Bartlett's weights 1 - k / h are used instead (Newey & West 1987). The
    small-sample factor is that of Harvey, Leybourne & Newbold (1997).

    series : (D,) in time order, D > h. h : observations that one window spans.
    """
    n = series.size
    gamma = autocovariances(series, h - 1)
    kernel, variance = "rectangular", float(gamma[0] + 2.0 * gamma[1:].sum())
    if variance <= 0.0:
        weights = 1.0 - np.arange(1, h) / h
        kernel, variance = "bartlett", float(gamma[0] + 2.0 * np.sum(weights * gamma[1:]))
    factor = (n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n
    return math.sqrt(max(0.0, variance) / n / factor), kernel


def autocovariances(series: Floats, lag: int) -> Floats:
    """Return the autocovariances at 0..lag, (lag + 1,), each a sum divided by the full n."""
    n = series.size
    centred = series - series.mean()
    return np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(lag + 1)])


def bootstrap_skills(
    losses: Mapping[str, Floats],
    pairs: Iterable[tuple[str, str]],
    *,
    block: int,
    generator: np.random.Generator,
    root: bool = False,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> dict[tuple[str, str], Interval]:
    """Return the expanded percentile interval of each pair's skill, from blocks of dates.

    A resample consists of `ceil(D / block)` circular blocks (Politis & Romano 1992), the same for
    every loss. With few blocks, resamples vary too little; therefore the percentiles lie further
    out, as in the expanded interval of Hesterberg (2015). The skill of (model, baseline) is 1 minus
    the ratio of means, or of roots of means with `root` (for RMSE from squared losses).

    losses : by model, (D,) by date, in time order. block : dates per block; 1 if windows do not
        overlap, else twice the cutoffs that one window spans (a block of one span would capture
        only two thirds of the variance). Undefined below ten blocks or 20 dates.
    """
    n = next((loss.size for loss in losses.values()), 0)
    needed = max(_MIN_BLOCKS * block, MIN_WINDOWS)
    if n < needed:
        why = f"{count_of(n, 'cutoff')}; an interval needs {needed}"
        return {pair: Interval(None, None, confidence, n, why) for pair in pairs}
    blocks = math.ceil(n / block)
    starts = generator.integers(0, n, size=(n_resamples, blocks))
    # Sum every circular block once, so that a resample needs only one addition per block.
    around = np.concatenate([np.arange(n), np.arange(block - 1)])
    resampled = {
        name: np.convolve(loss[around], np.ones(block), mode="valid")[starts].sum(axis=1)
        for name, loss in losses.items()
    }
    wider = math.sqrt(blocks / (blocks - 1.0))
    tail = normal_sf(wider * student_t_quantile(confidence, blocks - 1))
    found = {}
    for model, baseline in pairs:
        theirs = resampled[baseline]
        if not np.all(theirs > 0.0):
            why = "the baseline makes no error in some resamples"
            found[model, baseline] = Interval(None, None, confidence, n, why)
            continue
        ratio = resampled[model] / theirs
        skills = 1.0 - (np.sqrt(ratio) if root else ratio)
        low, high = np.quantile(skills, [tail, 1.0 - tail])
        found[model, baseline] = Interval(float(low), float(high), confidence, n)
    return found


_RESAMPLES = 2000
_SLICE = 200  # resamples at a time
_NORMAL = 1.959963984540054  # 97.5 % quantile of the standard normal


def joint_test(
    gains: Floats, reach: int, tested: Mask
) -> tuple[list[float | None], list[float | None]]:
    """Test one-sided, jointly over S series, whether the mean of each is positive.

    The p-value of a series is the share of resamples, in circular blocks and with all means zero,
    in which any series has as large a statistic. It is thereby adjusted for the number of series.

    gains : (U, S) by observation, in time order; NaN where unknown. reach : observations that one
        window spans. tested : (S,) mask of the series with enough windows.
    Returns means and p-values, S each; None if unknown, not tested or without variation.
    """
    means, errors = np.full((2, gains.shape[1]), np.nan)
    for s, own in enumerate(gains.T):
        own = own[~np.isnan(own)]
        if own.size:
            means[s] = own.mean()
            # Twice the span, because Bartlett's weights over one lose a third of the variance.
            errors[s] = hac_standard_error(own, 2 * (reach - 1)) or np.nan
    errors[~tested] = np.nan
    largest = _largest_statistics(gains, means, errors, reach)
    ps = [
        (1 + int(np.count_nonzero(largest >= mean / error))) / (1 + largest.size)
        if error > 0.0
        else None
        for mean, error in zip(means, errors, strict=True)
    ]
    return floats_or_none(means), ps


def _largest_statistics(gains: Floats, means: Floats, errors: Floats, reach: int) -> Floats:
    """Return the largest statistic of any series in each resample with all means zero, (B,).

    Resamples of few blocks vary too little, so the statistics are widened by the ratio of Student's
    t to the normal quantile.
    """
    used = errors > 0.0
    if not used.any():
        return np.zeros(0)
    known = ~np.isnan(gains[:, used])
    centred, weights = np.where(known, gains[:, used] - means[used], 0.0), known.astype(np.float64)
    n, block = len(gains), 1 if reach == 1 else 2 * reach
    drawn = math.ceil(n / block)
    # A fixed seed: the same forecasts give the same p-values.
    starts = np.random.default_rng(0).integers(0, n, size=(_RESAMPLES, drawn))
    largest = []
    for part in chunks(_RESAMPLES, _SLICE):
        some = starts[part, :, None]
        rows = (some + np.arange(block)).reshape(len(some), -1)[:, :n] % n
        rows += n * np.arange(len(some))[:, None]
        times = np.bincount(rows.ravel(), minlength=len(some) * n).reshape(-1, n).astype(float)
        sums = times @ centred
        count = np.full(sums.shape, n) if known.all() else times @ weights
        resampled = np.divide(sums, count, out=np.zeros(count.shape), where=count > 0)
        largest.append((resampled / errors[used]).max(axis=1))
    wider = student_t_quantile(0.95, max(1, drawn - 1)) / _NORMAL
    wider *= math.sqrt(drawn / max(1.0, drawn - 1.0))
    if reach > 1:  # blocks of two spans capture five sixths of the variance of overlapping windows
        wider *= math.sqrt(6.0 / 5.0)
    return np.concatenate(largest) * wider


ASYMPTOTIC = 100  # windows from which the normal approximation is used
_PERMUTATIONS = 4999
_ROWS = 256  # rows of the (U, U) table per chunk


@dataclass(frozen=True)
class SignificanceTest:
    """The result of a test.

    statistic, p : None if undefined; `why` gives the reason.
    n : number of independent observations in the test, never symbols times dates.
    note : a deviation from the textbook form that was necessary here, or None.
    """

    name: str
    statistic: float | None
    p: float | None
    n: int
    why: str | None = None
    note: str | None = None


def diebold_mariano(
    loss_a: Floats,
    loss_b: Floats,
    h: int = 1,
    n_independent: int | None = None,
    fewest: int = MIN_WINDOWS,
) -> SignificanceTest:
    """Test two-sided that two forecasts have the same expected loss.

    Diebold & Mariano (1995) with the small-sample factor of Harvey, Leybourne & Newbold (1997). A
    negative statistic is in favour of `a`. Student's t has one degree of freedom less than there
    are independent observations; the textbook counts all observations, but overlapping windows add
    no evidence. Undefined below `fewest` independent observations, or max(2 h, 20) in total.

    loss_a, loss_b : (U,) by observation, in time order. h : observations that one window spans; 1
        for windows that do not overlap. n_independent : U by default.
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


def direction_test(predicted_up: Mask, actual_up: Mask, pool: Pool) -> SignificanceTest:
    """Test one-sided whether called directions agree with outcomes, on non-overlapping windows.

    One series uses Fisher's exact test below 100 windows, and Pesaran & Timmermann from there on.
    For several series the dates of the outcomes are permuted, so that neither symbols that move
    together nor symbols that rise more often than others count as evidence. A constant answer
    cannot be tested.

    predicted_up, actual_up : (N,) for the windows of the pool.
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
    """Test agreement of x and y, (U, S) each, by permuting the dates of y.

    NaN marks a symbol without a window. Both arrays are overwritten to save memory.
    """
    known = [~np.isnan(each) for each in (x, y)]
    for each, own in zip((x, y), known, strict=True):
        each -= np.nanmean(each)
        each[~own] = 0.0
    agreement = x @ y.T  # (U, U)
    x[:], y[:] = known
    for rows in chunks(len(x), _ROWS):
        counts, each = x[rows] @ y.T, agreement[rows]
        np.divide(each, counts, out=each, where=counts > 0)  # stays 0 without common symbols
    found, generator, at = float(np.trace(agreement)), np.random.default_rng(0), np.arange(len(x))
    drawn = np.array(
        [agreement[at, generator.permutation(len(x))].sum() for _ in range(_PERMUTATIONS)]
    )
    beyond = int(np.count_nonzero(drawn >= found - 1e-12))
    spread = float(drawn.std())
    statistic = None if spread < 1e-9 else (found - float(drawn.mean())) / spread
    return SignificanceTest(name, statistic, (1 + beyond) / (1 + _PERMUTATIONS), len(x))


def fisher_exact(predicted_up: Mask, actual_up: Mask) -> SignificanceTest:
    """Test one-sided whether hits are more frequent than by chance; (n,) windows.

    Fisher's exact test (1935). The statistic is the number of rises called correctly.
    """
    n, ups, calls = predicted_up.size, int(actual_up.sum()), int(predicted_up.sum())
    hits = int((predicted_up & actual_up).sum())
    ways = sum(
        math.comb(ups, k) * math.comb(n - ups, calls - k) for k in range(hits, min(ups, calls) + 1)
    )
    return SignificanceTest("Fisher's exact", float(hits), ways / math.comb(n, calls), n)


def pesaran_timmermann(predicted_up: Mask, actual_up: Mask) -> SignificanceTest:
    """Test one-sided whether called directions agree with outcomes more often than by chance.

    Pesaran & Timmermann (1992), with the normal approximation, for which 20 windows are too few.
    predicted_up, actual_up : (n,) non-overlapping windows of one series, neither constant.
    """
    n = predicted_up.size
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
    return SignificanceTest("Pesaran-Timmermann", statistic, normal_sf(statistic), n)


def christoffersen_unconditional(
    hits: int, n: int, nominal: float, fewest: int = MIN_WINDOWS
) -> SignificanceTest:
    """Test whether a band covers its nominal share, by the likelihood ratio.

    Christoffersen (1998), section 3.1, LR_uc, chi-squared with one degree of freedom; the same as
    Kupiec (1995). hits : number of actuals inside the band, of n windows that do not overlap.
    """
    name = "Christoffersen unconditional"
    if n < fewest:
        return _undefined(name, n, too_few(n, fewest))
    ratio = max(
        0.0,
        2.0 * (_binary_likelihood(n - hits, hits) - _binary_likelihood(n - hits, hits, nominal)),
    )
    return SignificanceTest(name, ratio, chi2_sf(ratio, 1), n)


def christoffersen_independence(hits: Mask, fewest: int = MIN_WINDOWS) -> SignificanceTest:
    """Test whether a hit depends on the previous hit, against a first-order Markov chain.

    Christoffersen (1998), section 3.2, LR_ind, chi-squared with one degree of freedom.
    hits : (n,) in time order.
    """
    name, n = "Christoffersen independence", hits.size
    if n < fewest:
        return _undefined(name, n, too_few(n, fewest))
    if not hits.any() or hits.all():
        return _undefined(name, n, "all outcomes were the same")
    codes = np.bincount(2 * hits[:-1].astype(np.int64) + hits[1:], minlength=4)
    apart = _binary_likelihood(*codes[:2]) + _binary_likelihood(*codes[2:])
    ratio = max(0.0, 2.0 * (apart - _binary_likelihood(*(codes[:2] + codes[2:]))))
    return SignificanceTest(name, ratio, chi2_sf(ratio, 1), n)


def christoffersen_joint(hits: Mask, nominal: float, fewest: int = MIN_WINDOWS) -> SignificanceTest:
    """Test coverage and independence jointly: LR_cc = LR_uc + LR_ind, chi-squared, 2 df."""
    name, n = "Christoffersen conditional", hits.size
    coverage = christoffersen_unconditional(int(hits.sum()), n, nominal, fewest)
    independence = christoffersen_independence(hits, fewest)
    if coverage.statistic is None or independence.statistic is None:
        return _undefined(name, n, coverage.why or independence.why)
    ratio = coverage.statistic + independence.statistic
    return SignificanceTest(name, ratio, chi2_sf(ratio, 2), n)


def _binary_likelihood(misses: int, hits: int, share: float | None = None) -> float:
    """Return the log likelihood of misses and hits; `share` defaults to the observed share."""
    from scipy.special import xlog1py, xlogy

    p = hits / max(1, misses + hits) if share is None else share
    return float(xlogy(hits, p) + xlog1py(misses, -p))


def _no_direction_test(predicted_up: Mask, actual_up: Mask, n: int) -> str | None:
    if n < MIN_WINDOWS:
        return too_few(n, MIN_WINDOWS)
    if predicted_up.all() or not predicted_up.any():
        return "the model gives the same answer every time: it has no view on direction"
    if actual_up.all() or not actual_up.any():
        return "the outcome was the same every time"
    return None


def _varies(values: Floats) -> bool:
    """Return whether any symbol's values change over dates, (U, S); NaN where unknown."""
    apart = values - mean_known(values, axis=0)
    return bool((np.abs(apart, out=apart) > 1e-9).any())


def too_few(n: int, needed: int) -> str:
    """Return the reason why there is no test: too few windows."""
    return f"{count_of(n, 'window')}; a test needs {needed}"


def _undefined(name: str, n: int, why: str | None) -> SignificanceTest:
    return SignificanceTest(name, None, None, n, why)
