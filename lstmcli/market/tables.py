"""Read any CSV of prices into valid price tables, or name the bad line and what to do.

Nothing is guessed: dates are ISO, the separator is the one given, every line has as many fields as
the header. Anything that could be read in two ways is refused, and so are bytes that no CSV of
prices has, before they are parsed.

At most two blocks of text are in memory. There are only 214,000 dates, so rows beyond
`MAX_HELD_ROWS` repeat or contradict others, and repeated ones are dropped while reading.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, Unpack

import numpy as np

from lstmcli.errors import DataError, UsageError, file_errors
from lstmcli.market.columns import Fields, choose_series, read_layout
from lstmcli.market.lines import Form, Rows, parse_lines
from lstmcli.market.prices import COLUMNS, Bars, Prices
from lstmcli.market.sessions import closed_rows
from lstmcli.market.stamps import refuse_mixed_offsets, session_days
from lstmcli.market.symbols import check_series_name, decode_symbol
from lstmcli.market.validate import Checks, check_bars, order_bars

MAX_BYTES = 2 * 1024**3
BLOCK_BYTES = 8 * 1024**2
MAX_HELD_ROWS = 500_000

_SEPARATORS = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}
_ZEROS = ("Volume", "Dividends", "Stock Splits")  # some fill in 0 where there are no prices
_SUFFIXES = {".csv", ".tsv", ".txt", ".dat"}
_GZIP = b"\x1f\x8b"


def read_prices(
    source: str | Path,
    *,
    name: str | None = None,
    symbols: Sequence[str] = (),
    sep: str = ",",
    decimal: str = ".",
    stdin: IO[bytes] | None = None,
    interval: str | None = None,
    failures: dict[str, DataError] | None = None,
    **checks: Unpack[Checks],
) -> list[Prices]:
    """Read the price tables of a CSV file, plain or gzipped, or of standard input for "-".

    name : the symbol of a file with one series; by default its column's name in a wide file, the
        ticker in yfinance's own CSV, else the file's stem.
    symbols : which series of a file with several, in this order; all by default.
    interval, checks : as for `check_bars`.
    failures : if given, collects the errors of unsuitable series; otherwise the first one raises.

    Raises FileError when the file cannot be read, UsageError for bad options, DataError otherwise.
    """
    if name is not None:
        check_series_name(name, f"{name}={source}", UsageError)
    table = read_table(source, sep, decimal, symbols, stdin)
    if name is not None and len(table.series) > 1:
        raise UsageError(
            f"one name for {len(table.series)} series",
            where=f"{name}={table.source}",
            next_step="Leave the name out, or choose one series by its symbol.",
        )
    found = []
    for series in table.series:
        symbol = name or series or _stem(source)
        shown = ascii(symbol)  # until it is known to be harmless
        try:
            shown = check_series_name(symbol, table.source, DataError)
            bars, notes = _session_bars(table, series, symbol)
            prices = check_bars(bars, interval=interval, **checks)
        except DataError as error:
            if failures is None:
                raise
            failures[shown] = error
        else:
            found.append(replace(prices, notes=(*table.notes, *notes, *prices.notes)))
    return found


def parse_csv_option(text: str) -> tuple[str | None, str]:
    """Split `NAME=FILE` into name and file; a path that exists is always a file."""
    name, equals, file = text.partition("=")
    if not equals or not name or not file or Path(text).exists():
        return None, text
    return name, file


@dataclass(frozen=True)
class Table:
    """The rows of a CSV.

    series : those chosen, by name ("" where the file gives none), each with its fields.
    wide : whether the dates are shared, so that a series may begin or end with empty fields.
    rows : N of them, each with a date.
    """

    source: str
    series: dict[str, Fields]
    wide: bool
    rows: Rows
    notes: tuple[str, ...]

    def bars(self, series: str, symbol: str) -> Bars:
        """Return the rows of one series, dated as they are written."""
        rows, fields, days = self.rows, self.series[series], self.rows.stamps.days
        columns = {name: rows.values[fields[name]] for name in COLUMNS if name in fields}
        every = np.arange(days.size)
        return Bars(symbol, self.source, days, columns, every, rows.lines.__getitem__)


def read_table(
    source: str | Path,
    sep: str = ",",
    decimal: str = ".",
    symbols: Sequence[str] = (),
    stdin: IO[bytes] | None = None,
) -> Table:
    """Read a file, or standard input for "-"; `symbols` chooses among the series of a wide one.

    Raises as `read_prices` does.
    """
    where = "stdin" if str(source) == "-" else str(source)
    sep = _check_separator(sep, decimal)
    blocks = _read_blocks(source, stdin, where)
    line, text = next(blocks, (1, b""))
    if not text:
        raise DataError("no rows", where=where, why="it is empty")
    layout = read_layout([row.decode() for row in text.split(b"\n", 3)[:3]], sep, where)
    body = b"".join(text.split(b"\n", layout.header_lines)[layout.header_lines :])
    series = choose_series(layout, symbols, where)
    positions = sorted({i for fields in series.values() for i in fields.values()})
    form = Form(layout.names, layout.date_field, positions, sep, decimal, where)
    rows, notes = _gather(form, chain([(line + layout.header_lines, body)], blocks))
    if layout.ignored:
        more = " and more" if len(layout.ignored) > 5 else ""
        notes = [f"Columns that are not used: {', '.join(layout.ignored[:5])}{more}.", *notes]
    return Table(where, series, layout.wide, rows, tuple(notes))


def _check_separator(sep: str, decimal: str) -> str:
    if sep not in _SEPARATORS:
        raise UsageError(f"unknown separator {sep!r}", why="expected one of , ; | or tab")
    if decimal not in (".", ","):
        raise UsageError(f"unknown decimal mark {decimal!r}", why="expected . or ,")
    if sep == decimal:
        raise UsageError(
            "separator and decimal mark are the same",
            why=f"both are {sep!r}",
            next_step="Pass --sep ';' with --decimal ','.",
        )
    return _SEPARATORS[sep]


def _stem(source: str | Path) -> str:
    """Return the symbol of a file's name."""
    if str(source) == "-":
        return "stdin"
    path = Path(source)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return decode_symbol(path.stem if path.suffix.lower() in _SUFFIXES else path.name)


def _session_bars(table: Table, series: str, symbol: str) -> tuple[Bars, list[str]]:
    """Date one series' raw rows by session, and leave out those that are not its own, with notes.

    Those are rows of another exchange's days. Next to others a series may also begin later or end
    earlier: its empty rows at both ends are cut.
    """
    bars = table.bars(series, symbol)
    filled = np.zeros(bars.days.size, dtype=bool)
    for name, values in bars.columns.items():
        filled |= ~(np.isnan(values) | ((values == 0) & (name in _ZEROS)))
    days, notes = session_days(table.rows.stamps, filled, symbol, bars.where())
    is_moved = days is not bars.days
    bars = replace(bars, days=days)
    if not filled.any():
        if table.wide:
            raise DataError("no prices", where=bars.where(), why="all its fields are empty")
        return bars, notes
    closed = closed_rows(days, filled, symbol)
    kept = ~closed
    if table.wide:
        kept &= (days >= days[filled].min()) & (days <= days[filled].max())
    elif closed.any():
        notes = [*notes, f"Empty rows on days without a session are left out: {closed.sum()}."]
    if is_moved:  # stamps of another exchange on a day that has its own
        kept &= filled | ~np.isin(days, days[filled])
    return (bars if kept.all() else bars.keep(kept)), notes


def _read_blocks(
    source: str | Path, stdin: IO[bytes] | None, where: str
) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, none of them blank: the number of the first line, and text."""
    rest, line, total = b"", 1, 0
    for piece in _read_pieces(source, stdin, where):
        rest += piece if total else _checked_start(piece, where)
        total += len(piece)
        if total > MAX_BYTES:
            raise DataError(
                "the CSV is too large",
                where=where,
                why=f"it has more than {MAX_BYTES // 1024**2} MiB",
                next_step="Split it by symbol or by date.",
            )
        cut = rest.rfind(b"\n") + 1 if len(piece) == BLOCK_BYTES else len(rest)
        if rest and not cut:
            raise _not_prices(where, f"a line is longer than {BLOCK_BYTES // 1024**2} MiB")
        text, rest = _clean(rest[:cut], line, where), rest[cut:]
        if filled := text.lstrip(b"\n"):
            yield line + len(text) - len(filled), filled
        line += text.count(b"\n")


def _read_pieces(source: str | Path, stdin: IO[bytes] | None, where: str) -> Iterator[bytes]:
    """Yield the bytes of a source, unpacked where it is gzip; the last piece is a short one."""
    is_file = str(source) != "-"
    if not is_file and (stdin is None or stdin.closed):
        raise DataError("no rows", where=where, why="standard input is closed")
    with file_errors("cannot read the file", where, kinds=(OSError, ValueError)):
        try:
            with open(source, "rb") if is_file else nullcontext(stdin) as raw:
                stream: Any = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
                if stream.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
                    stream = gzip.GzipFile(fileobj=stream)
                while len(piece := stream.read(BLOCK_BYTES)) == BLOCK_BYTES:
                    yield piece
                yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                "damaged gzip file", where=where, why=str(error), next_step="Fetch it again."
            ) from error


def _checked_start(piece: bytes, where: str) -> bytes:
    piece = piece.removeprefix(b"\xef\xbb\xbf")
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_prices(where, "it is UTF-16, expected UTF-8")
    if piece.lstrip().startswith((b"<", b"{", b"[")):
        raise _not_prices(where, "it starts like an HTML page or JSON")
    return piece


def _clean(text: bytes, first_line: int, where: str) -> bytes:
    """Turn CRLF into LF; refuse bytes that no CSV of prices has."""
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    odd = {"NUL bytes in line {}": text.find(b"\0")}
    odd["a carriage return inside line {}"] = text.find(b"\r")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        odd["line {} is not UTF-8 text"] = error.start
    for why, at in odd.items():
        if at >= 0:
            raise _not_prices(where, why.format(first_line + text.count(b"\n", 0, at)))
    return text


def _not_prices(where: str, why: str) -> DataError:
    return DataError(
        "not a CSV of prices",
        where=where,
        why=why,
        next_step="Give a UTF-8 text file with a header line, such as Date,Close.",
    )


def _gather(form: Form, blocks: Iterable[tuple[int, bytes]]) -> tuple[Rows, list[str]]:
    """Put the dated rows of all blocks together, with notes on those that are dropped."""
    parts: list[Rows] = []
    n_rows, n_dated, before = 0, 0, b""
    for line, text in blocks:
        if not text.strip(b"\n"):
            continue
        rows = parse_lines(form, text, line, before)
        before = text
        dated = ~np.isnat(rows.stamps.days)
        parts.append(rows if dated.all() else rows.keep(dated))
        n_rows += dated.size
        n_dated += parts[-1].lines.size
        if n_dated > MAX_HELD_ROWS:
            parts = [_thinned(Rows.joined(parts), form.where)]
    if not parts:
        raise DataError("no rows", where=form.where, why="it has a header and nothing else")
    rows = Rows.joined(parts) if len(parts) > 1 else parts[0]
    refuse_mixed_offsets(rows.stamps, rows.lines, form.where)
    dropped = {
        "without date and values": n_rows - n_dated,
        "that repeated another of the same date": n_dated - rows.lines.size,
    }
    return rows, [f"Dropped rows {which}: {count}." for which, count in dropped.items() if count]


def _thinned(rows: Rows, where: str) -> Rows:
    """Keep one row a date, in order; contradictory lines raise DataError."""
    columns = {str(position): values for position, values in rows.values.items()}
    every = np.arange(rows.lines.size)
    bars = Bars("any series", where, rows.stamps.days, columns, every, rows.lines.__getitem__)
    return rows.keep(order_bars(bars)[0].rows)
