"""What changes about a model name, in `state.json` next to its versions: stale marks.

A stale mark names what was restated and when, and is about every version that read its prices
before.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lstmcli import atomic
from lstmcli.errors import FileError
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
class StaleMark:
    """The latest time that a symbol's history was replaced in the store.

    price : the column that changed. restated : when, as an ISO time in UTC. reason : why.
    """

    symbol: str
    interval: str
    price: str
    restated: str
    reason: str


def mark_stale(folder: Path, marks: Sequence[StaleMark]) -> None:
    """Add marks to the state of the model name in `folder`, in the place of earlier ones.

    Raises LockedError when another run is at work there, FileError when nothing can be written.
    """
    with _held(folder):
        state = _read(folder / _STATE)
        new = {_about(mark) for mark in marks}
        kept = [mark for mark in _marks(state) if _about(mark) not in new]
        state["schema_version"] = SCHEMA_VERSION
        state["stale"] = [asdict(mark) for mark in (*kept, *marks)]
        atomic.write_text(folder / _STATE, json.dumps(state, indent=2) + "\n")


def stale_marks(folder: Path) -> tuple[StaleMark, ...]:
    """Return the marks of the model name in `folder`, without a lock; none of a damaged state."""
    try:
        return tuple(_marks(json.loads((folder / _STATE).read_bytes())))
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


def _about(mark: StaleMark) -> tuple[str, str, str]:
    return mark.symbol, mark.interval, mark.price


def _read(path: Path) -> dict[str, Any]:
    """Return the state; a damaged one is put aside."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FileError("cannot read the file", where=path, why=error.strerror or "") from error
    try:
        state: dict[str, Any] = json.loads(data)
        _marks(state)
    except _NOT_A_STATE:
        atomic.put_aside(path)
        return {}
    return state


def _marks(state: Any) -> list[StaleMark]:
    """Return the marks of a state; raises one of `_NOT_A_STATE` for anything else."""
    names = [field.name for field in fields(StaleMark)]
    return [StaleMark(*(str(each[name]) for name in names)) for each in state.get("stale", [])]
