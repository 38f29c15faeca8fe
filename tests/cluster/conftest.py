"""A Ray cluster of two worker processes, which the tests of a file share."""

import gc
import logging
import warnings
from collections.abc import Iterator

import pytest
import ray

from lstmcli.cluster.connection import connected
from lstmcli.cluster.tasks import Cluster


@pytest.fixture(scope="module", autouse=True)
def processes_left_to_ray() -> Iterator[None]:
    """Drop what Ray has of its processes, some of which it never waits for."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def cluster(two_workers: None) -> Iterator[Cluster]:
    with connected("local") as found:
        yield found


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """Connect this process, so that every run in it uses these two workers."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_AUTH_MODE", "disabled")
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            object_store_memory=200_000_000,
        )
        yield
        ray.shutdown(wait_for_processes=True)
