"""The fan of a forecast as a picture: history, median, central bands, and what happened since."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstmcli.report.picture import BLUE, GREY, INK, TINTS, VERMILLION, draw_title, write_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Band = tuple[float, Floats, Floats]  # nominal share, low (H,), high (H,)

NOMINALS = (0.5, 0.8, 0.95)
TICK_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2500, 5000, 10000)
_LEGEND = (
    *("history", "last close", "median"),
    *("50 % band", "80 % band", "95 % band", "naive", "actual"),
)


@dataclass(frozen=True)
class Fan:
    """One symbol's forecast, in prices, as a picture needs it.

    title : the model and the cutoff, in words.
    history_dates, history : (T,) sessions up to the cutoff, and their closes; the last is the last
        close. At least one.
    dates : (H,) session of each step.
    median : (H,).
    bands : central bands, as `bands_of` returns them; () for a point forecast.
    actual : (H,) what happened; NaN where it has not.
    """

    symbol: str
    title: str
    history_dates: Dates
    history: Floats
    dates: Dates
    median: Floats
    bands: tuple[Band, ...]
    actual: Floats


def bands_of(levels: Sequence[float], quantiles: Floats) -> tuple[Band, ...]:
    """Return those of the central 50, 80 and 95 % bands whose two levels are there.

    levels : Q probability levels. quantiles : (H, Q) of anything. Narrowest band first.
    """
    found = []
    for nominal in NOMINALS:
        ends = [np.flatnonzero(np.isclose(levels, 0.5 + side * nominal / 2)) for side in (-1, 1)]
        if all(end.size for end in ends):
            low, high = (quantiles[:, int(end[0])] for end in ends)
            found.append((nominal, low, high))
    return tuple(found)


def draw_fans(fans: Sequence[Fan], path: Path) -> None:
    """Write one panel a symbol to a PNG or SVG file, wholly or not at all.

    The first 12 fans are drawn, and the picture says so where there are more. Raises UsageError for
    another kind of file or without matplotlib, FileError where the file cannot be written.
    """
    write_panels(path, fans, _draw_panel, _LEGEND)


def draw_fan(axes: "Axes", fan: Fan, *, most_ticks: int) -> None:
    """Draw a fan onto axes, sessions counted from the cutoff, without a title."""
    last, horizon = float(fan.history[-1]), fan.median.size
    before = np.arange(1 - fan.history.size, 1)  # the cutoff is session 0
    ahead = np.arange(horizon + 1)
    # Everything ahead starts from the last close, so that the fan has a point.
    for nominal, low, high in reversed(fan.bands):
        axes.fill_between(
            ahead,
            np.r_[last, low],
            np.r_[last, high],
            color=TINTS[nominal],
            linewidth=0,
            label=f"{100 * nominal:.0f} % band",
        )
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.plot(before, fan.history, color=INK, linewidth=1.3, label="history")
    axes.plot(ahead, np.r_[last, fan.median], color=BLUE, linewidth=2.2, label="median")
    # Over the median, which may lie exactly there.
    axes.plot([0, horizon], [last, last], color=VERMILLION, linestyle=(0, (5, 3)), label="naive")
    if np.isfinite(fan.actual).any():
        path = np.r_[last, fan.actual]
        axes.plot(ahead, path, color=INK, linewidth=1.3, linestyle=(0, (1, 1)), label="actual")
    axes.plot([0], [last], "o", color=INK, markersize=5, label="last close", zorder=5)

    sessions = np.r_[fan.history_dates, fan.dates]
    ticks = tick_sessions(fan.history.size - 1, horizon, most_ticks)
    axes.set_xticks(ticks, [str(sessions[fan.history.size - 1 + tick]) for tick in ticks])
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.set_xlim(before[0], horizon)
    axes.margins(y=0.06)


def tick_sessions(history: int, horizon: int, most: int) -> list[int]:
    """Choose evenly spaced sessions to label, at most `most` of them, and always the cutoff, 0.

    history : sessions before the cutoff. Negative numbers lie before it, positive ones are steps.
    """
    for step in TICK_STEPS:
        if history // step + horizon // step + 1 <= most:
            return [step * k for k in range(-(history // step), horizon // step + 1)]
    return [0]


def _draw_panel(axes: "Axes", fan: Fan, alone: bool) -> None:
    draw_fan(axes, fan, most_ticks=9 if alone else 5)
    draw_title(axes, fan.symbol, fan.title)
