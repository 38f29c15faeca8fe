"""Read any file of prices into valid price tables, or name the bad line and what to do.

Nothing is guessed: anything that could be read in two ways is refused, with the option that
decides. A long file is split by its column of symbols; bars within a day become one a session only
where that is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import IO, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError, UsageError
from lstmcli.market.columns import Layout, Reading, choose_extras, choose_series, read_layout
from lstmcli.market.headers import Fields
from lstmcli.market.prices import COLUMNS, Bars, Prices
from lstmcli.market.sessions import closed_rows, schedule_of
from lstmcli.market.stamps import (
    bars_within_days,
    join_sessions,
    refuse_mixed_offsets,
    session_days,
)
from lstmcli.market.symbols import check_series_name, check_symbol, decode_symbol
from lstmcli.market.validate import Checks, check_bars
from lstmcli.printable import at_line, first_few
from lstmcli.reading.contents import is_url, table_name
from lstmcli.reading.dates import NO_OFFSET, Stamps, parse_stamps, read_time
from lstmcli.reading.raw import Marks, RawTable, open_table

_ZEROS = ("Volume", "Dividends", "Stock Splits")  # some fill in 0 where there are no prices
_USUAL = "CSV separated by ','"  # which messages need not say
_ALONE = Reading()  # of a file that says all by itself


def read_prices(
    source: str | Path | RawTable,
    *,
    name: str | None = None,
    symbols: Sequence[str] = (),
    reading: Reading = _ALONE,
    stdin: IO[bytes] | None = None,
    interval: str | None = None,
    failures: dict[str, DataError] | None = None,
    extras: Sequence[str] = (),
    **checks: Unpack[Checks],
) -> list[Prices]:
    """Read the price tables of a file, of standard input for "-", or of an open raw table.

    name : the symbol of a file with one series; by default its column's name in a wide file, the
        ticker in yfinance's own CSV or in a column of symbols, else the file's stem.
    symbols : which series of a file with several, in this order; all by default.
    reading : what the file does not say by itself. interval, checks : as for `check_bars`.
    extras : names of further columns, which the table has as `column:NAME` where the file has them.
    failures : if given, collects the errors of unsuitable series; otherwise the first one raises.

    Raises FileError when the file cannot be read, UsageError for bad options, DataError otherwise.
    """
    if name is not None:
        shown = source if isinstance(source, str | Path) else source.where
        check_series_name(name, f"{name}={shown}", UsageError)
    table = read_table(source, reading, symbols, stdin, extras)
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
            bars = _session_bars(table, series, symbol, reading.resample, checks["today"])
            found.append(check_bars(bars, interval=interval, **checks))
        except DataError as error:
            if failures is None:
                raise
            failures[shown] = error
    return found


def parse_csv_option(text: str) -> tuple[str | None, str]:
    """Split `NAME=FILE` into name and file; a path that exists is always a file."""
    name, equals, file = text.partition("=")
    if not equals or not name or is_url(text) or Path(text).exists():
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
    rows : the rows of each series, where not every one has all.
    extras : further columns that were asked for, by name, which every series shares.
    has_times : whether a column of times stands next to the dates, which are those of sessions.
    """

    source: str
    series: dict[str, Fields]
    stamps: Stamps
    lines: Ints
    values: dict[int, Floats]
    notes: tuple[str, ...]
    rows: dict[str, Ints | slice]
    extras: Fields
    has_times: bool

    def bars(self, series: str, symbol: str) -> Bars:
        """Return the rows of one series, dated as they are written."""
        fields, rows = self.series[series], self.rows.get(series, slice(None))
        columns = {name: self.values[fields[name]][rows] for name in COLUMNS if name in fields}
        columns |= {f"column:{name}": self.values[at][rows] for name, at in self.extras.items()}
        days, lines = self.stamps.days[rows], self.lines[rows]
        return Bars(symbol, self.source, days, columns, lines, notes=self.notes)


def read_table(
    source: str | Path | RawTable,
    reading: Reading = _ALONE,
    symbols: Sequence[str] = (),
    stdin: IO[bytes] | None = None,
    extras: Sequence[str] = (),
) -> Table:
    """Read what `read_prices` does; `symbols` chooses among the series of a wide table.

    Raises as `read_prices` does.
    """
    raw = source
    if isinstance(raw, str | Path):
        raw = open_table(raw, Marks(reading.sep, reading.decimal), stdin)
    where = raw.where
    what = where if raw.kind in (_USUAL, where) else f"{where}, {raw.kind}"
    layout = read_layout(raw.head, what, reading.columns)
    series, more = layout.series, choose_extras(layout, extras)
    if layout.symbol_field is None:
        series = {name: series[name] for name in choose_series(list(series), symbols, where)}
    positions = sorted({i for fields in (*series.values(), more) for i in fields.values()})
    texts = [layout.date_field, layout.time_field, layout.symbol_field]
    named = [i for i in texts if i is not None]
    read = raw.read(named, positions, layout.header_lines)
    text = dict(zip(named, read.texts, strict=True))
    lines, values = read.lines, read.numbers
    dates = text[layout.date_field]
    if layout.time_field is not None:
        dates = _join_times(dates, text[layout.time_field])
    stamps = parse_stamps(dates, lines, where, reading.date_format)
    dated = ~np.isnat(stamps.days)
    undated = lines[:0] if dated.all() else lines[~dated & ~np.isnan(values).all(axis=1)]
    if undated.size:
        raise DataError(
            "missing date",
            where=at_line(where, undated[0]),
            why="the row has values and no date",
            next_step="Correct or remove the row.",
        )
    notes = [*raw.notes, *read.notes, *layout.notes, *stamps.notes]
    owners = None if layout.symbol_field is None else text[layout.symbol_field]
    if not dated.all():
        notes.append(f"Dropped rows without date and values: {np.count_nonzero(~dated)}.")
        stamps, lines, values = stamps.keep(dated), lines[dated], values[dated]
        owners = None if owners is None else owners.filter(pa.array(dated))
    rows: dict[str, Ints | slice] = {}
    if owners is None:
        refuse_mixed_offsets(stamps, lines, where)
    else:
        rows = _split(owners, lines, layout, symbols, where)
        series = dict.fromkeys(rows, series[""])
    chosen = {layout.names[at] for at in more.values()}
    ignored = [name for name in layout.ignored if name not in chosen]
    if "" in rows:
        ignored.append(layout.names[layout.symbol_field or 0])
        ignored.sort(key=layout.names.index)
    if ignored:
        notes.append(f"Columns that are not used: {first_few(ignored, 5)}.")
    by_position = dict(zip(positions, values.T, strict=True))
    has_times = layout.time_field is not None
    return Table(where, series, stamps, lines, by_position, tuple(notes), rows, more, has_times)


def _join_times(dates: pa.Array, times: pa.Array) -> pa.Array:
    """Put the times of a column of their own behind the dates, unless all rows have the same one.

    Times may be written as `16:30`, `16:30:00`, `163000` or `93000`.
    """
    if pa.types.is_timestamp(dates.type) or ":" in str(dates[0]):  # they have times
        return dates
    times = pc.utf8_trim_whitespace(times.cast(pa.string()))
    is_number = pc.match_substring_regex(times, r"^\d{1,6}$")
    times = pc.if_else(is_number, pc.utf8_lpad(times, 6, "0"), times)
    words = pc.unique(times).to_pylist()
    if len(words) < 2 or any(not word or read_time(f" {word}") is None for word in words):
        return dates
    return pc.binary_join_element_wise(dates.cast(pa.string()), times, " ")


def _split(
    owners: pa.Array, lines: Ints, layout: Layout, symbols: Sequence[str], where: str
) -> dict[str, Ints | slice]:
    """Return the rows of each series of a long table, in the order of their first rows.

    A file about one company may have its name in each row, which is no symbol.
    """
    coded = owners.cast(pa.string()).dictionary_encode()
    trimmed = pc.utf8_trim_whitespace(coded.dictionary).dictionary_encode()
    names: list[str] = trimmed.dictionary.to_pylist()
    known = np.append(trimmed.indices.to_numpy(), len(names))  # the last is that of no text
    kind = np.uint16 if len(names) < 2**16 - 1 else np.int32  # numpy sorts the first by radix
    codes = known.astype(kind)[coded.indices.fill_null(len(known) - 1).to_numpy()]
    empty = codes == len(names)
    if "" in names:
        empty |= codes == names.index("")
    if codes.size == 0:
        return {"": slice(None)}
    if layout.describes and (empty.all() or (len(names) == 1 and not _is_symbol(names[0]))):
        return {"": slice(None)}
    if empty.any():
        column = layout.names[layout.symbol_field or 0]
        raise DataError(
            f"no symbol in column {column}",
            where=at_line(where, lines[np.argmax(empty)]),
            why="the row has values and does not say of which series",
            next_step=f"Complete the row, or rename the column {column} if it has no symbols.",
        )
    if len(names) == 1:
        return dict.fromkeys(choose_series(names, symbols, where), slice(None))
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    parts: Sequence[Ints | slice]
    if (codes[1:] >= codes[:-1]).all():  # one series after the other, as in most files
        parts = list(map(slice, [0, *ends[:-1]], ends))
    else:
        parts = np.split(np.argsort(codes, kind="stable"), ends[:-1])
    rows = dict(zip(names, parts, strict=True))
    return {name: rows[name] for name in choose_series(names, symbols, where)}


def _is_symbol(name: str) -> bool:
    try:
        check_symbol(name)
    except UsageError:
        return False
    return True


def _stem(source: str | Path | RawTable) -> str:
    """Return the symbol of a file's name, "frame" for a table without one."""
    if not isinstance(source, str | Path):
        return "frame"
    if str(source) == "-":
        return "stdin"
    return decode_symbol(table_name(source))


def _session_bars(table: Table, series: str, symbol: str, resample: str, today: date) -> Bars:
    """Date one series' raw rows by session, and leave out those that are not its own, with notes.

    resample : "1d" to make one bar a session of several, which are refused else.

    Those are rows of another exchange's days. A series with a name of its own may share its dates
    with others, and begin later or end earlier: its empty rows at both ends are cut.
    """
    bars = table.bars(series, symbol)
    stamps = table.stamps.keep(table.rows.get(series, slice(None)))
    if series in table.rows:
        refuse_mixed_offsets(stamps, table.lines[table.rows[series]], bars.where())
    filled = np.zeros(bars.days.size, dtype=bool)
    for name, values in bars.columns.items():
        if name not in COLUMNS:
            continue
        filled |= ~(np.isnan(values) | ((values == 0) & (name in _ZEROS)))
    within = bars_within_days(stamps.keep(filled)) if stamps.minutes.any() else ""
    if within and not resample:
        raise DataError(
            f"intraday bars ({within})",
            where=bars.where(),
            why="lstmcli works on days",
            next_step="--resample 1d takes each session's open, high, low, last and sum.",
        )
    days, notes = stamps.days, list[str]()
    as_written = (within or table.has_times) and (stamps.offsets == NO_OFFSET).all()
    if not as_written:
        days, notes = session_days(stamps, filled, symbol, bars.where())
    is_moved = days is not stamps.days
    bars = replace(bars, days=days, notes=(*bars.notes, *notes))
    if not filled.any():
        if series:
            raise DataError("no prices", where=bars.where(), why="all its fields are empty")
        return bars
    closed = closed_rows(days, filled, symbol)
    kept = ~closed
    within_prices = (days >= days[filled].min()) & (days <= days[filled].max())
    if series:
        kept &= within_prices
    elif closed.any():
        dates = np.unique(days[filled])
        ends = closed & ~within_prices & schedule_of(dates, symbol).is_session(days)
        places = {"on days without a session": closed & ~ends, "before or after all prices": ends}
        bars = bars.noted(
            *(f"Empty rows {place} are left out: {each.sum()}." for place, each in places.items()
              if each.any())
        )  # fmt: skip
    if is_moved:  # stamps of another exchange on a day that has its own
        kept &= filled | ~np.isin(days, days[filled])
    if within:
        return join_sessions(bars.keep(kept), stamps.keep(kept), today)
    return bars.keep(kept)
