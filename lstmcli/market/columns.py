"""The meaning of a table's columns: its dates, its series, and the fields of each series.

Four headers are known: one series with a Close column; a wide table, one column of prices
a series; columns that each join a field and a symbol (`Close_TSLA`, `TSLA.Adj.Close`,
`[TSLA] Close`, `('Close', 'TSLA')`); and the three header lines that yfinance writes (Price,
Ticker, Date). A volume is never a price, and a header that can be read in two ways is refused.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lstmcli.errors import DataError
from lstmcli.market.calendars import calendar_of
from lstmcli.printable import first_few

MAX_COLUMNS = 100_000
Fields = dict[str, int]  # the name in COLUMNS -> the position in a line

_FIELDS = {
    "open": "Open", "high": "High", "low": "Low", "close": "Close", "closelast": "Close",
    "adjclose": "Adj Close", "adjustedclose": "Adj Close", "closeadj": "Adj Close",
    "closeadjusted": "Adj Close", "adjusted": "Adj Close", "volume": "Volume",
    "dividends": "Dividends", "dividend": "Dividends", "stocksplits": "Stock Splits",
    "splits": "Stock Splits",
}  # fmt: skip
_DATES = ("date", "datetime", "timestamp", "observationdate", "tradedate", "time", "day")
_ALSO_TICKERS = {"Open", "High", "Low"}
# Columns of prices' tables that no series is made of: without them `Adj Open_TSLA` would be the
# open of `Adj`, and the volume of futures' tables a price.
_UNUSED = {
    "capitalgains", "repaired", "vol", "openinterest", "turnover", "adjopen", "adjhigh", "adjlow",
    "adjvolume", "adjustedopen", "adjustedhigh", "adjustedlow", "adjustedvolume",
}  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 3
_NOT_OF_A_NAME = " \t_.-/|:,;()[]{}<>'\"#@~\\*+&=!?%$"
_RUN_TOGETHER = r"(?:Adj ?Close|Open|High|Low|Close|Volume)"
_FIELD_THEN_NAME = re.compile(rf"(?P<field>{_RUN_TOGETHER})(?!\d+$)(?P<name>[A-Z0-9^].*)")
_NAME_THEN_FIELD = re.compile(rf"(?P<name>.*[A-Z0-9])(?P<field>{_RUN_TOGETHER})")
_SHOWN = 12
_SHOWN_LENGTH = 40


@dataclass(frozen=True)
class Layout:
    """The meaning of each field of a line.

    names : the header's own words, for messages. where : the file, for messages.
    series : fields by the name of the series, "" where the file has one series without a name.
    ignored : columns that are neither a date nor of any series.
    """

    names: tuple[str, ...]
    where: str
    date_field: int
    series: dict[str, Fields]
    header_lines: int
    ignored: tuple[str, ...] = ()


def read_layout(rows: Sequence[Sequence[str]], where: str) -> Layout:
    """Read the layout that the first three rows of a file declare, of which the first has names.

    Raises DataError naming the columns found when there is no date, no Close or a name twice.
    """
    names = rows[0]
    if len(names) > MAX_COLUMNS:
        raise DataError(
            "too many columns",
            where=where,
            why=f"found {len(names):,}, expected at most {MAX_COLUMNS:,}",
            next_step="Split the file by columns.",
        )
    if len(rows) == 3 and _is_yfinance(rows):
        return _yfinance_layout(rows, where)
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise _duplicate(twice, where)
    date_field = _date_field(names, where)
    fields = {
        i: _field_of(name)
        for i, name in enumerate(names)
        if name and i != date_field and _key(name) not in _DATES
    }
    known = {i: field for i, field in fields.items() if field}
    others = [i for i, field in fields.items() if field is None]
    unused = [i for i, field in fields.items() if field == ""]
    if "Close" in known.values():
        series = {"": {field: i for i, field in known.items()}}
        if len(series[""]) < len(known):
            raise _duplicate([names[i] for i in known], where)
        unused += others
    else:
        # LOW and OPEN are symbols too: alone among other names they are series, not columns.
        tickers = set(known.values()) <= _ALSO_TICKERS
        if not others or not tickers or (len(known) > 1 and len(known) >= len(others)):
            raise _no_close(names, where)
        series, more = _join_columns({i: names[i] for i in sorted([*others, *known])}, where)
        if not series:
            raise _no_close(names, where)
        unused += more
    ignored = tuple(names[i] for i in sorted(unused))
    return Layout(tuple(names), where, date_field, series, 1, ignored)


def choose_extras(layout: Layout, names: Sequence[str]) -> Fields:
    """Return the positions of those of some columns that no series is made of, by given name.

    Upper and lower case are alike, unless a column has the very name.
    """
    unused = {name: layout.names.index(name) for name in layout.ignored if name in layout.names}
    by_case = {name.casefold(): at for name, at in unused.items()}
    found = {name: unused.get(name, by_case.get(name.casefold())) for name in names}
    return {name: at for name, at in found.items() if at is not None}


def choose_series(layout: Layout, symbols: Sequence[str]) -> dict[str, Fields]:
    """Choose the series asked for, in the order asked for; all of them when none is named.

    A file of one unnamed series has nothing to choose from and gives that series.
    """
    if not symbols or "" in layout.series:
        return layout.series
    by_capitals = {name.upper(): name for name in layout.series}
    chosen = {}
    for symbol in symbols:
        name = symbol if symbol in layout.series else by_capitals.get(symbol.upper())
        if name is None:
            near = difflib.get_close_matches(symbol.upper(), list(by_capitals), n=1)
            nearest = f"Did you mean {by_capitals[near[0]]}?" if near else ""
            names = list(layout.series)
            raise _error(f"no column {symbol}", names, layout.where, nearest, "the series are {}")
        chosen[name] = layout.series[name]
    return chosen


def _key(name: str) -> str:
    """Reduce a name to its letters and digits in lower case: `adjclose` for `Adj Close`."""
    return "".join(ch for ch in name.lower() if ch.isalnum())


def _field_of(name: str) -> str | None:
    """Find the field that a whole name is, "" for a column never used, None for another name."""
    word = _key(name)
    if word in _UNUSED or re.fullmatch(r"unnamed\d+", word):
        return ""
    return _FIELDS.get(word.removesuffix("price"))


def _date_field(names: Sequence[str], where: str) -> int:
    keys = [_key(name) for name in names]
    for word in _DATES:
        if word in keys:
            return keys.index(word)
    if names[0] == "":  # pandas leaves an unnamed index without a header
        return 0
    advice = "Give a header line with the columns Date and Close."
    raise _error("no Date column", names, where, advice)


def _is_yfinance(rows: Sequence[Sequence[str]]) -> bool:
    third = rows[2]
    return (
        len(third) > 1
        and len({len(row) for row in rows}) == 1
        and _key(third[0]) in _DATES
        and not any(third[1:])
    )


def _yfinance_layout(rows: Sequence[Sequence[str]], where: str) -> Layout:
    """Read fields over tickers, or tickers over fields, as `group_by` had it."""
    upper, lower = rows[0][1:], rows[1][1:]
    fields = [_field_of(word) for word in upper]
    if "Close" not in fields or None in fields:  # LOW and OPEN are tickers too
        upper, lower = lower, upper
    pairs = dict(enumerate(zip(upper, lower, strict=True), start=1))
    names = {i: f"{word} {ticker}" for i, (word, ticker) in pairs.items()}
    joined = {i: _Joined(_field_of(pair[0]) or "", pair[1]) for i, pair in pairs.items() if pair[1]}
    series, unused = _put_together({i: names[i] for i in joined}, joined, where)
    if not series:
        raise _no_close([rows[2][0], *names.values()], where)
    unused += pairs.keys() - joined.keys()
    ignored = tuple(dict.fromkeys(upper[i - 1] for i in sorted(unused)))
    return Layout((rows[2][0], *names.values()), where, 0, series, 3, ignored)


class _Joined(NamedTuple):
    """One reading of a column's name: a field and the symbol that it is of.

    field : a name in COLUMNS, "" for a field that is never used.
    run_together : nothing separates the two, as in `CloseTSLA`, or in `OpenAI`.
    """

    field: str
    symbol: str
    run_together: bool = False


_Joint = tuple[dict[str, Fields], list[int]]  # the series, and the positions of unused columns


def _join_columns(names: Mapping[int, str], where: str) -> _Joint:
    """Find the series in columns, position -> name, of which none is a field alone.

    Raises DataError naming the columns when a symbol has no Close or a field twice, and when the
    names can be read in two ways.
    """
    readings = {i: found for i, name in names.items() if (found := _read_joined(name))}
    if not readings:
        return {name: {"Close": i} for i, name in names.items()}, []
    joints: list[_Joint] = []
    errors: list[DataError] = []
    for which in (0, -1):  # the field first wherever it can be, or last
        try:
            joints.append(_put_together(names, {i: r[which] for i, r in readings.items()}, where))
        except DataError as error:
            errors.append(error)
    if not joints:
        raise errors[0]
    if joints[0] != joints[-1]:
        raise _undecided("which can be read in two ways", names, where)
    return joints[0]


def _read_joined(name: str) -> tuple[_Joined, ...]:
    """Read a name as a field and a symbol: no reading, one, or the field first and last.

    The field is the first or the last word, whatever separates the two; which of both may depend
    on the other columns (`LOW_Close`).
    """
    words = list(_WORD.finditer(name))
    found = []
    for first in (True, False):
        for count in range(min(_MOST_WORDS, len(words) - 1), 0, -1):
            part = words[:count] if first else words[-count:]
            word = "".join(match.group() for match in part)
            field = "Volume" if word.lower() == "vol" else _field_of(word)
            rest = name[part[-1].end() :] if first else name[: part[0].start()]
            symbol = rest.strip(_NOT_OF_A_NAME)
            if field is not None and symbol:
                found.append(_Joined(field, symbol))
                break
    if found:
        return tuple(found)
    if any(word.group().lower() == "volume" for word in words):
        return (_Joined("", name),)  # `TSLA Volume (M)`
    if match := _FIELD_THEN_NAME.fullmatch(name) or _NAME_THEN_FIELD.fullmatch(name):
        return (_Joined(_FIELDS[_key(match["field"])], match["name"], run_together=True),)
    return ()


def _may_be_a_name(name: str, reading: _Joined) -> bool:
    """Return whether a name that reads as a field of a symbol may name a series.

    So are `OpenAI`, the tickers `HIGH-USD` and `OPEN.L`, and the phrase `Low Volatility`.
    """
    if reading.run_together:
        return reading.field != "Volume"
    rest = reading.symbol
    is_phrase = name.removesuffix(f" {rest}").isalpha() and rest not in (rest.upper(), rest.lower())
    is_phrase &= _field_of(rest) is None
    is_ticker = name.isupper() and calendar_of(name) is not None
    return reading.field in _ALSO_TICKERS and (is_phrase or is_ticker)


def _put_together(names: Mapping[int, str], joined: Mapping[int, _Joined], where: str) -> _Joint:
    """Make the series of the names when every joined one is read as `joined` has it."""
    groups: dict[str, Fields] = {}  # by the symbol in capitals
    labels: dict[str, str] = {}  # how each symbol is written
    unused = [i for i, reading in joined.items() if not reading.field]
    for i, (field, symbol, _) in joined.items():
        if field:
            labels.setdefault(symbol.upper(), symbol)
            first = groups.setdefault(symbol.upper(), {}).setdefault(field, i)
            if first != i:
                what, found = f"two columns for {field} of {symbol}", [names[first], names[i]]
                raise _error(what, found, where, "Keep one of them.", "found {}")
    have_close = any("Close" in fields for fields in groups.values())
    plain = []
    for i in [i for i in names if i not in joined]:
        fields = groups.get(names[i].upper(), {"Close": i})
        if "Close" in fields:
            plain.append(i)
        else:  # `TSLA` next to `Volume_TSLA` is its Close
            fields["Close"] = i
            labels[names[i].upper()] = names[i]
    for symbol in [symbol for symbol, fields in groups.items() if "Close" not in fields]:
        [first, *others] = groups.pop(symbol).values()
        if others or not _may_be_a_name(names[first], joined[first]):
            advice = "Give every symbol a Close, such as Close_TSLA, or rename the columns."
            what = f"no Close column of {labels[symbol]}"
            raise _error(what, list(names.values()), where, advice)
        plain.append(first)
    if have_close:
        if plain and all(fields.keys() == {"Close"} for fields in groups.values()):
            raise _undecided("where only some are a Close of a symbol", names, where)
        unused += plain
        plain = []
    series = {labels[symbol]: fields for symbol, fields in groups.items()}
    series |= {names[i]: {"Close": i} for i in plain}
    in_order = sorted(series, key=lambda name: min(series[name].values()))
    return {name: series[name] for name in in_order}, sorted(unused)


def _error(
    what: str,
    names: Sequence[str],
    where: str,
    next_step: str,
    why: str = "the columns found are {}",
) -> DataError:
    """Put the first of the names into `why`, cut and escaped for a message of one line."""
    short = [name if len(name) <= _SHOWN_LENGTH else f"{name[:_SHOWN_LENGTH]}..." for name in names]
    shown = [name if name.isprintable() else ascii(name) for name in short]
    return DataError(
        what, where=where, why=why.format(first_few(shown, _SHOWN)), next_step=next_step
    )


def _undecided(why: str, names: Mapping[int, str], where: str) -> DataError:
    advice = "Name the columns of prices Close_SYMBOL, or remove the others."
    what = "cannot tell fields from symbols"
    return _error(what, list(names.values()), where, advice, f"found {{}}, {why}")


def _duplicate(names: Sequence[str], where: str) -> DataError:
    return _error("duplicate column", names, where, "Keep one column of each name.", "found {}")


def _no_close(names: Sequence[str], where: str) -> DataError:
    return _error("no Close column", names, where, "Name the column of prices Close.")
