"""On which symbols is a model better? One joint test, so that asking of many costs nothing.

Dates are resampled in blocks, for all symbols together, and the largest statistic of any symbol is
what each one is held against (the maximum test of White 2000, with the studentised statistics of
Romano & Wolf 2005): the chance that any symbol is named by luck is the level.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.comparisons import Evidence, Loss
from lstmcli.evaluation.distributions import student_t_quantile
from lstmcli.evaluation.intervals import MIN_WINDOWS, hac_standard_error
from lstmcli.evaluation.significance import too_few

_RESAMPLES = 2000
_SLICE = 200  # resamples at a time, so that memory stays flat
_SEED = 0  # the same forecasts give the same p-values
_NORMAL = 1.959963984540054  # 97.5 % quantile of the standard normal


@dataclass(frozen=True)
class SymbolTest:
    """How the loss of one symbol's windows compares with a rival's.

    gain : mean of the rival's loss less the model's; in units of the last price, squared for the
    squared error. p : one-sided, small where the model is better, adjusted for all symbols asked.
    None where there is nothing to test; then `why` says the reason. n : the symbol's own windows
    that are independent.
    """

    gain: float | None
    p: float | None
    n: int
    why: str | None = None


def symbol_tests(evidence: Evidence, loss: Loss, name: str, rival: str) -> dict[str, SymbolTest]:
    """Test every symbol at once; nothing for a single symbol, or without both losses."""
    known = evidence.losses(loss)
    if len(evidence.symbols) < 2 or name == rival or not {name, rival} <= set(known):
        return {}
    pool = evidence.pool
    gains = pool.by_symbol(known[rival] - known[name])  # (U, S)
    means, errors = _statistics(gains, pool.reach)
    counts = evidence.own_windows
    # Of a new listing's few windows the error is known too poorly: it would win by luck.
    errors[np.array(counts) < MIN_WINDOWS] = np.nan
    largest = _largest(gains, means, errors, pool.reach)
    found = {}
    for s, (symbol, n) in enumerate(zip(evidence.symbols, counts, strict=True)):
        gain = None if np.isnan(means[s]) else float(means[s])
        if errors[s] > 0.0:
            beyond = int(np.count_nonzero(largest >= means[s] / errors[s]))
            found[symbol] = SymbolTest(gain, (1 + beyond) / (1 + largest.size), n)
        else:
            found[symbol] = SymbolTest(
                gain, None, n, too_few(n, MIN_WINDOWS) if n < MIN_WINDOWS else "no variation"
            )
    return found


def _statistics(
    gains: NDArray[np.float64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean gain of each symbol and its standard error, (S,) each."""
    means, errors = np.full((2, gains.shape[1]), np.nan)
    for s, own in enumerate(gains.T):
        own = own[~np.isnan(own)]
        if own.size:
            means[s] = own.mean()
            # Twice the reach: Bartlett's weights would lose a third of the variance.
            errors[s] = hac_standard_error(own, 2 * (reach - 1)) or np.nan
    return means, errors


def _resamples(n: int, block: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each of n observations is drawn, in circular blocks, (b, n) of B in all."""
    starts = np.random.default_rng(_SEED).integers(0, n, size=(_RESAMPLES, math.ceil(n / block)))
    for first in range(0, _RESAMPLES, _SLICE):
        some = starts[first : first + _SLICE, :, None]
        rows = (some + np.arange(block)).reshape(len(some), -1)[:, :n] % n
        rows += n * np.arange(len(some))[:, None]
        times = np.bincount(rows.ravel(), minlength=len(some) * n)
        yield times.reshape(len(some), n).astype(np.float64)


def _largest(
    gains: NDArray[np.float64],
    means: NDArray[np.float64],
    errors: NDArray[np.float64],
    reach: int,
) -> NDArray[np.float64]:
    """The largest statistic of any symbol in each resample, were no model better, (B,).

    Few blocks spread too little, so the statistics are widened as Student's t is against the
    normal.
    """
    tested = errors > 0.0
    if not tested.any():
        return np.zeros(0)
    known = ~np.isnan(gains[:, tested])
    centred = np.where(known, gains[:, tested] - means[tested], 0.0)
    n, block = len(gains), 1 if reach == 1 else 2 * reach
    drawn = math.ceil(n / block)
    largest, all_known, weights = [], bool(known.all()), known.astype(np.float64)
    for times in _resamples(n, block):
        sums = times @ centred
        count = np.full(sums.shape, float(n)) if all_known else times @ weights
        resampled = np.divide(sums, count, out=np.zeros(count.shape), where=count > 0)
        largest.append((resampled / errors[tested]).max(axis=1))
    wider = student_t_quantile(0.95, max(1, drawn - 1)) / _NORMAL
    wider *= math.sqrt(drawn / max(1.0, drawn - 1.0))
    if reach > 1:  # blocks of two reaches see five sixths of the variance of overlapping windows
        wider *= math.sqrt(6.0 / 5.0)
    return np.concatenate(largest) * wider
