"""How much a series has moved of late, as the fans of the baselines need it.

Daily means one step of the data, whatever it is. Nothing after a row enters its value.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lstmcli.errors import DataError

EWMA_DECAY = 0.94
EWMA_START = 20


def ewma_sigma(log_prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """The exponentially weighted volatility of one-step log returns, RiskMetrics (1996).

    variance = 0.94 * variance + 0.06 * return^2 with zero mean, started from the mean square of the
    first 20 returns. Value t uses rows up to t; the first 20 rows have none yet and are NaN.

    log_prices : (T,). Returns (T,).
    """
    squares = np.diff(log_prices) ** 2
    sigma = np.full(log_prices.size, np.nan)
    if squares.size < EWMA_START:
        return sigma
    variance = float(squares[:EWMA_START].mean())
    path = [variance]
    for added in ((1.0 - EWMA_DECAY) * squares[EWMA_START:]).tolist():
        variance = EWMA_DECAY * variance + added
        path.append(variance)
    sigma[EWMA_START:] = np.sqrt(path)
    return sigma


def trailing_sigma(
    log_prices: NDArray[np.float64], cutoffs: NDArray[np.int64], sessions: int
) -> NDArray[np.float64]:
    """The standard deviation of the last `sessions` one-step log returns up to each cutoff.

    Divisor n - 1. Of fewer where there are not as many. Raises DataError below 20. Returns (N,).
    """
    first = int(np.min(cutoffs, initial=EWMA_START))
    if first < EWMA_START:
        raise DataError(
            "Too few rows for a volatility",
            why=f"found {first} returns up to the first cutoff, expected at least {EWMA_START}",
        )
    returns, ends = np.diff(log_prices), np.asarray(cutoffs)
    sigma = np.empty(len(ends))
    short = ends < sessions
    sigma[short] = [returns[:end].std(ddof=1) for end in ends[short].tolist()]
    if not short.all():
        spans = sliding_window_view(returns, sessions)[ends[~short] - sessions]
        sigma[~short] = spans.std(axis=1, ddof=1)
    return sigma
