"""The crashes and the spikes: when the market moved most, what had the model predicted?

A crash is a scaled move in the lowest tenth of the training rows' moves of that step, a spike one
in the highest tenth. The share of each call in all windows is given too, because a model that
always says up has called every spike.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.trend import Classes, Shares, shares

TAIL = 0.10


@dataclass(frozen=True)
class Tails:
    """Scaled moves beyond which a window is a crash or a spike, (H,) each."""

    crash: NDArray[np.float64]
    spike: NDArray[np.float64]


@dataclass(frozen=True)
class TailWindows:
    """The windows of one kind at one step, and what had been predicted for them.

    bound : the scaled move beyond which a window is of this kind.
    n_windows : how many there were. n_independent : cutoff dates among them that do not overlap.
    calls : shares of the calls in these windows; `calls_always` over all windows, to compare.
    predicted, actual : mean log moves in these windows; `predicted_always` over all windows.
    Each None where there is no such window, or where the model makes no calls.
    """

    kind: Literal["crash", "spike"]
    bound: float
    n_windows: int
    n_independent: int
    calls: Shares | None
    calls_always: Shares | None
    predicted: float | None
    predicted_always: float | None
    actual: float | None


def fit_tails(actual_scaled: NDArray[np.float64], tail: float = TAIL) -> Tails:
    """The `tail` and `1 - tail` quantiles of the training rows' scaled moves, by step.

    actual_scaled : (M, H), NaN left out. Raises DataError when a step has none.
    """
    if not (~np.isnan(actual_scaled)).any(axis=0).all():
        raise DataError("No training window to fit the crash and spike bounds on")
    crash, spike = np.nanquantile(actual_scaled, [tail, 1.0 - tail], axis=0)
    return Tails(crash, spike)


def tail_windows(
    kind: Literal["crash", "spike"],
    bound: float,
    *,
    step: int,
    actual: NDArray[np.float64],
    predicted: NDArray[np.float64],
    calls: Classes | None,
    sigma: NDArray[np.float64],
    pool: Pool,
) -> TailWindows:
    """Look up what was predicted where the market crashed or spiked; (N,) rows, all happened."""
    limit = bound * sigma * np.sqrt(step)
    beyond = actual < limit if kind == "crash" else actual > limit
    some = bool(beyond.any())
    return TailWindows(
        kind=kind,
        bound=float(bound),
        n_windows=int(beyond.sum()),
        n_independent=pool.keep(beyond).n_independent,
        calls=shares(calls[beyond]) if calls is not None and some else None,
        calls_always=shares(calls) if calls is not None and calls.size else None,
        predicted=float(predicted[beyond].mean()) if some else None,
        predicted_always=float(predicted.mean()) if predicted.size else None,
        actual=float(actual[beyond].mean()) if some else None,
    )
