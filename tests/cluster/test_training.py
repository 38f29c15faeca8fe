"""One network trained by two processes of a cluster: as by one, also when one of them is lost."""

import os
import signal
import time
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from lstmcli.cluster import tasks, training
from lstmcli.cluster.tasks import Cluster
from lstmcli.cluster.training import fit_together, group_of
from lstmcli.errors import TaskError, TrainingError, UsageError
from lstmcli.learning.fit import Course, Fit, fit
from lstmcli.runs.checkpoint import Checkpoint
from lstmcli.sources.source import Source
from lstmcli.training.loop import Epoch
from lstmcli.workflows.train import TrainReport, train
from tests.cluster.processes import busy_workers
from tests.command_line import assert_one_error, csv_text, in_process, walk
from tests.learning.test_fit_together import RECIPES, prepared
from tests.synthetic import CPU

pytestmark = [
    pytest.mark.usefixtures("two_workers"),
    # Ray Train copies the settings of Ray Data, which reads options of its own.
    pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning:ray.data.context"),
]
RECIPE = {**RECIPES["point"], "train": {"epochs": 4}}


def together(cluster: Cluster, course: Course, **train: Any) -> Fit:
    plan, settings = prepared({"train": {**RECIPE["train"], "patience": 60, **train}})
    return fit_together(cluster, 2, plan, settings, CPU, course)


def weights(done: Fit) -> dict[str, bytes]:
    return {name: each.numpy().tobytes() for name, each in done.model.network.state_dict().items()}


@pytest.fixture
def fewer_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start none of the processes that Ray Train has for data sets and for what it left behind.

    Each takes seconds to start. The slow tests have them.
    """
    every = DataParallelTrainer._create_default_callbacks
    unneeded = {"DatasetsCallback", "PlacementGroupCleanerCallback"}

    def some(self: Any) -> list[Any]:
        return [each for each in every(self) if type(each).__name__ not in unneeded]

    monkeypatch.setattr(DataParallelTrainer, "_create_default_callbacks", some)


def test_the_version_is_that_of_one_process_within_rounding(
    fewer_processes: None, tmp_path: Path
) -> None:
    (tmp_path / "prices.csv").write_text(csv_text(walk(300)))
    _, settings = prepared(RECIPE)

    def run(**options: Any) -> TrainReport:
        source = Source(tmp_path / "data", date(2020, 1, 1), csv=(str(tmp_path / "prices.csv"),))
        return train(settings, source, name="m", promotion="never", **options)

    seen: list[int] = []
    one = run()
    two = run(ray="local", timeout=600.0, on_epoch=lambda epoch: seen.append(epoch.epoch))
    assert not two.unchanged, "the number of processes is part of what a version comes from"
    assert two.metadata.record["workers"] == 2
    assert "workers" not in one.metadata.record
    assert seen == [epoch.epoch for epoch in one.history]
    for alone, shared in zip(one.history, two.history, strict=True):
        assert shared.loss == pytest.approx(alone.loss, rel=1e-5)
        assert shared.validation_loss == pytest.approx(alone.validation_loss, rel=1e-5)
    assert not list(tmp_path.rglob("*checkpoint*"))
    assert run(ray="local").unchanged


_BROKEN = TrainingError("out of device memory", where="epoch 1", next_step="Lower it.")


def break_down(seconds: float) -> bool:
    raise _BROKEN


@cache
def trained_whole(cluster: Cluster) -> dict[str, bytes]:
    return weights(together(cluster, Course(), epochs=60))


@pytest.fixture
def whole(cluster: Cluster) -> dict[str, bytes]:
    return trained_whole(cluster)


@pytest.mark.slow
def test_a_process_that_is_lost_costs_no_more_than_its_epoch(
    cluster: Cluster, whole: dict[str, bytes]
) -> None:
    kept: list[Checkpoint] = []
    killed: list[int] = []

    def kill(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            killed.extend(busy_workers("RayTrainWorker")[:1])
            os.kill(killed[0], signal.SIGKILL)

    done = together(cluster, Course(keep=kept.append, on_epoch=kill), epochs=60)
    assert len(killed) == 1
    assert [each.history[-1].epoch for each in kept] == [*range(1, 61)]
    assert weights(done) == whole


@pytest.mark.slow
def test_a_stopped_training_resumes_from_its_last_epoch_to_the_same_bytes(
    cluster: Cluster, whole: dict[str, bytes]
) -> None:
    class Stop(BaseException):
        pass

    kept: list[Checkpoint] = []

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        together(cluster, Course(keep=kept.append, on_epoch=stop), epochs=60)
    deadline = time.monotonic() + 60
    while busy_workers("RayTrainWorker") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not busy_workers("RayTrainWorker"), "those that Ray Train starts again end at once"
    done = together(cluster, Course(start=kept[-1]), epochs=60)
    assert weights(done) == whole


@pytest.mark.slow
def test_an_error_of_training_comes_back_as_itself(cluster: Cluster) -> None:
    with pytest.raises(TrainingError) as error:
        together(cluster, Course(has_time=break_down))
    assert vars(error.value) == vars(_BROKEN)


class Lost(training._Box):
    def look(self) -> Any:
        os._exit(1)


@pytest.mark.slow
def test_where_what_stands_between_the_processes_is_lost_training_ends_with_the_reason(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_Box", Lost)
    with pytest.raises(TaskError, match="training failed"):
        together(cluster, Course())


@pytest.mark.slow
def test_processes_of_another_version_are_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "__version__", "9.9")
    with pytest.raises(UsageError, match=r"its workers have lstmcli .*, expected lstmcli 9\.9"):
        together(cluster, Course())


def test_processes_that_cannot_be_had_are_refused() -> None:
    for address, size, words in (
        ("ray://127.0.0.1:10001", 2, "not run through Ray's client.*Pass HOST:PORT"),
        ("local", 3, r"no room \(3 workers\): the cluster has room for 2 of 1 CPUs.*--workers 2"),
    ):
        with (
            pytest.raises(UsageError, match=words),
            group_of(address, size, threads=1, device="cpu"),
        ):
            pass
    with group_of(None, None, threads=1, device="cpu") as group:
        assert group == (fit, torch.device("cpu"), 1)


def test_options_of_a_cluster_alone_are_refused_without_one(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(csv_text(walk(300)))
    for words in (("tune", "--at-once", 2), ("train", "--workers", 2)):
        outcome = in_process(*words, "--csv", "prices.csv", folder=tmp_path)
        assert_one_error(outcome, 2, f"option not used ({words[1]}): it is for --ray")
