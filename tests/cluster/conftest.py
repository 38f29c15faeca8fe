"""A Ray cluster of two worker processes, which all tests of this folder share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from lstmcli.cluster.connection import connected
from lstmcli.cluster.tasks import Cluster
from tests.cluster.processes import stop_cluster

_FOLDER = Path(__file__).parent
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    # Seconds that the start of a process may take while other work keeps the cores busy.
    "RAY_worker_register_timeout_seconds": "180",
    # Idle workers are kept: a new one takes seconds.
    "RAY_num_workers_soft_limit": "4",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # the longest that the end of a training waits
}


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the cluster after the last of these tests, so that it slows no other test."""
    if ray.is_initialized() and (nextitem is None or _FOLDER not in nextitem.path.parents):
        stop_cluster()


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect this process, so that every run in it uses these two workers."""
    for name, text in _ENVIRONMENT.items():
        monkeypatch.setenv(name, text)
    if not ray.is_initialized():
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            object_store_memory=200_000_000,
        )


@pytest.fixture
def cluster(two_workers: None) -> Iterator[Cluster]:
    with connected("local") as found:
        yield found
