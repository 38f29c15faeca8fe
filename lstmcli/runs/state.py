"""Marks of restated prices in `state.json` next to a model's versions, as earlier versions set.

They are only read: now the prices themselves are compared; see `workflows.stale`.
"""

from dataclasses import dataclass, fields
from pathlib import Path

from lstmcli.records import check_record, read_file, read_json

STATE = "state.json"
MAX_BYTES = 16 * 1024**2


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
        state = read_json(read_file(folder / STATE, MAX_BYTES))
        check_record(state, {"stale?": [dict.fromkeys(names, str)]})
        return tuple(
            StaleMark(**{name: each[name] for name in names}) for each in state.get("stale", [])
        )
    except (OSError, ValueError):
        return ()
