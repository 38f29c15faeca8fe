"""What the header says: where the dates are, which series there are, and in which fields.

Four shapes are known: one series with a Close column; a wide table, one column of prices a series;
columns that each join a field and a symbol (`csv_joined.py`); and the three header lines that
yfinance writes (Price, Ticker, Date), with one series or many.
"""

import csv
import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lstmcli.errors import DataError
from lstmcli.market.csv_columns import ALSO_TICKERS, DATES, field_of, key
from lstmcli.market.csv_joined import join_columns, show_names

MAX_COLUMNS = 100_000


@dataclass(frozen=True)
class Series:
    """One symbol's fields: the name in COLUMNS -> the position in a line."""

    name: str | None
    fields: dict[str, int]


@dataclass(frozen=True)
class Layout:
    """Where everything stands in a line of `n_fields`.

    names : (n_fields) the header's own words, for messages.
    ignored : columns that are neither a date nor of any series.
    wide : one column a series, which may begin or end with empty fields.
    """

    names: tuple[str, ...]
    date_field: int
    series: tuple[Series, ...]
    header_lines: int
    ignored: tuple[str, ...] = ()
    wide: bool = False

    @property
    def n_fields(self) -> int:
        return len(self.names)


def read_layout(lines: Sequence[str], sep: str, where: str) -> Layout:
    """The layout that the first lines of a file declare; only the header's are looked at.

    Raises DataError naming the columns found when there is no date, no Close or a name twice.
    """
    rows = [_split(line, sep) for line in lines[:3]]
    _refuse_too_many(rows[0], where)
    is_yfinance = len(rows) == 3 and _is_yfinance(rows)
    header = "".join(lines[: 2 if is_yfinance else 1])
    if not header.replace("\t", " ").isprintable():
        raise _no_header(lines[0], where)
    if is_yfinance:
        return _yfinance_layout(rows, where)
    names = rows[0]
    if len(names) == 1:
        raise _one_column(names[0], sep, where)
    _refuse_duplicates(names, where)
    date_field = _date_field(names, where)
    fields = {
        i: field_of(name)
        for i, name in enumerate(names)
        if name and i != date_field and key(name) not in DATES
    }
    known = {i: field for i, field in fields.items() if field}
    others = [i for i, field in fields.items() if field is None]
    unused = [i for i, field in fields.items() if field == ""]
    if "Close" in known.values():
        found = {field: i for i, field in known.items()}
        if len(found) < len(known):
            raise _duplicate([names[i] for i in known], where)
        ignored = tuple(names[i] for i in sorted([*others, *unused]))
        return Layout(tuple(names), date_field, (Series(None, found),), 1, ignored)
    # LOW and OPEN are symbols too: alone among other names they are series, not columns.
    tickers = set(known.values()) <= ALSO_TICKERS
    if not others or not tickers or (len(known) > 1 and len(known) >= len(others)):
        raise _no_close(names, where)
    joint = join_columns({i: names[i] for i in sorted([*others, *known])}, where)
    series = tuple(Series(name, found) for name, found in joint.series.items())
    if not series:
        raise _no_close(names, where)
    ignored = tuple(names[i] for i in sorted([*unused, *joint.unused]))
    return Layout(tuple(names), date_field, series, 1, ignored, wide=True)


def choose_series(layout: Layout, symbols: Sequence[str], where: str) -> tuple[Series, ...]:
    """The series asked for, in the order asked for; all of them when none is named.

    A file of one unnamed series has nothing to choose from and gives that series.
    """
    if not symbols or layout.series[0].name is None:
        return layout.series
    by_name = {str(series.name): series for series in layout.series}
    by_capitals = {name.upper(): series for name, series in by_name.items()}
    chosen: dict[str, Series] = {}
    for symbol in dict.fromkeys(symbols):
        series = by_name.get(symbol) or by_capitals.get(symbol.upper())
        if series is None:
            near = difflib.get_close_matches(symbol.upper(), list(by_capitals), n=1)
            nearest = f"Did you mean {by_capitals[near[0]].name}?" if near else ""
            raise DataError(
                f"no column {symbol}",
                where=where,
                why=f"the series are {show_names(list(by_name))}",
                next_step=nearest,
            )
        chosen[str(series.name)] = series
    return tuple(chosen.values())


def _split(line: str, sep: str) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=sep, strict=True))
    except csv.Error:
        return [field.strip() for field in line.split(sep)]
    return [field.strip() for field in rows[0]] if rows else [""]


def _date_field(names: Sequence[str], where: str) -> int:
    keys = [key(name) for name in names]
    for word in DATES:
        if word in keys:
            return keys.index(word)
    if names[0] == "":  # pandas leaves an unnamed index without a header
        return 0
    raise DataError(
        "no Date column",
        where=where,
        why=f"the columns found are {show_names(names)}",
        next_step="Give a header line with the columns Date and Close.",
    )


def _is_yfinance(rows: Sequence[Sequence[str]]) -> bool:
    third = rows[2]
    return (
        len(third) > 1
        and len({len(row) for row in rows}) == 1
        and key(third[0]) in DATES
        and not any(third[1:])
    )


def _yfinance_layout(rows: Sequence[Sequence[str]], where: str) -> Layout:
    """Fields over tickers, or tickers over fields, as `group_by` had it."""
    upper, lower = rows[0][1:], rows[1][1:]
    fields = [field_of(word) for word in upper]
    if "Close" not in fields or None in fields:  # LOW and OPEN are tickers too
        upper, lower = lower, upper
    series: dict[str, dict[str, int]] = {}
    ignored = []
    for position, (word, ticker) in enumerate(zip(upper, lower, strict=True), start=1):
        field = field_of(word)
        if not field or not ticker:
            ignored.append(word)
        elif field in series.setdefault(ticker, {}):
            raise _duplicate([f"{word} {ticker}"], where)
        else:
            series[ticker][field] = position
    names = [rows[2][0], *(f"{word} {ticker}" for word, ticker in zip(upper, lower, strict=True))]
    if not series or not all("Close" in fields for fields in series.values()):
        raise _no_close(names, where)
    found = tuple(Series(ticker, fields) for ticker, fields in series.items())
    return Layout(tuple(names), 0, found, 3, tuple(dict.fromkeys(ignored)), wide=len(found) > 1)


def _refuse_too_many(names: Sequence[str], where: str) -> None:
    if len(names) > MAX_COLUMNS:
        raise DataError(
            "too many columns",
            where=where,
            why=f"found {len(names):,}, expected at most {MAX_COLUMNS:,}",
            next_step="Split the file by columns.",
        )


def _refuse_duplicates(names: Sequence[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise _duplicate(twice, where)


def _duplicate(names: Sequence[str], where: str) -> DataError:
    return DataError(
        "duplicate column",
        where=where,
        why=f"found {show_names(names)}",
        next_step="Keep one column of each name.",
    )


def _no_close(names: Sequence[str], where: str) -> DataError:
    return DataError(
        "no Close column",
        where=where,
        why=f"the columns found are {show_names(names)}",
        next_step="Name the column of prices Close.",
    )


def _one_column(name: str, sep: str, where: str) -> DataError:
    for other in (",", ";", "\t", "|"):
        if other != sep and other in name:
            shown = "tab" if other == "\t" else other
            return DataError(
                f"the header has one column when it is split at {sep!r}",
                where=where,
                why=f"it looks separated by {shown!r}",
                next_step=f"Pass --sep '{shown}', and --decimal ',' for decimal commas.",
            )
    return _no_header(name, where)


def _no_header(line: str, where: str) -> DataError:
    return DataError(
        "not a CSV of prices",
        where=where,
        why=f"the first line is {line[:60]!a}, expected a header such as Date,Close",
        next_step="Give a text file with the columns Date and Close.",
    )
