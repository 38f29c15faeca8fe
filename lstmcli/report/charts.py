"""The charts of an evaluation, each as inline SVG without words that its caption can say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import direction_hits
from lstmcli.report.inline_svg import inline_svg
from lstmcli.report.picture import BLUE, GREEN, GREY, INK, PURPLE, QUIET, VERMILLION
from lstmcli.report.plot import Fan, Floats, draw_fan
from lstmcli.report.walk import Walk, draw_walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
MOST_POINTS = 1000
_PERCENT = "{x:+.3g} %"


def fan_chart(fan: Fan, beside: Sequence[Fan]) -> str:
    """Draw one past forecast, on the scale of all `beside`, so that they can be compared."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        draw_fan(axes, fan, most_ticks=3)
        drawn = np.concatenate(
            [
                part
                for each in beside
                for part in (each.history, each.median, each.actual, *_ends(each))
            ]
        )
        low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
        margin = 0.06 * (high - low)
        if margin > 0:
            axes.set_ylim(low - margin, high + margin)

    return inline_svg(draw, f"Fan of {fan.symbol}: {fan.title}")


def walk_chart(walk: Walk) -> str:
    """Draw one symbol's windows over its prices."""
    return inline_svg(
        lambda figure: draw_walk(figure.add_subplot(), walk), f"{walk.symbol}: {walk.title}"
    )


def skill_chart(skills: Sequence[Sequence[float | None]], label: str) -> str:
    """Draw the skill of each model at the steps 1..H, shares of 1; None leaves a gap."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.axhline(0, color=INK, linewidth=1)
        for place, skill in enumerate(skills):
            values = 100 * np.array([np.nan if each is None else each for each in skill])
            steps = np.arange(1, values.size + 1)
            mark = "o" if values.size == 1 else ""
            axes.plot(steps, values, marker=mark, color=COLOURS[place % len(COLOURS)], linewidth=2)
        axes.set_xlabel("step")
        axes.set_xlim(1, max(2, max(map(len, skills), default=2)))
        axes.yaxis.set_major_formatter(_PERCENT)

    return inline_svg(draw, label)


def calibration_chart(bands: Sequence[Band], rival: Sequence[Band], label: str) -> str:
    """Draw what bands covered against what they promise, with two standard errors each way."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.plot([0, 100], [0, 100], color=INK, linewidth=1)
        _covered(axes, rival, VERMILLION, "none", 1.2)
        _covered(axes, bands, BLUE, BLUE, -1.2 if rival else 0)
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_xlabel("promised")
        axes.set_ylabel("covered")
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.yaxis.set_major_formatter("{x:.0f} %")

    return inline_svg(draw, label, height=300)


def pit_chart(edges: Sequence[float], shares: Sequence[float], label: str) -> str:
    """Draw where outcomes fell in the fan; a calibrated one fills every column to the line."""

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        percent = 100 * np.array(shares)
        left, widths = 100 * np.array(edges[:-1]), 100 * np.diff(edges)
        axes.bar(left, percent, 0.94 * widths, align="edge", color=BLUE, alpha=0.8, linewidth=0)
        axes.axhline(100 / percent.size, color=INK, linewidth=1)
        axes.set_xlim(0, 100)
        axes.set_xlabel("from the lowest to the highest of the fan")
        axes.set_ylabel("outcomes")
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.yaxis.set_major_formatter("{x:.0f} %")

    return inline_svg(draw, label)


def moves_chart(predicted: Floats, actual: Floats, corners: Sequence[str], label: str) -> str:
    """Draw predicted against actual moves, (N,) in percent, the scales apart, zero in the middle.

    Few moves are far beyond all others; they stand on the edge, so as not to squeeze the rest.

    corners : what stands in the four quadrants, from the upper left clockwise.
    """

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        wide, high = _reach(predicted), _reach(actual)
        reach = max(wide, high)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.plot([-reach, reach], [-reach, reach], color=INK, linestyle=(0, (4, 3)), linewidth=1)
        hits = direction_hits(predicted, actual)
        kinds = (np.isnan(hits), GREY), (hits == 0, VERMILLION), (hits == 1, BLUE)
        for chosen, colour in kinds:
            axes.plot(
                np.clip(predicted[chosen], -wide, wide),
                np.clip(actual[chosen], -high, high),
                "o",
                clip_on=False,
                color=colour,
                markersize=4,
                markeredgewidth=0,
                alpha=0.5,
            )
        for (x, y), text in zip(((0, 1), (1, 1), (1, 0), (0, 0)), corners, strict=True):
            axes.annotate(
                text,
                (x, y),
                xycoords="axes fraction",
                xytext=(4 - 8 * x, 4 - 8 * y),
                textcoords="offset points",
                ha="right" if x else "left",
                va="top" if y else "bottom",
                color=QUIET,
            )
        axes.set_xlim(-wide, wide)
        axes.set_ylim(-high, high)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("predicted move")
        axes.set_ylabel("actual move")
        axes.xaxis.set_major_formatter(_PERCENT)
        axes.yaxis.set_major_formatter(_PERCENT)

    return inline_svg(draw, label, height=300)


def _covered(axes: "Axes", bands: Sequence[Band], edge: str, face: str, shift: float) -> None:
    nominal = np.array([100 * band.nominal for band in bands])
    covered = np.array([100 * band.coverage for band in bands])
    errors = np.array([200 * (band.standard_error or 0.0) for band in bands])
    axes.errorbar(
        nominal + shift,
        covered,
        errors,
        fmt="o",
        markersize=5,
        color=edge,
        markerfacecolor=face,
        elinewidth=1.2,
    )


def _reach(moves: Floats) -> float:
    """Return where the axis ends on both sides: a little beyond 99 % of the moves."""
    return 1.25 * max(float(np.quantile(np.abs(moves), 0.99)) if moves.size else 0.0, 0.01)


def _ends(fan: Fan) -> list[Floats]:
    return [end for _, *both in fan.bands for end in both]
