"""Trials of a search as tasks: the same study, whichever ends first, fails, dies or is stopped."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lstmcli.errors import TrainingError
from lstmcli.learning.search import Space
from lstmcli.training.loop import Epoch
from lstmcli.workflows.tune import Trial
from tests.command_line import Outcome, csv_text, in_process, walk
from tests.workflows.test_tune import RATES, SPACE, World, facts

pytestmark = pytest.mark.usefixtures("two_workers")


@pytest.fixture
def point(tmp_path: Path) -> World:
    return World("point", tmp_path)


def on_cluster(at_once: int | None = 2, **options: Any) -> dict[str, Any]:
    return {"ray": "local", "at_once": at_once, **options}


@dataclass(frozen=True)
class Once:
    """Do something at the first epoch of all, in whichever worker that is."""

    mark: Path
    act: Callable[[], None]

    def __call__(self, epoch: Epoch) -> None:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return
        self.act()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def break_down() -> None:
    raise ValueError("a bug")


def fail(epoch: Epoch) -> None:
    raise ValueError("a bug")


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_the_trials_of_a_list_are_those_of_a_search_without_a_cluster(
    sampler: str, point: World
) -> None:
    space: Space = {"model.hidden_sizes": SPACE["model.hidden_sizes"]}
    search: dict[str, Any] = {"sampler": sampler, "trials": 5, "pruner": "none"}
    search |= {"space": space} if sampler == "grid" else {}
    numbers: list[int] = []
    options = on_cluster(on_trial=lambda trial, *rest: numbers.append(trial.number))
    here, there = point.tune(**search), point.tune(**search, name="there", options=options)
    assert facts(there) == facts(here)
    assert numbers == list(range(len(here.trials)))
    assert there.recipe.read_text() == here.recipe.read_text().replace("study s:", "study there:")


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 4])
def test_a_search_that_learns_goes_on_to_the_same_end_however_it_was_stopped(
    stop_after: int, point: World, tmp_path: Path
) -> None:
    class Stop(BaseException):
        pass

    def stop(trial: Trial, best: Trial | None, count: int, wanted: int) -> None:
        if count == stop_after:
            raise Stop

    search: dict[str, Any] = {"trials": 7, "space": RATES}
    whole = facts(point.tune(**search, name="whole", options=on_cluster()))
    assert len({trial.values["train.learning_rate"] for trial in whole}) == 7
    with pytest.raises(Stop):
        point.tune(**search, options=on_cluster(on_trial=stop))
    assert facts(point.tune(**search, options=on_cluster())) == whole
    assert not list((tmp_path / "data/tuning").rglob("*trial-*.lock"))


@pytest.mark.slow  # test_tasks and test_predict lose a worker each time
def test_a_worker_that_dies_costs_no_trial(point: World, tmp_path: Path) -> None:
    dies = Once(tmp_path / "died", die)
    search: dict[str, Any] = {"trials": 3, "pruner": "none", "sampler": "random"}
    found = facts(point.tune(**search, name="d", options=on_cluster(on_epoch=dies)))
    assert dies.mark.exists()
    assert found == facts(point.tune(**search))


@pytest.mark.slow
def test_a_task_that_breaks_down_is_a_failed_trial_with_the_values_it_tried(
    point: World, tmp_path: Path
) -> None:
    breaks = Once(tmp_path / "broke", break_down)
    search: dict[str, Any] = {"trials": 3, "pruner": "none", "sampler": "random"}
    found = facts(point.tune(**search, name="b", options=on_cluster(on_epoch=breaks)))
    (failed,) = (trial for trial in found if trial.state == "failed")
    assert failed.reason == "the task failed (local): ValueError: a bug"
    for trial, other in zip(found, facts(point.tune(**search)), strict=True):
        assert trial == other or (trial is failed and trial.values == other.values)


@pytest.mark.slow
def test_where_every_task_breaks_down_the_first_reason_is_reported(point: World) -> None:
    with pytest.raises(TrainingError, match=r"no trial was completed.*trial 0: the task failed"):
        point.tune(options=on_cluster(on_epoch=fail))


@dataclass(frozen=True)
class Clock:
    """A clock that any process can read: the time is over as soon as a file is there."""

    over: Path

    def __call__(self) -> float:
        return 100.0 if self.over.exists() else 0.0


@pytest.mark.slow
def test_the_time_is_over_for_tasks_too(point: World, tmp_path: Path) -> None:
    clock = Clock(tmp_path / "over")
    options = on_cluster(
        timeout=50.0, clock=clock, on_trial=lambda trial, *rest: clock.over.touch()
    )
    report = point.tune(trials=9, options=options)
    assert 1 <= len(report.trials) <= 3, "those that were at work may have ended"
    notes = [f"{len(report.trials)} of 9 trials are finished; the same command goes on"]
    assert list(report.notes[1:]) == notes
    clock.over.unlink()
    assert len(point.tune(trials=9, options=on_cluster()).trials) == 9


SPACE_FILE = '"train.learning_rate" = { low = 1e-3, high = 1e-2, log = true }\n'
RECIPE = (
    "window.horizon=5", "window.context_length=10", "window.scaling=log_return",
    'window.features=["close"]', "model.head=recursive", "model.hidden_sizes=[3]", "train.epochs=2",
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "prices.csv").write_text(csv_text(walk(300)))
    (tmp_path / "space.toml").write_text(SPACE_FILE)
    return tmp_path


def tune(place: Path, *options: object) -> Outcome:
    sets = (word for each in RECIPE for word in ("--set", each))
    words = ("tune", "--csv", "prices.csv", "--space", "space.toml", "--trials", 4, *sets)
    return in_process(*words, "--json", *options, folder=place)


def trials(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return [{**each, "seconds": None} for each in json.loads(outcome.out)["trials"]]


def test_tune_prints_the_same_trials(place: Path) -> None:
    given = ("--sampler", "random", "--pruner", "none")
    here, there = tune(place, *given), tune(place, *given, "--ray", "local", "--name", "there")
    assert trials(there) == trials(here)
    assert there.err == here.err == ""


@pytest.mark.slow
def test_tune_says_what_a_search_that_learns_depends_on(place: Path) -> None:
    first = tune(place, "--ray", "local")
    assert "2 trials at a time" in first.err
    assert "--at-once 2 repeats this" in first.err
    again = tune(place, "--ray", "local", "--at-once", 2, "--name", "again")
    assert trials(again) == trials(first)
