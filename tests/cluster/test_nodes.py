"""Two nodes in one machine: tasks run on both, and on the other where one is lost."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster as Nodes

from lstmcli.cluster import connection
from lstmcli.cluster.connection import connected
from lstmcli.errors import NetworkError
from tests.cli.test_signals import wait_for

pytestmark = pytest.mark.slow
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100_000_000}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "disabled")
        found = Nodes(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        found.add_node(**NODE)
        yield found
        found.shutdown()


def node_of(number: int) -> str:
    time.sleep(0.3)
    return str(ray.get_runtime_context().get_node_id())


def test_tasks_run_on_both_nodes_and_again_where_one_is_lost(nodes: Any) -> None:
    calls = [(number,) for number in range(8)]
    with connected(nodes.address) as cluster:
        assert cluster.slots == 2
        assert len(set(cluster.run(node_of, calls))) == 2
        results = cluster.run(node_of, calls)
        first = next(results)
        (second,) = nodes.worker_nodes
        nodes.remove_node(second, allow_graceful=False)
        found = [first, *results]
        assert len(found) == 8
        assert set(found[4:]) == {nodes.head_node.node_id}
        wait_for(lambda: cluster.slots == 1)


def test_a_run_ends_with_an_error_where_the_head_is_lost(
    nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LONGEST_LOSS", 2.0)
    monkeypatch.setattr(connection, "_BETWEEN", 0.5)
    lost = pytest.raises(NetworkError, match=r"lost the Ray cluster .*: its head does not answer")
    with lost as caught, connected(nodes.address) as cluster:
        for number, _ in enumerate(cluster.run(node_of, [(0,)] * 500)):
            if number == 3:
                nodes.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    assert caught.value.exit_code == 6
