"""Record which models were scored on which test spans, in one file of the data folder.

A score that guides a choice uses up its test span, so every model scored on a span counts, whatever
its name. A span is recognised by its prices: the record keeps the moves of each series on some
days, which a hash of the date selects. So files with other lengths, columns and symbols still have
the same days in common.
"""

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats, Ints
from lstmcli.errors import FileError
from lstmcli.files import atomic
from lstmcli.files.locks import hold
from lstmcli.market.symbols import inside
from lstmcli.records import Count, IsoDate, parse_record, read_file

SCHEMA_VERSION = 1
LOOKS = "looks.json"
MOST_DAYS = 64  # per series
MOST_SERIES = 256  # per look
MOST_LOOKS, MOST_KEPT = 1000, 2048  # looks and series in the file, which stays below 4 MB
_MAX_BYTES = 16 * 1024**2
_LOCK = ".looks.lock"
_MARK = ".looks"  # in the folder of the models: how many looks the file must hold
_WAIT = 5.0  # seconds for another run to write the file
_UNIT = 1e-6
_TOLERANCE = round(1e-4 / _UNIT)
_SAME, _FEWEST = 0.9, 3  # least share of days that agree, and fewest days to compare

S = TypeVar("S")
By = Literal["evaluate", "predict", "models promote", "train"]


@dataclass(frozen=True)
class Sketch:
    """Log moves of a series, in millionths, on some of its days, counted from 1970."""

    symbol: str
    days: tuple[Count, ...]
    moves: tuple[Count, ...]

    def __post_init__(self) -> None:
        if len(self.days) != len(self.moves):
            raise ValueError("days and moves of different lengths")


@dataclass(frozen=True)
class Scored(Generic[S]):
    """One model scored from the day `first` to `last` of some series.

    series : sketches, or their numbers in the record. model : a hash of the model, so that a copy
    counts as the same one. name : for display. settings : other settings that affect the scores.
    """

    model: str
    name: str
    by: By
    settings: str
    first: IsoDate
    last: IsoDate
    series: tuple[S, ...]


Look = Scored[Sketch]


@dataclass(frozen=True)
class Looks:
    """The number of models and looks at a period, including this look.

    by : models by command; a model scored by several commands counts for `evaluate` first.
    at_least : whether earlier looks are missing from the record.
    """

    models: int
    looks: int
    by: dict[str, int]
    at_least: bool


@dataclass
class _Record:
    """The content of the file. dropped : looks beyond MOST_LOOKS. lost : missing looks."""

    series: dict[int, Sketch]
    looks: list[Scored[int]]
    dropped: Count = 0
    lost: Count = 0
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not {number for each in self.looks for number in each.series} <= self.series.keys():
            raise ValueError("a look at an unknown series")
        if min(self.dropped, self.lost) < 0:
            raise ValueError("a negative number of looks")

    @property
    def total(self) -> int:
        return len(self.looks) + self.dropped + self.lost


def sketch(symbol: str, dates: Days, log_prices: Floats) -> Sketch:
    """Return the moves of a series on the days with the lowest hashes, each from the bar before."""
    days = dates[1:].astype("datetime64[D]").astype(np.int64)
    moves = np.rint(np.diff(log_prices) / _UNIT).astype(np.int64)
    chosen = np.sort(np.argsort(_hash(days), kind="stable")[:MOST_DAYS])
    return Sketch(symbol, tuple(days[chosen].tolist()), tuple(moves[chosen].tolist()))


def record_looks(data_dir: Path, looks: Sequence[Look]) -> tuple[Looks, str | None]:
    """Add looks to the record of a data folder; return all looks at their period, and a note.

    The note reports that earlier looks are missing from the record, else it is None. Raises
    LockedError if another run holds the record, FileError if it cannot be read or written.
    """
    path, models = data_dir / LOOKS, inside(data_dir, data_dir / "models")
    with hold(data_dir / _LOCK, wait=_WAIT):
        for each in (path, models / _MARK):
            atomic.remove_leftovers(each)
        record, aside = _read(path)
        expected = 0
        with suppress(OSError, ValueError):
            expected = max(0, int(read_file(models / _MARK, _MAX_BYTES)))
        record.lost += max(0, expected - record.total, aside is not None and not expected)
        entries = [_add(record, each) for each in looks]
        found = _at_the_period(record, entries)
        _limit(record)
        atomic.write_text(path, json.dumps(asdict(record), separators=(",", ":")) + "\n")
        if models.is_dir():  # after the record, so that it never expects looks not yet written
            atomic.write_text(models / _MARK, f"{record.total}\n")
    if not record.lost:
        return found, None
    kept = "" if aside is None else f"; the rest of it is kept as {aside}"
    return found, (
        f"{path} was deleted or damaged: {record.lost} or more earlier looks at test spans are "
        f"not counted{kept}"
    )


def _hash(days: Ints) -> NDArray[np.uint64]:
    """Mix the bits of days: the last steps of splitmix64. Source: Steele et al., OOPSLA 2014."""
    mixed = days.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _add(record: _Record, look: Look) -> Scored[int]:
    """Add a look, merged with an equal look if their days overlap."""
    series = look.series
    if len(series) > MOST_SERIES:
        series = tuple(sorted(series, key=lambda each: zlib.crc32(each.symbol.encode())))
    numbers = _numbers(record.series, series[:MOST_SERIES])
    entry = Scored[int](**{**vars(look), "series": numbers})
    for each in list(record.looks):
        same = replace(each, name=entry.name, first=entry.first, last=entry.last) == entry
        if same and _overlap(each, entry):
            record.looks.remove(each)
            first, last = min(each.first, entry.first), max(each.last, entry.last)
            entry = replace(entry, first=first, last=last)
            break  # merge at most one, so that the number of looks never falls
    record.looks.append(entry)
    return entry


def _numbers(known: dict[int, Sketch], sketches: Sequence[Sketch]) -> tuple[int, ...]:
    """Return the numbers of series in the record, adding new ones."""
    keys = list(known)
    days = sorted({day for each in known.values() for day in each.days})
    table = np.full((len(keys), len(days)), np.nan)
    for row, each in enumerate(known.values()):
        table[row, np.searchsorted(days, each.days)] = each.moves
    symbols = np.array([each.symbol for each in known.values()], dtype=object)
    found = set()
    for each in sketches:
        place = _find(each, table, days, symbols)
        number = max(known, default=0) + 1 if place is None else keys[place]
        if place is None or _reach(each) > _reach(known[number]):
            known[number] = each
        found.add(number)
    return tuple(sorted(found))


def _find(
    each: Sketch, table: Floats, days: Sequence[int], symbols: NDArray[np.object_]
) -> int | None:
    """Return the row of the table with the same series, or None for a new one.

    Days on which neither series moved are ignored; if too few others are left, the symbol decides.
    """
    if not len(symbols):
        return None
    columns = np.searchsorted(days, each.days)
    shared = columns < len(days)
    shared[shared] = np.asarray(days)[columns[shared]] == np.asarray(each.days)[shared]
    theirs, ours = table[:, columns[shared]], np.asarray(each.moves, np.float64)[shared]
    compared = np.maximum(np.abs(theirs), np.abs(ours)) > _TOLERANCE  # False if either is NaN
    agree = compared & (np.abs(theirs - ours) <= _TOLERANCE)
    number = compared.sum(axis=1)
    same = np.where(number < _FEWEST, symbols == each.symbol, agree.sum(axis=1) >= _SAME * number)
    return int(np.argmax(np.where(same, number, -1))) if same.any() else None


def _reach(each: Sketch) -> int:
    return each.days[-1] - each.days[0] if each.days else 0


def _overlap(one: Scored[int], other: Scored[int]) -> bool:
    """Return whether two looks share a day of a series."""
    in_time = one.first <= other.last and other.first <= one.last
    return in_time and not set(one.series).isdisjoint(other.series)


def _at_the_period(record: _Record, entries: Sequence[Scored[int]]) -> Looks:
    """Count the models and looks that share a day of a series with these looks."""
    found = [each for each in record.looks if any(_overlap(each, new) for new in entries)]
    by: dict[str, By] = {}
    for each in sorted(found, key=lambda look: get_args(By).index(look.by)):
        by.setdefault(each.model, each.by)
    counts = dict[str, int](Counter(by.values()))
    return Looks(len(by), len(found), counts, bool(record.dropped or record.lost))


def _limit(record: _Record) -> None:
    """Drop the least recently repeated looks if there are too many."""
    while True:
        used = {number for each in record.looks for number in each.series}
        over = max(len(record.looks) - MOST_LOOKS, len(used) > MOST_KEPT)
        if over <= 0:
            break
        record.looks, record.dropped = record.looks[over:], record.dropped + over
    record.series = {number: each for number, each in record.series.items() if number in used}


def _read(path: Path) -> tuple[_Record, str | None]:
    """Return the record, and the new name of a damaged one that was put aside, or None."""
    try:
        if path.is_symlink():  # replacing the file would lose the link
            raise OSError(0, "it is a link")
        return parse_record(_Record, read_file(path, _MAX_BYTES)), None
    except FileNotFoundError:
        return _Record({}, []), None
    except OSError as error:
        raise FileError("cannot read the file", where=path, why=error.strerror or "") from error
    except ValueError:
        return _Record({}, []), atomic.put_aside(path)
