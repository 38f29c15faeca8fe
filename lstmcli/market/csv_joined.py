"""Columns of several symbols put together: which field of which symbol each column is.

In a wide table a name is a series of prices. Where names join a field and a symbol, each symbol is
one series with a Close; a volume is never a price, and what can be read in two ways is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lstmcli.errors import DataError
from lstmcli.market.csv_columns import Joined, may_be_a_name, read_joined

_SHOWN = 12
_SHOWN_LENGTH = 40
_Fields = dict[str, int]  # the name in COLUMNS -> the position in a line


@dataclass
class Joint:
    """The fields of each series by its name, and the positions of the columns that are of none."""

    series: dict[str, _Fields] = field(default_factory=dict)
    unused: list[int] = field(default_factory=list)


def join_columns(names: Mapping[int, str], where: str) -> Joint:
    """The series in columns of which none is a field alone; position -> name.

    Raises DataError naming the columns when a symbol has no Close or a field twice, and when the
    names can be read in two ways.
    """
    readings = {i: found for i, name in names.items() if (found := read_joined(name))}
    if not readings:
        return Joint({name: {"Close": i} for i, name in names.items()})
    joints: list[Joint] = []
    errors: list[DataError] = []
    for which in (0, -1):  # the field first wherever it can be, or last
        try:
            joint = _put_together(names, {i: both[which] for i, both in readings.items()}, where)
        except DataError as error:
            errors.append(error)
        else:
            joints += [joint] if joint not in joints else []
    if not joints:
        raise errors[0]
    if len(joints) > 1:
        raise _undecided("which can be read in two ways", names, where)
    return joints[0]


def show_names(names: Sequence[str]) -> str:
    """The first of the names, cut and escaped for a message of one line."""
    short = [name if len(name) <= _SHOWN_LENGTH else f"{name[:_SHOWN_LENGTH]}..." for name in names]
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in short[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _put_together(names: Mapping[int, str], joined: Mapping[int, Joined], where: str) -> Joint:
    """The series when every joined name is read as `joined` has it."""
    groups, labels = _by_symbol(names, joined, where)
    have_close = {symbol for symbol, fields in groups.items() if "Close" in fields}
    plain = []
    for i in [i for i in names if i not in joined]:
        fields = groups.get(names[i].upper())
        if fields is None or "Close" in fields:
            plain.append(i)
        else:  # `TSLA` next to `Volume_TSLA` is its Close
            fields["Close"] = i
            labels[names[i].upper()] = names[i]
    for symbol in [symbol for symbol, fields in groups.items() if "Close" not in fields]:
        [first, *others] = groups[symbol].values()
        if others or not may_be_a_name(names[first], joined[first]):
            raise DataError(
                f"no Close column of {labels[symbol]}",
                where=where,
                why=f"the columns found are {show_names(list(names.values()))}",
                next_step="Give every symbol a Close, such as Close_TSLA, or rename the columns.",
            )
        plain.append(first)
        del groups[symbol]
    unused = [i for i, reading in joined.items() if not reading.field]
    if have_close:
        if plain and all(fields.keys() == {"Close"} for fields in groups.values()):
            raise _undecided("where only some are a Close of a symbol", names, where)
        unused += plain
        plain = []
    series = {labels[symbol]: fields for symbol, fields in groups.items()}
    series |= {names[i]: {"Close": i} for i in plain}
    in_order = sorted(series, key=lambda name: min(series[name].values()))
    return Joint({name: series[name] for name in in_order}, sorted(unused))


def _by_symbol(
    names: Mapping[int, str], joined: Mapping[int, Joined], where: str
) -> tuple[dict[str, _Fields], dict[str, str]]:
    """The fields of each symbol in capitals, and how the symbol is written."""
    groups: dict[str, _Fields] = {}
    labels: dict[str, str] = {}
    for i, reading in joined.items():
        if not reading.field:
            continue
        symbol = reading.symbol.upper()
        labels.setdefault(symbol, reading.symbol)
        first = groups.setdefault(symbol, {}).setdefault(reading.field, i)
        if first != i:
            raise DataError(
                f"two columns for {reading.field} of {reading.symbol}",
                where=where,
                why=f"found {show_names([names[first], names[i]])}",
                next_step="Keep one of them.",
            )
    return groups, labels


def _undecided(why: str, names: Mapping[int, str], where: str) -> DataError:
    return DataError(
        "cannot tell fields from symbols",
        where=where,
        why=f"found {show_names(list(names.values()))}, {why}",
        next_step="Name the columns of prices Close_SYMBOL, or remove the others.",
    )
