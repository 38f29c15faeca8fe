"""A study on disk: each number finished once, whatever is killed, damaged or at work beside."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.pruners import NopPruner

from lstmcli.errors import FileError, LockedError, UsageError
from lstmcli.runs.journal import JOURNAL
from lstmcli.runs.study import Study, open_study, study_folder

BOUND = {"data": "abc", "space train.epochs": {"low": 1, "high": 3}}
RESULT = {"scores": [0.5, 0.25], "epochs": 3}


@contextmanager
def opened(folder: Path, bound: Any = BOUND, fresh: bool = False) -> Iterator[Study]:
    with open_study(folder, bound, NopPruner(), fresh=fresh) as study:
        yield study


def ask(study: optuna.Study, number: int) -> optuna.Trial:
    study.sampler = optuna.samplers.RandomSampler(seed=number)
    return study.ask({"x": IntDistribution(0, 9)})


def run(study: Study, most: int) -> list[int]:
    """Finish all trials below a number that are left; returns their numbers."""
    done = []
    while (claimed := study.claim(most, ask)) is not None:
        number, trial = claimed
        study.finish(trial, "complete", RESULT, float(number))
        done.append(number)
    return done


def numbers(folder: Path) -> list[tuple[int, str]]:
    with opened(folder) as study:
        return [(record.number, record.state) for record in study.records()]


@contextmanager
def elsewhere(folder: Path, then: str) -> Iterator["subprocess.Popen[str]"]:
    """Claim trial 0 in another process, which says so and then does something."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.runs.test_study import ask, opened\n"
        f"with opened(Path({str(folder)!r})) as study:\n"
        "    claimed = study.claim(9, ask)\n"
        "    print(claimed[0], flush=True)\n"
        f"    {then}\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "0\n"
        try:
            yield process
        finally:
            process.kill()


def test_numbers_are_given_out_in_order_and_once(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        assert run(study, 2) == [0, 1]
        assert run(study, 2) == []
    with opened(tmp_path) as study:
        assert run(study, 4) == [2, 3]
        first, *_, last = study.records()
        assert (first.number, first.state, first.value) == (0, "complete", 0)
        assert first.result.items() >= RESULT.items()
        assert last.number == 3
        assert last.params == ask(optuna.create_study(), 3).params


def test_every_end_of_a_trial_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        for state, value in (("complete", 0.5), ("pruned", None), ("failed", None)):
            claimed = study.claim(9, ask)
            assert claimed
            result = {"reason": state, "scores": [0.5]}
            study.finish(claimed[1], state, result, value)  # type: ignore[arg-type]
    with opened(tmp_path) as study:
        found = study.records()
    assert [(each.state, each.value, each.result["reason"]) for each in found] == [
        ("complete", 0.5, "complete"), ("pruned", None, "pruned"), ("failed", None, "failed"),
    ]  # fmt: skip


def test_a_trial_given_up_is_tried_again_under_its_number(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        claimed = study.claim(9, ask)
        assert claimed
        study.drop(claimed[1])
        assert study.records() == []
        assert run(study, 2) == [0, 1]


def test_a_trial_left_by_a_process_that_was_killed_is_tried_again(tmp_path: Path) -> None:
    with elsewhere(tmp_path, "time.sleep(60)") as process, opened(tmp_path) as study:
        assert [(each.number, each.state) for each in study.records()] == [(0, "running")]
        claimed = study.claim(9, ask)
        assert claimed
        assert claimed[0] == 1, "the other process is alive"
        process.kill()
        process.wait()
        study.finish(claimed[1], "complete", RESULT, 1.0)
        assert run(study, 3) == [0, 2]
    assert numbers(tmp_path) == [(0, "complete"), (1, "complete"), (2, "complete")]


def test_a_process_that_takes_the_place_of_a_dead_one_takes_its_trial(tmp_path: Path) -> None:
    with elsewhere(tmp_path, "import os; os._exit(1)") as process:
        process.wait()
    assert numbers(tmp_path) == [(0, "running")]
    with opened(tmp_path) as study:
        assert run(study, 2) == [0, 1]


def test_a_torn_last_line_is_cut_and_nothing_else_is_lost(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run(study, 3)
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    for length in (1, 20, len(whole.splitlines()[-1]) - 1):
        journal.write_bytes(whole + whole.splitlines()[-1][:length])
        assert numbers(tmp_path) == [(n, "complete") for n in range(3)]
        with opened(tmp_path) as study:
            assert run(study, 4) == [3]
        assert numbers(tmp_path) == [(n, "complete") for n in range(4)]
        assert all(json.loads(line) for line in journal.read_bytes().splitlines())
        assert journal.read_bytes().startswith(whole)


def test_a_kill_at_any_byte_of_the_journal_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path / "whole") as study:
        run(study, 2)
    whole = (tmp_path / "whole" / JOURNAL).read_bytes()
    for size in range(0, len(whole) + 1, 37):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(whole[:size])
        with opened(folder) as study:
            finished = [each.number for each in study.records() if each.state == "complete"]
            assert set(finished).isdisjoint(run(study, 2))
        assert numbers(folder) == [(0, "complete"), (1, "complete")]


@pytest.mark.parametrize(
    "line", [b"{}\n", b"nonsense\n", b"[1]\n", b'{"op_code": 77}\n', b"\xff\n"]
)
def test_a_damaged_journal_is_a_file_error_and_fresh_begins_anew(
    line: bytes, tmp_path: Path
) -> None:
    with opened(tmp_path) as study:
        run(study, 1)
    journal = tmp_path / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], line + b"\n", *lines[3:]]))
    with pytest.raises(FileError, match=r"cannot use the study.*it is damaged.*--fresh"):
        numbers(tmp_path)
    with opened(tmp_path, fresh=True) as study:
        assert study.records() == []


def test_a_study_of_something_else_is_refused_and_named(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run(study, 1)
    other = {"data": "def", "space train.epochs": {"low": 1, "high": 4}}
    with (
        pytest.raises(
            UsageError,
            match=r'other data; space train.epochs {"low": 1, .*'
            r"not .*--name, or --fresh",
        ),
        opened(tmp_path, other),
    ):
        pass
    assert numbers(tmp_path) == [(0, "complete")]
    with opened(tmp_path, other, fresh=True) as study:
        assert study.records() == []


def test_a_study_at_work_elsewhere_is_not_removed(tmp_path: Path) -> None:
    with (
        elsewhere(tmp_path, "time.sleep(60)"),
        pytest.raises(LockedError),
        opened(tmp_path, fresh=True),
    ):
        pass
    with opened(tmp_path, fresh=True) as study:
        assert study.records() == []


def test_processes_side_by_side_finish_every_number_once(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from tests.runs.test_study import opened, run\n"
        f"with opened(Path({str(tmp_path)!r})) as study:\n"
        "    print(*run(study, 30))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    done = [int(word) for each in processes for word in each.communicate()[0].split()]
    assert sorted(done) == list(range(30))
    assert numbers(tmp_path) == [(n, "complete") for n in range(30)]


def test_a_study_lies_in_the_data_folder_and_nowhere_else(tmp_path: Path) -> None:
    assert study_folder(tmp_path, "mine") == tmp_path / "tuning/mine"
    with pytest.raises(UsageError, match="not a model name"):
        study_folder(tmp_path, "../up")
    (tmp_path / "tuning").symlink_to("/tmp")
    with pytest.raises(FileError, match="leads out of the data folder"):
        study_folder(tmp_path, "mine")
