"""The charts of a page: skills, coverage, chances, the fan's histogram, predicted moves."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import Chances, direction_hits
from lstmcli.pictures.drawing import (
    BLUE,
    GREY,
    INK,
    LINE_COLOURS,
    OUTCOMES,
    QUIET,
    VERMILLION,
    name_marks,
    show_values,
)
from lstmcli.pictures.fans import Floats, Moves
from lstmcli.printable import count_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE, _MOVE = "{x:.0f} %", "{x:+.3g} %"


def draw_skill(axes: "Axes", lines: Mapping[str, Sequence[float | None]]) -> None:
    """Draw skills against named baselines at the steps 1..H, shares of 1; None leaves a gap."""
    axes.axhline(0, color=INK, linewidth=1)
    named = {name: 100 * np.array(line, dtype=np.float64) for name, line in lines.items()}
    for values, colour in zip(named.values(), cycle(LINE_COLOURS.values()), strict=False):
        mark = "o" if values.size == 1 else ""
        axes.plot(np.arange(1, values.size + 1), values, marker=mark, color=colour, linewidth=2)
    last = max(map(len, named.values()), default=0)
    axes.set(xlabel="step", xlim=(1, max(2, last)))
    axes.yaxis.set_major_formatter(_MOVE)
    texts = [
        f"step {at + 1}: "
        + ", ".join(f"{values[at]:+.1f} % against {name}" for name, values in named.items())
        for at in range(last)
    ]
    show_values(axes, np.arange(0.5, last + 1.0), texts)


def draw_coverage(axes: "Axes", bands: Sequence[Band], rival: Sequence[Band]) -> None:
    """Draw what bands covered against what they promise, with two standard errors each way."""
    _square(axes, "promised", "held")
    for found, colour, face, shift in (
        (rival, VERMILLION, "none", 1.2),
        (bands, BLUE, BLUE, -1.2 if rival else 0.0),
    ):
        promised = [100 * band.nominal + shift for band in found]
        covered = [100 * band.coverage for band in found]
        errors = [200 * (band.standard_error or 0.0) for band in found]
        look: Any = {"fmt": "o", "markersize": 6, "color": colour, "markerfacecolor": face}
        points, *_ = axes.errorbar(promised, covered, errors, elinewidth=1.2, **look)
        texts = (
            f"{100 * each.nominal:.0f} % promised, {100 * each.coverage:.1f} % held"
            for each in found
        )
        name_marks(points, list(texts))


def draw_chances(axes: "Axes", found: Chances) -> None:
    """Draw the share that rose against the chance given, in tenths of the chance."""
    _square(axes, "chance of a rise", "rose")
    if found.base_rate is not None:
        base = 100 * found.base_rate
        axes.axhline(base, color=VERMILLION, linestyle=(0, (4, 3)), linewidth=1.2)
    for each in found.reliability:
        if each.mean is not None and each.rose is not None:
            size = 5 + 8 * math.sqrt(each.n_windows / found.n_windows)
            (dot,) = axes.plot(100 * each.mean, 100 * each.rose, "o", color=BLUE, markersize=size)
            words = f"chance {100 * each.mean:.1f} %, rose {100 * each.rose:.1f} %"
            name_marks(dot, [f"{words} of {count_of(each.n_windows, 'window')}"])


def draw_pit(axes: "Axes", edges: Sequence[float], shares: Sequence[float]) -> None:
    """Draw where outcomes fell in the fan; a calibrated one fills every column to the line."""
    left, widths = 100 * np.array(edges[:-1]), 100 * np.diff(edges)
    heights = 100 * np.array(shares)
    bars = axes.bar(left, heights, 0.94 * widths, align="edge", color=BLUE, alpha=0.8, linewidth=0)
    for bar, height in zip(bars, heights, strict=True):
        name_marks(bar, [f"{height:.1f} % of the outcomes"])
    axes.axhline(100 / heights.size, color=INK, linewidth=1)
    axes.set_xlim(0, 100)
    _label(axes, "from the lowest to the highest of the fan", "outcomes", _SHARE)


def draw_moves(axes: "Axes", moves: Moves) -> None:
    """Draw predicted against actual moves on equal scales, zero in the middle.

    Few moves are far beyond all others; they are drawn on the edge, to leave room for the rest.
    """
    predicted, actual = moves.predicted, moves.actual
    reach = max(_reach(predicted), _reach(actual))
    axes.axhline(0, color=GREY, linewidth=1)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.plot([-reach, reach], [-reach, reach], color=INK, linestyle=(0, (4, 3)), linewidth=1)
    hits = direction_hits(predicted, actual)
    dot: Any = {"linestyle": "", "markersize": 6, "markeredgewidth": 0, "alpha": 0.7}
    for hit, chosen in ((None, np.isnan(hits)), (False, hits == 0), (True, hits == 1)):
        colour, _, mark, _ = OUTCOMES[hit]
        x, y = (np.clip(each[chosen], -reach, reach) for each in (predicted, actual))
        (dots,) = axes.plot(x, y, clip_on=False, color=colour, marker=mark, **dot)
        name_marks(dots, [moves.names[index] for index in np.flatnonzero(chosen).tolist()])
    for (right, top), text in zip(((0, 1), (1, 1), (1, 0), (0, 0)), moves.corners, strict=True):
        axes.annotate(
            text,
            (right, top),
            xycoords="axes fraction",
            xytext=(4 - 8 * right, 4 - 8 * top),
            textcoords="offset points",
            ha="right" if right else "left",
            va="top" if top else "bottom",
            color=QUIET,
        )
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_box_aspect(1)
    axes.locator_params(nbins=5)
    _label(axes, "predicted move", "actual move", _MOVE)


def _square(axes: "Axes", x: str, y: str) -> None:
    """Prepare axes of shares, with the line on which both are the same."""
    axes.plot([0, 100], [0, 100], color=INK, linewidth=1)
    axes.set(xlim=(0, 102), ylim=(0, 102))
    _label(axes, x, y, _SHARE)


def _label(axes: "Axes", x: str, y: str, form: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.xaxis.set_major_formatter(form)
    axes.yaxis.set_major_formatter(form)


def _reach(moves: Floats) -> float:
    """Return where the axis ends on both sides: a little beyond 99 % of the moves."""
    return 1.25 * max(float(np.quantile(np.abs(moves), 0.99)) if moves.size else 0.0, 0.01)
