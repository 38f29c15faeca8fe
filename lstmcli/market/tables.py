"""Read any CSV of prices into valid price tables, or name the bad line and what to do.

Nothing is guessed: dates are ISO, the separator is the one given, every line has as many fields as
the header. Anything that could be read in two ways is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Unpack

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError, UsageError
from lstmcli.market.columns import Fields, choose_extras, choose_series, read_layout
from lstmcli.market.prices import COLUMNS, Bars, Prices
from lstmcli.market.sessions import closed_rows
from lstmcli.market.stamps import Stamps, parse_stamps, refuse_mixed_offsets, session_days
from lstmcli.market.symbols import check_series_name, decode_symbol
from lstmcli.market.validate import Checks, check_bars
from lstmcli.printable import first_few
from lstmcli.reading.raw import Marks, open_table

_ZEROS = ("Volume", "Dividends", "Stock Splits")  # some fill in 0 where there are no prices
_SUFFIXES = {".csv", ".tsv", ".txt", ".dat"}


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
    extras: Sequence[str] = (),
    **checks: Unpack[Checks],
) -> list[Prices]:
    """Read the price tables of a CSV file, plain or gzipped, or of standard input for "-".

    name : the symbol of a file with one series; by default its column's name in a wide file, the
        ticker in yfinance's own CSV, else the file's stem.
    symbols : which series of a file with several, in this order; all by default.
    interval, checks : as for `check_bars`.
    extras : names of further columns, which the table has as `column:NAME` where the file has them.
    failures : if given, collects the errors of unsuitable series; otherwise the first one raises.

    Raises FileError when the file cannot be read, UsageError for bad options, DataError otherwise.
    """
    if name is not None:
        check_series_name(name, f"{name}={source}", UsageError)
    table = read_table(source, sep, decimal, symbols, stdin, extras)
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
            bars = _session_bars(table, series, symbol)
            found.append(check_bars(bars, interval=interval, **checks))
        except DataError as error:
            if failures is None:
                raise
            failures[shown] = error
    return found


def parse_csv_option(text: str) -> tuple[str | None, str]:
    """Split `NAME=FILE` into name and file; a path that exists is always a file."""
    name, equals, file = text.partition("=")
    if not equals or not name or Path(text).exists():
        return None, text
    if not file:
        raise UsageError(
            "no file is named", where=text, why="expected NAME=FILE", next_step="Name a file."
        )
    return name, file


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    series : those chosen, by name, each with its fields; "" where the file gives no name.
    stamps : the dates (N,) as written. lines : (N,) line numbers. values : position -> (N,).
    extras : further columns that were asked for, by name, which every series shares.
    """

    source: str
    series: dict[str, Fields]
    stamps: Stamps
    lines: NDArray[np.int64]
    values: dict[int, NDArray[np.float64]]
    notes: tuple[str, ...]
    extras: Fields

    def bars(self, series: str, symbol: str) -> Bars:
        """Return the rows of one series, dated as they are written."""
        fields = self.series[series]
        columns = {name: self.values[fields[name]] for name in COLUMNS if name in fields}
        columns |= {f"column:{name}": self.values[at] for name, at in self.extras.items()}
        return Bars(symbol, self.source, self.stamps.days, columns, self.lines, notes=self.notes)


def read_table(
    source: str | Path,
    sep: str = ",",
    decimal: str = ".",
    symbols: Sequence[str] = (),
    stdin: IO[bytes] | None = None,
    extras: Sequence[str] = (),
) -> Table:
    """Read a file, or standard input for "-"; `symbols` chooses among the series of a wide one.

    Raises as `read_prices` does.
    """
    raw = open_table(source, Marks(sep, decimal), stdin)
    where, layout = raw.where, read_layout(raw.head, raw.where)
    series, more = choose_series(layout, symbols), choose_extras(layout, extras)
    positions = sorted({i for fields in (*series.values(), more) for i in fields.values()})
    read = raw.read([layout.date_field], positions, layout.header_lines)
    lines, values = read.lines, read.numbers
    stamps = parse_stamps(read.texts[0], lines, where)
    undated = lines[np.isnat(stamps.days) & ~np.isnan(values).all(axis=1)]
    if undated.size:
        raise DataError(
            "missing date",
            where=f"{where} line {undated[0]}",
            why="the line has values and no date",
            next_step="Correct or remove the line.",
        )
    notes = list(raw.notes)
    taken = {layout.names[at] for at in more.values()}
    if unused := [name for name in layout.ignored if name not in taken]:
        notes.append(f"Columns that are not used: {first_few(unused, 5)}.")
    dated = ~np.isnat(stamps.days)
    if not dated.all():
        notes.append(f"Dropped rows without date and values: {np.count_nonzero(~dated)}.")
        stamps, lines, values = stamps.keep(dated), lines[dated], values[dated]
    refuse_mixed_offsets(stamps, lines, where)
    columns = dict(zip(positions, values.T, strict=True))
    return Table(where, series, stamps, lines, columns, tuple(notes), more)


def _stem(source: str | Path) -> str:
    """Return the symbol of a file's name."""
    if str(source) == "-":
        return "stdin"
    path = Path(source)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return decode_symbol(path.stem if path.suffix.lower() in _SUFFIXES else path.name)


def _session_bars(table: Table, series: str, symbol: str) -> Bars:
    """Date one series' raw rows by session, and leave out those that are not its own, with notes.

    Those are rows of another exchange's days. A series with a name of its own may share its dates
    with others, and begin later or end earlier: its empty rows at both ends are cut.
    """
    bars = table.bars(series, symbol)
    filled = np.zeros(bars.days.size, dtype=bool)
    for name, values in bars.columns.items():
        if name not in COLUMNS:
            continue
        filled |= ~(np.isnan(values) | ((values == 0) & (name in _ZEROS)))
    days, notes = session_days(table.stamps, filled, symbol, bars.where())
    is_moved = days is not bars.days
    bars = replace(bars, days=days, notes=(*bars.notes, *notes))
    if not filled.any():
        if series:
            raise DataError("no prices", where=bars.where(), why="all its fields are empty")
        return bars
    closed = closed_rows(days, filled, symbol)
    kept = ~closed
    if series:
        kept &= (days >= days[filled].min()) & (days <= days[filled].max())
    elif closed.any():
        bars = bars.noted(f"Empty rows on days without a session are left out: {closed.sum()}.")
    if is_moved:  # stamps of another exchange on a day that has its own
        kept &= filled | ~np.isin(days, days[filled])
    return bars.keep(kept)
