"""A study on disk: the finished trials of a search, shared by any number of processes.

    <data-dir>/tuning/<name>/study.db      Optuna's SQLite storage, one transaction per trial
                             trial-N.lock  held by the process that runs trial N

A trial is stored when it has finished, so a killed process leaves nothing to repair: the kernel
frees its locks, and its trial is run again under the same number. Optuna's heartbeat would detect
that only after a delay, and mistakes a suspended process for a dead one.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from lstmcli.errors import FileError, LockedError, UsageError
from lstmcli.files.locks import hold
from lstmcli.market.symbols import inside
from lstmcli.records import check_record
from lstmcli.runs.checkpoint import differences
from lstmcli.runs.registry import check_name

DATABASE = "study.db"
_OF_VERSION_0_1 = "journal.jsonl"
_REMOVED = (DATABASE, f"{DATABASE}-journal", _OF_VERSION_0_1, ".journal.lock")
_WAIT = 60.0  # seconds, far longer than any process holds the lock of the study or database
_UNUSABLE = (  # errors of SQLAlchemy and Optuna for a database that is damaged or not theirs
    OSError, SQLAlchemyError, optuna.exceptions.OptunaError,
    AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class _Result:
    """User attributes of a finished trial."""

    number: int
    values: dict[str, Any]
    scores: tuple[float, ...]
    epochs: int
    seconds: float
    reason: str
    value: float | None


@dataclass(frozen=True)
class Study:
    """A study that this process takes part in. bound : as for `open_study`."""

    folder: Path
    stored: optuna.Study
    bound: Mapping[str, Any]

    def ended(self) -> dict[int, FrozenTrial]:
        """Return the finished trials by number, in ascending order.

        Raises UsageError if another process has replaced the study by one with other settings.
        """
        self.check_bound()
        with _usable(self.folder):
            found: dict[int, FrozenTrial] = {}
            for trial in self.stored.get_trials(deepcopy=False):
                kept = check_record(_Result, {**trial.user_attrs, "value": trial.value})
                folds = self.bound.get("folds", len(kept.scores))
                is_whole = kept.value is not None and len(kept.scores) == folds
                if trial.state == TrialState.COMPLETE and not is_whole:
                    raise ValueError(f"trial {kept.number} does not have a score for each fold")
                found[kept.number] = trial
        return dict(sorted(found.items()))

    def at_work(self) -> list[int]:
        """Return the numbers of the trials that other processes run."""
        with _locked(self.folder):
            held = [lock for lock in self.folder.glob("trial-*.lock") if not _take(lock)]
        return sorted(int(lock.stem.removeprefix("trial-")) for lock in held)

    @contextmanager
    def claim(self, most: int) -> Iterator[int | None]:
        """Lock the first number below `most` whose trial is neither finished nor running.

        Yields None if there is no such number. A trial not stored with `keep` in the block will be
        run again.
        """
        with ExitStack() as stack:
            with _locked(self.folder):
                ended = self.ended()
                left = (number for number in range(most) if number not in ended)
                locks = ((number, self.folder / f"trial-{number}.lock") for number in left)
                number = next((number for number, lock in locks if _take(lock, stack)), None)
            yield number

    def keep(self, number: int, trial: FrozenTrial) -> None:
        """Store a finished trial, durable on return."""
        trial.set_user_attr("number", number)
        with _locked(self.folder), _usable(self.folder):
            self.stored.add_trial(trial)

    def check_bound(self) -> None:
        """Raise UsageError unless the study has this data and these settings; set them if new."""
        with _usable(self.folder):
            known = self.stored.user_attrs.get("bound")
            if known is None:
                self.stored.set_user_attr("bound", self.bound)
                return
            check_record(dict[str, Any], known)
        why = differences(known, self.bound)
        if why:
            raise UsageError(
                "another study has this name",
                where=self.folder,
                why=f"it has {why}",
                next_step="Pass another --name, or --fresh to remove it and start again.",
            )


@contextmanager
def open_study(folder: Path, bound: Mapping[str, Any], *, fresh: bool) -> Iterator[Study]:
    """Join the study in a folder, or create it.

    bound : the data and settings that all its trials share, as JSON values by name. fresh : remove
    an earlier study first.
    Raises UsageError if an earlier study has other data or settings or is of version 0.1,
    LockedError if another process is working on a study to be removed, FileError if the database
    cannot be used.
    """
    with _locked(folder):
        for lock in folder.glob("trial-*.lock") if fresh else ():
            with hold(lock):
                pass
        study = Study(folder, _load(folder, fresh=fresh), json.loads(json.dumps(bound)))
        study.check_bound()
    try:
        yield study
    finally:
        with _locked(folder):
            for lock in folder.glob("[!.]*.lock"):  # also those of killed processes
                if _take(lock):
                    lock.unlink(missing_ok=True)


def study_folder(data_dir: Path, name: str) -> Path:
    """Return the folder of a study; UsageError for an invalid name."""
    return inside(data_dir, data_dir / "tuning" / check_name(name))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock under which trials are claimed and stored."""
    with hold(folder / ".lock", wait=_WAIT):
        yield


def _take(lock: Path, stack: ExitStack | None = None) -> bool:
    """Return whether a lock is free; if so, hold it until the stack is closed, if there is one."""
    try:
        with ExitStack() as own:
            (stack or own).enter_context(hold(lock))
    except LockedError:
        return False
    return True


def _load(folder: Path, *, fresh: bool) -> optuna.Study:
    """Return the study in a folder; create an empty one if there is none."""
    database = folder / DATABASE
    for path in folder.glob(f"{DATABASE}*"):
        inside(folder.parent.parent, path)
    with _usable(folder):
        if database.exists() and not database.is_file():  # opening a pipe would block
            raise OSError("it is not a regular file")
        for name in _REMOVED if fresh else ():
            (folder / name).unlink(missing_ok=True)
    if (folder / _OF_VERSION_0_1).exists():
        raise UsageError(
            "the study is of version 0.1, which stored its trials in another format",
            where=folder,
            next_step="Pass another --name, or --fresh to remove it and start again.",
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _usable(folder):
        storage = optuna.storages.RDBStorage(
            "sqlite://",  # a URL with the path in it would not take every path
            engine_kwargs={
                "creator": lambda: sqlite3.connect(database, timeout=_WAIT),
                "poolclass": NullPool,
            },
        )
        return optuna.create_study(study_name="tune", storage=storage, load_if_exists=True)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Turn any error from the study's files into a FileError."""
    try:
        yield
    except _UNUSABLE as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # SQLite's own message is the shortest
            cause = cause.__cause__
        raise FileError(
            "cannot use the study",
            where=folder / DATABASE,
            why=str(cause) or type(cause).__name__,
            next_step="Check the disk and its free space, or pass --fresh to start again.",
        ) from error
