"""Small models for all tests of the commands, trained once; every test gets a copy of them."""

import shutil
from pathlib import Path

import pytest

from tests.command_line import csv_text, in_process, walk

ROWS = 300
RECIPE = """\
[data]
csv = ["prices.csv"]

[window]
context_length = 10
horizon = 5
features = ["close"]
scaling = "log_return"

[model]
head = "recursive"
hidden_sizes = [4]

[train]
epochs = 2
threads = 1
device = "cpu"
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices, a recipe and a model; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "prices.csv").write_text(csv_text(walk(ROWS)))
    (folder / "tiny.toml").write_text(RECIPE)
    done = in_process("train", "--config", "tiny.toml", folder=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the same in it."""
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"
