"""Explain a forecast: the gates over its window, and the effect of masking bars.

A masked bar is replaced by the mean of its window. Masking changes only the input of the network,
so it works for every network and head. Everything computed outside the network stays the same: the
price or volatility that scales its output, and the share of a masked bar in the averages of other
bars. In a recursion the window moves on; a masked bar stays masked until it leaves the window.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor

from lstmcli.arrays import Days, Floats, Ints
from lstmcli.dataset.series import Series
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, network_inputs
from lstmcli.networks.recurrent import gates

BAND = 0.8
_COPIES = 512  # masked copies of the window in one pass
_ROWS = 2**20  # in all copies of one pass; the states of a long window take much memory

Reading = Callable[[Tensor, int], Tensor]
"""(window (N, M, F), bars that it has moved) -> the window (N, M, F) that the network reads."""


@dataclass(frozen=True)
class Effect:
    """The relative effect of masking on a figure of the forecast: 0.01 is one percent more.

    alone : (M, S) with one of the M bars masked. with_older : (M, S) with that bar and all bars
    before it masked. S : the number of requested steps.
    """

    alone: Floats
    with_older: Floats


@dataclass(frozen=True)
class Gate:
    """How open a gate of a layer was at each bar, (M,): the mean over cells and members."""

    layer: int
    name: str
    openness: Floats


@dataclass(frozen=True)
class InputEffect:
    """The relative effect of setting one input to 0, its neutral value: (S,) each.

    median : on the forecast price. width : on the 80 % band; None for a point forecast.
    """

    name: str
    median: Floats
    width: Floats | None


@dataclass(frozen=True)
class Explanation:
    """The explanation of one forecast.

    dates : (M,) the bars that the network read, ending at the cutoff. steps : (S,).
    median : effects on the forecast price. width : effects on the 80 % band of log moves, None for
    a point forecast. gates : empty if the network has none. inputs : the effect of each input if
    some are the user's own, else empty.
    """

    symbol: str
    dates: Days
    steps: tuple[int, ...]
    median: Effect
    width: Effect | None
    gates: tuple[Gate, ...]
    inputs: tuple[InputEffect, ...] = ()


def explain(model: TrainedModel, series: Series, row: int, *, steps: Sequence[int]) -> Explanation:
    """Explain the forecast from the cutoff `row` at some steps, using only rows up to it.

    The network reads many copies of the window in one batch, each with different bars masked.
    """
    at = [step - 1 for step in steps]
    windows: list[Tensor] = []

    def keep(x: Tensor, moved: int) -> Tensor:
        windows.append(x)
        return x

    whole = _forecast_reading(keep, model, series, np.array([row]), max(steps))
    window = windows[0]  # from the first call; all members of an ensemble read the same window
    bars = window.shape[1]
    # Mask each bar alone first, then each bar with all bars before it.
    first = np.r_[np.arange(bars), np.zeros(bars, dtype=int)]
    last = np.tile(np.arange(bars), 2)
    size = min(_COPIES, max(1, _ROWS // bars))
    parts = []
    for start in range(0, 2 * bars, size):
        masked = _masked(first[start : start + size], last[start : start + size])
        rows = np.full(len(first[start : start + size]), row)
        parts.append(_forecast_reading(masked, model, series, rows, max(steps)))
    found = join_forecasts(parts, 2 * bars)
    width = _width(found, at) / _width(whole, at) - 1 if whole.levels else None
    return Explanation(
        symbol=series.symbol,
        dates=series.dates[row + 1 - bars : row + 1],
        steps=tuple(steps),
        median=Effect(*np.split(np.expm1(found.median - whole.median)[:, at], 2)),
        width=None if width is None else Effect(*np.split(width, 2)),
        gates=_mean_gates(model, window.double()),
        inputs=_input_effects(model, series, row, whole, steps),
    )


def _input_effects(
    model: TrainedModel, series: Series, row: int, whole: Forecast, steps: Sequence[int]
) -> tuple[InputEffect, ...]:
    """Return the effect of each input on the forecast `whole`; empty without own inputs."""
    if not model.settings.window.inputs:
        return ()
    names, at = network_inputs(model.settings), [step - 1 for step in steps]
    own = torch.eye(len(names), dtype=torch.bool, device=model.device)[:, None]

    def without(x: Tensor, moved: int) -> Tensor:
        return x.masked_fill(own, 0.0)

    rows = np.full(len(names), row)
    found = _forecast_reading(without, model, series, rows, max(steps))
    medians = np.expm1(found.median - whole.median)[:, at]
    widths = _width(found, at) / _width(whole, at) - 1 if whole.levels else [None] * len(names)
    return tuple(InputEffect(*each) for each in zip(names, medians, widths, strict=True))


def _forecast_reading(
    reading: Reading, model: TrainedModel, series: Series, rows: Ints, horizon: int
) -> Forecast:
    """Forecast while the body of each member reads its windows through `reading`."""
    with ExitStack() as stack:
        for member in model.members:
            calls = count()  # of this member; the window moves on by one bar per call
            hook = partial(lambda calls, _, x: (reading(x[0], next(calls)),), calls)
            stack.enter_context(next(member.children()).register_forward_pre_hook(hook))
        # One batch for all, because `reading` holds one mask per row of the batch.
        seen = [series.until(rows)]
        return forecast(model, seen, [rows], horizon=horizon, batch_size=len(rows))


def _masked(first: Ints, last: Ints) -> Reading:
    """Return a reading that replaces bars first..last, (N,) each, by the mean of the window."""

    def reading(x: Tensor, moved: int) -> Tensor:
        bars = np.arange(x.shape[1]) + moved
        hidden = (first[:, None] <= bars) & (bars <= last[:, None])  # (N, M)
        mask = torch.from_numpy(hidden).to(x.device)[..., None]
        return torch.where(mask, x.mean(dim=1, keepdim=True), x)

    return reading


def _width(fan: Forecast, at: Sequence[int]) -> Floats:
    """Return the width of the 80 % band in log moves, interpolated between levels: (N, S)."""
    assert fan.quantiles is not None
    wanted, quantiles = [(1 - BAND) / 2, (1 + BAND) / 2], fan.quantiles[:, at]
    ends = np.apply_along_axis(lambda each: np.interp(wanted, fan.levels, each), -1, quantiles)
    return np.asarray(ends[..., 1] - ends[..., 0])


def _mean_gates(model: TrainedModel, window: Tensor) -> tuple[Gate, ...]:
    """Return every gate of every layer, averaged over cells and members."""
    members = [gates(next(member.children()), window) for member in model.members]
    return tuple(
        Gate(
            number + 1,
            name,
            np.mean([each[number][name][0].mean(dim=1).cpu().numpy() for each in members], axis=0),
        )
        for number, layer in enumerate(members[0])
        for name in layer
    )
