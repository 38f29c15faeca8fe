"""Colours, and the drawings of fans, past forecasts, expected ranges and the charts of a page."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import Chances, direction_hits
from lstmcli.pictures.fans import Dates, Fan, Floats, Moves, Walk
from lstmcli.pictures.surprises import Surprises
from lstmcli.printable import count_of, json_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008): distinct for all types of colour vision. The bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, GREY, QUIET, GRID = "#cc79a7", "#e69f00", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
LINE_COLOURS = {
    **{"blue": BLUE, "vermillion": VERMILLION, "green": GREEN},
    **{"purple": PURPLE, "orange": ORANGE, "grey": GREY},
}
# Line colour, range colour, marker and legend of a window, by whether its direction was right.
OUTCOMES: dict[bool | None, tuple[str, str, str, str]] = {
    True: (GREEN, "#b5dfd2", "o", "direction right"),
    False: (VERMILLION, "#f3cfb8", "X", "direction wrong"),
    None: (GREY, "#dadada", "s", "unchanged"),
}
# Colours by their names in the page's style sheet.
COLOURS = {
    **{"ink": INK, "quiet": QUIET, "grid": GRID},
    **LINE_COLOURS,
    **{f"band-{100 * nominal:.0f}": tint for nominal, tint in TINTS.items()},
    **{f"range-{key}": OUTCOMES[hit][1] for key, hit in (("hit", True), ("miss", False))},
    "range-none": OUTCOMES[None][1],
}
_SHARE, _MOVE = "{x:.0f} %", "{x:+.3g} %"
_FEW_RANGES = 10  # up to so many are drawn as bars, because an area would be hard to see
_NARROW = 6.0  # inches; narrower panels break labels into two lines
_LOG_FROM = 3.0  # ratio of the highest to the lowest price beyond which the scale is logarithmic

Shown = Fan | Walk | Surprises


def draw_shown(axes: "Axes", shown: Shown) -> None:
    """Draw one symbol onto axes, without a title."""
    if isinstance(shown, Fan):
        draw_fan(axes, shown)
    elif isinstance(shown, Walk):
        draw_walk(axes, shown)
    else:
        draw_surprises(axes, shown)


def draw_fan(axes: "Axes", fan: Fan, *, shared: Sequence[Fan] = (), values: bool = False) -> None:
    """Draw a fan onto axes, without a title.

    shared : fans, including this one, that share a price scale so that they can be compared.
    values : whether each step shows its prices as a tooltip in a page.
    """
    start, last = fan.history_dates[-1], fan.last
    ahead = np.r_[start, fan.dates]
    # The bands and the median start at the last close, so that the fan begins in a point.
    for nominal, low, high in reversed(fan.bands):
        look: Any = {"color": TINTS[nominal], "label": f"{100 * nominal:.0f} % range"}
        axes.fill_between(ahead, np.r_[last, low], np.r_[last, high], linewidth=0, **look)
    axes.axvline(start, color=GREY, linewidth=0.8)
    axes.plot(fan.history_dates, fan.history, color=INK, linewidth=1.3, label="history")
    path = np.r_[last, fan.median]
    axes.plot(ahead, path, color=BLUE, linewidth=2.2, label=fan.forecast_name)
    # Above the median, which may coincide with it.
    _draw_naive(axes, ahead, last)
    if np.isfinite(fan.actual).any():
        path = np.r_[last, fan.actual]
        axes.plot(ahead, path, color=INK, linewidth=1.3, linestyle=(0, (1, 1)), label="actual")
    axes.plot([start], [last], "o", color=INK, markersize=5, zorder=5)
    prices = np.concatenate([each.drawn for each in shared or [fan]])
    _scale(axes, prices, fan.currency, fan.history_dates[0], ahead[-1])
    _label_ends(axes, ahead[-1], fan.ends())
    if values:
        show_values(axes, _days(ahead), fan.steps())


def draw_walk(axes: "Axes", walk: Walk, *, values: bool = False) -> None:
    """Draw past forecasts over the prices, without a title; `values` as in `draw_fan`."""
    for window in walk.windows:
        if window.band is not None:
            _, low, high = window.band
            tint = OUTCOMES[window.hit][1]
            axes.fill_between(window.dates, low, high, color=tint, linewidth=0)
    axes.plot(walk.dates, walk.prices, color=INK, linewidth=1.1, label="price")
    for window in walk.windows:
        colour, _, mark, word = OUTCOMES[window.hit]
        look: Any = {"color": colour, "linewidth": 2.0, "marker": mark, "markevery": [0]}
        _draw_naive(axes, window.dates, float(window.median[0]))
        axes.plot(window.dates, window.median, markersize=4.5, label=word, zorder=3, **look)
    ends = np.array([window.dates[-1] for window in walk.windows])
    _scale(axes, walk.drawn, walk.currency, walk.dates[0], ends.max())
    if values:
        starts = [window.dates[0] for window in walk.windows]
        show_values(axes, _days(np.array([*starts, ends[-1]])), list(map(str, walk.windows)))


def draw_surprises(axes: "Axes", shown: Surprises) -> None:
    """Draw each session's expected range, the prices and the moves found, without a title."""
    judged = shown.judged
    look: Any = {"color": TINTS[0.8], "label": "expected range"}
    if judged.sum() > _FEW_RANGES:
        axes.fill_between(shown.dates, shown.low, shown.high, where=judged, linewidth=0, **look)
    else:
        ends = shown.low[judged], shown.high[judged]
        axes.vlines(shown.dates[judged], *ends, linewidth=5, **look)
    axes.plot(shown.dates, shown.prices, color=INK, linewidth=1.1, label="price")
    mark: Any = {"linestyle": "", "marker": "o", "markersize": 7, "zorder": 5}
    mark |= {"color": VERMILLION, "markerfacecolor": "none", "markeredgewidth": 2}
    if shown.found.any():
        axes.plot(shown.dates[shown.found], shown.prices[shown.found], label="surprise", **mark)
    room = (shown.dates[-1] - shown.dates[0]) // 50
    _scale(axes, shown.drawn, shown.currency, shown.dates[0], shown.dates[-1] + room)


def draw_skill(axes: "Axes", lines: Mapping[str, Sequence[float | None]]) -> None:
    """Draw the skills against baselines at steps 1 to H, as shares of 1; None leaves a gap."""
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
    """Draw the coverage of bands against their nominal share, with +- 2 standard errors."""
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
    """Draw a reliability diagram: the share that rose against the chance, by tenths of it."""
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
    """Draw the PIT histogram of the outcomes; for a calibrated fan, all bars reach the line."""
    left, widths = 100 * np.array(edges[:-1]), 100 * np.diff(edges)
    heights = 100 * np.array(shares)
    bars = axes.bar(left, heights, 0.94 * widths, align="edge", color=BLUE, alpha=0.8, linewidth=0)
    for bar, height in zip(bars, heights, strict=True):
        name_marks(bar, [f"{height:.1f} % of the outcomes"])
    axes.axhline(100 / heights.size, color=INK, linewidth=1)
    axes.set_xlim(0, 100)
    _label(axes, "from the lowest to the highest of the fan", "outcomes", _SHARE)


def draw_moves(axes: "Axes", moves: Moves) -> None:
    """Draw actual against predicted moves on equal scales, with zero in the centre.

    Outliers are drawn on the edge, so that they do not compress the rest.
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


def show_values(axes: "Axes", edges: Floats, texts: Sequence[str]) -> None:
    """Add invisible zones with tooltips; text i belongs to the zone from edge i to edge i + 1.

    Only `pictures.page` reads the texts, from the ids of the drawn elements.
    """
    zones = axes.broken_barh(
        list(zip(edges[:-1], np.diff(edges), strict=True)),
        (0, 1),
        transform=axes.get_xaxis_transform(),
        color=INK,
        alpha=0.0,
        zorder=9,
    )
    name_marks(zones, texts)


def name_marks(artist: Any, texts: Sequence[str]) -> None:
    """Attach a tooltip text to each mark of an artist."""
    artist.set_gid(json_text(list(map(printable, texts))))


def _draw_naive(axes: "Axes", dates: Dates, last: float) -> None:
    look: Any = {"color": QUIET, "linewidth": 1.1, "linestyle": (0, (4, 3)), "zorder": 4}
    axes.plot(dates[[0, -1]], [last, last], label="naive (no change)", **look)


def _days(dates: Dates) -> Floats:
    from matplotlib.dates import date2num

    return np.asarray(date2num(dates), np.float64)  # type: ignore[no-untyped-call]


def _scale(axes: "Axes", prices: Floats, currency: str, first: Any, last: Any) -> None:
    """Set both axes: dates from the first to the last, and all prices with a small margin.

    If the highest price is more than three times the lowest, the scale is logarithmic.
    """
    from matplotlib.dates import AutoDateLocator
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = float(np.nanmin(prices)), float(np.nanmax(prices))
    words = printable(currency)
    if low > 0.0 and high / low > _LOG_FROM:
        axes.set_yscale("log")
        marks = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if high / low < 20.0 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=marks, numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
        words = f"{words}, logarithmic".removeprefix(", ")
        room = (high / low) ** 0.05
        axes.set_ylim(low / room, high * room)
    elif room := 0.06 * (high - low):
        axes.set_ylim(low - room, high + room)
    axes.set_ylabel(words, parse_math=False)
    axes.yaxis.set_major_formatter("{x:,.7g}")
    # A minimum of half as many may be impossible: after 6 months the next interval is a year.
    most = 1 + int(_panel(axes)[0])
    fewest = (most - 1) // 2
    locator = AutoDateLocator(minticks=fewest, maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.set_xlim(first, last)


def _panel(axes: "Axes") -> tuple[float, float]:
    """Return the width and height of a panel, in inches."""
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure, "axes belong to a figure"
    assert place, "axes belong to a grid"
    width, height = figure.get_size_inches()
    return width / place.get_gridspec().ncols, height / place.get_gridspec().nrows


def _label_ends(axes: "Axes", day: Any, ends: Sequence[tuple[float, str]]) -> None:
    """Label the ends of the median and its band with prices, without overlap."""
    width, height = _panel(axes)
    size = 0.95 * float(axes.yaxis.label.get_fontsize())
    narrow = width < _NARROW
    low, high = axes.transScale.transform([(0, each) for each in axes.get_ylim()])[:, 1]
    heights = [axes.transScale.transform((0, price))[1] for price, _ in ends]
    # In points; the axes take about 70 % of the panel's height.
    places = 0.7 * 72 * height * (np.array(heights) - low) / (high - low)
    middle = len(ends) // 2
    for place, ((price, text), own) in enumerate(zip(ends, places, strict=True)):
        apart = (2.4 if narrow else 1.2) * size * (place - middle)
        least = places[middle] + apart - own
        moved = 0.0 if place == middle else max(least, 0.0) if apart > 0 else min(least, 0.0)
        axes.annotate(
            text.replace(" (", "\n").removesuffix(")") if narrow else text,
            (day, price),
            xytext=(6, moved),
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=BLUE if place == middle else QUIET,
            annotation_clip=False,
            parse_math=False,
        )


def _square(axes: "Axes", x: str, y: str) -> None:
    """Prepare axes of percentages, with the diagonal."""
    axes.plot([0, 100], [0, 100], color=INK, linewidth=1)
    axes.set(xlim=(0, 102), ylim=(0, 102))
    _label(axes, x, y, _SHARE)


def _label(axes: "Axes", x: str, y: str, form: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.xaxis.set_major_formatter(form)
    axes.yaxis.set_major_formatter(form)


def _reach(moves: Floats) -> float:
    """Return the limit of the axis on both sides: a little beyond 99 % of the moves."""
    return 1.25 * max(float(np.quantile(np.abs(moves), 0.99)) if moves.size else 0.0, 0.01)
