"""Pictures by matplotlib (extra `plot`), as files or figures: panels with a legend.

It uses only figure objects: no pyplot, no windows, and none of the user's styles. The same drawing
always produces the same bytes.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli.pictures.drawing import GREY, GRID, INK, OUTCOMES, QUIET, Shown, draw_shown
from lstmcli.printable import printable
from lstmcli.report.output import check_picture, missing, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

    _Draw = Callable[[Figure], None]
    _Size = tuple[float, float]

MAX_PANELS = 30

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
# Omit date, version and URL from the file, so that its bytes are reproducible.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}

_LEGEND = (
    *("history", "price", "median", "forecast", *(outcome[3] for outcome in OUTCOMES.values())),
    *("50 % range", "80 % range", "95 % range", "naive (no change)", "actual"),
    *("expected range", "surprise"),
)


def write_picture(shown: Sequence[Shown], path: Path) -> None:
    """Write one panel per symbol to a PNG or SVG file, atomically.

    Draws the first 30 symbols and states the number of others. Raises UsageError for another file
    type or without matplotlib, FileError if the file cannot be written.
    """
    check_picture(str(path))
    draw, size = _panels(shown)
    write_file(path, render(draw, size, path.suffix.lower().removeprefix(".")))


def figure_of(shown: Sequence[Shown]) -> "Figure":
    """Return the same picture as a figure for notebooks; UsageError without matplotlib."""
    draw, size = _panels(shown)
    with _figure(size) as figure:
        draw(figure)
    # Without pyplot, a notebook cannot display figures, but it calls this method of any result.
    vars(figure)["_repr_png_"] = lambda: _bytes(figure, "png")
    return figure


def _panels(shown: Sequence[Shown]) -> "tuple[_Draw, _Size]":
    """Return a function that draws one panel per symbol, and the size in inches."""
    panels = shown[:MAX_PANELS]
    columns = 1 if len(panels) == 1 else 2 if len(panels) <= 4 else 3
    rows = -(-len(panels) // columns)
    size = (9.0, 5.2) if columns == 1 else (5.2 * columns, 3.5 * rows + 0.6)
    found: dict[str, Any] = {}  # entries of the legend

    def draw(figure: "Figure") -> None:
        for place, each in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            draw_shown(axes, each)
            # A bold title and a grey subtitle above each panel, without math markup.
            spelt: Any = {"parse_math": False, "loc": "left"}
            axes.set_title(printable(each.title), weight="bold", fontsize=12, pad=20, **spelt)
            above: Any = {"transform": axes.transAxes, "fontsize": 9, "color": QUIET}
            axes.text(0, 1.03, printable(each.words), parse_math=False, **above)
            found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if more := len(shown) - len(panels):
            words = f"{len(panels)} of {len(shown)} symbols; name the other {more} to draw them"
            figure.suptitle(words, x=0.01, ha="left")
        # One legend in one row for all panels, with each entry once.
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
    """Return a drawing as the bytes of a `png` or `svg` file.

    size : width and height in inches. changes : overrides of the style. Raises UsageError without
    matplotlib.
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
    """Yield an empty figure; our style applies inside the block."""
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
        # If the font lacks the script of a name, it is drawn as boxes; no warning is needed.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph", category=UserWarning)
        yield Figure(figsize=size, dpi=150, layout="constrained")


@contextmanager
def _silence_programs() -> Iterator[None]:
    """Discard the stderr output of child processes.

    matplotlib runs fc-list to find fonts, which prints a warning if HOME is not writable.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # stderr may be closed
            before = os.dup(2)
            stack.callback(os.close, before)
            stack.callback(os.dup2, before, 2)
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
        yield
