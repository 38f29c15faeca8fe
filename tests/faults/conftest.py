"""Fixtures for the tests of faults: a small model, and a folder that any user may enter."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import TINY_RECIPE, csv_text, succeed, walk

ROWS = 120


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="lstmcli-"))
    folder.chmod(0o755)
    yield folder.resolve()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices, a recipe and a model; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "prices.csv").write_text(csv_text(walk(ROWS)))
    (folder / "tiny.toml").write_text(TINY_RECIPE.replace("epochs = 2", "epochs = 1"))
    succeed("train", "--config", "tiny.toml", folder=folder)
    return folder


@pytest.fixture
def home(trained_home: Path, place: Path) -> Path:
    """A folder of one's own with the same in it."""
    shutil.copytree(trained_home, place / "home")
    (place / "home").chmod(0o755)
    return place / "home"


def copies(
    folder: Path, stride: int, most: int, place: Path | None = None
) -> Iterator[tuple[int, Path]]:
    """Yield a fresh copy for each step of the disk, as often as they are asked for."""
    for step in range(stride, most, stride):
        copy = (place or folder.parent) / f"step-{step}"
        shutil.copytree(folder, copy)
        yield step, copy
        shutil.rmtree(copy)
