"""What all tests share: hypothesis without deadlines, one thread, a feed, processes, a fan."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from tests.command_line import csv_text, succeed, walk
from tests.forked_runs import ForkServer, fork_server
from tests.yahoo_stand_in import StandIn, stand_in

settings.register_profile("lstmcli", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("lstmcli")
# Several threads wait for each other far longer than these networks take to compute.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of a cluster first, and let campaigns take the time that they need.

    Where several processes share the tests, the first has the first ones: one cluster serves all.
    """
    items.sort(key=lambda item: "cluster" not in item.path.parts)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(0))


def pytest_collection_finish() -> None:
    """Let Optuna read the history of its own tables once, not for every study.

    To read it takes longer than most searches here.
    """
    if storage := sys.modules.get("optuna.storages._rdb.storage"):
        manager: Any = storage._VersionManager
        read, known = manager._create_alembic_script, list[Any]()
        manager._create_alembic_script = lambda self: known[0] if known else kept(read(self))

        def kept(script: Any) -> Any:
            known.append(script)
            return script


CONTEXT = 60  # rows that the fan reads
_FAN_RECIPE = f"""\
[data]
csv = ["one.csv", "two.csv"]

[window]
context_length = {CONTEXT}
horizon = 10

[model]
hidden_sizes = [4]

[train]
members = 2
epochs = 2
chunk_length = 60
burn_in = 40

[forecast]
quantile_levels = [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]
"""


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


@pytest.fixture(scope="session")
def trained_fan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices of two symbols and a model `fan` of them; not to be changed."""
    folder = tmp_path_factory.mktemp("fan")
    (folder / "one.csv").write_text(csv_text(walk(700)))
    (folder / "two.csv").write_text(csv_text(walk(700, seed=1)))
    (folder / "fan.toml").write_text(_FAN_RECIPE)
    succeed("train", "--config", "fan.toml", folder=folder)
    return folder


@pytest.fixture
def fan_home(trained_fan: Path, tmp_path: Path) -> Path:
    """A folder of one's own with that fan in it."""
    shutil.copytree(trained_fan, tmp_path / "home")
    return tmp_path / "home"
