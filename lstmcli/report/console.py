"""Tables that are never cut: as wide as they need, in plain ASCII, bold only on a terminal."""

import io
import sys
from collections.abc import Sequence

from rich.box import Box
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 100_000
_HEIGHT = 25
# A line under the header and nothing else, in characters that every terminal, log and mail shows.
_BOX = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def make_table(title: str, columns: Sequence[str], *, left: int = 1) -> Table:
    """Return an empty table; the first `left` columns hold words, the others numbers.

    Where no column has a name there is no header.
    """
    heading = Text(title, style="bold", no_wrap=True, overflow="ignore")
    table = Table(title=heading, title_justify="left", box=_BOX, show_header=any(columns))
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position < left else "right", no_wrap=True)
    return table


def print_tables(renderables: Sequence[RenderableType]) -> None:
    """Print to stdout; a table wider than the terminal is wrapped by it, not shortened."""
    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:
        # Rich assumes 80 columns on a pipe and cuts cells to fit; nothing here has to fit.
        console.size = ConsoleDimensions(_UNBOUNDED, _HEIGHT)
    _print(console, renderables)


def tables_text(renderables: Sequence[RenderableType]) -> str:
    """Return the same as plain text, for a file."""
    text = io.StringIO()
    _print(Console(file=text, highlight=False, markup=False, width=_UNBOUNDED), renderables)
    return text.getvalue()


def _print(console: Console, renderables: Sequence[RenderableType]) -> None:
    before = console.size
    for renderable in renderables:
        if isinstance(renderable, Table):
            wide = console.options.update(width=_UNBOUNDED)
            needed = Measurement.get(console, wide, renderable).maximum
            # The whole size, since rich takes a dumb terminal for 80 columns if only one is set.
            console.size = ConsoleDimensions(max(before.width, needed), _HEIGHT)
        console.print(renderable, crop=False)
        console.size = before
