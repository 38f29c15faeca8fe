"""A small fan for all cases, trained once; every test gets a copy of its folder."""

import shutil
from pathlib import Path

import pytest

from tests.command_line import csv_text, in_process, walk

CONTEXT = 60
_RECIPE = f"""\
[data]
csv = ["prices.csv"]

[window]
context_length = {CONTEXT}
horizon = 5

[model]
hidden_sizes = [3]

[train]
epochs = 1
chunk_length = 60
burn_in = 40
device = "cpu"
"""


@pytest.fixture(scope="session")
def trained_fan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices and a fan `small` that reads 60 rows; not to be changed."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "prices.csv").write_text(csv_text(walk(400)))
    (folder / "small.toml").write_text(_RECIPE)
    done = in_process("train", "--config", "small.toml", folder=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def fan_home(trained_fan: Path, tmp_path: Path) -> Path:
    """A folder of one's own with that fan in it."""
    shutil.copytree(trained_fan, tmp_path / "home")
    return tmp_path / "home"
