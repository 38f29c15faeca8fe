"""How fast the networks are: `pytest tests/benchmarks/test_networks.py -m slow -s`.

One CPU thread. What is compared is run in turns in one process and timed in seconds of the CPU,
which a busy machine inflates less. From the shell the default recipe is trained as it is, on the
S&P 500 of the shipped sample, in seconds on the wall.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from lstmcli.config import Model
from lstmcli.learning import fit as fit_module
from lstmcli.learning.fit import fit
from lstmcli.networks.recurrent import PeepholeLSTM
from lstmcli.recipes import load_settings
from tests.benchmarks.measure import in_turns, shipped_plan
from tests.command_line import PROGRAM
from tests.synthetic import CPU

pytestmark = pytest.mark.slow
NETWORKS = get_args(Model.model_fields["network"].annotation)
SHAPES = {  # windows, rows, features, cells
    "lab recipe, first layer": (64, 50, 1, 50),
    "lab recipe, second layer": (64, 50, 50, 100),
    "default recipe, chunks": (64, 191, 4, 32),
    "default recipe, whole windows": (64, 249, 4, 32),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_peephole_layer_against_pytorchs_lstm(name: str) -> None:
    n, length, features, size = SHAPES[name]
    x = torch.randn(length, n, features, requires_grad=features > 10)

    def step(layer: nn.Module) -> Callable[[], None]:
        def run() -> None:
            layer.zero_grad()
            layer(x)[0].square().mean().backward()

        return run

    theirs, ours = in_turns(
        step(nn.LSTM(features, size)), step(PeepholeLSTM(features, size)), rounds=25
    )
    print(
        f"\n{name}: nn.LSTM {1e3 * theirs:.1f} ms forward and backward, "
        f"peephole {1e3 * ours:.1f} ms: {ours / theirs:.2f} times"
    )
    assert ours > 0


@pytest.mark.parametrize("recipe", ["default", "lab-corrected"])
def test_training_with_peepholes_against_training_without(recipe: str) -> None:
    lstm, peephole = in_turns(
        *(_training(recipe, f"model.network={network}") for network in ("lstm", "peephole")),
        rounds=3,
    )
    print(f"\n{recipe}: training with peepholes takes {peephole / lstm:.2f} times as long")
    assert peephole > 0


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_trains_on_the_index(network: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    subprocess.run(
        [PROGRAM, "train", "--set", f"model.network={network}", "--set", 'data.symbols=["SPX"]'],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=600,
    )
    print(f"\n{network}: {time.perf_counter() - began:.1f} s from the shell, default recipe, SPX")
    assert (tmp_path / "data/models/default/v0001/metadata.json").exists()


def test_the_networks_side_by_side(tmp_path: Path) -> None:
    """Print the table of the README: all networks, the default recipe, all shipped series."""
    table = []
    for network in NETWORKS:
        wanted = f"model.network={network}"
        train = json.loads(_run(tmp_path, "train", "--name", network, "--set", wanted))
        kept = train["metadata"]
        table.append((network, kept["parameters"], kept["duration_seconds"]))
    asked = [word for network in NETWORKS for word in ("--model", network)]
    scores = json.loads(_run(tmp_path, "evaluate", "--step-size", "5", *asked))["scores"]
    print()
    for network, weights, seconds in table:
        own = scores["models"][f"{network}/v0001"]
        path, intervals = own["path"], own["crps_skill_intervals"]
        against = "".join(
            f", {100 * path['crps_skill'][name]:+.1f} % against {name} "
            "({:+.1f} to {:+.1f})".format(*(100 * intervals[name][end] for end in ("low", "high")))
            for name in ("har", "scaled_climatology")
        )
        print(
            f"{network}: {weights} weights, {seconds:.1f} s, CRPS {100 * path['crps']:.3f} %"
            f"{against}, RMSE {100 * path['skill']['drift']:+.1f} % against drift"
        )
    assert len(table) == len(NETWORKS)


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [PROGRAM, *words, "--format", "json"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout


@pytest.mark.parametrize("recipe", ["default", "lab-corrected"])
def test_what_it_costs_to_watch_the_gradients(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = _training(recipe)

    def unwatched() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(fit_module, "named_layers", lambda network: {})
            patch.setattr(fit_module, "gradient_probe", lambda *given: None)
            train()

    ours, bare = in_turns(train, unwatched, rounds=4)
    print(
        f"\n{recipe}: training takes {ours:.2f} s, {bare:.2f} s unwatched: {ours / bare - 1:+.1%}"
    )
    assert ours > 0


def _training(recipe: str, *changes: str) -> Callable[[], object]:
    """Return what trains two epochs of a recipe, on the features that its data have."""
    closes = ['window.features=["close"]'] if recipe == "default" else []
    settings = load_settings(recipe, [*closes, "train.epochs=2", *changes])
    plan = shipped_plan(settings)
    return lambda: fit(plan, settings, CPU)
