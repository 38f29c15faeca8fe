"""The fan of a forecast as a picture: history, median, central bands, and what happened since.

PNG or SVG through matplotlib (extra `plot`), by its figure objects alone: no pyplot, no window, no
style of the user's, and the same fans always make the same bytes.
"""

import importlib.util
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lstmcli import atomic
from lstmcli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Band = tuple[float, Floats, Floats]  # nominal share, low (H,), high (H,)

MAX_PANELS = 12
NOMINALS = (0.5, 0.8, 0.95)
SUFFIXES = (".png", ".svg")
TICK_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2500, 5000, 10000)

# Okabe & Ito (2008), told apart by every kind of colour vision; the bands are tints of the blue.
_INK, _BLUE, _VERMILLION, _GREY = "#1a1a1a", "#0072B2", "#D55E00", "#8c8c8c"
_TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
_LEGEND = (
    *("history", "last close", "median"),
    *("50 % band", "80 % band", "95 % band", "naive", "actual"),
)
_STYLE = {
    "svg.hashsalt": "lstmcli",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#ececec",
    "xtick.color": _INK,
    "ytick.color": _INK,
}


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


def check_plot(target: str) -> None:
    """Raise UsageError before any work is done if no picture could be made for `--plot TARGET`."""
    if target != "-" and Path(target).suffix.lower() not in SUFFIXES:
        raise UsageError(
            "Not a kind of picture",
            where=f"--plot {target}",
            why=f"found {Path(target).suffix or 'no suffix'}, expected .png or .svg",
            next_step="Name the file so, or pass --plot - to draw in the terminal.",
        )
    package = "plotext" if target == "-" else "matplotlib"
    if importlib.util.find_spec(package) is None:
        raise missing(package)


def draw_fans(fans: Sequence[Fan], path: Path) -> None:
    """Write one panel a symbol to a PNG or SVG file, wholly or not at all.

    The first 12 fans are drawn, and the picture says so where there are more. Raises UsageError for
    another kind of file or without matplotlib, FileError where the file cannot be written.
    """
    check_plot(str(path))
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("matplotlib") from error

    form = path.suffix.lower().removeprefix(".")
    data = io.BytesIO()
    with style.context([_STYLE], after_reset=True), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no reason for noise.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph", category=UserWarning)
        figure = Figure(figsize=_size(len(fans)), dpi=150, layout="constrained")
        _draw_panels(figure, fans)
        # No date and no version in the file.
        metadata = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
        figure.savefig(data, format=form, metadata=metadata)
    atomic.write_bytes(path, data.getvalue())


def tick_sessions(history: int, horizon: int, most: int) -> list[int]:
    """Choose evenly spaced sessions to label, at most `most` of them, and always the cutoff, 0.

    history : sessions before the cutoff. Negative numbers lie before it, positive ones are steps.
    """
    for step in TICK_STEPS:
        if history // step + horizon // step + 1 <= most:
            return [step * k for k in range(-(history // step), horizon // step + 1)]
    return [0]


def missing(package: str) -> UsageError:
    """Return the error for a package that the extra would have brought."""
    return UsageError(
        f"The package {package} is not installed",
        where="--plot",
        next_step="Install it: pip install 'lstmcli[plot]'.",
    )


def _grid(panels: int) -> tuple[int, int]:
    columns = 1 if panels == 1 else 2 if panels <= 4 else 3
    return -(-panels // columns), columns


def _size(fans: int) -> tuple[float, float]:
    rows, columns = _grid(min(fans, MAX_PANELS))
    return (9.0, 5.2) if columns == 1 else (5.0 * columns, 3.4 * rows + 0.6)


def _draw_panels(figure: "Figure", fans: Sequence[Fan]) -> None:
    shown = fans[:MAX_PANELS]
    rows, columns = _grid(len(shown))
    for place, fan in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, place)
        _draw_panel(axes, fan, most_ticks=9 if columns == 1 else 5)
    if len(fans) > len(shown):
        figure.suptitle(f"The first {len(shown)} of {len(fans)} symbols", x=0.01, ha="left")
    # One legend for all panels, in one row: every entry that occurs, once.
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        found |= zip(*reversed(axes.get_legend_handles_labels()), strict=True)
    labels = [label for label in _LEGEND if label in found]
    figure.legend(
        [found[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=len(_LEGEND),
        frameon=False,
        fontsize=9,
        handlelength=1.8,
        columnspacing=1.6,
    )


def _draw_panel(axes: "Axes", fan: Fan, *, most_ticks: int) -> None:
    last, horizon = float(fan.history[-1]), fan.median.size
    before = np.arange(1 - fan.history.size, 1)  # the cutoff is session 0
    ahead = np.arange(horizon + 1)
    # Everything ahead starts from the last close, so that the fan has a point.
    for nominal, low, high in reversed(fan.bands):
        axes.fill_between(
            ahead,
            np.r_[last, low],
            np.r_[last, high],
            color=_TINTS[nominal],
            linewidth=0,
            label=f"{100 * nominal:.0f} % band",
        )
    axes.axvline(0, color=_GREY, linewidth=0.8)
    axes.plot(before, fan.history, color=_INK, linewidth=1.3, label="history")
    axes.plot(ahead, np.r_[last, fan.median], color=_BLUE, linewidth=2.2, label="median")
    # Over the median, which may lie exactly there.
    axes.plot([0, horizon], [last, last], color=_VERMILLION, linestyle=(0, (5, 3)), label="naive")
    if np.isfinite(fan.actual).any():
        path = np.r_[last, fan.actual]
        axes.plot(ahead, path, color=_INK, linewidth=1.3, linestyle=(0, (1, 1)), label="actual")
    axes.plot([0], [last], "o", color=_INK, markersize=5, label="last close", zorder=5)

    sessions = np.r_[fan.history_dates, fan.dates]
    ticks = tick_sessions(fan.history.size - 1, horizon, most_ticks)
    axes.set_xticks(ticks, [str(sessions[fan.history.size - 1 + tick]) for tick in ticks])
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.set_xlim(before[0], horizon)
    axes.margins(y=0.06)
    axes.set_title(fan.symbol, loc="left", weight="bold", fontsize=12, pad=20, parse_math=False)
    axes.text(
        0, 1.03, fan.title, transform=axes.transAxes, fontsize=9, color="#555555", parse_math=False
    )
