"""What the command says of networks: gradients, settings without use, ways that make no sense."""

import csv
import io
from pathlib import Path

import pytest

from tests.command_line import Outcome, succeed


def train(home: Path, network: str, *options: str) -> Outcome:
    return succeed(
        *("train", "--config", "tiny.toml", "--name", network),
        *("--set", f"model.network={network}", *options),
        folder=home,
    )


@pytest.mark.parametrize("network", ["rnn", "mlp"])
def test_gradients_by_layer_stand_in_the_history_and_beside_each_epoch(
    home: Path, network: str
) -> None:
    done = train(home, network, "--set", "train.clip_norm=1e-6", "--verbose")
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
    done = train(home, "linear", "--set", "model.kernel_size=5")
    assert done.err.splitlines() == [
        "lstmcli: model.network linear has no use for model.hidden_sizes",
        "lstmcli: model.network linear has no use for model.kernel_size",
    ]


def test_one_label_a_window_is_said_where_a_sequence_was_asked_for(home: Path) -> None:
    done = train(
        home, "linear", "--set", "train.labels=sequence", "--set", "model.hidden_sizes=[32]"
    )
    assert done.err.splitlines() == [
        "lstmcli: one label a window: train.labels sequence of model.head recursive goes with "
        "networks that keep a state and window.scaling relative"
    ]
