"""Numbers as text, and tables that fit the terminal.

Columns are dropped before a row is broken, none where it is piped.

Colours are green and red (`GOOD`, `BAD`), cyan for the model (`OWN`) and grey (`DIM`).
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column as RichColumn
from rich.table import Table
from rich.text import Text

from lstmcli.printable import printable, wrapped

if TYPE_CHECKING:  # the lists of stored data need no statistics
    from lstmcli.evaluation.significance import Interval

PROSE_WIDTH = 80  # of sentences, also where more would fit
GOOD, BAD, OWN, DIM = "green", "red", "cyan", "bright_black"

Column = tuple[str, str | Callable[[Any], object]]  # heading; attribute, or function of a record

_FEWEST = 8  # characters that a shortened column of words keeps
BASE_RATE_UNKNOWN = "base rate not known"
_BARS = "▁▂▃▄▅▆▇█"


class FittedTable(Table):
    """A table that fits: no row is broken, no number is cut.

    heading, note : lines above and below it. drop : headings of the columns that go first, in this
    order. If that is not enough, the widest column of words is shortened, and then columns go from
    the right. An empty line ends it.
    """

    heading: str = ""
    note: str = ""
    drop: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as much as fits the width."""
        table = copy.copy(self)
        table.columns, room = list(self.columns), options.max_width
        width = _width(table, console, options)  # a table is measured as often as it changes
        for heading in self.drop:
            if width <= room:
                break
            table.columns = _numbered(each for each in table.columns if each.header != heading)
            width = _width(table, console, options)
        if width > room:
            table.columns = _numbered(_shortened(table.columns, width - room))
            width = _width(table, console, options)
        while len(table.columns) > 1 and width > room:
            table.columns = _numbered(table.columns[:-1])
            width = _width(table, console, options)
        if self.heading:
            yield Text(self.heading, style="bold")
        wide = options.update(width=max(room, width))
        yield from Table.__rich_console__(table, console, wide)
        yield from map(Prose, filter(None, self.note.split("\n")))
        yield Segment.line()


def styled(value: object, style: str) -> Text:
    """Return text in a colour, for a cell or a line."""
    return Text(printable(str(value)), style=style)


class Prose:
    """Sentences at most `PROSE_WIDTH` wide, in which a figure keeps its unit, and p its value."""

    def __init__(self, text: str, *, indent: int = 0) -> None:
        self.text, self.indent = printable(text), " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the lines."""
        width = min(options.max_width, PROSE_WIDTH)
        lines = wrapped(self.text, width, first=self.indent, rest=self.indent)
        yield Text(lines, no_wrap=True, overflow="ignore")


def in_prose(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """Yield texts as `Prose`, so that they are wrapped where they are piped too; tables as such."""
    return (Prose(each) if isinstance(each, str) and each else each for each in parts)


class NextSteps:
    """The commands to type next: one line, or one a line where they do not fit.

    For a person at a terminal only: nothing where the output is piped or written to a file.
    Without commands there is no line.
    """

    def __init__(self, *commands: str) -> None:
        self.commands = [printable(each) for each in commands]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the commands, each as it is typed."""
        if not console.is_terminal or not self.commands:
            return
        line = f"Next: {'   '.join(self.commands)}"
        if len(line) > options.max_width:
            # A backslash at the end of a line, so that a long command can still be copied.
            width = max(20, options.max_width - 10)
            parts = [
                wrap(each, width, break_long_words=False, break_on_hyphens=False)
                for each in self.commands
            ]
            line = "Next: " + "\n      ".join(" \\\n        ".join(part) for part in parts)
        yield Text(line, no_wrap=True, overflow="ignore")


def fact_table(facts: Iterable[tuple[str, object]], *, indent: str = "  ") -> Constrain:
    """Return facts, one a row by its name; a long one goes on below itself."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        plain = fact is None or isinstance(fact, Text)
        table.add_row(indent + printable(name), _cell(fact) if plain else Prose(str(fact)))
    return Constrain(table, PROSE_WIDTH)


def make_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    left: int = 1,
    drop: Sequence[str] = (),
) -> FittedTable:
    """Return a table of cells; None is a dash, a `Text` keeps its colour.

    left : how many of the first columns hold words; the others hold numbers. drop : which columns
    a narrow terminal does without, the least important first. There is no header where no column
    has a name.
    """
    table = FittedTable(box=None, pad_edge=False, show_header=any(columns))
    table.heading = printable(title)
    table.drop = tuple(map(printable, drop))
    for position, column in enumerate(columns):
        justify = "left" if position < left else "right"
        table.add_column(printable(column, keep="\n"), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def record_table(
    title: str, rows: Iterable[Mapping[str, object]], *, left: int = 1, drop: Sequence[str] = ()
) -> FittedTable:
    """Return a table of rows that give each cell by its heading; a dash where one has none."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = ([row.get(name) for name in names] for row in rows)
    return make_table(title, names, cells, left=left, drop=drop)


def list_table(
    title: str,
    columns: Sequence[Column],
    records: Iterable[object],
    *,
    left: int = 1,
    drop: Sequence[str] = (),
) -> FittedTable:
    """Return a table with one row a record; an attribute that is an empty text is a dash."""

    def cell(record: object, found: str | Callable[[Any], object]) -> object:
        value = attrgetter(found)(record) if isinstance(found, str) else found(record)
        return None if value == "" and isinstance(found, str) else value

    rows = ([cell(record, found) for _, found in columns] for record in records)
    return make_table(title, [heading for heading, _ in columns], rows, left=left, drop=drop)


def _cell(value: object) -> str | Text:
    if isinstance(value, Text):
        return value
    return "-" if value is None else printable(str(value))


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    wide = options.update(width=100_000)
    return Measurement.get(console, wide, table).maximum


def _numbered(columns: Iterable[RichColumn]) -> list[RichColumn]:
    """Return columns with their numbers, by which rich pads the first and the last otherwise."""
    return [dataclasses.replace(each, _index=place) for place, each in enumerate(columns)]


def _shortened(columns: Sequence[RichColumn], excess: int) -> list[RichColumn]:
    """Return the columns with the widest column of words cut by the excess, as far as it goes."""

    def width(column: RichColumn) -> int:
        return max(len(str(cell)) for cell in [column.header, *column.cells])

    widest = max((each for each in columns if each.justify == "left"), key=width, default=None)
    if widest is None:
        return list(columns)
    narrow = copy.copy(widest)
    narrow.max_width = max(_FEWEST, width(widest) - excess)
    return [narrow if each is widest else each for each in columns]


def price(value: float) -> str:
    """Format a price with two decimals, or six significant digits where it is small."""
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.6g}"


def percent(share: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Format a share of 1 as a percentage; a dash where it is undefined."""
    if share is None or math.isnan(share):
        return "-"
    return f"{_fixed(100 * share, digits, '+' if sign else '')} %"


def number(value: float | None, digits: int = 3) -> str:
    """Format a number; a dash where it is undefined."""
    return "-" if value is None else _fixed(value, digits)


def move(log_move: float | None, digits: int = 2) -> str:
    """Format a log move as a percentage of the price it starts from; a dash for None."""
    return "-" if log_move is None else percent(math.expm1(log_move), digits, sign=True)


def span(interval: "Interval | None", *, sign: bool = False) -> str:
    """Format an interval of shares: "38.6 % to 90.9 %"; a dash where it is undefined."""
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"{percent(interval.low, 1, sign=sign)} to {percent(interval.high, 1, sign=sign)}"


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """Format a number; one that is rounded to zero has no sign."""
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def price_columns(columns: Iterable[str]) -> str:
    """Name each price column once: "Adj Close and Close"."""
    return " and ".join(sorted({*columns}))


def price_basis(columns: Iterable[str]) -> str:
    """Say which returns are forecast."""
    names = price_columns(columns).replace("Adj Close", "Adj Close (with dividends)")
    return f"Returns of {names}, applied to the last close."


def sparkline(values: Sequence[float], most: int = 16) -> str:
    """Draw values as bars of eight heights, at most so many: of more, evenly spaced ones."""
    if len(values) > most:
        values = [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return "".join(_BARS[round(7 * (each - low) / (high - low or 1.0))] for each in values)
