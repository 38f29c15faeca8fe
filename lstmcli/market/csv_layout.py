"""What the header says: where the dates are, which series there are, and in which fields.

Three shapes are known: one series with a Close column; a wide table, one column of prices a
series; and the three header lines that yfinance writes (Price, Ticker, Date), with one series or
many.
"""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from lstmcli.errors import DataError

FIELDS = {
    "open": "Open", "high": "High", "low": "Low", "close": "Close", "adjclose": "Adj Close",
    "adjustedclose": "Adj Close", "volume": "Volume", "dividends": "Dividends",
    "dividend": "Dividends", "stocksplits": "Stock Splits", "splits": "Stock Splits",
}  # fmt: skip
_DATES = ("date", "datetime", "timestamp", "observationdate", "tradedate", "time", "day")
_ALSO_TICKERS = {"Open", "High", "Low"}
_SHOWN = 12
_SHOWN_LENGTH = 40


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
    known = {
        i: FIELDS[_key(name)]
        for i, name in enumerate(names)
        if i != date_field and _key(name) in FIELDS
    }
    others = [
        i
        for i, name in enumerate(names)
        if name and i != date_field and i not in known and _key(name) not in _DATES
    ]
    if "Close" in known.values():
        fields = {name: i for i, name in known.items()}
        if len(fields) < len(known):
            raise _duplicate([names[i] for i in known], where)
        ignored = tuple(names[i] for i in others)
        return Layout(tuple(names), date_field, (Series(None, fields),), 1, ignored)
    # LOW and OPEN are symbols too: alone among other names they are series, not columns.
    tickers = set(known.values()) <= _ALSO_TICKERS
    if not others or not tickers or (len(known) > 1 and len(known) >= len(others)):
        raise _no_close(names, where)
    found = sorted([*others, *known])
    series = tuple(Series(names[i], {"Close": i}) for i in found)
    return Layout(tuple(names), date_field, series, 1, wide=True)


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
                why=f"the series are {_list(list(by_name))}",
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


def _key(name: str) -> str:
    return "".join(ch for ch in name.lower() if ch.isalnum())


def _date_field(names: Sequence[str], where: str) -> int:
    keys = [_key(name) for name in names]
    for word in _DATES:
        if word in keys:
            return keys.index(word)
    if names[0] == "":  # pandas leaves an unnamed index without a header
        return 0
    raise DataError(
        "no Date column",
        where=where,
        why=f"the columns found are {_list(names)}",
        next_step="Give a header line with the columns Date and Close.",
    )


def _is_yfinance(rows: Sequence[Sequence[str]]) -> bool:
    third = rows[2]
    return (
        len(third) > 1
        and len({len(row) for row in rows}) == 1
        and _key(third[0]) in _DATES
        and not any(third[1:])
    )


def _yfinance_layout(rows: Sequence[Sequence[str]], where: str) -> Layout:
    """Fields over tickers, or tickers over fields, as `group_by` had it."""
    upper, lower = rows[0][1:], rows[1][1:]
    if not all(_key(word) in FIELDS or _key(word) == "capitalgains" for word in upper):
        upper, lower = lower, upper
    series: dict[str, dict[str, int]] = {}
    ignored = []
    for position, (word, ticker) in enumerate(zip(upper, lower, strict=True), start=1):
        field = FIELDS.get(_key(word))
        if field is None or not ticker:
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


def _refuse_duplicates(names: Sequence[str], where: str) -> None:
    twice = [name for name in dict.fromkeys(names) if name and list(names).count(name) > 1]
    if twice:
        raise _duplicate(twice, where)


def _duplicate(names: Sequence[str], where: str) -> DataError:
    return DataError(
        "a column stands there twice",
        where=where,
        why=f"found {_list(names)}",
        next_step="Keep one column of each name.",
    )


def _no_close(names: Sequence[str], where: str) -> DataError:
    return DataError(
        "no Close column",
        where=where,
        why=f"the columns found are {_list(names)}",
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


def _list(names: Sequence[str]) -> str:
    short = [name if len(name) <= _SHOWN_LENGTH else f"{name[:_SHOWN_LENGTH]}..." for name in names]
    shown = ", ".join(ascii(name) if not name.isprintable() else name for name in short[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
