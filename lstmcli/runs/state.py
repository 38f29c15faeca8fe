"""Marks of restated prices in `state.json` next to a model's versions, as earlier versions set.

They are only read: now the prices themselves are compared; see `workflows.stale`.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmcli.records import check_record, read_file, read_json

STATE = "state.json"
MAX_BYTES = 16 * 1024**2
_MARK = dict.fromkeys(("symbol", "interval", "price", "restated", "reason"), str)


@dataclass(frozen=True)
class StaleMark:
    """A symbol whose stored history is another one than a version was trained on.

    price : the column that changed. restated : when, as an ISO date or time, "" where that is not
    known. reason : why.
    """

    symbol: str
    interval: str
    price: str
    restated: str
    reason: str


def stale_marks(folder: Path) -> tuple[StaleMark, ...]:
    """Return the marks of the model name in `folder`; none of a damaged state."""
    with suppress(OSError, ValueError):
        state: Any = read_json(read_file(folder / STATE, MAX_BYTES))
        check_record(state, {"stale?": [_MARK]})
        marks = state.get("stale", [])
        return tuple(StaleMark(*(mark[name] for name in _MARK)) for mark in marks)
    return ()
