"""Format numbers as text, and build tables that fit the terminal.

A terminal that is too narrow drops columns rather than wraps rows. Piped output keeps all columns.

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

PROSE_WIDTH = 80  # maximum columns of sentences, even on a wider terminal
GOOD, BAD, OWN, DIM = "green", "red", "cyan", "bright_black"

Column = tuple[str, str | Callable[[Any], object]]  # heading; attribute, or function of a record

_FEWEST = 8  # minimum characters of a shortened text column
BASE_RATE_UNKNOWN = "base rate not known"
_BARS = "▁▂▃▄▅▆▇█"


class FittedTable(Table):
    """A table that fits the width without wrapping rows or cutting numbers.

    heading, note : lines above and below the table. drop : headings of the columns to drop first,
    in this order. If that is not enough, the widest text column is shortened, then columns are
    dropped from the right. An empty line follows the table.
    """

    heading: str = ""
    note: str = ""
    drop: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the columns that fit the width."""
        table = copy.copy(self)
        table.columns, room = list(self.columns), options.max_width
        width = _width(table, console, options)  # measure again after each change
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
    """Return coloured text for a cell or a line."""
    return Text(printable(str(value)), style=style)


class Prose:
    """Sentences wrapped at `PROSE_WIDTH`, never between a number and its unit."""

    def __init__(self, text: str, *, indent: int = 0) -> None:
        self.text, self.indent = printable(text), " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the wrapped lines."""
        width = min(options.max_width, PROSE_WIDTH)
        lines = wrapped(self.text, width, first=self.indent, rest=self.indent)
        yield Text(lines, no_wrap=True, overflow="ignore")


def in_prose(parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """Yield texts as `Prose`, which wraps them even if piped; yield tables unchanged."""
    return (Prose(each) if isinstance(each, str) and each else each for each in parts)


class NextSteps:
    """Suggested commands: on one line, or one per line if they do not fit.

    Shown only on a terminal, not if the output is piped or written to a file. Without commands
    there is no line.
    """

    def __init__(self, *commands: str) -> None:
        self.commands = [printable(each) for each in commands]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the commands so that they can be copied."""
        if not console.is_terminal or not self.commands:
            return
        line = f"Next: {'   '.join(self.commands)}"
        if len(line) > options.max_width:
            # End wrapped lines with a backslash, so that a long command can still be copied.
            width = max(20, options.max_width - 10)
            parts = [
                wrap(each, width, break_long_words=False, break_on_hyphens=False)
                for each in self.commands
            ]
            line = "Next: " + "\n      ".join(" \\\n        ".join(part) for part in parts)
        yield Text(line, no_wrap=True, overflow="ignore")


def fact_table(facts: Iterable[tuple[str, object]], *, indent: str = "  ") -> Constrain:
    """Return a table of named facts, one per row; long facts wrap in their column."""
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
    """Return a table of cells; None becomes a dash, and a `Text` keeps its colour.

    left : number of leading text columns; the others hold numbers. drop : columns to drop on a
    narrow terminal, the least important first. If all column names are empty, there is no header.
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
    """Return a table of rows that map headings to cells; missing cells become dashes."""
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
    """Return a table with one row per record; an empty string attribute becomes a dash."""

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
    """Renumber the columns, because rich pads the first and the last one differently."""
    return [dataclasses.replace(each, _index=place) for place, each in enumerate(columns)]


def _shortened(columns: Sequence[RichColumn], excess: int) -> list[RichColumn]:
    """Shorten the widest text column by the excess, but not below `_FEWEST` characters."""

    def width(column: RichColumn) -> int:
        return max(len(str(cell)) for cell in [column.header, *column.cells])

    widest = max((each for each in columns if each.justify == "left"), key=width, default=None)
    if widest is None:
        return list(columns)
    narrow = copy.copy(widest)
    narrow.max_width = max(_FEWEST, width(widest) - excess)
    return [narrow if each is widest else each for each in columns]


def price(value: float) -> str:
    """Format a price with two decimals, or with six significant digits below 10."""
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.6g}"


def percent(share: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Format a share of 1 as a percentage; a dash if it is undefined."""
    if share is None or math.isnan(share):
        return "-"
    return f"{_fixed(100 * share, digits, '+' if sign else '')} %"


def number(value: float | None, digits: int = 3) -> str:
    """Format a number; a dash if it is undefined."""
    return "-" if value is None else _fixed(value, digits)


def move(log_move: float | None, digits: int = 2) -> str:
    """Format a log move as a percentage of its starting price; a dash for None."""
    return "-" if log_move is None else percent(math.expm1(log_move), digits, sign=True)


def span(interval: "Interval | None", *, sign: bool = False) -> str:
    """Format an interval of shares: "38.6 % to 90.9 %"; a dash if it is undefined."""
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"{percent(interval.low, 1, sign=sign)} to {percent(interval.high, 1, sign=sign)}"


def _fixed(value: float, digits: int, sign: str = "") -> str:
    """Format a number with fixed decimals; omit the sign if it rounds to zero."""
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def price_columns(columns: Iterable[str]) -> str:
    """Join the distinct price columns: "Adj Close and Close"."""
    return " and ".join(sorted({*columns}))


def price_basis(columns: Iterable[str]) -> str:
    """Describe the returns that are forecast."""
    names = price_columns(columns).replace("Adj Close", "Adj Close (with dividends)")
    return f"Returns of {names}, applied to the last close."


def sparkline(values: Sequence[float], most: int = 16) -> str:
    """Draw values as bars of eight heights; sample more than `most` values evenly."""
    if len(values) > most:
        values = [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return "".join(_BARS[round(7 * (each - low) / (high - low or 1.0))] for each in values)
