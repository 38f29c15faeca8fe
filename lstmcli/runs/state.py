"""What changes about a model name, in `state.json` beside its versions: looks and stale marks.

Every evaluation on a test span is a look at it, and whoever chooses by what they saw has used it
up. A look is kept as the symbols and days that it saw, not as a version, so that training again,
also with another split, does not reset the count. A stale mark likewise names what was restated and
when, and is about every version that read its prices before.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lstmcli import atomic
from lstmcli.errors import FileError
from lstmcli.records import read_json
from lstmcli.runs.locks import hold

SCHEMA_VERSION = 1
_STATE = "state.json"
_NOT_A_STATE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)
_LOCK = ".state.lock"  # not the name's own lock, which a training holds for long
_WAIT = 5.0  # seconds for another run to write a few lines


@dataclass(frozen=True)
class Look:
    """Evaluations that saw the same: `symbols` of a `price` column, days `first` to `last`."""

    symbols: tuple[str, ...]
    price: str
    first: str
    last: str
    count: int = 1


@dataclass(frozen=True)
class StaleMark:
    """The latest time that a symbol's history was replaced in the store.

    price : the column that changed. restated : when, as an ISO time in UTC. reason : why.
    """

    symbol: str
    interval: str
    price: str
    restated: str
    reason: str


def count_look(folder: Path, look: Look, test_start: str) -> tuple[int, str | None]:
    """Add a look to the state of the model name in `folder`.

    Returns how often, this time included, any day from `test_start` on of any of its symbols was
    looked at, and a note where the file was damaged: it is put aside, and counting begins anew.
    Raises LockedError when another run is at work there, FileError when nothing can be written.
    """
    with _held(folder):
        state, note = _read(folder / _STATE)
        looks = _with(_looks(state), look)
        _write(folder / _STATE, state, looks=looks)
    return sum(each.count for each in looks if _saw(each, look, test_start)), note


def mark_stale(folder: Path, marks: Sequence[StaleMark]) -> None:
    """Add marks to the state of the model name in `folder`, in the place of earlier ones.

    Raises LockedError when another run is at work there, FileError when nothing can be written.
    """
    with _held(folder):
        state, _ = _read(folder / _STATE)
        new = {_about(mark) for mark in marks}
        kept = [mark for mark in _marks(state) if _about(mark) not in new]
        _write(folder / _STATE, state, stale=[*kept, *marks])


def stale_marks(folder: Path) -> tuple[StaleMark, ...]:
    """Return the marks of the model name in `folder`, without a lock; none of a damaged state."""
    try:
        return tuple(_marks(read_json((folder / _STATE).read_bytes())))
    except (OSError, *_NOT_A_STATE):
        return ()


def is_its_stray(path: Path) -> bool:
    """Whether a temporary file is the state's: only who holds its lock may remove it."""
    return path.name.startswith(f".{_STATE}.")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the state's lock, and clear what a writer that was killed has left."""
    with hold(folder / _LOCK, wait=_WAIT):
        for stray in folder.glob(f".{_STATE}.*{atomic.TEMPORARY_SUFFIX}"):
            stray.unlink(missing_ok=True)
        yield


def _with(looks: Sequence[Look], look: Look) -> list[Look]:
    """Add a look, to the count of one that saw the same where there is one."""
    same = [each for each in looks if replace(each, count=look.count) == look]
    rest = [each for each in looks if each not in same]
    return [*rest, replace(look, count=look.count + sum(each.count for each in same))]


def _saw(earlier: Look, look: Look, test_start: str) -> bool:
    shared = set(earlier.symbols) & set(look.symbols)
    return bool(shared) and earlier.price == look.price and earlier.last >= test_start


def _about(mark: StaleMark) -> tuple[str, str, str]:
    return mark.symbol, mark.interval, mark.price


def _write(
    path: Path, state: dict[str, Any], **lists: Sequence[Look] | Sequence[StaleMark]
) -> None:
    tables = {name: [asdict(each) for each in entries] for name, entries in lists.items()}
    state = {**state, "schema_version": SCHEMA_VERSION, **tables}
    atomic.write_text(path, json.dumps(state, indent=2) + "\n")


def _read(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the state, and a note where a damaged one was put aside."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        raise FileError("cannot read the file", where=path, why=error.strerror or "") from error
    try:
        state = read_json(data)
        _looks(state)
        _marks(state)
    except _NOT_A_STATE as error:
        return {}, _put_aside(path, error)
    return state, None


def _looks(state: Any) -> list[Look]:
    """Return the looks of a state; raises one of `_NOT_A_STATE` for anything else."""
    if not isinstance(state, dict):
        raise TypeError(f"expected an object, found {type(state).__name__}")
    looks = []
    for each in state.get("looks", []):
        days = str(each["first"]), str(each["last"])
        symbols = tuple(str(symbol) for symbol in each["symbols"])
        looks.append(Look(symbols, str(each["price"]), *days, int(each["count"])))
    return looks


def _marks(state: Any) -> list[StaleMark]:
    """Return the marks of a state; raises one of `_NOT_A_STATE` for anything else."""
    names = [field.name for field in fields(StaleMark)]
    return [StaleMark(*(str(each[name]) for name in names)) for each in state.get("stale", [])]


def _put_aside(path: Path, error: Exception) -> str:
    numbers = (f"{path.name}.damaged{number or ''}" for number in range(1000))
    aside = next(path.with_name(name) for name in numbers if not path.with_name(name).exists())
    try:
        path.rename(aside)
    except OSError as failed:
        raise FileError("cannot put aside", where=path, why=failed.strerror or "") from failed
    return (
        f"{path} was damaged ({' '.join(str(error).split())}) and is kept as {aside.name}; "
        "looks at the test span are counted anew, and stale marks are lost"
    )
