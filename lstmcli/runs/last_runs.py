"""How the last run of each command ended, and the last good one: `runs.json` of the data folder.

It says when the folder was last updated, also without a log.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lstmcli.errors import FileError, PartialError
from lstmcli.files import atomic
from lstmcli.files.locks import hold
from lstmcli.market.symbols import inside
from lstmcli.records import check_record, read_file, read_json

SCHEMA_VERSION = 1
NIGHTLY = ("fetch", "predict")
_FILE = "runs.json"
_WAIT = 5.0  # seconds for other ends, each of which takes milliseconds
_MAX_BYTES = 1024**2
_SKEW = timedelta(minutes=5)  # between the clocks of machines that share a folder
_END = {
    **dict.fromkeys(("command", "run_id", "started", "ended", "error"), str),
    "exit_code": int,
    "counts": {str: float},
}


@dataclass(frozen=True)
class RunEnd:
    """How one run ended.

    started, ended : UTC in ISO form. counts : such as how many symbols were done and failed.
    error : why it failed, or some of its symbols did; empty where nothing did.
    """

    command: str
    run_id: str
    started: str
    ended: str
    exit_code: int
    counts: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it did its work, for some of the symbols at least."""
        return self.exit_code in (0, PartialError.exit_code)


@dataclass(frozen=True)
class LastRuns:
    """The last run of a command, and the last good one where there was one."""

    last: RunEnd
    last_good: RunEnd | None


def note_end(data_dir: Path, end: RunEnd) -> None:
    """Add a run's end to the record of a data folder that is there.

    Raises LockedError when another end is still being written, FileError when it cannot be.
    """
    path = data_dir / _FILE
    with hold(data_dir / ".lock", wait=_WAIT):
        for stray in data_dir.glob(f".{_FILE}.*{atomic.TEMPORARY_SUFFIX}"):
            stray.unlink(missing_ok=True)
        known = last_runs(data_dir)
        earlier = known.get(end.command)
        good = end if end.is_good else earlier.last_good if earlier else None
        runs = {**known, end.command: LastRuns(end, good)}
        tree = {name: asdict(each) for name, each in sorted(runs.items())}
        document = {"schema_version": SCHEMA_VERSION, "runs": tree}
        atomic.write_text(path, json.dumps(document, indent=2) + "\n")


def last_runs(data_dir: Path) -> dict[str, LastRuns]:
    """Return the last runs by command; none without a readable record."""
    try:
        tree = read_json(read_file(inside(data_dir, data_dir / _FILE), _MAX_BYTES))["runs"]
        check_record(tree, {str: {"last": _END, "last_good": (None, _END)}})
        return {
            name: LastRuns(_end(each["last"]), each["last_good"] and _end(each["last_good"]))
            for name, each in tree.items()
        }
    except (OSError, FileError, ValueError, TypeError, KeyError):
        return {}


def too_old(
    runs: Mapping[str, LastRuns], commands: Sequence[str], max_age: timedelta, now: datetime
) -> tuple[str, ...]:
    """Which last good runs are older than `max_age` at `now`, and since when; empty for none.

    commands : that are asked about; without them those of NIGHTLY that were ever run, and any
    command where none of them was.
    """
    asked = tuple(commands) or tuple(name for name in NIGHTLY if name in runs)
    if not asked:
        good = [each.last_good for each in runs.values() if each.last_good]
        fresh = [each for each in good if _is_fresh(each, max_age, now)]
        return () if fresh else ("no command has had a good run within the limit",)
    found = []
    for name in asked:
        end = runs[name].last_good if name in runs else None
        if end is None:
            found.append(f"{name} has had no good run")
        elif not _is_fresh(end, max_age, now):
            found.append(f"{name} last ended well at {end.ended}")
    return tuple(found)


def _is_fresh(end: RunEnd, max_age: timedelta, now: datetime) -> bool:
    """Whether it ended within the limit; not where the clock says that it has yet to end."""
    return -_SKEW <= now - datetime.fromisoformat(end.ended) <= max_age


def _end(tree: Any) -> RunEnd:
    if datetime.fromisoformat(tree["ended"]).tzinfo is None:
        raise ValueError("a time without a zone")
    return RunEnd(**{name: tree[name] for name in _END})
