"""Any CSV of prices -> valid price tables, or an error that names the line and the way out.

Nothing is guessed: dates are ISO, the separator is the one given, every line has as many fields as
the header. What could be read in two ways is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError, UsageError
from lstmcli.market.bars import Bars
from lstmcli.market.closed_days import closed_rows
from lstmcli.market.csv_bytes import open_bytes, read_blocks
from lstmcli.market.csv_layout import Series
from lstmcli.market.csv_table import CsvTable, read_table
from lstmcli.market.prices import PriceChoice, Prices
from lstmcli.market.stamps import session_days
from lstmcli.market.symbols import check_series_name, decode_symbol
from lstmcli.market.validate import check_bars

_SEPARATORS = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}
_ZEROS = ("Volume", "Dividends", "Stock Splits")
_SUFFIXES = {".csv", ".tsv", ".txt", ".dat"}


def read_prices(
    source: str | Path,
    *,
    name: str | None = None,
    symbols: Sequence[str] = (),
    sep: str = ",",
    decimal: str = ".",
    price: PriceChoice = "auto",
    strict: bool = False,
    today: date,
    stdin: IO[bytes] | None = None,
    interval: str | None = None,
    start: date | None = None,
    end: date | None = None,
    around: date | None = None,
    failures: dict[str, DataError] | None = None,
) -> list[Prices]:
    """The price tables of a CSV file, plain or gzipped, or of standard input for "-".

    name : the symbol of a file with one series; by default its column's name in a wide file, the
        ticker in yfinance's own CSV, else the file's stem.
    symbols : which series of a file with several, in this order; all by default.
    price, strict, today, interval, start, end, around : as for `check_bars`.
    failures : when given, a series that is unsuitable is put here and the others are returned;
        otherwise the first one raises.

    Raises FileError when the file cannot be read, UsageError for bad options, DataError otherwise.
    """
    sep = _check_separator(sep, decimal)
    if name is not None:
        check_series_name(name, f"{name}={source}", UsageError)
    with open_bytes(source, stdin) as (stream, label):
        table = read_table(read_blocks(stream, label), sep, decimal, symbols, label)
    if name is not None:
        _refuse_shared_name(name, table, label)
    found = []
    for series in table.series:
        symbol = name or series.name or _stem(source)
        shown = ascii(symbol)  # until it is known to be harmless
        try:
            shown = check_series_name(symbol, label, DataError)
            bars, notes = _bars(table, series, symbol, label)
            prices = check_bars(
                bars,
                price=price,
                strict=strict,
                today=today,
                interval=interval,
                start=start,
                end=end,
                around=around,
            )
        except DataError as error:
            if failures is None:
                raise
            failures[shown] = error
        else:
            found.append(replace(prices, notes=(*table.notes, *notes, *prices.notes)))
    return found


def parse_csv_option(text: str) -> tuple[str | None, str]:
    """`NAME=FILE` as (name, file), `FILE` as (None, file); a path that exists is always a file."""
    name, equals, file = text.partition("=")
    if not equals or not name or not file or Path(text).exists():
        return None, text
    return name, file


def _check_separator(sep: str, decimal: str) -> str:
    if sep not in _SEPARATORS:
        raise UsageError(f"unknown separator {sep!r}", why="expected one of , ; | or tab")
    if decimal not in (".", ","):
        raise UsageError(f"unknown decimal mark {decimal!r}", why="expected . or ,")
    if sep == decimal:
        raise UsageError(
            "separator and decimal mark are the same",
            why=f"both are {sep!r}",
            next_step="Pass --sep ';' beside --decimal ','.",
        )
    return _SEPARATORS[sep]


def _refuse_shared_name(name: str, table: CsvTable, label: str) -> None:
    if len(table.series) > 1:
        raise UsageError(
            f"one name for {len(table.series)} series",
            where=f"{name}={label}",
            next_step="Leave the name out, or choose one series by its symbol.",
        )


def _stem(source: str | Path) -> str:
    """The symbol that a file's name stands for."""
    if str(source) == "-":
        return "stdin"
    path = Path(source)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return decode_symbol(path.stem if path.suffix.lower() in _SUFFIXES else path.name)


def _bars(table: CsvTable, series: Series, symbol: str, source: str) -> tuple[Bars, list[str]]:
    """One series' raw rows by session, with notes.

    Rows of another exchange's days are left out. Next to others a series may also begin later or
    end earlier: its empty rows at both ends are cut.
    """
    bars, filled, notes = _dated(table, series, symbol, source)
    if not filled.any():
        if table.layout.wide:
            raise DataError("no prices", where=bars.where(), why="all its fields are empty")
        return bars, notes
    closed = closed_rows(bars.days, filled, symbol)
    kept = ~closed
    if table.layout.wide:
        days = bars.days[filled]
        kept &= (bars.days >= days.min()) & (bars.days <= days.max())
    elif closed.any():
        notes = [*notes, f"Empty rows on days without a session are left out: {closed.sum()}."]
    if bars.days is not table.days:  # stamps of another exchange on a day that has its own
        kept &= filled | ~np.isin(bars.days, bars.days[filled])
    return (bars if kept.all() else bars.keep(kept)), notes


def _dated(
    table: CsvTable, series: Series, symbol: str, source: str
) -> tuple[Bars, NDArray[np.bool_], list[str]]:
    """One series' rows by session, which of them (N,) hold any value, and notes.

    A volume or a dividend of zero is no value: some fill them in where there are no prices.
    """
    bars = table.bars(series, symbol, source)
    filled = ~np.isnan(bars.columns["Close"])
    if not filled.all():
        for name, values in bars.columns.items():
            filled |= ~(np.isnan(values) | ((values == 0) & (name in _ZEROS)))
    days, notes = session_days(table.stamps, filled, symbol, bars.where())
    return (bars if days is bars.days else replace(bars, days=days)), filled, notes
