"""Pictures through matplotlib (extra `plot`), by its figure objects alone.

No pyplot, no window, no style of the user's, no date and no version in the file: the same drawing
always makes the same bytes.
"""

import importlib.util
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lstmcli.errors import UsageError
from lstmcli.printable import printable
from lstmcli.report.output import check_file, write_file
from lstmcli.report.view import Format

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

MAX_PANELS = 12
SUFFIXES = (".png", ".svg")

# Okabe & Ito (2008), told apart by every kind of colour vision; the bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, GREY, QUIET, GRID = "#cc79a7", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
_STYLE = {
    "svg.hashsalt": "lstmcli",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "date.converter": "concise",
    "grid.color": GRID,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
# No date, no version and no address in the file.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


def check_plot(target: str | None, form: Format = "table") -> None:
    """Raise before any work is done if `--plot TARGET` could not be followed; None asks for none.

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
    if target != "-":
        _check_picture(target)
        check_file(target)
    check_package("plotext" if target == "-" else "matplotlib")


def check_package(package: str, option: str = "--plot") -> None:
    """Raise UsageError where a package that the extra brings is not there."""
    if importlib.util.find_spec(package) is None:
        raise missing(package, option)


def missing(package: str, option: str = "--plot") -> UsageError:
    """Return the error for a package that the extra would have brought."""
    return UsageError(
        f"The package {package} is not installed",
        where=option,
        next_step="Install it: pip install 'lstmcli[plot]'.",
    )


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
        with _programs_hushed():
            from matplotlib import style
            from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("matplotlib") from error

    data = io.BytesIO()
    with (
        style.context([_STYLE, dict(changes or {})], after_reset=True),
        warnings.catch_warnings(),
    ):
        # A name in a script that the font lacks is drawn as boxes; that is no reason for noise.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph", category=UserWarning)
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        draw(figure)
        figure.savefig(data, format=form, metadata=_METADATA[form])
    return data.getvalue()


def write_panels(
    path: Path,
    items: Sequence[T],
    draw: Callable[["Axes", T, bool], None],
    legend: Sequence[str],
) -> None:
    """Write one panel a symbol to a PNG or SVG file, wholly or not at all.

    The first 12 are drawn, and the picture says so where there are more.

    draw : draws one onto axes; its last argument says whether it has the picture for itself.
    legend : the labels that may occur, in order. Raises UsageError for another kind of file or
        without matplotlib, FileError where the file cannot be written.
    """
    _check_picture(str(path))
    shown = items[:MAX_PANELS]
    rows, columns = _grid(len(shown))
    size = (9.0, 5.2) if columns == 1 else (5.0 * columns, 3.4 * rows + 0.6)

    def draw_all(figure: "Figure") -> None:
        for place, item in enumerate(shown, start=1):
            draw(figure.add_subplot(rows, columns, place), item, columns == 1)
        if len(items) > len(shown):
            figure.suptitle(f"The first {len(shown)} of {len(items)} symbols", x=0.01, ha="left")
        _add_legend(figure, legend)

    write_file(path, render(draw_all, size, path.suffix.lower().removeprefix(".")))


def draw_title(axes: "Axes", title: str, subtitle: str) -> None:
    """Write a bold line and a quiet one above a panel, as they are spelt."""
    axes.set_title(
        printable(title), loc="left", weight="bold", fontsize=12, pad=20, parse_math=False
    )
    axes.text(
        0,
        1.03,
        printable(subtitle),
        transform=axes.transAxes,
        fontsize=9,
        color=QUIET,
        parse_math=False,
    )


@contextmanager
def _programs_hushed() -> Iterator[None]:
    """Send what other programs write to stderr nowhere.

    matplotlib asks fc-list for fonts, which complains where it cannot write into HOME.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # stderr may be closed
            before = os.dup(2)
            stack.callback(os.close, before)
            stack.callback(os.dup2, before, 2)
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        yield


def _check_picture(target: str) -> None:
    if Path(target).suffix.lower() not in SUFFIXES:
        raise UsageError(
            "Not a kind of picture",
            where=f"--plot {target}",
            why=f"found {Path(target).suffix or 'no suffix'}, expected .png or .svg",
            next_step="Name the file so, or pass --plot - to draw in the terminal.",
        )


def _grid(panels: int) -> tuple[int, int]:
    columns = 1 if panels == 1 else 2 if panels <= 4 else 3
    return -(-panels // columns), columns


def _add_legend(figure: "Figure", order: Sequence[str]) -> None:
    """Put one legend for all panels below them, in one row: every entry that occurs, once."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        found |= zip(*reversed(axes.get_legend_handles_labels()), strict=True)
    labels = [label for label in order if label in found]
    figure.legend(
        [found[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=len(order),
        frameon=False,
        fontsize=9,
        handlelength=1.8,
        columnspacing=1.6,
    )
