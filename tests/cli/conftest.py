"""Small models for all tests of the commands, trained once; every test gets a copy."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lstmcli.market import throttle
from lstmcli.workflows.fetch import fetch
from tests.cli.recomputed import LAST, Evaluated, in_units
from tests.cli.recomputed import ROWS as LONG
from tests.command_line import TINY_RECIPE, csv_text, succeed, walk

ROWS = 300


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking takes no time, nor does asking again."""
    assert fetch.__kwdefaults__
    monkeypatch.setitem(fetch.__kwdefaults__, "rate", 100.0)
    monkeypatch.setattr(throttle, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(throttle, "FIRST_REST", 0.01)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices, a recipe and a model; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "prices.csv").write_text(csv_text(walk(ROWS)))
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    succeed("train", "--config", "tiny.toml", folder=folder)
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the same in it."""
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def whole(trained_fan: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """The scores as JSON, and the long table of all windows in units of the last price."""
    folder = tmp_path_factory.mktemp("long")
    files: list[str] = []
    for seed, name in enumerate(("one", "two")):  # long enough for tests
        (folder / f"{name}.csv").write_text(csv_text(walk(LONG, seed=seed), LAST))
        files += ["--csv", str(folder / f"{name}.csv")]
    arguments = ("--format", "json", "--forecasts", str(folder / "long.csv"), "--step-size", "3")
    done = succeed("evaluate", *files, *arguments, folder=trained_fan)
    found: dict[str, Any] = json.loads(done.out)["scores"]
    return found, in_units(folder / "long.csv")


@pytest.fixture
def evaluated(whole: Evaluated) -> Evaluated:
    """The same with the windows alone that the report shows."""
    found, table = whole
    return found, table[table["shown"]]
