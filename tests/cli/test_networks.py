"""Every network from the shell: trained, forecast from in every format, scored, and told about."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import Outcome, assert_one_error, in_process, read_exactly

RECIPES = {"point": "tiny.toml", "fan": "fan.toml"}


def train(home: Path, head: str, network: str, *options: str) -> Outcome:
    done = in_process(
        *("train", "--config", RECIPES[head], "--name", network),
        *("--set", f"model.network={network}", *options),
        folder=home,
    )
    assert done.code == 0, done.err
    return done


def output(home: Path, *arguments: str) -> str:
    done = in_process(*arguments, folder=home)
    assert done.code == 0, done.err
    return done.out


@pytest.mark.parametrize(("head", "network"), [("point", "cnn"), ("fan", "gru")])
def test_a_forecast_says_the_same_in_every_format(
    head: str, network: str, request: pytest.FixtureRequest
) -> None:
    place: Path = request.getfixturevalue("home" if head == "point" else "fan_home")
    shown = train(place, head, network).out
    metadata = json.loads((place / f"data/models/{network}/v0001/metadata.json").read_text())
    assert metadata["network"] == network
    assert f"{network}, {metadata['parameters']:,} weights, CPU".lower() in shown.lower()
    predict = ("predict", "--model", network)
    table = read_exactly(output(place, *predict, "--format", "csv"))
    prices = table.filter(regex="^(median|flat_|q)").to_numpy(dtype=float)
    assert (prices > 0).all()
    assert np.isfinite(prices).all()
    assert prices.shape[1] >= 3
    lines = output(place, *predict, "--format", "jsonl").splitlines()
    output(place, *predict, "--format", "parquet", "-o", "rows.parquet")
    found = json.loads(output(place, *predict, "--format", "json"))
    steps = [step for each in found["forecasts"] for step in each["steps"]]
    for other in (
        pd.DataFrame(map(json.loads, lines)),
        pd.read_parquet(place / "rows.parquet"),
        pd.DataFrame(steps),
    ):
        np.testing.assert_array_equal(other["median"], table["median"])
    assert f"{table['median'].iloc[0]:.2f}" in output(place, *predict)
    assert network in output(place, "evaluate", "--model", network)


@pytest.mark.parametrize("network", ["rnn", "mlp"])
def test_gradients_by_layer_stand_in_the_history_and_beside_each_epoch(
    home: Path, network: str
) -> None:
    done = train(home, "point", network, "--set", "train.clip_norm=1e-6", "--verbose")
    text = (home / f"data/models/{network}/v0001/history.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    lines = [line for line in done.err.splitlines() if line.startswith("epoch ")]
    assert len(rows) == len(lines) == 2
    for row, line in zip(rows, lines, strict=True):
        layers = {name: float(row[f"gradient_norm_{name}"]) for name in ("layer1", "head")}
        assert f"(layer1 {layers['layer1']:.3g}, head {layers['head']:.3g})" in line
        assert int(row["clipped"]) > 0
        assert f"{row['clipped']} steps clipped" in line
        assert (row["gradient_kept"] == "") == (network == "mlp")
        if network == "rnn":
            kept = f"{float(row['gradient_kept']):.2g}"
            assert f"{kept} times as much at the window's start as at its end" in line


def test_a_key_that_the_network_has_no_use_for_is_told(home: Path) -> None:
    done = train(home, "point", "linear", "--set", "model.kernel_size=5")
    assert done.err.splitlines() == [
        "lstmcli: model.network linear has no use for model.hidden_sizes",
        "lstmcli: model.network linear has no use for model.kernel_size",
    ]


def test_a_network_that_keeps_no_state_is_not_trained_with_one(fan_home: Path) -> None:
    done = in_process(
        *("train", "--config", "fan.toml", "--set", "model.network=mlp"),
        *("--set", "train.stateful=true"),
        folder=fan_home,
    )
    assert_one_error(done, 2, "train.stateful", "lstm, rnn, gru, peephole", "found mlp")
