"""The meaning of a table's columns: its dates, its series, and the fields of each series.

Five headers are known: one series with a Close column; a long table, with a column of symbols too;
a wide table, one column of prices a series; columns that each join a field and a symbol, as
`Close_TSLA`; and the three header lines that yfinance writes (Price, Ticker, Date). A volume is
never a price, and a header that can be read in two ways is refused. `--columns` names the columns
of other names.
"""

import difflib
import json
import re
import shlex
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lstmcli.errors import DataError, UsageError, did_you_mean
from lstmcli.market.headers import (
    ALSO_TICKERS,
    Fields,
    Joined,
    column_error,
    field_of,
    join_columns,
    key_of,
    put_together,
)
from lstmcli.reading.dates import check_date_format
from lstmcli.reading.delimited import check_marks
from lstmcli.reading.raw import Marks
from lstmcli.records import check_record

MAX_COLUMNS = 100_000

_DATES = (
    *("date", "datetime", "timestamp", "timestamps", "observationdate", "tradedate", "ds"),
    *("time", "day"),
)
_SYMBOLS = ("ticker", "symbol", "tscode", "uniqueid", "code")
_NAME = "name"  # of a symbol, or of a company next to a column of symbols
_LONE_CLOSES = ("price", "last", "lastprice", "y")  # where no other column is a Close
# The words of --columns, and what each names.
CHOICES = {
    "date": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Close",
    "adj_close": "Adj Close", "volume": "Volume", "symbol": "Symbol",
}  # fmt: skip
_WITHOUT_TIME = ("date", "tradedate", "observationdate", "day", "ds")


@dataclass(frozen=True)
class Reading:
    """How a file is read where it does not say so by itself.

    sep, decimal : as for `Marks`. columns : names by their words in CHOICES, not to be found out.
    date_format : as for `parse_stamps`. resample : "1d" to make one bar a session of those within.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}  # of what `noted` reads

    sep: str = ""
    decimal: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    date_format: str = ""
    resample: str = ""

    def checked(self) -> "Reading":
        """Return itself; raise UsageError for marks and formats that no file has."""
        check_marks(Marks(self.sep, self.decimal))
        if self.date_format:
            check_date_format(self.date_format)
        return self

    def facts(self) -> dict[str, Any]:
        """Return what is not left to be found out, by name."""
        return {name: value for name, value in vars(self).items() if value}

    def as_toml(self) -> dict[str, str]:
        """Return the same as settings, by key."""
        table = ", ".join(f"{word} = {json.dumps(name)}" for word, name in self.columns.items())
        texts = {name: json.dumps(value) for name, value in self.facts().items()}
        return {f"data.{n}": f"{{{table}}}" if n == "columns" else t for n, t in texts.items()}

    def as_options(self) -> str:
        """Return the same as options of the command line."""
        columns = ",".join(f"{word}={name}" for word, name in self.columns.items())
        texts = self.facts() | ({"columns": columns} if columns else {})
        return shlex.join(
            word for name, text in texts.items() for word in (f"--{name.replace('_', '-')}", text)
        )

    @classmethod
    def noted(cls, facts: object) -> "Reading | None":
        """Read what `facts` gave, from a file that anyone may have changed; None for others."""
        try:
            found = check_record(cls, facts)
        except ValueError:
            return None
        return None if found.columns.keys() - CHOICES.keys() else found


@dataclass(frozen=True)
class Layout:
    """The meaning of each field of a line.

    names : the header's own words.
    series : fields by the name of the series, "" where the header names none.
    symbol_field : the column that says which series each row is of, where there is one.
    time_field : the column of times that belong to the dates, where there is one.
    ignored : columns that are neither a date nor of any series.
    notes : which column was taken for what, where that can be meant otherwise.
    """

    names: tuple[str, ...]
    date_field: int
    series: dict[str, Fields]
    header_lines: int
    ignored: tuple[str, ...] = ()
    symbol_field: int | None = None
    time_field: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def describes(self) -> bool:
        """Whether the column of symbols may be one of companies' names."""
        return self.symbol_field is not None and key_of(self.names[self.symbol_field]) == _NAME


def read_layout(
    rows: Sequence[Sequence[str]], where: str, columns: Mapping[str, str] | None = None
) -> Layout:
    """Read the layout that the first three rows of a file declare, of which the first has names.

    columns : names of columns by their words in CHOICES, which are not to be found out.
    Raises DataError naming the columns found when there is no date, no Close, a name twice, or
    none of a name in `columns`.
    """
    names = rows[0]
    if len(names) > MAX_COLUMNS:
        raise DataError(
            "too many columns",
            where=where,
            why=f"found {len(names):,}, expected at most {MAX_COLUMNS:,}",
            next_step="Split the file by columns.",
        )
    if not columns and (layout := _yfinance_layout(rows, where)):
        return layout
    if twice := [name for name, count in Counter(names).items() if name and count > 1]:
        raise _duplicate(twice, where)
    given = {CHOICES[word]: _position(name, names, where) for word, name in (columns or {}).items()}
    if len(set(given.values())) < len(given):
        found = [names[i] for i in given.values()]
        raise column_error("one column for two fields", found, where, "Correct --columns.")
    taken = set(given.values())
    date_field = given.pop("Date") if "Date" in given else _date_field(rows, taken, where)
    symbol_field = given.pop("Symbol", None)
    fields = {
        i: None if i in taken else field_of(name)
        for i, name in enumerate(names)
        if name and i not in (date_field, symbol_field) and key_of(name) not in _DATES
    }
    fields |= {i: "" for i, field in fields.items() if field in given}  # one was chosen
    fields |= {i: field for field, i in given.items()}
    known = {i: field for i, field in fields.items() if field}
    others = [i for i, field in fields.items() if field is None]
    unused = [i for i, field in fields.items() if field == ""]
    # LOW and OPEN are symbols too: alone among other names they are series, not columns.
    tickers = set(known.values()) <= ALSO_TICKERS
    keys = {i: key_of(names[i]) for i in others}
    is_long = symbol_field is not None
    is_long |= key_of(names[date_field]) == "ds" and "y" in keys.values()
    says_which = [i for i in others if keys[i] in (*_SYMBOLS, _NAME)]
    is_long |= any(names[i] not in ("CODE", "NAME") or _is_text(rows, i) for i in says_which)
    may_be_wide = tickers and not is_long and not 1 < len(known) >= len(others)
    notes: tuple[str, ...] = ()
    if "Close" not in known.values():
        meant = _LONE_CLOSES if is_long or not known else _LONE_CLOSES[:-1]
        named = [i for i in others if keys[i] in meant]
        lone = _lone_close(rows, known, others, named, may_be_wide, where)
        if lone is not None:
            if lone in known:
                notes = (f"{names[lone]} is used as Close: no other column is.",)
            known[lone] = "Close"
            others = [i for i in others if i != lone]
    if "Close" in known.values():
        series = {"": {field: i for i, field in known.items()}}
        rivals = [] if "Close" in given else [i for i in others if key_of(names[i]) == "price"]
        if len(series[""]) < len(known) or rivals:
            raise _duplicate([names[i] for i in sorted([*known, *rivals])], where)
        if "Volume" not in known.values():
            volumes = [i for i in unused if key_of(names[i]) == "vol"]
            if len(volumes) == 1:
                series[""]["Volume"] = volumes[0]
                unused.remove(volumes[0])
        if symbol_field is None:
            symbol_field = _symbol_field(names, others, where)
        unused += [i for i in others if i != symbol_field]
    else:
        if not may_be_wide or not others:
            raise _no_close(names, where)
        series, left = join_columns({i: names[i] for i in sorted([*others, *known])}, where)
        if not series:
            raise _no_close(names, where)
        unused += left
    ignored = tuple(names[i] for i in sorted(unused))
    times = [i for i, name in enumerate(names) if key_of(name) == "time"]
    times = [i for i in times if i not in {*taken, date_field}]
    time_field = times[0] if times and key_of(names[date_field]) in _WITHOUT_TIME else None
    return Layout(tuple(names), date_field, series, 1, ignored, symbol_field, time_field, notes)


def choose_extras(layout: Layout, names: Sequence[str]) -> Fields:
    """Return the positions of those of some columns that a file has, in any case, by given name."""
    extras = {name: at for at, name in enumerate(layout.names) if name in layout.ignored}
    by_case = {name.casefold(): at for name, at in extras.items()}
    found = {name: extras.get(name, by_case.get(name.casefold())) for name in names}
    return {name: at for name, at in found.items() if at is not None}


def parse_columns(text: str) -> dict[str, str]:
    """Read `close=Price,date=Datum`: names of columns by their words in CHOICES.

    Raises UsageError for another word, and for one that comes twice or names nothing.
    """
    found: dict[str, str] = {}
    for part in re.split(r",(?=[^,=]*=)", text):
        word, _, name = (each.strip() for each in part.partition("="))
        key = word.lower().replace("-", "_").replace(" ", "_")
        if key not in CHOICES or key in found or not name:
            raise UsageError(
                "bad --columns",
                where=text[:80],
                why=f"found {part[:40]!r}, expected each of {', '.join(CHOICES)} once at most",
                next_step=did_you_mean(key, list(CHOICES)) or "Pass --columns close=NAME.",
            )
        found[key] = name
    return found


def choose_series(found: Sequence[str], symbols: Sequence[str], where: str) -> list[str]:
    """Choose the series asked for, in the order asked for; all of them when none is named.

    A file of one unnamed series has nothing to choose from and gives that series.
    """
    if not symbols or list(found) == [""]:
        return list(found)
    names = set(found)
    by_capitals = {name.upper(): name for name in found}
    chosen: dict[str, None] = {}
    for symbol in symbols:
        name = symbol if symbol in names else by_capitals.get(symbol.upper())
        if name is None:
            near = difflib.get_close_matches(symbol.upper(), list(by_capitals), n=1)
            nearest = f"Did you mean {by_capitals[near[0]]}?" if near else ""
            raise column_error(f"no series {symbol}", found, where, nearest, "the series are {}")
        chosen[name] = None
    return list(chosen)


def _position(name: str, names: Sequence[str], where: str) -> int:
    """Return the position of a column that --columns names, in any case if only one has it."""
    found = [i for i, each in enumerate(names) if each == name.strip()]
    found = found or [i for i, each in enumerate(names) if each.lower() == name.strip().lower()]
    if len(found) == 1:
        return found[0]
    near = difflib.get_close_matches(name, names, n=1)
    nearest = f"Did you mean {near[0]}?" if near else "Correct --columns."
    raise column_error(f"no column {name}", names, where, nearest)


def _date_field(rows: Sequence[Sequence[str]], taken: Container[int], where: str) -> int:
    names = rows[0]
    keys = [None if i in taken else key_of(name) for i, name in enumerate(names)]
    for word in _DATES:
        if word in keys:
            return keys.index(word)
    if names[0] == "" and 0 not in taken:  # pandas leaves an unnamed index without a header
        return 0
    advice = "Give a header line with the columns Date and Close"
    # In every row: below a title stands the header.
    below = zip(names, *rows[1:], strict=False)
    like_dates = [name for name, *cells in below if cells and all(map(_is_date, cells))]
    if like_dates and not any(map(_is_date, names)):
        advice = f"Pass --columns date={like_dates[0]}"
    raise column_error("no Date column", names, where, f"{advice}.")


def _is_date(cell: str) -> bool:
    return bool(re.match(r"(?:\d{4}\D\d{1,2}\D\d|\d{1,2}\D\d{1,2}\D\d\d|\d{8}$)", cell))


def _is_text(rows: Sequence[Sequence[str]], i: int) -> bool:
    """Return whether a column has words, and no digit, in the first rows below the header."""
    text = "".join(row[i] for row in rows[1:] if i < len(row))
    return any(map(str.isalpha, text)) and not any(map(str.isdigit, text))


def _lone_close(
    rows: Sequence[Sequence[str]],
    known: Mapping[int, str],
    others: Sequence[int],
    named: Sequence[int],
    may_be_wide: bool,
    where: str,
) -> int | None:
    """Find the column that is a Close where none has that name; None where it may be a series.

    named : those whose names say so. Such a column stands alone or among other fields; next to
    further columns of numbers it may be one of several series, as Y is a symbol too.
    """
    names = rows[0]
    adjusted = [i for i, field in known.items() if field == "Adj Close"]
    rest = [i for i in others if i not in named and "%" not in names[i] and not _is_text(rows, i)]
    if not (named or adjusted) or (may_be_wide and rest and not known):
        return None
    if may_be_wide and rest:
        found = [names[i] for i in (*named, *known, *rest)]
        step = f"Say which column is the price: --columns close={found[0]}."
        raise column_error("cannot tell fields from symbols", found, where, step, "found {}")
    if len(named) > 1:
        found = [names[i] for i in named]
        step = f"Choose one: --columns close={found[0]}."
        raise column_error("two columns of prices", found, where, step, "found {}")
    return (named or adjusted)[0]


def _symbol_field(names: Sequence[str], others: Sequence[int], where: str) -> int | None:
    """Find the column of symbols; that of names only where no other is one."""
    found = [i for i in others if key_of(names[i]) in _SYMBOLS]
    if len(found) > 1:
        step = f"Choose one: --columns symbol={names[found[0]]}."
        raise column_error(
            "two columns of symbols", [names[i] for i in found], where, step, "found {}"
        )
    return next(iter(found or [i for i in others if key_of(names[i]) == _NAME]), None)


def _yfinance_layout(rows: Sequence[Sequence[str]], where: str) -> Layout | None:
    """Read fields over tickers, or tickers over fields, as `group_by` had it; None for others."""
    dates, *names_below = rows[-1]
    is_one = len(rows) == 3 and len({len(row) for row in rows}) == 1
    if not (is_one and names_below) or any(names_below) or key_of(dates) not in _DATES:
        return None
    upper, lower = rows[0][1:], rows[1][1:]
    fields = [field_of(word) for word in upper]
    if "Close" not in fields or None in fields:  # LOW and OPEN are tickers too
        upper, lower = lower, upper
    pairs = dict(enumerate(zip(upper, lower, strict=True), start=1))
    names = {i: f"{word} {ticker}" for i, (word, ticker) in pairs.items()}
    joined = {i: Joined(field_of(pair[0]) or "", pair[1]) for i, pair in pairs.items() if pair[1]}
    series, unused = put_together({i: names[i] for i in joined}, joined, where)
    if not series:
        raise _no_close([dates, *names.values()], where)
    unused += pairs.keys() - joined.keys()
    ignored = tuple(dict.fromkeys(upper[i - 1] for i in sorted(unused)))
    return Layout((dates, *names.values()), 0, series, 3, ignored)


def _duplicate(names: Sequence[str], where: str) -> DataError:
    advice = "Keep one of each meaning, or choose: --columns close=COLUMN."
    return column_error("duplicate column", names, where, advice, "found {}")


def _no_close(names: Sequence[str], where: str) -> DataError:
    advice = "Name the column of prices Close, or pass --columns close=COLUMN."
    return column_error("no Close column", names, where, advice)
