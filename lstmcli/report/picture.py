"""Pictures through matplotlib (extra `plot`): fans, past forecasts, and the charts of a page.

Only figure objects are used: no pyplot, no window, no style of the user's, no date and no version
in the file. The same drawing always makes the same bytes.
"""

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import Chances, direction_hits
from lstmcli.printable import count_of, json_text, printable
from lstmcli.report import fans
from lstmcli.report.fans import Fan, Floats, Moves, Walk
from lstmcli.report.output import check_picture, missing, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

    _Draw = Callable[[Figure], None]
    _Size = tuple[float, float]

MAX_PANELS = 30

# Okabe & Ito (2008), distinct for every kind of colour vision. The bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, GREY, QUIET, GRID = "#cc79a7", "#e69f00", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
LINE_COLOURS = {
    **{"blue": BLUE, "vermillion": VERMILLION, "green": GREEN},
    **{"purple": PURPLE, "orange": ORANGE, "grey": GREY},
}
# Of a window whose direction was called right or wrong, or that had none: line, range, mark, word.
_OUTCOMES: dict[bool | None, tuple[str, str, str, str]] = {
    True: (GREEN, "#b5dfd2", "o", "direction right"),
    False: (VERMILLION, "#f3cfb8", "X", "direction wrong"),
    None: (GREY, "#dadada", "s", "unchanged"),
}
# By the names that the page's style sheet gives them.
COLOURS = {
    **{"ink": INK, "quiet": QUIET, "grid": GRID},
    **LINE_COLOURS,
    **{f"band-{100 * nominal:.0f}": tint for nominal, tint in TINTS.items()},
    **{f"range-{key}": _OUTCOMES[hit][1] for key, hit in (("hit", True), ("miss", False))},
    "range-none": _OUTCOMES[None][1],
}
_STYLE = {
    "svg.hashsalt": "lstmcli",
    "font.size": 10,
    "axes.axisbelow": True,
    "axes.grid": True,
    "date.converter": "concise",
    "axes.edgecolor": GREY,
    "grid.color": GRID,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
# No date, no version and no address in the file.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}
_LEGEND = (
    *("history", "price", "median", "forecast", *(outcome[3] for outcome in _OUTCOMES.values())),
    *("50 % range", "80 % range", "95 % range", "naive (no change)", "actual"),
)
_SHARE, _MOVE = "{x:.0f} %", "{x:+.3g} %"
_NARROW = 6.0  # inches of a panel in which labels take two lines
_LOG_FROM = 3.0  # a range of prices beyond which steps of the same percentage are drawn alike


def write_picture(shown: Sequence[Fan | Walk], path: Path) -> None:
    """Write one panel a symbol to a PNG or SVG file, wholly or not at all.

    The first 30 are drawn, and the picture says how many more there are. Raises UsageError for
    another kind of file or without matplotlib, FileError where the file cannot be written.
    """
    check_picture(str(path))
    draw, size = _panels(shown)
    write_file(path, render(draw, size, path.suffix.lower().removeprefix(".")))


def figure_of(shown: Sequence[Fan | Walk]) -> "Figure":
    """Return the same picture as a figure for notebooks; UsageError without matplotlib."""
    draw, size = _panels(shown)
    with _figure(size) as figure:
        draw(figure)
    # A notebook without pyplot knows no figures, but asks each result for such a method.
    vars(figure)["_repr_png_"] = lambda: _bytes(figure, "png")
    return figure


def _panels(shown: Sequence[Fan | Walk]) -> "tuple[_Draw, _Size]":
    """Return what draws one panel a symbol, and the size in inches."""
    panels = shown[:MAX_PANELS]
    columns = 1 if len(panels) == 1 else 2 if len(panels) <= 4 else 3
    rows = -(-len(panels) // columns)
    size = (9.0, 5.2) if columns == 1 else (5.2 * columns, 3.5 * rows + 0.6)
    found: dict[str, Any] = {}  # entries of the legend

    def draw(figure: "Figure") -> None:
        for place, each in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            if isinstance(each, Fan):
                draw_fan(axes, each)
            else:
                draw_walk(axes, each)
            # A bold line and a quiet one above a panel, as they are spelt.
            spelt: Any = {"parse_math": False, "loc": "left"}
            axes.set_title(printable(each.title), weight="bold", fontsize=12, pad=20, **spelt)
            above: Any = {"transform": axes.transAxes, "fontsize": 9, "color": QUIET}
            axes.text(0, 1.03, printable(each.words), parse_math=False, **above)
            found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if more := len(shown) - len(panels):
            words = f"{len(panels)} of {len(shown)} symbols; name the other {more} to draw them"
            figure.suptitle(words, x=0.01, ha="left")
        # One legend for all panels, in one row: every entry that occurs, once.
        labels = [label for label in _LEGEND if label in found]
        look: Any = {"frameon": False, "fontsize": 9, "handlelength": 1.8, "columnspacing": 1.6}
        handles = [found[label] for label in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), **look)

    return draw, size


def render(
    draw: "_Draw",
    size: "_Size",
    form: str,
    changes: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a drawing as the bytes of a `png` or `svg`.

    size : width and height in inches. changes : of the style. Raises UsageError without matplotlib.
    """
    with _figure(size, changes) as figure:
        draw(figure)
        return _bytes(figure, form)


def _bytes(figure: "Figure", form: str) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format=form, metadata=_METADATA[form])
    return data.getvalue()


@contextmanager
def _figure(size: "_Size", changes: Mapping[str, Any] | None = None) -> "Iterator[Figure]":
    """Yield an empty figure, to be drawn on in the block, which has our style."""
    try:
        with _silence_programs():
            from matplotlib import style
            from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("matplotlib") from error
    with (
        style.context([_STYLE, dict(changes or {})], after_reset=True),
        warnings.catch_warnings(),
    ):
        # A name in a script that the font lacks is drawn as boxes; which needs no warning.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph", category=UserWarning)
        yield Figure(figsize=size, dpi=150, layout="constrained")


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
            tint = _OUTCOMES[window.hit][1]
            axes.fill_between(window.dates, low, high, color=tint, linewidth=0)
    axes.plot(walk.dates, walk.prices, color=INK, linewidth=1.1, label="price")
    for window in walk.windows:
        colour, _, mark, word = _OUTCOMES[window.hit]
        look: Any = {"color": colour, "linewidth": 2.0, "marker": mark, "markevery": [0]}
        _draw_naive(axes, window.dates, float(window.median[0]))
        axes.plot(window.dates, window.median, markersize=4.5, label=word, zorder=3, **look)
    ends = np.array([window.dates[-1] for window in walk.windows])
    _scale(axes, walk.drawn, walk.currency, walk.dates[0], ends.max())
    if values:
        starts = [window.dates[0] for window in walk.windows]
        show_values(axes, _days(np.array([*starts, ends[-1]])), list(map(str, walk.windows)))


def show_values(axes: "Axes", edges: Floats, texts: Sequence[str]) -> None:
    """Lay zones over axes that each show a text where the pointer is; text i is left of edge i+1.

    Only `report.page` reads them, from the ids of what is drawn.
    """
    zones = axes.broken_barh(
        list(zip(edges[:-1], np.diff(edges), strict=True)),
        (0, 1),
        transform=axes.get_xaxis_transform(),
        color=INK,
        alpha=0.0,
        zorder=9,
    )
    _name(zones, texts)


def _name(artist: Any, texts: Sequence[str]) -> None:
    """Give each mark of something drawn its text."""
    artist.set_gid(json_text(list(map(printable, texts))))


def _draw_naive(axes: "Axes", dates: fans.Dates, last: float) -> None:
    look: Any = {"color": QUIET, "linewidth": 1.1, "linestyle": (0, (4, 3)), "zorder": 4}
    axes.plot(dates[[0, -1]], [last, last], label="naive (no change)", **look)


def _days(dates: fans.Dates) -> Floats:
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
        _name(points, list(texts))


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
            _name(dot, [f"{words} of {count_of(each.n_windows, 'window')}"])


def draw_pit(axes: "Axes", edges: Sequence[float], shares: Sequence[float]) -> None:
    """Draw where outcomes fell in the fan; a calibrated one fills every column to the line."""
    left, widths = 100 * np.array(edges[:-1]), 100 * np.diff(edges)
    heights = 100 * np.array(shares)
    bars = axes.bar(left, heights, 0.94 * widths, align="edge", color=BLUE, alpha=0.8, linewidth=0)
    for bar, height in zip(bars, heights, strict=True):
        _name(bar, [f"{height:.1f} % of the outcomes"])
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
        colour, _, mark, _ = _OUTCOMES[hit]
        x, y = (np.clip(each[chosen], -reach, reach) for each in (predicted, actual))
        (dots,) = axes.plot(x, y, clip_on=False, color=colour, marker=mark, **dot)
        _name(dots, [moves.names[index] for index in np.flatnonzero(chosen).tolist()])
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


@contextmanager
def _silence_programs() -> Iterator[None]:
    """Discard what other programs write to stderr.

    matplotlib asks fc-list for fonts, which complains where it cannot write into HOME.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # stderr may be closed
            before = os.dup(2)
            stack.callback(os.close, before)
            stack.callback(os.dup2, before, 2)
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
        yield
