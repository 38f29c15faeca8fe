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
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCHEMA_VERSION = 1
START = b'{"ledger":'
_DIGITS = 5
_TAIL_BYTES = len(b',"crc32":"00000000"}')


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
    facts = json.loads(body.decode("ascii") + "}")
    version = facts.pop("ledger", None)
    if version != SCHEMA_VERSION:
        raise ValueError(f"it is of schema version {version}, expected {SCHEMA_VERSION}")
    try:
        entry = Entry(**facts)
    except TypeError as error:
        raise ValueError("it lacks some of its fields, or has others") from error
    _check_shape(entry)
    return entry


def rounded(moves: Iterable[Iterable[float]]) -> list[list[float]]:
    """Return log moves with the digits that a line keeps."""
    return [[float(f"{move:.{_DIGITS}g}") for move in row] for row in moves]


def _check_shape(entry: Entry) -> None:
    columns = len(entry.levels) or 1
    fits = len(entry.steps) == len(entry.dates) == len(entry.moves) > 0
    if not fits or any(len(row) != columns for row in entry.moves):
        raise ValueError("its steps, dates, levels and moves do not fit")
    if entry.levels and 0.5 not in entry.levels:
        raise ValueError("it has no median")


def _tail(body: bytes) -> bytes:
    return b',"crc32":"%08x"}' % zlib.crc32(body)
