"""The forecast ledger: forecasts recorded when they are issued, so that they can be scored later.

    <data-dir>/ledger/2026-01.jsonl     one file per month of issue (UTC), lines in order of issue

A forecast of one symbol is one line of ASCII:

    {"ledger":1,"issued":"2026-01-05T22:10:03Z","model":"default","version":"v0003",
     "symbol":"AAPL","interval":"1d","price":"Adj Close","cutoff":"2026-01-05",
     "last_close":187.42,"context_length":250,"steps":[1,5,20,50],"dates":["2026-01-06",...],
     "levels":[0.025,0.1,0.25,0.5,0.75,0.9,0.975],"moves":[[-0.036514,...],...],
     "data":"9f86d081884c7d65","weights":"60303ae22b998861","lstmcli":"0.5.0","crc32":"0a1b2c3d"}

`moves` are log moves from the last price, one row per step, one number per level; for a point
forecast, `levels` is empty and each row holds the median. They are rounded to five significant
digits, an error of at most 0.005 % of the move. `crc32` covers all bytes before its comma.

The ledger is append-only. A run adds all its lines at once, with one fsync, before it shows any of
them. If a run is killed while writing, the next run cuts the torn last line.
"""

import json
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import file_errors
from lstmcli.files.atomic import append_lines, is_torn, make_folder
from lstmcli.market.symbols import inside
from lstmcli.records import bounded, parse_record

SCHEMA_VERSION = 1
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # to record, or the nearest levels of a fan
_MONTHS = "[0-9][0-9][0-9][0-9]-[0-9][0-9].jsonl"
_START = b'{"ledger":'
_DIGITS = 5
_TAIL_BYTES = len(b',"crc32":"00000000"}')
_EPOCH = date(1970, 1, 1).toordinal()
_MOST_ROWS = 10_000  # twice what the settings allow
_Interval = Annotated[str, bounded(pattern=r"^(1d|1wk|[136]mo|1y|[0-9]{1,3}D)$")]
_Move = Annotated[float, bounded(gt=-100.0, lt=100.0)]  # log move: no price moves further


class Entry(NamedTuple):
    """One forecast of one symbol from one cutoff.

    A NamedTuple, because it is created in half the time of a frozen dataclass.

    issued : time in UTC. interval : of the bars. price : the forecast price column.
    context_length : number of rows read up to the cutoff; data : their fingerprint.
    steps, dates : (S,) the recorded steps, and the session of each step.
    levels : (Q,), empty for a point forecast. moves : (S, Q), or (S, 1) for a point forecast.
    weights : the first digits of the SHA-256 of `model.safetensors`. lstmcli : its version.
    """

    issued: str
    model: str
    version: str
    symbol: str
    interval: _Interval
    price: Annotated[str, bounded(pattern="^(Close|Adj Close)$")]
    cutoff: str
    last_close: Annotated[float, bounded(gt=0.0, allow_inf_nan=False)]
    context_length: Annotated[int, bounded(gt=0, le=_MOST_ROWS)]
    steps: Annotated[Sequence[int], bounded(min_length=1)]
    dates: Sequence[str]
    levels: Sequence[float]
    moves: Sequence[Sequence[_Move]]
    data: str
    weights: str
    lstmcli: str

    @property
    def reference(self) -> str:
        """The model of the forecast as `name/version`."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class Damage:
    """A damaged line, which readers skip, and the reason."""

    path: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path} line {self.line} is left out: {self.why}"


@dataclass(frozen=True)
class Issued:
    """N forecasts by one model name, by symbol and cutoff; the first one for each cutoff.

    versions : number of forecasts of each version. repeated : number of later forecasts for the
    same cutoff, which are left out. symbols : the slice of N of each symbol. cutoff : (N,) and
    dates : (N, H) the session of each step, in days since 1970. context_length : (N,).
    moves : (N, H, Q) in the order of the lines, as float32, which holds the digits of a line.
    rows : (N,) the row of each forecast in moves.
    """

    model: str
    interval: str
    price: str
    versions: dict[str, int]
    repeated: int
    symbols: dict[str, slice]
    cutoff: NDArray[np.int32]
    context_length: NDArray[np.int32]
    dates: NDArray[np.int32]
    steps: tuple[int, ...]
    levels: tuple[float, ...]
    moves: NDArray[np.float32]
    rows: NDArray[np.int32]


def append(data_dir: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Append the forecasts of one run, durable on return, or leave the ledger unchanged.

    First cuts a torn line that an earlier run has left, and returns a note for each. Raises
    FileError if the entries cannot be written, LockedError if another run keeps the file locked.
    """
    if not entries:
        return ()
    folder = _folder(data_dir)
    path = inside(data_dir, folder / f"{entries[0].issued[:7]}.jsonl")
    with file_errors("cannot write to the ledger", folder, ""):
        make_folder(folder)
        # Only the newest file can have a torn line.
        latest = [] if path.exists() else _files(data_dir)[-1:]
        torn = [each for each in latest if each.is_file() and is_torn(each)]
    cut = {each: append_lines(each, b"") for each in torn}
    cut[path] = append_lines(path, b"".join(map(encode, entries)))
    return tuple(
        f"{each}: a killed run left a torn last line; its {size} bytes are cut"
        for each, size in cut.items()
        if size
    )


def read_ledger(data_dir: Path) -> Iterator[Entry | Damage]:
    """Yield every line in order of issue; raises FileError if a file cannot be read."""
    for path in _files(data_dir):
        for number, line in enumerate(_lines(path), start=1):
            if not line.endswith(b"\n"):
                yield Damage(path, number, "its end was never written")
                continue
            try:
                yield decode(line[:-1])
            except ValueError as error:
                yield Damage(path, number, str(error))
                # If the line end was damaged, the next entry starts within this line.
                for piece in line[1:-1].split(_START)[1:]:
                    try:
                        yield decode(_START + piece)
                    except ValueError as error:
                        yield Damage(path, number, str(error))


def collect(entries: Iterable[Entry]) -> list[Issued]:
    """Group entries, given in order of issue, by model name and shape.

    If one model name has several forecasts of the same symbol, price and cutoff, only the first
    counts: a later one may have seen restated prices.
    """
    sets: dict[tuple[object, ...], _Lines] = {}
    symbols: dict[str, int] = {}
    seen: dict[tuple[str, ...], int] = {}  # one bit per symbol, by cutoff: sets would take 32 MB
    for entry in entries:
        kind = entry.model, entry.interval, entry.price
        shape = (*kind, *entry.steps, None, *entry.levels)
        if shape not in sets:
            sets[shape] = _Lines(entry)
        known = seen.get((*kind, entry.cutoff), 0)
        bit = 1 << symbols.setdefault(entry.symbol, len(symbols))
        if known & bit:
            sets[shape].repeated += 1
        else:
            seen[*kind, entry.cutoff] = known | bit
            sets[shape].add(entry)
    # Each large group is freed as soon as it has been converted.
    return [sets.pop(shape).issued() for shape in list(sets) if sets[shape].versions]


class _Lines:
    """Forecasts of one shape collected in arrays, without an object for each."""

    def __init__(self, first: Entry) -> None:
        self._first = first
        self._numbers = array("i")  # (N, 3 + H): symbol, context, cutoff, dates
        self._moves = array("f")
        self._symbols: dict[str, int] = {}
        self.versions: Counter[str] = Counter()
        self.repeated = 0

    def add(self, entry: Entry) -> None:
        symbol = self._symbols.setdefault(entry.symbol, len(self._symbols))
        days = map(day_number, (entry.cutoff, *entry.dates))
        self._numbers.extend((symbol, entry.context_length, *days))
        self._moves.extend(chain.from_iterable(entry.moves))
        self.versions[entry.version] += 1

    def issued(self) -> Issued:
        """Return the forecasts by symbol and cutoff."""
        first, names = self._first, sorted(self._symbols)
        table = np.frombuffer(self._numbers, dtype=np.int32).reshape(-1, 3 + len(first.steps))
        rank = np.empty(len(names), dtype=np.int32)
        rank[[self._symbols[name] for name in names]] = np.arange(len(names))
        symbol = rank[table[:, 0]]
        rows = np.lexsort((table[:, 2], symbol)).astype(np.int32)
        ends = np.bincount(symbol).cumsum().tolist()
        table = table[rows]
        return Issued(
            model=first.model,
            interval=first.interval,
            price=first.price,
            versions=dict(self.versions),
            repeated=self.repeated,
            symbols=dict(zip(names, map(slice, [0, *ends], ends), strict=True)),
            cutoff=table[:, 2],
            context_length=table[:, 1],
            dates=table[:, 3:],
            steps=tuple(first.steps),
            levels=tuple(first.levels),
            moves=np.frombuffer(self._moves, np.float32).reshape(len(rows), len(first.steps), -1),
            rows=rows,
        )


def encode(entry: Entry) -> bytes:
    """Return the line of an entry with its line end; raises ValueError for a move that is NaN."""
    facts = {"ledger": SCHEMA_VERSION, **entry._asdict(), "moves": rounded(entry.moves)}
    text = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    body = text.removesuffix("}").encode("ascii")
    return body + _tail(body) + b"\n"


def decode(line: bytes) -> Entry:
    """Parse a line without its line end; raises ValueError with the reason if it is damaged."""
    body = line[:-_TAIL_BYTES]
    if line[-_TAIL_BYTES:] != _tail(body):
        raise ValueError("its checksum does not match")
    version, _, rest = body.removeprefix(_START).partition(b",")
    if version.strip() != b"%d" % SCHEMA_VERSION:
        found = version[:40].decode("ascii", "replace").strip()
        raise ValueError(f"it is of schema version {found}, expected {SCHEMA_VERSION}")
    entry = parse_record(Entry, b"{" + rest + b"}")
    columns = len(entry.levels) or 1
    fits = len(entry.steps) == len(entry.dates) == len(entry.moves)
    if not fits or any(len(row) != columns for row in entry.moves):
        raise ValueError("its steps, dates, levels and moves differ in length")
    _check_order(tuple(entry.steps), tuple(entry.levels))
    _check_days(entry.cutoff, *entry.dates)
    return entry


def rounded(moves: Iterable[Iterable[float]]) -> list[list[float]]:
    """Round log moves to the digits that a line keeps."""
    return [[float(f"{move:.{_DIGITS}g}") for move in row] for row in moves]


@lru_cache(maxsize=100_000)
def nearest_columns(levels: tuple[float, ...]) -> list[int]:
    """Return the indices of the levels nearest to LEVELS, each once."""
    return sorted(set(np.abs(np.subtract.outer(LEVELS, levels)).argmin(axis=1).tolist()))


def day_number(text: str) -> int:
    """Return the days since 1970 of a date YYYY-MM-DD (cached); ValueError for other texts."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text} is not a date YYYY-MM-DD")
    return day.toordinal() - _EPOCH


def _folder(data_dir: Path) -> Path:
    return inside(data_dir, data_dir / "ledger")


def _files(data_dir: Path) -> list[Path]:
    return [inside(data_dir, path) for path in sorted(_folder(data_dir).glob(_MONTHS))]


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, one at a time."""
    with file_errors("cannot read the ledger", path, ""):
        if not path.is_file():  # opening a pipe would wait for its writer
            raise OSError(0, "it is not a regular file")
        with open(path, "rb") as file:
            yield from file


def _tail(body: bytes) -> bytes:
    return b',"crc32":"%08x"}' % zlib.crc32(body)


@lru_cache(maxsize=1000)
def _check_order(steps: tuple[int, ...], levels: tuple[float, ...]) -> None:
    if list(steps) != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= _MOST_ROWS:
        raise ValueError("its steps do not ascend from 1 or more")
    if list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels):
        raise ValueError("its levels do not ascend between 0 and 1")
    if levels and 0.5 not in levels:
        raise ValueError("it has no median")


@lru_cache(maxsize=10_000)
def _check_days(*days: str) -> None:
    numbers = [day_number(day) for day in days]
    if numbers != sorted(set(numbers)):
        raise ValueError("its dates do not ascend from its cutoff")
