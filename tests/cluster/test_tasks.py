"""Functions over items as tasks: order, failures, lost workers, memory, signals."""

import os
import pickle
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli.cluster import tasks
from lstmcli.cluster.tasks import Cluster
from lstmcli.errors import (
    AllFailedError,
    DataError,
    Failure,
    LstmcliError,
    PartialError,
    TaskError,
    UsageError,
)
from lstmcli.market.bar_checks import UnusablePriceError
from lstmcli.market.throttle import RateLimited
from lstmcli.market.yahoo import NothingInRange


def slowly(number: int) -> int:
    time.sleep(0.05 if number % 2 else 0.0)
    return number


def threads_of(number: int) -> int:
    return torch.get_num_threads()


def refuse(number: int, how: str) -> int:
    if number == 1 and how == "house":
        raise DataError("no prices", where="AAPL", why="the file is empty")
    if number == 1:
        raise ValueError("a bug\nin two lines")
    return number


def die_once(number: int, mark: str) -> int:
    """Kill the worker of the second call, the first time."""
    if number == 1 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def leave_mark(number: int, folder: str) -> int:
    time.sleep(0.5)
    Path(folder, str(number)).touch()
    return number


def total(shared: list[int], number: int) -> int:
    return sum(shared) + number


def calls(*numbers: int, then: LstmcliError | None = None) -> Iterator[tuple[int]]:
    for number in numbers:
        yield (number,)
    if then is not None:
        raise then


def test_results_come_in_the_order_of_the_calls(cluster: Cluster) -> None:
    assert list(cluster.run(slowly, calls(*range(20)))) == list(range(20))
    assert list(cluster.run(slowly, calls())) == []


def test_a_shared_value_is_an_argument_by_reference(cluster: Cluster) -> None:
    shared = cluster.put([1, 2, 3])
    assert list(cluster.run(total, [(shared, number) for number in range(3)])) == [6, 7, 8]


def test_a_worker_computes_on_as_many_threads_as_the_cluster_says(cluster: Cluster) -> None:
    assert list(cluster.run(threads_of, calls(0))) == [1]
    assert list(replace(cluster, threads=2).run(threads_of, calls(0))) == [2]


def test_no_more_calls_are_made_than_may_be_ahead(cluster: Cluster) -> None:
    made: list[int] = []

    def counted() -> Iterator[tuple[int]]:
        for number in range(12):
            made.append(number)
            yield (number,)

    for seen, _ in enumerate(cluster.run(slowly, counted(), ahead=3), 1):
        assert len(made) <= seen + 3
    assert len(made) == 12
    assert cluster.slots == 2


def test_an_error_of_the_house_comes_back_as_itself_in_its_place(cluster: Cluster) -> None:
    one, error, three = cluster.run(refuse, [(number, "house") for number in range(3)])
    assert (one, three) == (0, 2)
    assert type(error) is DataError
    assert (str(error), error.where) == ("no prices (AAPL): the file is empty", "AAPL")


def test_any_other_exception_is_a_failed_task_with_its_reason(cluster: Cluster) -> None:
    one, error, three = cluster.run(refuse, [(number, "bug") for number in range(3)])
    assert (one, three) == (0, 2)
    assert type(error) is TaskError
    assert str(error) == "the task failed (local): ValueError: a bug"


def test_an_error_in_making_the_calls_is_raised_after_the_results_before_it(
    cluster: Cluster,
) -> None:
    seen: list[Any] = []
    made = calls(1, 2, then=UsageError("a symbol comes twice"))
    with pytest.raises(UsageError, match="a symbol comes twice"):
        seen.extend(cluster.run(slowly, made))
    assert seen == [1, 2]


def test_the_task_of_a_worker_that_is_killed_is_done_by_another(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = str(tmp_path / "killed")
    assert list(cluster.run(die_once, [(number, mark) for number in range(4)])) == [0, 1, 2, 3]
    assert Path(mark).exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_task_that_kills_every_worker_fails_alone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETRIES", 1)
    (error,) = cluster.run(die, calls(1))
    assert str(error) == "the task failed (local): its worker was lost 2 times"


@pytest.mark.slow
def test_what_runs_is_cancelled_when_the_results_are_no_longer_wanted(
    cluster: Cluster, tmp_path: Path
) -> None:
    class Stop(BaseException):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    try:
        with pytest.raises(Stop):
            list(cluster.run(leave_mark, [(n, str(tmp_path)) for n in range(40)]))
    finally:
        signal.signal(signal.SIGALRM, before)
    done = len(list(tmp_path.iterdir()))
    time.sleep(1.2)
    assert len(list(tmp_path.iterdir())) == done < 10
    assert list(cluster.run(slowly, calls(1))) == [1]


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "__version__", "9.9")
    with pytest.raises(UsageError, match=r"its workers have lstmcli .*, expected lstmcli 9\.9"):
        list(cluster.run(slowly, calls(1)))


def test_a_task_that_no_node_has_room_for_is_refused(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="a task takes 64 CPUs, the largest node has 2"):
        replace(cluster, threads=64).check_size()
    with pytest.raises(UsageError, match="a task takes 9999 GPUs, the cluster has"):
        replace(cluster, gpus=9999.0).check_size()


def test_every_error_survives_the_way_to_another_process() -> None:
    failures = [Failure("A", "no prices.", 4), Failure("B", "damaged", 1)]
    unusable = UnusablePriceError("no price", where="AAPL", next_step="Correct it.")
    unusable.resume = date(2020, 1, 2)
    errors: list[LstmcliError] = [AllFailedError(failures), AllFailedError(failures[:1]), unusable]
    errors += [RateLimited("AAPL", "paused"), NothingInRange("AAPL", "none")]
    errors += [PartialError("some", where="w", why="y", next_step="n")]
    for each in errors:
        back = pickle.loads(pickle.dumps(each))
        assert (type(back), str(back), vars(back)) == (type(each), str(each), vars(each))
