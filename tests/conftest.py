"""What all tests share: hypothesis without deadlines, one thread, a feed, processes to kill."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from tests.forked_runs import ForkServer, fork_server
from tests.yahoo_stand_in import StandIn, stand_in

settings.register_profile("lstmcli", deadline=None, derandomize=True)
settings.load_profile("lstmcli")
# Several threads wait for each other far longer than these networks take to compute.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world() -> Iterator[tuple[StandIn, ForkServer]]:
    with stand_in() as script, fork_server(script.url) as server:
        yield script, server


@pytest.fixture
def yahoo(world: tuple[StandIn, ForkServer]) -> StandIn:
    """The feed, which knows nothing yet and has no fault."""
    script, _ = world
    for one in (script.listings, script.faults, script.always):
        one.clear()
    script.forget()
    return script


@pytest.fixture
def forks(world: tuple[StandIn, ForkServer], yahoo: StandIn) -> ForkServer:
    """The command in processes of its own, asking the feed."""
    return world[1]
