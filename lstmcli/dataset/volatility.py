"""Windows in units of their own volatility, the input of the probabilistic recipe.

Returns are divided by an exponentially weighted volatility that is started inside the window, so a
window needs only its own rows, and multiplying a series by a constant changes nothing. The averages
are one matrix product over the window: no loop and no state, the same on a GPU.

    close        return / volatility of the bar before, log volatility, and the log ratios of a
                 shorter and a longer average to it
    open         overnight move / volatility of the bar before
    high, low    log range of the day against the volatility of the bar before
    volume       log volume against its own average

A value that is missing becomes 0, the neutral value of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError

if TYPE_CHECKING:  # grading the ledger needs no PyTorch, which takes a second to import
    import torch
    from torch import Tensor

EWMA_DECAY = 0.94  # RiskMetrics (1996): the volatility that quantiles are measured in
SHORTER, LONGER = 0.80, 0.985
EWMA_START = 20  # first returns of the window, whose mean square starts every average
LARGEST_LOG = 3.0  # of a forecast's scale over the volatility of its day: a factor of 20
_TYPICAL_LOG_VOLATILITY = -4.2  # 1.5 % a day; centres the input, not fitted
_TYPICAL_RANGE = 1.5  # high to low in daily deviations, about what a random walk has
_FURTHEST = 8.0  # deviations: one crash must not dominate the inputs of a window
_SMALLEST = 1e-8  # a series without any move has no volatility to divide by


@dataclass(frozen=True)
class VolatilityFrame:
    """N windows of L rows, from their second row on.

    x : (N, L - 1, F) float32. sigma : (N, L - 1) one-step volatility known at each row.
    """

    x: Tensor
    sigma: Tensor


def input_names(features: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the inputs that the features make, in their order: (F,)."""
    wanted = set(features)
    return (
        *("return", "volatility", "shorter average", "longer average"),
        *["open"] * ("open" in wanted),
        *["range"] * ({"high", "low"} <= wanted),
        *["volume"] * ("volume" in wanted),
    )


def volatility_frame(contexts: Tensor, features: Sequence[str]) -> VolatilityFrame:
    """Scale raw windows (N, L, C), whose columns are the price and then the features besides it.

    Row i of the frame is known at row i + 1 of the window; row EWMA_START of the window and those
    before it share the starting value, and no label may lie before it. From there on sigma is that
    of `ewma_sigma`. Prices are positive; the rest may be NaN.
    """
    import torch

    columns = ["close", *(name for name in features if name != "close")]
    raw = {name: contexts[:, :, index] for index, name in enumerate(columns)}
    returns = raw["close"].log().diff(dim=1)
    squares = returns.square()
    sigma = _average(squares, EWMA_DECAY).sqrt().clamp(min=_SMALLEST)
    before = torch.cat([sigma[:, :1], sigma[:, :-1]], dim=1)
    inputs = [
        returns / before,
        sigma.log() - _TYPICAL_LOG_VOLATILITY,
        *(
            (_average(squares, decay).sqrt().clamp(min=_SMALLEST) / sigma).log()
            for decay in (SHORTER, LONGER)
        ),
    ]
    if "open" in raw:
        inputs.append((raw["open"][:, 1:] / raw["close"][:, :-1]).log() / before)
    if "high" in raw and "low" in raw:
        day = (raw["high"][:, 1:] / raw["low"][:, 1:]).log()
        inputs.append(day / before - _TYPICAL_RANGE)
    if "volume" in raw:
        inputs.append(_against_average(raw["volume"][:, 1:].log()))
    x = torch.stack(inputs, dim=-1).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return VolatilityFrame(x.clamp(-_FURTHEST, _FURTHEST).float(), sigma)


def _average(values: Tensor, decay: float) -> Tensor:
    """Return the exponentially weighted mean up to each row, (N, T) -> (N, T)."""
    return values @ _weights(values.shape[1], decay, values.dtype, values.device).T


# Every batch asks for the same three, and 64 windows of 250 rows took 5.2 ms in place of 2.4.
@lru_cache(maxsize=4)
def _weights(length: int, decay: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what each row weighs in the mean up to each row: (T, T)."""
    import torch

    with torch.inference_mode(False):  # training uses them too
        rows = torch.arange(length, dtype=dtype, device=device)
        age = rows[:, None] - rows[None, :]
        # Row i holds the weights of all rows up to i; those of the first EWMA_START rows are alike.
        weights = torch.where(age >= 0, (1 - decay) * decay ** age.clamp(min=0), 0.0)
        start = min(EWMA_START, len(rows))
        since = (rows - start + 1).clamp(min=0)
        weights[:, :start] = decay ** since[:, None] / start
        return weights


def _against_average(values: Tensor) -> Tensor:
    """Return known values minus their slow average; NaN where a value is unknown."""
    import torch

    known = values.isfinite()
    filled = values.where(known, 0.0)
    shares = _average(known.to(values.dtype), LONGER)
    return (values - _average(filled, LONGER) / shares.clamp(min=_SMALLEST)).where(known, torch.nan)


def ewma_sigma(log_prices: Floats) -> Floats:
    """Return the exponentially weighted volatility of one-step log returns, RiskMetrics (1996).

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


def check_returns(cutoffs: Ints) -> None:
    """Raise DataError where a cutoff has fewer returns up to it than a volatility starts with."""
    first = int(np.min(cutoffs, initial=EWMA_START))
    if first < EWMA_START:
        raise DataError(
            "Too few rows for a volatility",
            why=f"found {first} returns up to the first cutoff, expected at least {EWMA_START}",
        )


def trailing_sigma(log_prices: Floats, cutoffs: Ints, sessions: int) -> Floats:
    """Return the standard deviation of the last `sessions` log returns up to each cutoff.

    Divisor n - 1. Of all returns where there are fewer. Raises DataError below 20. Returns (N,).
    """
    check_returns(cutoffs)
    returns, ends = np.diff(log_prices), np.asarray(cutoffs)
    sigma = np.empty(len(ends))
    short = ends < sessions
    sigma[short] = [returns[:end].std(ddof=1) for end in ends[short].tolist()]
    if not short.all():
        spans = sliding_window_view(returns, sessions)[ends[~short] - sessions]
        sigma[~short] = spans.std(axis=1, ddof=1)
    return sigma
