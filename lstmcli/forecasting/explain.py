"""What a forecast was made of: the gates over its window, and what it becomes when bars are masked.

A masked bar is one of which the network reads the mean of its window instead. The masking sits at
the door of the network, so it is the same for every network and head; what is outside stays as it
is: the price or volatility that the answer is scaled by, and what other bars carry of this one in
their averages. A recursion slides its window, and a masked bar stays masked until it falls out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.dataset.series import Series
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.networks.recurrent import gates

BAND = 0.8
_COPIES = 512  # masked copies of the window in one pass
_ROWS = 2**20  # of all copies in one pass: the states of a long window take memory

Floats = NDArray[np.float64]
Reading = Callable[[Tensor], Tensor]
"""What a network reads instead of its window: (N, M, F) -> (N, M, F)."""


@dataclass(frozen=True)
class Effect:
    """What masking does to a number of the forecast, as a share of it: 0.01 is one percent more.

    alone : (M, S) each of the M bars read masked by itself. with_older : (M, S) that bar and all
    before it. S : the steps asked for.
    """

    alone: Floats
    with_older: Floats


@dataclass(frozen=True)
class Gate:
    """How open one gate of one layer was at each bar, mean over its cells and the members: (M,)."""

    layer: int
    name: str
    openness: Floats


@dataclass(frozen=True)
class Explanation:
    """One forecast, seen from inside.

    dates : (M,) the bars that the network read, the last the cutoff. steps : (S,).
    median : of the forecast price. width : of the 80 % band of log moves, None for a point
    forecast. gates : empty where the network has none.
    """

    symbol: str
    dates: NDArray[np.datetime64]
    steps: tuple[int, ...]
    median: Effect
    width: Effect | None
    gates: tuple[Gate, ...]


def explain(model: TrainedModel, series: Series, row: int, *, steps: Sequence[int]) -> Explanation:
    """Explain the forecast from the cutoff `row` at some steps, from the rows up to it alone.

    The copies of the window, each with other bars masked, go through the network together.
    """
    at = [step - 1 for step in steps]

    def forecast_copies(number: int) -> Forecast:
        rows = np.full(number, row)
        return forecast(model, [series.until(rows)], [rows], horizon=max(steps))

    windows: list[list[Tensor]] = [[] for _ in model.members]
    with _reading(model, [_kept_in(each) for each in windows]):
        whole = forecast_copies(1)
    bars = windows[0][0].shape[1]
    # First each bar alone, then each with all before it.
    first = np.r_[np.arange(bars), np.zeros(bars, dtype=int)]
    last = np.tile(np.arange(bars), 2)
    size = min(_COPIES, max(1, _ROWS // bars))
    parts = []
    for start in range(0, 2 * bars, size):
        part = slice(start, start + size)
        with _reading(model, [_masked(first[part], last[part]) for _ in windows]):
            parts.append(forecast_copies(len(first[part])))
    masked = join_forecasts(parts, 2 * bars)
    return Explanation(
        symbol=series.symbol,
        dates=series.dates[row + 1 - bars : row + 1],
        steps=tuple(steps),
        median=_effect(np.expm1(masked.median - whole.median)[:, at]),
        width=_effect(_width(masked, at) / _width(whole, at) - 1) if whole.levels else None,
        gates=_gates(model, [first_call for first_call, *_ in windows]),
    )


@contextmanager
def _reading(model: TrainedModel, readings: Sequence[Reading]) -> Iterator[None]:
    """Let the body of each member read through its reading for as long as this lasts."""
    with ExitStack() as stack:
        for member, reading in zip(model.members, readings, strict=True):
            body = next(member.children())
            stack.enter_context(
                body.register_forward_pre_hook(partial(lambda read, _, x: (read(*x),), reading))
            )
        yield


def _kept_in(windows: list[Tensor]) -> Reading:
    """Read what there is, and keep it."""

    def reading(x: Tensor) -> Tensor:
        windows.append(x)
        return x

    return reading


def _masked(first: NDArray[np.int64], last: NDArray[np.int64]) -> Reading:
    """Read the mean of the window in place of the bars `first` to `last` of each copy: (N,) each.

    At each further call the window has moved on by one bar.
    """
    moved = count()

    def reading(x: Tensor) -> Tensor:
        bars = np.arange(x.shape[1]) + next(moved)
        hidden = (first[:, None] <= bars) & (bars <= last[:, None])  # (N, M)
        mask = torch.from_numpy(hidden).to(x.device)[..., None]
        return torch.where(mask, x.mean(dim=1, keepdim=True), x)

    return reading


def _width(fan: Forecast, at: Sequence[int]) -> Floats:
    """Return the width of the 80 % band in log moves, between the levels where need be: (N, S)."""
    assert fan.quantiles is not None
    wanted, quantiles = [(1 - BAND) / 2, (1 + BAND) / 2], fan.quantiles[:, at]
    ends = np.apply_along_axis(lambda each: np.interp(wanted, fan.levels, each), -1, quantiles)
    return np.asarray(ends[..., 1] - ends[..., 0])


def _effect(found: Floats) -> Effect:
    alone, with_older = np.split(found, 2)
    return Effect(alone, with_older)


def _gates(model: TrainedModel, windows: Sequence[Tensor]) -> tuple[Gate, ...]:
    """Return the mean openness over cells and members of every gate of every layer."""
    members = [
        gates(next(member.children()), x.double())
        for member, x in zip(model.members, windows, strict=True)
    ]
    return tuple(
        Gate(
            number + 1,
            name,
            np.mean([each[number][name][0].mean(dim=1).cpu().numpy() for each in members], axis=0),
        )
        for number, layer in enumerate(members[0])
        for name in layer
    )
