"""Refits of a backtest as tasks: the same forecasts, in the same order, also from a lost worker."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.learning.refit import Refit
from lstmcli.workflows.evaluate import EvaluateReport
from tests.cluster.processes import busy_workers
from tests.command_line import Outcome, in_process
from tests.learning.test_refit import World

pytestmark = pytest.mark.usefixtures("two_workers")


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World("fan", tmp_path_factory.mktemp("fan"))


def facts(report: EvaluateReport) -> tuple[Any, ...]:
    """All that a refit can change."""
    made = report.backtest.forecasts.items()
    found = {
        name: (each.median.tobytes(), np.asarray(each.quantiles).tobytes()) for name, each in made
    }
    for name, table in report.thresholds.items():
        found[f"{name} thresholds"] = table.low.tobytes(), table.high.tobytes()
    return found, report.refits, report.verdicts, report.notes


@pytest.mark.parametrize("options", [{"refit": 4}, {"refits": 6}])
def test_refits_on_a_cluster_forecast_the_same_bytes(options: dict[str, Any], fan: World) -> None:
    seen: list[tuple[Refit, int, int]] = []
    here = fan.evaluate(**options)
    there = fan.evaluate(**options, ray="local", on_refit=lambda *event: seen.append(event))
    assert facts(there) == facts(here)
    assert [refit for refit, *_ in seen] == list(here.refits)
    total = len(here.refits)
    assert [numbers for _, *numbers in seen] == [[number + 1, total] for number in range(total)]


def test_without_refits_no_cluster_is_asked_for(fan: World) -> None:
    assert fan.evaluate(ray="no address").refits == ()


@pytest.mark.slow  # test_tasks and test_predict lose a worker each time
def test_a_worker_killed_in_the_middle_changes_nothing(fan: World) -> None:
    killed: list[int] = []

    def kill(refit: Refit, number: int, total: int) -> None:
        deadline = time.monotonic() + 5
        while number == 1 and not killed and time.monotonic() < deadline:
            for pid in busy_workers("_perform")[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    here, there = fan.evaluate(refit=1), fan.evaluate(refit=1, ray="local", on_refit=kill)
    assert killed
    assert facts(there) == facts(here)


@pytest.mark.slow
def test_evaluate_prints_the_same_refits_and_figures(tmp_path: Path) -> None:
    World("fan", tmp_path)

    def run(*options: object, **rest: Any) -> Outcome:
        words = ("evaluate", "--model", "m", "--data-dir", ".", "--refit", 4, "--verbose")
        return in_process(*words, "--json", *options, folder=tmp_path, **rest)

    here = run()
    assert here.code == 0
    assert "refit 2 of" in here.err
    assert run("--ray", "local") == here
    assert run(env={"LSTMCLI_RAY": "local"}) == here
