"""Pictures through matplotlib (extra `plot`): fans, past forecasts, and the charts of a page.

Only figure objects are used: no pyplot, no window, no style of the user's, no date and no version
in the file. The same drawing always makes the same bytes.
"""

import importlib.util
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

from lstmcli.errors import UsageError
from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import Chances, direction_hits
from lstmcli.printable import printable
from lstmcli.report import Format, fans
from lstmcli.report.fans import Fan, Floats, Walk
from lstmcli.report.output import check_file, write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 12
SUFFIXES = (".png", ".svg")

# Okabe & Ito (2008), distinct for every kind of colour vision. The bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, GREY, QUIET, GRID = "#cc79a7", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
MODEL_COLOURS = {"blue": BLUE, "vermillion": VERMILLION, "green": GREEN, "purple": PURPLE}
# By the names that the page's style sheet gives them.
COLOURS = {
    **{"ink": INK, "quiet": QUIET, "grey": GREY, "grid": GRID},
    **MODEL_COLOURS,
    **{f"band-{100 * nominal:.0f}": tint for nominal, tint in TINTS.items()},
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
    *("history", "price", "last close", "median"),
    *("50 % band", "80 % band", "95 % band", "cutoff", "naive", "actual"),
)
_SHARE, _MOVE = "{x:.0f} %", "{x:+.3g} %"


def check_plot(target: str | None, form: Format = "table") -> None:
    """Raise before any work is done if `--plot TARGET` could not be drawn; None is no plot.

    form : of the result, which standard output holds too.
    """
    if target is None:
        return
    if target == "-" and form != "table":
        raise UsageError(
            "two results on standard output",
            where=f"--plot - with --format {form}",
            next_step="Draw to a file, or leave --format out.",
        )
    if target == "-":
        check_package("plotext")
        return
    _check_picture(target)
    check_file(target)
    check_package("matplotlib")


def check_package(package: str, option: str = "--plot") -> None:
    """Raise UsageError if a package of the extra `plot` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise missing(package, option)


def missing(package: str, option: str = "--plot") -> UsageError:
    """Return the error for a package of the extra `plot` that is not installed."""
    return UsageError(
        f"The package {package} is not installed",
        where=option,
        next_step="Install it: pip install 'lstmcli[plot]'.",
    )


def write_picture(shown: Sequence[Fan | Walk], path: Path) -> None:
    """Write one panel a symbol to a PNG or SVG file, wholly or not at all.

    The first 12 are drawn, and the picture says so where there are more. Raises UsageError for
    another kind of file or without matplotlib, FileError where the file cannot be written.
    """
    _check_picture(str(path))
    panels = shown[:MAX_PANELS]
    columns = 1 if len(panels) == 1 else 2 if len(panels) <= 4 else 3
    rows = -(-len(panels) // columns)
    size = (9.0, 5.2) if columns == 1 else (5.0 * columns, 3.4 * rows + 0.6)
    found: dict[str, Any] = {}  # entries of the legend

    def draw(figure: "Figure") -> None:
        for place, each in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            if isinstance(each, Fan):
                draw_fan(axes, each, most_ticks=9 if columns == 1 else 5)
            else:
                draw_walk(axes, each)
            # A bold line and a quiet one above a panel, as they are spelt.
            spelt: Any = {"parse_math": False, "loc": "left"}
            axes.set_title(printable(each.symbol), weight="bold", fontsize=12, pad=20, **spelt)
            above: Any = {"transform": axes.transAxes, "fontsize": 9, "color": QUIET}
            axes.text(0, 1.03, printable(each.title), parse_math=False, **above)
            found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if len(shown) > len(panels):
            figure.suptitle(f"The first {len(panels)} of {len(shown)} symbols", x=0.01, ha="left")
        # One legend for all panels, in one row: every entry that occurs, once.
        labels = [label for label in _LEGEND if label in found]
        look: Any = {"frameon": False, "fontsize": 9, "handlelength": 1.8, "columnspacing": 1.6}
        handles = [found[label] for label in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), **look)

    write_file(path, render(draw, size, path.suffix.lower().removeprefix(".")))


def render(
    draw: Callable[["Figure"], None],
    size: tuple[float, float],
    form: str,
    changes: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a drawing as the bytes of a `png` or `svg`.

    size : width and height in inches. changes : of the style. Raises UsageError without matplotlib.
    """
    try:
        with _silence_programs():
            from matplotlib import style
            from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("matplotlib") from error

    data = io.BytesIO()
    with (
        style.context([_STYLE, dict(changes or {})], after_reset=True),
        warnings.catch_warnings(),
    ):
        # A name in a script that the font lacks is drawn as boxes; which needs no warning.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph", category=UserWarning)
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        draw(figure)
        figure.savefig(data, format=form, metadata=_METADATA[form])
    return data.getvalue()


def draw_fan(axes: "Axes", fan: Fan, *, most_ticks: int, shared: Sequence[Fan] = ()) -> None:
    """Draw a fan onto axes, sessions counted from the cutoff, without a title.

    shared : fans, itself among them, that share one scale of prices so that they can be compared.
    """
    last, horizon = float(fan.history[-1]), fan.median.size
    before = np.arange(1 - fan.history.size, 1)  # the cutoff is session 0
    ahead = np.arange(horizon + 1)
    # Everything ahead starts from the last close, so that the fan has a point.
    for nominal, low, high in reversed(fan.bands):
        _fill(axes, ahead, (nominal, np.r_[last, low], np.r_[last, high]))
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.plot(before, fan.history, color=INK, linewidth=1.3, label="history")
    axes.plot(ahead, np.r_[last, fan.median], color=BLUE, linewidth=2.2, label="median")
    # Over the median, which may lie exactly there.
    axes.plot([0, horizon], [last, last], color=VERMILLION, linestyle=(0, (5, 3)), label="naive")
    if np.isfinite(fan.actual).any():
        path = np.r_[last, fan.actual]
        axes.plot(ahead, path, color=INK, linewidth=1.3, linestyle=(0, (1, 1)), label="actual")
    axes.plot([0], [last], "o", color=INK, markersize=5, label="last close", zorder=5)

    axes.set_xticks(*fan.ticks(most_ticks))
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.set_xlim(before[0], horizon)
    axes.margins(y=0.06)
    if shared:
        prices = np.concatenate([each.drawn for each in shared])
        ends = np.array([np.nanmin(prices), np.nanmax(prices)])
        if margin := 0.06 * np.ptp(ends):
            axes.set_ylim(*(ends + [-margin, margin]))


def _fill(axes: "Axes", x: Any, band: fans.Band) -> None:
    nominal, low, high = band
    label = f"{100 * nominal:.0f} % band"
    axes.fill_between(x, low, high, color=TINTS[nominal], linewidth=0, label=label)


def draw_walk(axes: "Axes", walk: Walk) -> None:
    """Draw past forecasts over the prices onto axes, without a title."""
    for window in walk.windows:
        if window.band is not None:
            _fill(axes, window.dates, window.band)
    axes.plot(walk.dates, walk.prices, color=INK, linewidth=1.1, label="price")
    for window in walk.windows:
        axes.plot(window.dates, window.median, color=BLUE, linewidth=2.0, label="median")
    starts = [window.dates[0] for window in walk.windows]
    prices = [window.median[0] for window in walk.windows]
    axes.plot(starts, prices, "o", color=BLUE, markersize=3.5, label="cutoff", zorder=5)
    axes.yaxis.set_major_formatter("{x:,.7g}")
    axes.set_xlim(walk.dates[0], np.max([window.dates[-1] for window in walk.windows]))


def draw_skill(axes: "Axes", lines: Sequence[Sequence[float | None]]) -> None:
    """Draw the skill of each model at the steps 1..H, shares of 1; None leaves a gap."""
    axes.axhline(0, color=INK, linewidth=1)
    for line, colour in zip(lines, cycle(MODEL_COLOURS.values()), strict=False):
        values = 100 * np.array(line, dtype=np.float64)
        mark = "o" if values.size == 1 else ""
        axes.plot(np.arange(1, values.size + 1), values, marker=mark, color=colour, linewidth=2)
    axes.set(xlabel="step", xlim=(1, max([2, *map(len, lines)])))
    axes.yaxis.set_major_formatter(_MOVE)


def draw_coverage(axes: "Axes", bands: Sequence[Band], rival: Sequence[Band]) -> None:
    """Draw what bands covered against what they promise, with two standard errors each way."""
    _square(axes, "promised", "covered")
    for found, colour, face, shift in (
        (rival, VERMILLION, "none", 1.2),
        (bands, BLUE, BLUE, -1.2 if rival else 0.0),
    ):
        promised = [100 * band.nominal + shift for band in found]
        covered = [100 * band.coverage for band in found]
        errors = [200 * (band.standard_error or 0.0) for band in found]
        look: Any = {"fmt": "o", "markersize": 5, "color": colour, "markerfacecolor": face}
        axes.errorbar(promised, covered, errors, elinewidth=1.2, **look)


def draw_chances(axes: "Axes", found: Chances) -> None:
    """Draw the share that rose against the chance given, in tenths of the chance."""
    _square(axes, "chance of a rise", "rose")
    if found.base_rate is not None:
        base = 100 * found.base_rate
        axes.axhline(base, color=VERMILLION, linestyle=(0, (4, 3)), linewidth=1.2)
    for each in found.reliability:
        if each.mean is not None and each.rose is not None:
            size = 4 + 8 * math.sqrt(each.n_windows / found.n_windows)
            axes.plot(100 * each.mean, 100 * each.rose, "o", color=BLUE, markersize=size)


def draw_pit(axes: "Axes", edges: Sequence[float], shares: Sequence[float]) -> None:
    """Draw where outcomes fell in the fan; a calibrated one fills every column to the line."""
    left, widths = 100 * np.array(edges[:-1]), 100 * np.diff(edges)
    heights = 100 * np.array(shares)
    axes.bar(left, heights, 0.94 * widths, align="edge", color=BLUE, alpha=0.8, linewidth=0)
    axes.axhline(100 / heights.size, color=INK, linewidth=1)
    axes.set_xlim(0, 100)
    _label(axes, "from the lowest to the highest of the fan", "outcomes", _SHARE)


def draw_moves(axes: "Axes", predicted: Floats, actual: Floats, corners: Sequence[str]) -> None:
    """Draw predicted against actual moves, (N,) in percent, the scales apart, zero in the middle.

    Few moves are far beyond all others; they are drawn on the edge, to leave room for the rest.

    corners : texts of the four quadrants, from the upper left clockwise.
    """
    wide, high = _reach(predicted), _reach(actual)
    reach = max(wide, high)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.plot([-reach, reach], [-reach, reach], color=INK, linestyle=(0, (4, 3)), linewidth=1)
    hits = direction_hits(predicted, actual)
    dot: Any = {"marker": "o", "linestyle": "", "markersize": 4, "markeredgewidth": 0, "alpha": 0.5}
    for chosen, colour in (np.isnan(hits), GREY), (hits == 0, VERMILLION), (hits == 1, BLUE):
        x, y = np.clip(predicted[chosen], -wide, wide), np.clip(actual[chosen], -high, high)
        axes.plot(x, y, clip_on=False, color=colour, **dot)
    for (right, top), text in zip(((0, 1), (1, 1), (1, 0), (0, 0)), corners, strict=True):
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
    axes.set(xlim=(-wide, wide), ylim=(-high, high))
    axes.locator_params(axis="x", nbins=5)
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


def _check_picture(target: str) -> None:
    if Path(target).suffix.lower() not in SUFFIXES:
        raise UsageError(
            "Not a kind of picture",
            where=f"--plot {target}",
            why=f"found {Path(target).suffix or 'no suffix'}, expected .png or .svg",
            next_step="Name the file so, or pass --plot - to draw in the terminal.",
        )
