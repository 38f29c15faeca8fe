"""A small network trained from Python, on a frame, and the settings that make it small."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lstmcli as lc
from lstmcli.api import Evaluation, Model, Predictions
from tests.command_line import sessions, walk

ROWS = 700
SMALL: dict[str, Any] = {
    "window.context_length": 60,
    "model.hidden_sizes": [4],
    "train.epochs": 2,
    "train.chunk_length": 60,
    "train.burn_in": 40,
    "forecast.quantile_levels": [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975],
}


def closes(seed: int = 0, rows: int = ROWS) -> "pd.Series[float]":
    """Return a random walk on New York's sessions."""
    days = pd.DatetimeIndex(sessions(rows), name="Date")
    return pd.Series(walk(rows, seed), index=days, name="Close")


def weights(model: Model) -> bytes:
    """Return the bytes of a model's weights."""
    return (model.reference.folder / "model.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def _no_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, in which nothing may be written unless it is asked for."""
    monkeypatch.delenv("LSTMCLI_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Two series, wide."""
    return pd.DataFrame({"AAA": closes(), "BBB": closes(1)})


@pytest.fixture(scope="session")
def model(frame: pd.DataFrame) -> Model:
    """A model of both, which is not kept."""
    return lc.train(frame, settings=SMALL, horizon=10)


@pytest.fixture(scope="session")
def made(model: Model) -> Predictions:
    """What it forecasts."""
    return model.predict()


@pytest.fixture(scope="session")
def scored(model: Model) -> Evaluation:
    """How it scores."""
    return model.evaluate()
