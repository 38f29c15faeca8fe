"""Colours, and drawings over time: a fan after its history, past forecasts, expected ranges."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.pictures.fans import Dates, Fan, Floats, Walk
from lstmcli.pictures.surprises import Surprises
from lstmcli.printable import json_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), distinct for every kind of colour vision. The bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, GREY, QUIET, GRID = "#cc79a7", "#e69f00", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
LINE_COLOURS = {
    **{"blue": BLUE, "vermillion": VERMILLION, "green": GREEN},
    **{"purple": PURPLE, "orange": ORANGE, "grey": GREY},
}
# Of a window whose direction was called right or wrong, or that had none: line, range, mark, word.
OUTCOMES: dict[bool | None, tuple[str, str, str, str]] = {
    True: (GREEN, "#b5dfd2", "o", "direction right"),
    False: (VERMILLION, "#f3cfb8", "X", "direction wrong"),
    None: (GREY, "#dadada", "s", "unchanged"),
}
# By the names that the page's style sheet gives them.
COLOURS = {
    **{"ink": INK, "quiet": QUIET, "grid": GRID},
    **LINE_COLOURS,
    **{f"band-{100 * nominal:.0f}": tint for nominal, tint in TINTS.items()},
    **{f"range-{key}": OUTCOMES[hit][1] for key, hit in (("hit", True), ("miss", False))},
    "range-none": OUTCOMES[None][1],
}
_FEW_RANGES = 10  # which are drawn as bars, since an area would hardly be seen
_NARROW = 6.0  # inches of a panel in which labels take two lines
_LOG_FROM = 3.0  # a range of prices beyond which steps of the same percentage are drawn alike

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

    shared : fans, itself among them, that share one scale of prices so that they can be compared.
    values : whether each step shows its prices where the pointer is, in a page.
    """
    start, last = fan.history_dates[-1], fan.last
    ahead = np.r_[start, fan.dates]
    # Everything ahead starts from the last close, so that the fan has a point.
    for nominal, low, high in reversed(fan.bands):
        look: Any = {"color": TINTS[nominal], "label": f"{100 * nominal:.0f} % range"}
        axes.fill_between(ahead, np.r_[last, low], np.r_[last, high], linewidth=0, **look)
    axes.axvline(start, color=GREY, linewidth=0.8)
    axes.plot(fan.history_dates, fan.history, color=INK, linewidth=1.3, label="history")
    path = np.r_[last, fan.median]
    axes.plot(ahead, path, color=BLUE, linewidth=2.2, label=fan.forecast_name)
    # Over the median, which may lie exactly there.
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
    """Draw past forecasts over the prices onto axes, without a title; values as for a fan."""
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
    """Draw the range expected of each session, the prices, and the moves found, without a title."""
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


def show_values(axes: "Axes", edges: Floats, texts: Sequence[str]) -> None:
    """Lay zones over axes that each show a text where the pointer is; text i is left of edge i+1.

    Only `pictures.page` reads them, from the ids of what is drawn.
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
    """Give each mark of something drawn its text."""
    artist.set_gid(json_text(list(map(printable, texts))))


def _draw_naive(axes: "Axes", dates: Dates, last: float) -> None:
    look: Any = {"color": QUIET, "linewidth": 1.1, "linestyle": (0, (4, 3)), "zorder": 4}
    axes.plot(dates[[0, -1]], [last, last], label="naive (no change)", **look)


def _days(dates: Dates) -> Floats:
    from matplotlib.dates import date2num

    return np.asarray(date2num(dates), np.float64)  # type: ignore[no-untyped-call]


def _scale(axes: "Axes", prices: Floats, currency: str, first: Any, last: Any) -> None:
    """Set both axes: dates from the first to the last, and all prices with a little room.

    Prices more than three times as high as others are drawn on a logarithmic scale.
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
    # With half as many at least, no distance may fit: from 6 months it goes to years.
    most = 1 + int(_panel(axes)[0])
    fewest = (most - 1) // 2
    locator = AutoDateLocator(minticks=fewest, maxticks=most)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.set_xlim(first, last)


def _panel(axes: "Axes") -> tuple[float, float]:
    """Return the width and the height of a panel, in inches."""
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure, "axes stand in a figure"
    assert place, "and in its grid"
    width, height = figure.get_size_inches()
    return width / place.get_gridspec().ncols, height / place.get_gridspec().nrows


def _label_ends(axes: "Axes", day: Any, ends: Sequence[tuple[float, str]]) -> None:
    """Write prices next to the ends of the median and its band, one above the other."""
    width, height = _panel(axes)
    size = 0.95 * float(axes.yaxis.label.get_fontsize())
    narrow = width < _NARROW
    low, high = axes.transScale.transform([(0, each) for each in axes.get_ylim()])[:, 1]
    heights = [axes.transScale.transform((0, price))[1] for price, _ in ends]
    # In points, of which the axes take some 70 % of the panel's height.
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
