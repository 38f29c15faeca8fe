"""Trials of a search as tasks: the same study, whichever ends first, fails, dies or is stopped."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lstmcli.errors import TrainingError, UsageError
from lstmcli.learning.search import Space
from lstmcli.training.loop import Epoch
from lstmcli.workflows.tune import Trial
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


def test_a_worker_that_dies_costs_no_trial(point: World, tmp_path: Path) -> None:
    dies = Once(tmp_path / "died", die)
    search: dict[str, Any] = {"trials": 3, "pruner": "none", "sampler": "random"}
    found = facts(point.tune(**search, name="d", options=on_cluster(on_epoch=dies)))
    assert dies.mark.exists()
    assert found == facts(point.tune(**search))


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


def test_where_every_task_breaks_down_the_first_reason_is_reported(point: World) -> None:
    with pytest.raises(TrainingError, match=r"no trial was completed.*trial 0: the task failed"):
        point.tune(options=on_cluster(on_epoch=fail))


def test_the_time_is_over_for_tasks_too(point: World) -> None:
    with pytest.raises(TrainingError, match="no time for one"):
        point.tune(options=on_cluster(timeout=0.001))
    settings = point.with_set("train.epochs=40", "train.patience=40")
    report = point.tune(
        trials=400, settings=settings, name="long", options=on_cluster(at_once=4, timeout=3.0)
    )
    assert 0 < len(report.trials) < 400
    assert f"{len(report.trials)} of 400 trials are finished" in report.notes[0]
    assert {trial.state for trial in report.trials} <= {"complete", "pruned"}


def test_trials_at_once_need_a_cluster(point: World) -> None:
    with pytest.raises(UsageError, match=r"option not used \(--at-once\).*Pass --ray too"):
        point.tune(options={"at_once": 2})
