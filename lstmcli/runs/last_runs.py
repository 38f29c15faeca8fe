"""`runs.json` of the data folder: the last run of each command, and its last good run.

So `lstmcli status` knows when the folder was last updated, even without a log.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from lstmcli.errors import FileError, FoundError, PartialError
from lstmcli.files import atomic
from lstmcli.files.locks import hold
from lstmcli.market.symbols import inside
from lstmcli.records import parse_record, read_file

SCHEMA_VERSION = 1
NIGHTLY, FORECAST = ("fetch", "predict"), "forecast"
_FILE = "runs.json"
_WAIT = 5.0  # seconds to wait for other writers, each of which takes milliseconds
_MAX_BYTES = 1024**2
_SKEW = timedelta(minutes=5)  # tolerated between clocks of machines that share a folder


@dataclass(frozen=True)
class RunEnd:
    """The end of one run.

    started, ended : UTC in ISO format. counts : e.g. number of symbols done and failed.
    error : why the run or some of its symbols failed; empty if none did.
    """

    command: str
    run_id: str
    started: str
    ended: str
    exit_code: int
    counts: Mapping[str, int | float] = field(default_factory=dict)
    error: str = ""

    def __post_init__(self) -> None:
        if datetime.fromisoformat(self.ended).tzinfo is None:
            raise ValueError("a time without a time zone")
        if not all(map(math.isfinite, self.counts.values())):
            raise ValueError("a count that is not a finite number")

    @property
    def is_good(self) -> bool:
        """Whether the run succeeded, at least for some symbols."""
        return self.exit_code in (0, PartialError.exit_code, FoundError.exit_code)


@dataclass(frozen=True)
class LastRuns:
    """The last run of a command, and its last good run or None."""

    last: RunEnd
    last_good: RunEnd | None


@dataclass(frozen=True)
class _File:
    runs: dict[str, LastRuns]
    schema_version: int = SCHEMA_VERSION


def note_end(data_dir: Path, end: RunEnd) -> None:
    """Add a run's end to the record of an existing data folder.

    Raises LockedError if another run is still writing, FileError if the file cannot be written.
    """
    path = data_dir / _FILE
    with hold(data_dir / ".lock", wait=_WAIT):
        atomic.remove_leftovers(path)
        known = last_runs(data_dir)
        earlier = known.get(end.command)
        good = end if end.is_good else earlier.last_good if earlier else None
        runs = {**known, end.command: LastRuns(end, good)}
        document = asdict(_File(dict(sorted(runs.items()))))
        atomic.write_text(path, json.dumps(document, indent=2) + "\n")


def last_runs(data_dir: Path) -> dict[str, LastRuns]:
    """Return the last runs by command; empty without a readable record."""
    try:
        found = parse_record(_File, read_file(inside(data_dir, data_dir / _FILE), _MAX_BYTES))
    except (OSError, FileError, ValueError):
        return {}
    return found.runs


def too_old(
    runs: Mapping[str, LastRuns], commands: Sequence[str], max_age: timedelta, now: datetime
) -> tuple[str, ...]:
    """Return a message for each command whose last good run is older than `max_age` at `now`.

    commands : commands to check. If empty, those of NIGHTLY that were ever run, else FORECAST,
    which does the work of all of them; if none of these was run, any command counts.
    """
    nightly = tuple(name for name in NIGHTLY if name in runs)
    asked = tuple(commands) or nightly or ((FORECAST,) if FORECAST in runs else ())
    if not asked:
        good = [each.last_good for each in runs.values() if each.last_good]
        fresh = [each for each in good if _is_fresh(each, max_age, now)]
        return () if fresh else ("no command has had a good run within the limit",)
    found = []
    for name in asked:
        names = (name, FORECAST) if name in NIGHTLY else (name,)
        good = [end for each in names if each in runs and (end := runs[each].last_good)]
        if not good:
            found.append(f"{name} has had no good run")
        elif not any(_is_fresh(end, max_age, now) for end in good):
            found.append(f"{name} last succeeded at {max(end.ended for end in good)}")
    return tuple(found)


def _is_fresh(end: RunEnd, max_age: timedelta, now: datetime) -> bool:
    """Whether a run ended within the limit, and not in the future by this machine's clock."""
    return -_SKEW <= now - datetime.fromisoformat(end.ended) <= max_age
