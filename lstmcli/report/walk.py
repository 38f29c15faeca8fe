"""Past forecasts over what happened: one line of prices, and on it the median and the 80 % band of
every window of a backtest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.report.picture import BLUE, INK, TINTS, draw_title, write_panels
from lstmcli.report.plot import Band, Dates, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOMINAL = 0.8
_LEGEND = ("price", "median", "80 % band", "cutoff")


@dataclass(frozen=True)
class Window:
    """One past forecast, in prices.

    dates : (H + 1,) the cutoff and the session of each step. median : (H + 1,) from the last price.
    band : of the same length; None for a point forecast.
    """

    dates: Dates
    median: Floats
    band: Band | None


@dataclass(frozen=True)
class Walk:
    """One symbol's prices, (T,), and the windows over them, which do not overlap."""

    symbol: str
    title: str
    dates: Dates
    prices: Floats
    windows: tuple[Window, ...]


def draw_walks(walks: Sequence[Walk], path: Path) -> None:
    """Write one panel a symbol to a PNG or SVG file, as `plot.draw_fans` does."""
    write_panels(path, walks, _draw_panel, _LEGEND)


def draw_walk(axes: "Axes", walk: Walk) -> None:
    """Draw onto axes, without a title."""
    for window in walk.windows:
        if window.band is not None:
            _, low, high = window.band
            axes.fill_between(
                window.dates, low, high, color=TINTS[NOMINAL], linewidth=0, label="80 % band"
            )
    axes.plot(walk.dates, walk.prices, color=INK, linewidth=1.1, label="price")
    for window in walk.windows:
        axes.plot(window.dates, window.median, color=BLUE, linewidth=2.0, label="median")
    starts = [window.dates[0] for window in walk.windows]
    prices = [window.median[0] for window in walk.windows]
    axes.plot(starts, prices, "o", color=BLUE, markersize=3.5, label="cutoff", zorder=5)
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.set_xlim(walk.dates[0], np.max([window.dates[-1] for window in walk.windows]))


def _draw_panel(axes: "Axes", walk: Walk, alone: bool) -> None:
    draw_walk(axes, walk)
    draw_title(axes, walk.symbol, walk.title)
