"""Tables that are never cut: as wide as they need, in plain ASCII, bold only on a terminal."""

import io
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import Box
from rich.console import Console, ConsoleDimensions, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lstmcli.printable import printable, raw_stream

_UNBOUNDED = 100_000
_HEIGHT = 25
# A line under the header and nothing else, in characters that every terminal, log and mail shows.
_BOX = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
# Text is shown as it is written: no [markup], no :emoji:, no colours by guess.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}


class _Table(Table):
    """A table whose cells are of printable text."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        texts = (printable(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*texts, **options)


def make_table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """Return an empty table; the first `left` columns hold words, the others numbers.

    Where no column has a name there is no header.
    """
    heading = Text(printable(title), style="bold", no_wrap=True, overflow="ignore")
    table = _Table(title=heading, title_justify="left", box=_BOX, show_header=any(columns))
    for position, column in enumerate(columns):
        justify: JustifyMethod = "left" if position < left else "right"
        table.add_column(printable(column), justify=justify, no_wrap=True)
    return table


def print_tables(renderables: Sequence[RenderableType]) -> None:
    """Print to stdout; a table wider than the terminal is wrapped by it, not shortened."""
    console = Console(file=raw_stream(sys.stdout), **_PLAIN)
    if not console.is_terminal:
        # Rich assumes 80 columns on a pipe and cuts cells to fit; nothing here has to fit.
        console.size = ConsoleDimensions(_UNBOUNDED, _HEIGHT)
    _print(console, renderables)


def print_drawing(text: str) -> None:
    """Print a drawing to stdout with its colours; the names in it are printable already."""
    raw_stream(sys.stdout).write(text)


def tables_text(renderables: Sequence[RenderableType]) -> str:
    """Return the same as plain text, for a file."""
    text = io.StringIO()
    _print(Console(file=text, width=_UNBOUNDED, **_PLAIN), renderables)
    return text.getvalue()


def _print(console: Console, renderables: Sequence[RenderableType]) -> None:
    before = console.size
    for renderable in renderables:
        if isinstance(renderable, Table):
            wide = console.options.update(width=_UNBOUNDED)
            needed = Measurement.get(console, wide, renderable).maximum
            # The whole size, since rich takes a dumb terminal for 80 columns if only one is set.
            console.size = ConsoleDimensions(max(before.width, needed), _HEIGHT)
        if isinstance(renderable, str):
            renderable = printable(renderable, keep="\n")
        console.print(renderable, crop=False)
        console.size = before
