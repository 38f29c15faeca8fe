"""One line of the forecast ledger: a forecast as it was issued, in JSON, with a checksum.

    {"ledger":1,"issued":"2026-01-05T22:10:03Z","model":"default","version":"v0003",
     "symbol":"AAPL","interval":"1d","price":"Adj Close","cutoff":"2026-01-05",
     "last_close":187.42,"context_length":250,"steps":[1,5,20,50],"dates":["2026-01-06",...],
     "levels":[0.025,0.1,0.25,0.5,0.75,0.9,0.975],"moves":[[-0.036514,...],...],
     "data":"9f86d081884c7d65","weights":"60303ae22b998861","lstmcli":"0.5.0","crc32":"0a1b2c3d"}

on one line of ASCII. `moves` are log moves from the last price, one row a step, one number a level;
with `levels` empty, of a point forecast, the median alone. They are rounded to five significant
digits, at most 0.005 % of the move. `crc32` is that of all bytes before its comma.
"""

import json
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

SCHEMA_VERSION = 1
START = b'{"ledger":'
_DIGITS = 5
_TAIL_BYTES = len(b',"crc32":"00000000"}')
_EPOCH = date(1970, 1, 1).toordinal()
_PRICES = ("Close", "Adj Close")
_INTERVAL = re.compile(r"1d|1wk|[136]mo|1y|\d{1,3}D")
_MOST_ROWS = 10_000  # twice what the settings allow
_LARGEST_MOVE = 100.0  # in logs
_NUMBER = frozenset((int, float))


class Entry(NamedTuple):
    """One forecast of one symbol from one cutoff; made in half the time of a frozen dataclass.

    issued : when, in UTC. interval : of the bars. price : the column whose moves are forecast.
    context_length : rows up to the cutoff that it saw; data : their fingerprint.
    steps, dates : (S,) the steps kept, and the session that each of them means.
    levels : (Q,), empty for a point forecast. moves : (S, Q), or (S, 1) for a point forecast.
    weights : the first digits of the SHA-256 of `model.safetensors`. lstmcli : its version.
    """

    issued: str
    model: str
    version: str
    symbol: str
    interval: str
    price: str
    cutoff: str
    last_close: float
    context_length: int
    steps: Sequence[int]
    dates: Sequence[str]
    levels: Sequence[float]
    moves: Sequence[Sequence[float]]
    data: str
    weights: str
    lstmcli: str


_TYPES = [
    (*[str] * 7, close, int, *[list] * 4, *[str] * 3)  # of the fields of an Entry
    for close in (float, int)
]


def encode(entry: Entry) -> bytes:
    """Return the line of an entry, its end included; raises ValueError for a move that is none."""
    facts = {"ledger": SCHEMA_VERSION, **entry._asdict(), "moves": rounded(entry.moves)}
    text = json.dumps(facts, separators=(",", ":"), allow_nan=False)
    body = text.removesuffix("}").encode("ascii")
    return body + _tail(body) + b"\n"


def decode(line: bytes) -> Entry:
    """Read a line without its end; raises ValueError saying what is wrong with it."""
    body = line[:-_TAIL_BYTES]
    if line[-_TAIL_BYTES:] != _tail(body):
        raise ValueError("its checksum does not match")
    try:
        facts = json.loads(body.decode("ascii") + "}")
        version = facts.pop("ledger", None)
        if version != SCHEMA_VERSION:
            raise ValueError(f"it is of schema version {json.dumps(version)[:40]}, expected 1")
        entry = Entry(**facts)
    except TypeError as error:
        raise ValueError("it lacks some of its fields, or has others") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    _check_types(entry)
    _check_shape(entry)
    return entry


def rounded(moves: Iterable[Iterable[float]]) -> list[list[float]]:
    """Return log moves with the digits that a line keeps."""
    return [[float(f"{move:.{_DIGITS}g}") for move in row] for row in moves]


@lru_cache(maxsize=100_000)
def day_number(text: str) -> int:
    """Return the days since 1970 of an ISO date, of which there are few; ValueError for others."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text} is no date as YYYY-MM-DD")
    return day.toordinal() - _EPOCH


def _check_types(entry: Entry) -> None:
    """Raise ValueError for values of other types; quick, since there are many lines."""
    if tuple(map(type, entry)) not in _TYPES:
        wrong = next(
            name
            for name, value, kind in zip(Entry._fields, entry, _TYPES[0], strict=True)
            if type(value) is not kind
        )
        raise ValueError(f"its {wrong} is of another type than it should be")
    if entry.price not in _PRICES or not _INTERVAL.fullmatch(entry.interval):
        raise ValueError("there is no such price column or interval")
    if not (0 < entry.last_close < math.inf and 0 < entry.context_length <= _MOST_ROWS):
        raise ValueError("its last_close or context_length is out of range")
    inner = {*map(type, entry.steps)}, {*map(type, entry.dates)}, {*map(type, entry.moves)}
    if inner != ({int}, {str}, {list}) or not _NUMBER.issuperset(map(type, entry.levels)):
        raise ValueError("its steps, dates, levels or moves are of other types than they should be")


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


def _check_shape(entry: Entry) -> None:
    columns = len(entry.levels) or 1
    fits = len(entry.steps) == len(entry.dates) == len(entry.moves) > 0
    if not fits or any(len(row) != columns for row in entry.moves):
        raise ValueError("its steps, dates, levels and moves do not fit")
    _check_order(tuple(entry.steps), tuple(entry.levels))
    _check_days(entry.cutoff, *entry.dates)
    moves = list(chain.from_iterable(entry.moves))
    if not _NUMBER.issuperset(map(type, moves)):
        raise ValueError("a move is no number")
    try:
        usable = math.isfinite(sum(moves)) and max(map(abs, moves)) < _LARGEST_MOVE
    except OverflowError:
        usable = False
    if not usable:
        raise ValueError("a move is larger than a price can make, or no number")


def _tail(body: bytes) -> bytes:
    return b',"crc32":"%08x"}' % zlib.crc32(body)
