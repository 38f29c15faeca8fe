"""Interpret column names: a field alone, or a field joined with a symbol.

A column name may join a field and a symbol in either order (`Close_TSLA`, `TSLA.Adj.Close`,
`[TSLA] Close`, `('Close', 'TSLA')`). LOW and OPEN are also tickers, so the meaning of a word may
depend on the other columns. Ambiguous names are refused.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lstmcli.errors import DataError
from lstmcli.market.calendars import calendar_of
from lstmcli.printable import first_few

Fields = dict[str, int]  # name in COLUMNS -> position in a line

_FIELDS = {
    "open": "Open", "high": "High", "low": "Low", "close": "Close", "closelast": "Close",
    "adjclose": "Adj Close", "adjustedclose": "Adj Close", "closeadj": "Adj Close",
    "closeadjusted": "Adj Close", "adjusted": "Adj Close", "volume": "Volume",
    "dividends": "Dividends", "dividend": "Dividends", "stocksplits": "Stock Splits",
    "splits": "Stock Splits", "dividendamount": "Dividends", "splitcoefficient": "Stock Splits",
}  # fmt: skip
ALSO_TICKERS = {"Open", "High", "Low"}
# Known columns that are never used. Without this list `Adj Open_TSLA` would be the open of `Adj`,
# and the volume in tables of futures a price.
_UNUSED = {
    "capitalgains", "repaired", "vol", "openinterest", "turnover", "adjopen", "adjhigh", "adjlow",
    "adjvolume", "adjustedopen", "adjustedhigh", "adjustedlow", "adjustedvolume",
}  # fmt: skip
_NUMBERED = re.compile(r"\d+\. ")  # as in `4. close`
_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 3
_NOT_OF_A_NAME = " \t_.-/|:,;()[]{}<>'\"#@~\\*+&=!?%$"
_RUN_TOGETHER = r"(?:Adj ?Close|Open|High|Low|Close|Volume)"
_FIELD_THEN_NAME = re.compile(rf"(?P<field>{_RUN_TOGETHER})(?!\d+$)(?P<name>[A-Z0-9^].*)")
_NAME_THEN_FIELD = re.compile(rf"(?P<name>.*[A-Z0-9])(?P<field>{_RUN_TOGETHER})")
_SHOWN = 12
_SHOWN_LENGTH = 40


def key_of(name: str) -> str:
    """Reduce a name to letters and digits in lower case: `Adj Close` -> `adjclose`."""
    return "".join(ch for ch in name.lower() if ch.isalnum())


def field_of(name: str) -> str | None:
    """Return the field that a name means, "" if unused, None for other names."""
    word = key_of(_NUMBERED.sub("", name))
    if word in _UNUSED or re.fullmatch(r"unnamed\d+", word):
        return ""
    return _FIELDS.get(word.removesuffix("price"))


class Joined(NamedTuple):
    """One interpretation of a column name: a field and a symbol.

    field : a name in COLUMNS, "" for a field that is never used.
    run_together : whether no separator stands between them, e.g. `CloseTSLA` or `OpenAI`.
    """

    field: str
    symbol: str
    run_together: bool = False


_Joint = tuple[dict[str, Fields], list[int]]  # series by name, positions of unused columns


def join_columns(names: Mapping[int, str], where: str) -> _Joint:
    """Find the series in columns whose names join fields and symbols.

    names : position -> name; no name is a field alone.
    Raises DataError naming the columns if a symbol has no Close or a field twice, or if the names
    are ambiguous.
    """
    readings = {i: found for i, name in names.items() if (found := _read_joined(name))}
    if not readings:
        return {name: {"Close": i} for i, name in names.items()}, []
    joints: list[_Joint] = []
    errors: list[DataError] = []
    for which in (0, -1):  # field first wherever possible, then field last
        try:
            joints.append(put_together(names, {i: r[which] for i, r in readings.items()}, where))
        except DataError as error:
            errors.append(error)
    if not joints:
        raise errors[0]
    if joints[0] != joints[-1]:
        raise _undecided("which can be read in two ways", names, where)
    return joints[0]


def _read_joined(name: str) -> tuple[Joined, ...]:
    """Interpret a name as a field and a symbol; return zero, one or two readings.

    The field is the first or the last word, with any separator. If both are possible (`LOW_Close`),
    return the reading with the field first, then the one with the field last.
    """
    words = list(_WORD.finditer(name))
    found = []
    for first in (True, False):
        for count in range(min(_MOST_WORDS, len(words) - 1), 0, -1):
            part = words[:count] if first else words[-count:]
            word = "".join(match.group() for match in part)
            field = "Volume" if word.lower() == "vol" else field_of(word)
            rest = name[part[-1].end() :] if first else name[: part[0].start()]
            symbol = rest.strip(_NOT_OF_A_NAME)
            if field is not None and symbol:
                found.append(Joined(field, symbol))
                break
    if found:
        return tuple(found)
    if any(word.group().lower() == "volume" for word in words):
        return (Joined("", name),)  # `TSLA Volume (M)`
    if match := _FIELD_THEN_NAME.fullmatch(name) or _NAME_THEN_FIELD.fullmatch(name):
        return (Joined(_FIELDS[key_of(match["field"])], match["name"], run_together=True),)
    return ()


def _may_be_a_name(name: str, reading: Joined) -> bool:
    """Return whether a name that reads as field and symbol may name a series.

    Examples: `OpenAI`, the tickers `HIGH-USD` and `OPEN.L`, the phrase `Low Volatility`.
    """
    if reading.run_together:
        return reading.field != "Volume"
    rest = reading.symbol
    is_phrase = name.removesuffix(f" {rest}").isalpha() and rest not in (rest.upper(), rest.lower())
    is_phrase &= field_of(rest) is None
    is_ticker = name.isupper() and calendar_of(name) is not None
    return reading.field in ALSO_TICKERS and (is_phrase or is_ticker)


def put_together(names: Mapping[int, str], joined: Mapping[int, Joined], where: str) -> _Joint:
    """Build the series from column names and the readings of the joined ones."""
    groups: dict[str, Fields] = {}  # by symbol in capitals
    labels: dict[str, str] = {}  # symbol in capitals -> symbol as written
    unused = [i for i, reading in joined.items() if not reading.field]
    for i, (field, symbol, _) in joined.items():
        if field:
            labels.setdefault(symbol.upper(), symbol)
            first = groups.setdefault(symbol.upper(), {}).setdefault(field, i)
            if first != i:
                what, found = f"two columns for {field} of {symbol}", [names[first], names[i]]
                raise column_error(what, found, where, "Keep one of them.", "found {}")
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
            raise column_error(what, list(names.values()), where, advice)
        plain.append(first)
    if have_close:
        if plain and all(fields.keys() == {"Close"} for fields in groups.values()):
            raise _undecided("but only some are the Close of a symbol", names, where)
        unused += plain
        plain = []
    series = {labels[symbol]: fields for symbol, fields in groups.items()}
    series |= {names[i]: {"Close": i} for i in plain}
    in_order = sorted(series, key=lambda name: min(series[name].values()))
    return {name: series[name] for name in in_order}, sorted(unused)


def column_error(
    what: str,
    names: Sequence[str],
    where: str,
    next_step: str,
    why: str = "found the columns {}",
) -> DataError:
    """Return an error whose `why` lists the first names, cut and escaped."""
    short = [name if len(name) <= _SHOWN_LENGTH else f"{name[:_SHOWN_LENGTH]}..." for name in names]
    shown = [name if name.isprintable() else ascii(name) for name in short]
    return DataError(
        what, where=where, why=why.format(first_few(shown, _SHOWN)), next_step=next_step
    )


def _undecided(why: str, names: Mapping[int, str], where: str) -> DataError:
    advice = "Name the price columns Close_SYMBOL, or remove the others."
    what = "cannot tell fields from symbols"
    return column_error(what, list(names.values()), where, advice, f"found {{}}, {why}")
