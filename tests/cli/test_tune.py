"""`lstmcli tune`: its output, files and exit codes, and resuming after a kill."""

import csv
import importlib.util
import json
import os
import re
import signal
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lstmcli.console.progress import show_trials
from lstmcli.files.locks import hold
from lstmcli.workflows.tune import Trial
from tests.command_line import Outcome, assert_one_error, document_of, in_process, succeed
from tests.forked_runs import ForkServer
from tests.report.screens import Terminal

SPACE = """\
"train.learning_rate" = { low = 1e-3, high = 1e-2, log = true }
"model.hidden_sizes" = { choices = [[3], [2, 2]] }
"""
TUNE = ("tune", "--config", "tiny.toml", "--space", "space.toml")


@pytest.fixture
def place(home: Path) -> Path:
    (home / "space.toml").write_text(SPACE)
    return home


def tune(place: Path, *options: object) -> Outcome:
    return in_process(*TUNE, *options, folder=place)


def tuned(place: Path, *options: object) -> dict[str, Any]:
    return document_of(place, *TUNE, *options)


def test_every_format_has_the_same_trials_ranked(place: Path) -> None:
    outcome = tune(place, "--trials", 2)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("tiny: 2 trials, validated on 20")
    assert lines[1].split() == ["learning_", "hidden_"]
    assert lines[2].split() == ["Trial", "Error", "rate", "sizes", "+-", "Epochs", "Seconds"]
    assert sum(line.startswith("0 (recipe) ") for line in lines) == 1
    assert [" * " in line for line in lines[3:5]] == [True, False]
    assert re.search(r"^(Trial \d was best of 2:|The recipe itself was best)", outcome.out, re.M)
    assert lines[-1].endswith("as a recipe: data/tuning/tiny/tiny-tuned.toml")
    found = tuned(place, "--trials", 2)
    assert (found["study"], found["objective"], len(found["folds"])) == ("tiny", "rmse", 3)
    assert found["best"] == found["trials"][0]["number"]
    rows = list(csv.DictReader(tune(place, "--trials", 2, "--format", "csv").out.splitlines()))
    lines = tune(place, "--trials", 2, "--format", "jsonl").out.splitlines()
    for rank, (row, line, trial) in enumerate(zip(rows, lines, found["trials"], strict=True), 1):
        read = json.loads(line)
        assert list(row) == list(read)
        assert int(row["rank"]) == read["rank"] == rank
        assert int(row["trial"]) == read["trial"] == trial["number"]
        assert float(row["rmse"]) == read["rmse"] == trial["score"]
        assert [float(row[f"fold_{n}"]) for n in (1, 2, 3)] == trial["scores"]
        assert json.loads(row["model.hidden_sizes"]) == trial["values"]["model.hidden_sizes"]


def test_the_recipe_trains_and_evaluate_counts_the_trials(place: Path) -> None:
    recipe = place / "best.toml"
    recipe.write_text("old")
    recipe.chmod(0o600)
    assert tune(place, "--trials", 2, "--recipe", "best.toml").code == 0
    text = recipe.read_text()
    assert tomllib.loads(text)["tuning"] == {"trials": 2}
    assert stat.S_IMODE(recipe.stat().st_mode) == 0o600
    os.mkfifo(place / "pipe")
    with open(os.open(place / "pipe", os.O_RDONLY | os.O_NONBLOCK)) as pipe:
        assert tune(place, "--trials", 2, "--recipe", "pipe").code == 0
        assert pipe.read() == text
    succeed("train", "--config", "best.toml", folder=place)
    said = "Its settings were chosen among 2 tried on validation folds."
    assert said in in_process("evaluate", "--model", "best", folder=place).out
    found = document_of(place, "evaluate", "--model", "best", "--model", "tiny")
    assert [each["trials"] for each in found["tuning"].values()] == [2, 0]
    searched, untuned = found["verdicts"].values()
    assert searched.endswith(said)
    assert said not in untuned


def test_verbose_prints_one_line_per_trial_and_quiet_none(place: Path) -> None:
    lines = tune(place, "--trials", 2, "--verbose").err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["trial 0 (1 of 2)", "trial 1 (2 of 2)"]
    assert "model.hidden_sizes [4]; 6 epochs" in lines[0]
    assert all("best so far" in line for line in lines)
    assert tune(place, "--trials", 3, "--quiet").err == ""


@pytest.mark.parametrize(("width", "has_room"), [(80, False), (200, True)])
def test_the_best_so_far_is_shown_next_to_the_bar_where_there_is_room(
    width: int, has_room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    trial = Trial(4, "complete", {}, 0.0123456, None, (), 3, 0.5, "")
    with show_trials(quiet=False, verbose=False) as on_trial:
        on_trial(trial, trial, 5, 40)
    shown = terminal.getvalue()
    assert "5/40" in shown
    assert "\u2501" in shown
    assert ("best so far 1.2346 % (trial 4)" in shown) == has_room


def test_another_study_of_the_name_is_refused_until_it_is_to_be_removed(place: Path) -> None:
    assert tune(place, "--trials", 1).code == 0
    other = ("--trials", 1, "--set", "train.epochs=1")
    assert_one_error(tune(place, *other), 2, "recipe train.epochs 2, not 1", "--fresh")
    assert tune(place, *other, "--name", "other").code == 0
    assert tune(place, *other, "--fresh").code == 0


def test_without_the_extra_the_command_names_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "optuna" else find(name)
    )
    assert_one_error(tune(place), 2, "optuna is not installed", "pip install 'lstmcli[tune]'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_signal_the_same_command_reaches_the_same_result(
    number: signal.Signals, place: Path, forks: ForkServer
) -> None:
    whole = tuned(place, "--trials", 4, "--name", "whole")["trials"]
    os.mkfifo(place / "said")
    command = (*TUNE, "--trials", 4, "--verbose")
    pid = forks.start(*command, folder=place, streams={"stderr": "said"})
    with (place / "said").open() as pipe:
        said = [pipe.readline()]
        os.kill(pid, number)
        rest = pipe.read().splitlines()
    finished = len(said) + sum(line.startswith("trial ") for line in rest)
    assert finished < 4
    if number == signal.SIGKILL:
        assert forks.wait(pid).code == -signal.SIGKILL
    else:
        assert forks.wait(pid).code == 128 + number
        assert rest[-1].startswith("lstmcli: stopped: ")
        assert rest[-1].endswith("of 4 trials of tiny are kept; run the same command to continue")
    again = tune(place, "--trials", 4, "--format", "json", "--verbose")
    assert len(again.err.splitlines()) <= 4 - finished
    for trial, same in zip(json.loads(again.out)["trials"], whole, strict=True):
        assert trial | {"seconds": None} == same | {"seconds": None}


def test_a_trial_in_another_process_is_shown_as_running(place: Path) -> None:
    assert tune(place, "--trials", 2).code == 0
    with hold(place / "data/tuning/tiny/trial-2.lock"):
        outcome = tune(place, "--trials", 4, "--format", "json")
    assert "1 of 4 trials are running in other processes" in outcome.err
    found = json.loads(outcome.out)["trials"]
    assert sorted(trial["number"] for trial in found[:3]) == [0, 1, 3]
    assert found[3] == {
        "number": 2, "state": "running", "values": {}, "score": None, "standard_error": None,
        "scores": [], "epochs": 0, "seconds": 0.0, "reason": "",
    }  # fmt: skip
    with hold(place / "data/tuning/tiny/trial-4.lock"):
        assert "running" in tune(place, "--trials", 5).out
