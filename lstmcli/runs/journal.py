"""Optuna's journal of a study, as one that a kill cannot harm.

Its own lock outlives a process that is killed, and a line that is torn makes the file unreadable
from the next line on. Here the lock is the kernel's, and whoever takes it cuts a torn line first.
"""

import math
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from lstmcli.errors import FileError
from lstmcli.records import check_record
from lstmcli.runs.locks import hold

JOURNAL = "journal.jsonl"
_NAME = "tune"
_WAIT = 60.0  # seconds, far longer than a line takes to write
_DAMAGED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,  # a RecursionError is one
)
_RESULT = {
    "state": str,
    "value": (None, float),
    "scores?": [float],
    "epochs?": int,
    "seconds?": float,
    "reason?": str,
}
_ATTRIBUTES = {"claim?": {"number": int, "worker": int}, "result?": _RESULT}


def load_journal(journal: Path, pruner: optuna.pruners.BasePruner) -> optuna.Study:
    """Return the study of a journal, an empty one where there is no file; one caller at a time.

    Raises FileError where the file is damaged or cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=_Lock(journal)))
        begun = _NAME in optuna.get_all_study_names(storage)
        open_study = optuna.load_study if begun else optuna.create_study
        study = open_study(study_name=_NAME, storage=storage, pruner=pruner)
        _check_study(study)
        return study
    except OSError as error:
        raise _unusable(journal, error.strerror or str(error)) from error
    except _DAMAGED as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise _unusable(journal, f"it is damaged ({why})") from error


def _check_study(study: optuna.Study) -> None:
    """Raise one of `_DAMAGED` where a trial or the study holds what none of ours does."""
    if study.directions != [optuna.study.StudyDirection.MINIMIZE]:
        raise ValueError("it has other directions")
    check_record(study.user_attrs, {"bound?": {}})
    lengths = set()  # of the scores, which are of the same folds
    for trial in study.get_trials(deepcopy=False):
        check_record(trial.user_attrs, _ATTRIBUTES, f"trial {trial.number}")
        trial.duration  # noqa: B018 - of two times, which may be of any kind
        kept: Any = trial.user_attrs.get("result")
        value: Any = trial.value
        if trial.state == TrialState.COMPLETE:
            lengths.add(len(kept["scores"]))
            if 0 in lengths or len(lengths) > 1 or not math.isfinite(value):
                raise ValueError(f"trial {trial.number} is complete without its scores")
        for stage, value in trial.intermediate_values.items():
            check_record([stage, value], [float], f"trial {trial.number}")


def remove_journal(journal: Path) -> None:
    """Remove a journal, if there is one."""
    try:
        journal.unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(journal, error.strerror or str(error)) from error


class _Lock(JournalFileOpenLock):
    """The journal's lock."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        with ExitStack() as stack:
            stack.enter_context(hold(self._journal.with_name(".journal.lock"), wait=_WAIT))
            _cut_torn_line(self._journal)
            self._held = stack.pop_all()
        return True

    def release(self) -> None:
        self._held.close()


def _cut_torn_line(journal: Path) -> None:
    """Cut what follows the last line end: its writer died before it was done."""
    with open(journal, "rb+") as file:
        if not file.seek(0, os.SEEK_END):
            return
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _unusable(journal: Path, why: str) -> FileError:
    return FileError(
        "cannot use the study",
        where=journal,
        why=why,
        next_step="Pass --fresh to begin it anew, or another --name.",
    )
