"""The wheel carries all that the tool needs: it does the main job outside a clone."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.command_line import one_after_another, words_of

ROOT = Path(__file__).parent.parent
TEMPLATES = ("base.html", "evaluation.html", "forecast.html", "macros.html", "page.css")
TINY = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[4]")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_does_the_main_job_outside_a_clone(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are those of the running environment, the package only the wheel.

    A wheel of Python alone is installed by unpacking it.
    """
    python = _environment(tmp_path, with_pip=False)
    packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _main_job(python, tmp_path)


def test_wheel_carries_templates_sessions_and_the_ready_made_model(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    files = ("model.safetensors", "config.toml", "metadata.json", "history.csv")
    base = {f"lstmcli/shipped/data/base/v0001/{name}" for name in files}
    templates = {f"lstmcli/pictures/templates/{name}" for name in TEMPLATES}
    others = {"lstmcli/market/sessions.npz", "lstmcli/py.typed", "lstmcli/shipped/data/us20.csv.gz"}
    assert base | templates | others <= held


def test_wheel_carries_its_licence_and_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (licence,) = [name for name in held.namelist() if name.endswith("/licenses/LICENSE")]
        assert held.read(licence) == (ROOT / "LICENSE").read_bytes()
        (name,) = [name for name in held.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = held.read(name).decode().splitlines()
    assert "License-Expression: MIT" in metadata
    assert "Author: the lstmcli authors" in metadata
    assert "Classifier: Typing :: Typed" in metadata
    assert [line for line in metadata if line.startswith("Project-URL")] == []


@pytest.mark.install
def test_wheel_installs_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path, with_pip=True)
    constraints = str(ROOT / "constraints.txt")
    _run([str(python), "-m", "pip", "install", "-q", "-c", constraints, str(wheel)])
    assert _run([str(python.with_name("lstmcli")), "--version"]).startswith("lstmcli ")
    _main_job(python, tmp_path)


def _environment(folder: Path, *, with_pip: bool) -> Path:
    venv.create(folder / "env", with_pip=with_pip, symlinks=True)
    return folder / "env" / "bin" / "python"


def _main_job(python: Path, folder: Path) -> None:
    home = folder / "elsewhere"
    home.mkdir()
    where = _run([str(python), "-c", "import lstmcli; print(lstmcli.__file__)"], home)
    assert str(folder) in where
    other = ("--name", "other", "--replace", *TINY)  # each of other prices than the last
    runs = [
        ("predict", "--model", "base"),
        ("train", "--config", "lab-corrected", *TINY),
        ("predict",),
        ("evaluate",),
        ("train", "--config", "default", "--set", 'data.symbols=["SPX"]', *other),
        ("train", "--config", "lab", *other),
        ("train", "--config", "wine", *other),
    ]
    done = one_after_another(runs, folder=home, env=_without_clone(), python=python)
    assert done.code == 0, done.err
    assert "by base/v0001" in done.out
    trained, _, rest = done.out.partition("by lab-corrected/v0001")
    assert "In use now: lab-corrected/v0001" in trained
    assert "on 13 forecasts; a test needs 20." in words_of(rest)


def _without_clone() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def _run(command: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=_without_clone(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
