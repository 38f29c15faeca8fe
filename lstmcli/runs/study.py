"""A study on disk: which settings were tried, by any number of processes, and what came of each.

    <data-dir>/tuning/<name>/journal.jsonl   Optuna's journal, append-only, a line an operation
                             worker-N.lock   held by a process that has a trial at work

All locks are the kernel's and end with their holder, however it ends. A journal line that a kill
tore is cut before the next is written, and a trial that a dead process left without a result is
told failed and its number given out again: of the numbers from 0 on, each is finished exactly once.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from lstmcli.errors import LockedError, UsageError
from lstmcli.market.store_folder import inside
from lstmcli.runs.differences import differences
from lstmcli.runs.journal import JOURNAL, load_journal, remove_journal
from lstmcli.runs.locks import hold
from lstmcli.runs.registry import check_name

State = Literal["complete", "pruned", "failed", "running"]

_WAIT = 60.0  # seconds, far longer than anyone holds the study's lock
_MOST_WORKERS = 1000
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


_LOST = {"state": "failed", "value": None}


@dataclass(frozen=True)
class Record:
    """One trial as the journal has it; `result` is what its process kept of it."""

    number: int
    state: State
    params: Mapping[str, Any]
    value: float | None
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """A study that this process takes part in, as worker `worker`."""

    folder: Path
    shared: optuna.Study
    worker: int

    def claim(
        self, most: int, ask: Callable[[optuna.Study, int], optuna.Trial]
    ) -> tuple[int, optuna.Trial] | None:
        """Begin the first trial below the number `most` that is neither finished nor at work.

        ask : chooses the settings of the trial of a number. None where no number is left.
        """
        with hold(self.folder / ".lock", wait=_WAIT):
            for left in self._left_behind():
                self._tell(left.number, left.user_attrs.get("result", _LOST))
            taken = {record.number for record in self.records()}
            number = next((n for n in range(most) if n not in taken), None)
            if number is None:
                return None
            trial = ask(self.shared, number)
            trial.set_user_attr("claim", {"number": number, "worker": self.worker})
        return number, trial

    def finish(
        self, trial: optuna.Trial, state: State, result: Mapping[str, Any], value: float | None
    ) -> None:
        """Keep what came of a trial; once this returns, no kill can lose it."""
        kept = {"state": state, "value": value, **result}
        trial.set_user_attr("result", kept)
        self._tell(trial.number, kept)

    def drop(self, trial: optuna.Trial) -> None:
        """Give a trial up unfinished, so that its number is tried again."""
        self._tell(trial.number, _LOST)

    def records(self) -> list[Record]:
        """Return every trial that is finished or at work, by number."""
        found = [
            Record(
                number=trial.user_attrs["claim"]["number"],
                state=_STATES[trial.state],
                params=trial.params,
                value=trial.value if trial.state == TrialState.COMPLETE else None,
                result=trial.user_attrs.get("result", {}),
            )
            for trial in self.shared.get_trials()
            if _counts(trial)
        ]
        return sorted(found, key=lambda record: record.number)

    def _tell(self, number: int, result: Mapping[str, Any]) -> None:
        state = next(each for each, name in _STATES.items() if name == result["state"])
        self.shared.tell(number, result["value"], state)

    def _left_behind(self) -> list[FrozenTrial]:
        """Return the trials at work that no living process has; the caller holds the lock."""
        running = self.shared.get_trials(states=(TrialState.RUNNING,))
        owners = [each.user_attrs.get("claim", {}).get("worker", self.worker) for each in running]
        gone = {worker for worker in set(owners) if self._is_gone(worker)}
        return [each for each, owner in zip(running, owners, strict=True) if owner in gone]

    def _is_gone(self, worker: int) -> bool:
        if worker == self.worker:  # it was another's before
            return True
        try:
            with hold(_worker_lock(self.folder, worker)):
                return True
        except LockedError:
            return False


@contextmanager
def open_study(
    folder: Path, bound: Mapping[str, Any], pruner: optuna.pruners.BasePruner, *, fresh: bool
) -> Iterator[Study]:
    """Join the study in a folder, or begin it.

    bound : what it is a study of, as JSON values by name. fresh : remove an earlier study first.
    Raises UsageError where an earlier study is one of something else, LockedError where it is to be
    removed while another process is at work in it, FileError where its journal is damaged.
    """
    with ExitStack() as stack:
        with hold(folder / ".lock", wait=_WAIT):
            worker = _join(folder, stack)
            if fresh:
                _remove(folder, worker)
            study = load_journal(_journal(folder), pruner)
            _check_bound(study, json.loads(json.dumps(bound)), folder)
        yield Study(folder, study, worker)


def study_folder(data_dir: Path, name: str) -> Path:
    """Return the folder of a study; UsageError for a name that cannot be one."""
    return inside(data_dir, data_dir / "tuning" / check_name(name))


def _journal(folder: Path) -> Path:
    """Return the journal's path; FileError where a link leads it out of the data folder."""
    return inside(folder.parent.parent, folder / JOURNAL)


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial has its number: not if it failed without a word, left by its process."""
    if trial.state == TrialState.FAIL:
        return "result" in trial.user_attrs
    return "claim" in trial.user_attrs


def _worker_lock(folder: Path, worker: int) -> Path:
    return folder / f"worker-{worker}.lock"


def _join(folder: Path, stack: ExitStack) -> int:
    """Take the first free place among the processes at work."""
    for worker in range(1, _MOST_WORKERS + 1):
        try:
            stack.enter_context(hold(_worker_lock(folder, worker)))
        except LockedError:
            continue
        return worker
    raise LockedError("too many processes are at work here", where=folder)


def _remove(folder: Path, worker: int) -> None:
    """Remove the journal, unless another process is at work in it."""
    for lock in folder.glob("worker-*.lock"):
        if lock != _worker_lock(folder, worker):
            with hold(lock):
                pass
    remove_journal(_journal(folder))


def _check_bound(study: optuna.Study, bound: Mapping[str, Any], folder: Path) -> None:
    known = study.user_attrs.get("bound")
    if known is None:
        study.set_user_attr("bound", bound)
        return
    why = differences(known, bound)
    if not why:
        return
    raise UsageError(
        "another study has this name",
        where=folder,
        why=f"it has {why}",
        next_step="Pass another --name, or --fresh to remove it and begin anew.",
    )
