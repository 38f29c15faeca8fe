"""Windows that decide without being shown: they start between those of the grid.

The claims of a report rest on five phases of the grid, whichever it shows. Of the others only the
losses of whole paths are kept, and the forecasts of the steps that are reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import OF_WINDOWS, Backtest, Rows
from lstmcli.evaluation.comparisons import PathLosses, path_losses
from lstmcli.forecasting.forecast import join_forecasts


@dataclass(frozen=True)
class Phase:
    """Windows that are not shown: the losses of whole paths, and the reported steps alone."""

    losses: PathLosses
    steps: Backtest


def phase_offsets(horizon: int) -> range:
    """Return where the grids of windows start whose errors decide: five, of a horizon each."""
    return range(0, horizon, -(-horizon // 5))


def reduce_phase(backtest: Backtest, steps: Sequence[int]) -> Phase:
    """Keep what decides of a backtest; its last step is always reported.

    Raises DataError when a forecast of something that happened is no usable number.
    """
    return Phase(path_losses(backtest), backtest.at(reported_steps(backtest.steps, steps)))


def reported_steps(steps: Sequence[int], asked: Sequence[int]) -> tuple[int, ...]:
    """Return those of the steps that are asked for, and the last."""
    *before, last = steps
    return (*(step for step in before if step in asked), last)


def with_phases(backtest: Backtest, phases: Sequence[Phase]) -> Backtest:
    """Return a backtest of the reported steps with the windows of further phases behind it."""
    parts = [each for each in (backtest, *(one.steps for one in phases)) if len(each.cutoff)]
    count = sum(len(each.cutoff) for each in parts)
    return replace(
        backtest,
        **{name: np.concatenate([getattr(each, name) for each in parts]) for name in OF_WINDOWS},
        forecasts={
            name: join_forecasts((each.forecasts[name] for each in parts), count)
            for name in backtest.forecasts  # which may hold one model alone
        },
        calendar=None
        if backtest.calendar is None
        else np.concatenate([each.calendar for each in parts if each.calendar is not None]),
    )


def forecast_phases(
    series: Sequence[Series],
    shown: Sequence[Rows],
    choose: Callable[..., list[Rows]],
    forecast_from: Callable[[list[Rows]], Backtest],
    *,
    offsets: Sequence[int],
    steps: Sequence[int],
    since: np.datetime64,
) -> tuple[NDArray[np.bool_], list[Phase]]:
    """Forecast from the phases of the grid that are not shown, from a day on; keep what decides.

    Returns which of the windows shown are of a phase, (N,), and the others.
    """
    decides = [np.zeros(len(rows), dtype=np.bool_) for rows in shown]
    further = []
    for offset in offsets:
        phase = choose(offsets=(offset,))
        for known, rows, own in zip(decides, shown, phase, strict=True):
            known |= np.isin(rows, own)
        # Baselines of a symbol are fitted on the rows up to its first window shown.
        rest = [
            np.setdiff1d(own[(own >= rows[0]) & (each.dates[own] >= since)], rows)
            for each, own, rows in zip(series, phase, shown, strict=True)
        ]
        if any(len(rows) for rows in rest):
            further.append(reduce_phase(forecast_from(rest), steps))
    return np.concatenate(decides), further
