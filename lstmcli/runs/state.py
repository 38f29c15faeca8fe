"""Marks of restated prices in `state.json` next to a model's versions, as versions up to 0.1 set.

Later ones compare the prices themselves; see `workflows.stale`.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lstmcli.records import read_json

_STATE = "state.json"
_NOT_A_STATE = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


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
    names = [field.name for field in fields(StaleMark)]
    try:
        state: Any = read_json((folder / _STATE).read_bytes())
        return tuple(
            StaleMark(*(str(each[name]) for name in names)) for each in state.get("stale", [])
        )
    except (OSError, *_NOT_A_STATE):
        return ()
