"""A study on disk: each trial ends once, despite kills, damage and concurrent processes."""

import gc
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from lstmcli.errors import FileError, LockedError, UsageError
from lstmcli.runs.study import DATABASE, Study, open_study, study_folder

RESULT = {"values": {"x": [1, 2]}, "scores": [0.5, 0.25], "epochs": 3, "seconds": 0.5}
BOUND = {"data": "abc", "space train.epochs": {"low": 1, "high": 3}}


@contextmanager
def opened(folder: Path, bound: Any = BOUND, fresh: bool = False) -> Iterator[Study]:
    with open_study(folder, bound, fresh=fresh) as study:
        yield study


def ended(number: int, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    """A trial that has ended; its value is its number."""
    return optuna.create_trial(
        state=state,
        value=number if state == TrialState.COMPLETE else None,
        params={"x": number / 100},
        distributions={"x": FloatDistribution(0, 1)},
        user_attrs=RESULT | {"reason": state.name},
        intermediate_values={0: 0.5},
    )


def run(study: Study, most: int) -> list[int]:
    """End all trials below a number that are left; returns their numbers."""
    done: list[int] = []
    while True:
        with study.claim(most) as number:
            if number is None:
                return done
            study.keep(number, ended(number))
            done.append(number)


def numbers(folder: Path) -> list[int]:
    with opened(folder) as study:
        return list(study.ended())


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


Told = Any  # a connection
Work = Callable[[Path, Told], object]


@contextmanager
def forked(
    work: Callable[[Path, Told], object], folder: Path
) -> Iterator[tuple[BaseProcess, Told]]:
    """Run a function in a process of its own, which is killed at the end; and what it sends."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(folder, sender))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        process.start()
    sender.close()
    try:
        yield process, receiver
    finally:
        process.kill()
        process.join()


def claim_and_wait(folder: Path, told: Told) -> None:
    with opened(folder) as study, study.claim(9) as number:
        told.send(number)
        time.sleep(60)


def claim_and_die(folder: Path, told: Told) -> None:
    with opened(folder) as study, study.claim(9) as number:
        told.send(number)
        os.kill(os.getpid(), signal.SIGKILL)


def keep_on(folder: Path, told: Told) -> None:
    with opened(folder) as study:
        while True:
            with study.claim(1000) as number:
                assert number is not None
                study.keep(number, ended(number))
                told.send(number)


def run_15(folder: Path, told: Told) -> None:
    with opened(folder) as study:
        told.send(run(study, 15))


@contextmanager
def elsewhere(folder: Path, work: Work = claim_and_wait) -> Iterator[BaseProcess]:
    """Claim trial 0 in another process."""
    with forked(work, folder) as (process, told):
        assert told.recv() == 0
        yield process


def test_trial_numbers_are_assigned_once_and_in_order(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        assert run(study, 2) == [0, 1]
        assert run(study, 2) == []
    with opened(tmp_path) as study:
        assert run(study, 4) == [2, 3]
    assert numbers(tmp_path) == [0, 1, 2, 3]


def test_a_trial_is_kept_however_it_ends(tmp_path: Path) -> None:
    given = [ended(n, s) for n, s in enumerate(TrialState) if s.is_finished()]
    with opened(tmp_path) as study:
        for each in given:
            with study.claim(9) as number:
                assert number is not None
                study.keep(number, each)
    with opened(tmp_path) as study:
        found = list(study.ended().values())
    for kept, each in zip(found, given, strict=True):
        for fact in ("state", "values", "params", "distributions", "intermediate_values"):
            assert getattr(kept, fact) == getattr(each, fact)
        assert kept.user_attrs.items() >= (RESULT | {"reason": each.state.name}).items()


def test_an_abandoned_trial_is_run_again_under_its_number(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        with study.claim(9) as number:
            assert number == 0
        assert run(study, 2) == [0, 1]


def test_a_trial_of_a_killed_process_is_run_again_at_once(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process, opened(tmp_path) as study:
        assert study.at_work() == [0]
        with study.claim(9) as number:
            assert number == 1, "the other process is alive"
            process.kill()
            process.join()
            study.keep(number, ended(number))
        assert study.at_work() == []
        assert run(study, 3) == [0, 2]
    assert numbers(tmp_path) == [0, 1, 2]


def test_a_suspended_process_keeps_its_trial(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process, opened(tmp_path) as study:
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        assert run(study, 3) == [1, 2]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    with elsewhere(tmp_path, claim_and_die) as process:
        process.join()
    assert files(tmp_path) == {"trial-0.lock", DATABASE, ".lock"}
    with opened(tmp_path) as study:
        assert run(study, 2) == [0, 1]
    assert files(tmp_path) == {DATABASE, ".lock"}


def test_a_kill_at_any_moment_loses_no_stored_trial(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    told: list[int] = []
    for _ in range(4):
        with forked(keep_on, tmp_path) as (process, said):
            told.append(said.recv())
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
            process.join()
            while said.poll():
                try:
                    told.append(said.recv())
                except EOFError:
                    break
        with opened(tmp_path) as study:
            kept = study.ended()
            assert set(told) <= set(kept)
            assert list(kept) == list(range(len(kept)))
            assert all(trial.value == number for number, trial in kept.items())
    assert len(told) == len(set(told))


# SQLAlchemy leaves its connection to a damaged database to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_a_damaged_database_is_a_file_error_and_fresh_starts_again(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with opened(whole) as study:
        run(study, 3)
    data = (whole / DATABASE).read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"nonsense" * 99, data[: len(data) // 2], data[:8192]]
    for _ in range(7):
        noisy = bytearray(data)
        first = int(rng.integers(len(data)))
        noisy[first : first + 64] = rng.bytes(64)
        damaged.append(bytes(noisy))
    refused = []
    for number, each in enumerate(damaged):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        (folder / DATABASE).write_bytes(each)
        try:
            assert set(numbers(folder)) <= {0, 1, 2}
        except (FileError, UsageError) as error:
            refused += [folder] * ("--fresh" in str(error))
    assert len(refused) > 3
    for folder in refused[:4]:
        with opened(folder, fresh=True) as study:
            assert study.ended() == {}
    gc.collect()


def test_a_trial_with_invalid_attributes_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        study.stored.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(FileError, match=r"cannot use the study.*number is missing.*--fresh"):
        numbers(tmp_path)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_study_of_version_0_1_is_named_as_such_until_it_is_removed(
    fresh: bool, tmp_path: Path
) -> None:
    for name in ("journal.jsonl", ".journal.lock", "worker-1.lock"):
        (tmp_path / name).touch()
    if not fresh:
        with pytest.raises(UsageError, match=r"version 0\.1.*--fresh"), opened(tmp_path):
            pass
        assert "journal.jsonl" in files(tmp_path)
        return
    with opened(tmp_path, fresh=True) as study:
        assert run(study, 1) == [0]
    assert files(tmp_path) == {DATABASE, ".lock"}


def test_a_study_in_use_by_another_process_is_not_removed(tmp_path: Path) -> None:
    with elsewhere(tmp_path), pytest.raises(LockedError), opened(tmp_path, fresh=True):
        pass
    with opened(tmp_path, fresh=True) as study:
        assert study.ended() == {}


def test_concurrent_processes_finish_every_trial_once(tmp_path: Path) -> None:
    with ExitStack() as stack:
        started = [stack.enter_context(forked(run_15, tmp_path)) for _ in range(3)]
        done = [number for _, told in started for number in told.recv()]
    assert sorted(done) == list(range(15))
    assert numbers(tmp_path) == list(range(15))


def test_a_study_is_always_inside_the_data_folder(tmp_path: Path) -> None:
    assert study_folder(tmp_path, "mine") == tmp_path / "tuning/mine"
    with pytest.raises(UsageError, match="not a model name"):
        study_folder(tmp_path, "../up")
    (tmp_path / "tuning").symlink_to("/tmp")
    with pytest.raises(FileError, match="leads out of the data folder"):
        study_folder(tmp_path, "mine")


@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-journal", ".lock", "trial-0.lock"])
def test_links_in_a_study_are_not_followed_out_of_the_data_folder(
    tmp_path: Path, name: str
) -> None:
    folder = study_folder(tmp_path / "data", "mine")
    folder.mkdir(parents=True)
    with opened(folder):
        pass
    (folder / name).unlink(missing_ok=True)
    (tmp_path / "precious").write_text("kept")
    (folder / name).symlink_to(tmp_path / "precious")
    for fresh in (False, True):
        with pytest.raises(FileError, match="link"), opened(folder, fresh=fresh) as study:
            run(study, 1)
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_database_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / DATABASE)
    with pytest.raises(FileError, match="it is not a regular file"), opened(tmp_path):
        pass
