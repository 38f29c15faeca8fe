"""Training that cannot be: too few rows, a network that explodes, settings out of range, a lock.

The numbers are the rows of the list of faults that the tool survives.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli.files.locks import hold
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)
from tests.rows import for_each


def train(home: Path, *options: str) -> Outcome:
    return in_process("train", "--config", "tiny.toml", *options, folder=home)


def needed(outcome: Outcome) -> int:
    """The number N of "needs N rows" in an error."""
    return int(outcome.err.partition("needs ")[2].split()[0])


@pytest.mark.parametrize(("context_length", "horizon"), [(10, 5), (30, 2), (5, 12)])
def test_as_many_rows_as_are_asked_for_are_enough_and_fewer_are_not(
    home: Path, context_length: int, horizon: int
) -> None:
    sizes = (
        *("--set", f"window.context_length={context_length}"),
        *("--set", f"window.horizon={horizon}"),
        *("--csv", "short.csv", "--name", "short"),
    )
    (home / "short.csv").write_text(csv_text(walk(20)))
    before = hashes(home)
    outcome = train(home, *sizes)
    assert_one_error(outcome, 4, "short", "has 20")
    assert hashes(home) == before
    enough = needed(outcome)
    fewer = enough - 1
    (home / "short.csv").write_text(csv_text(walk(fewer)))
    assert_one_error(train(home, *sizes), 4, f"needs {enough} rows, has {fewer}")
    (home / "short.csv").write_text(csv_text(walk(enough)))
    done = train(home, *sizes)
    assert done.code == 0, done.err


def test_rows_up_to_train_end_are_counted_alone(home: Path) -> None:
    days = sessions(300)
    (home / "long.csv").write_text(csv_text(walk(300)))

    def until(rows: int) -> Outcome:
        end = f"split.train_end={days[rows - 1]}"
        return train(home, "--csv", "long.csv", "--set", end)

    outcome = until(20)
    assert_one_error(outcome, 4, "long", "has 20", "split.train_end")
    enough = needed(outcome)
    fewer = enough - 1
    assert_one_error(until(fewer), 4, f"needs {enough} rows", f"has {fewer}")
    assert until(enough).code == 0


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_forecast_needs_its_context(home: Path, rows: int) -> None:
    (home / "short.csv").write_text(csv_text(walk(rows)))
    outcome = in_process("predict", "--csv", "short.csv", "-m", "tiny", folder=home)
    assert_one_error(outcome, 4, "short", f"needs 10 rows up to the cutoff, has {rows}")


def test_forecast_from_exactly_its_context(home: Path) -> None:
    (home / "short.csv").write_text(csv_text(walk(10)))
    succeed("predict", "--csv", "short.csv", "-m", "tiny", folder=home)


def test_backtest_needs_a_context_and_a_horizon(home: Path) -> None:
    (home / "short.csv").write_text(csv_text(walk(14)))
    options = ("--csv", "short.csv", "-m", "tiny", "--start", "2000-01-03")
    assert_one_error(in_process("evaluate", *options, folder=home), 4, "short")
    (home / "short.csv").write_text(csv_text(walk(15)))
    assert document_of(home, "evaluate", *options)["windows"]["evaluated"] == 1


EXPLODING = ("--set", "window.scaling=relative", "--set", "train.clip_norm=0")


def test_divergence_in_the_first_epoch_keeps_nothing(home: Path) -> None:
    # The squares of such moves leave the range of a float32.
    prices = walk(300) * np.where(np.arange(300) % 3, 1e30, 1)
    (home / "prices.csv").write_text(csv_text(prices))
    before = hashes(home)
    outcome = train(home, *EXPLODING)
    assert_one_error(outcome, 1, "diverged", "epoch 1", "train.learning_rate")
    assert hashes(home) == before


def test_divergence_later_keeps_the_last_good_epoch_unpromoted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstmcli.training import loop

    one_pass = loop._one_pass
    passes = iter([False, False, True])

    def failing(network: torch.nn.Module, *rest: Any) -> Any:
        loss, norm = one_pass(network, *rest)
        if next(passes):
            with torch.no_grad():
                next(network.parameters()).fill_(torch.nan)
            return float("nan"), norm
        return loss, norm

    monkeypatch.setattr(loop, "_one_pass", failing)
    before = hashes(home)
    outcome = train(home, "--set", "train.epochs=9")
    assert_one_error(outcome, 1, "diverged", "epoch 3", "kept as tiny/v0002, not promoted")
    after = hashes(home)
    assert {path: after[path] for path in before} == before
    kept = home / "data/models/tiny/v0002"
    assert json.loads((kept / "metadata.json").read_text())["epochs"]["run"] == 2
    assert (home / "data/models/tiny/champion").read_text() == "v0001\n"
    succeed("predict", "-m", "tiny/v0002", folder=home)


BAD_SETTINGS = {
    "train.epoch=3": ("train.epoch", "train.epochs"),
    "train.epochs=many": ("train.epochs", "whole number", "many"),
    "train.learning_rate=1e9": ("train.learning_rate", "at most 1"),
    "split.train_fraction=1.2": ("split.train_fraction", "less than 1.0"),
    "split.purge=1": ("split.purge", "at least window.horizon (5)"),
    "nonsense": ("SECTION.KEY=VALUE",),
}
PLACES = {
    "split.purge=1": "tiny.toml with --set",  # keys that do not go together
    "nonsense": "nonsense",
}


@for_each("setting", BAD_SETTINGS)
def test_bad_setting_names_its_place_its_key_and_the_range(home: Path, setting: str) -> None:
    before = hashes(home)
    outcome = train(home, "--set", setting)
    where = PLACES.get(setting, f"--set {setting}")
    assert_one_error(outcome, 2, f"({where})", *BAD_SETTINGS[setting])
    assert hashes(home) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[window]\nhorizon = 0\n", ("bad.toml", "window.horizon")),
        ("[window\n", ("bad.toml", "not valid TOML", "line 1")),
        ("\0\0\xff", ("bad.toml", "not valid TOML")),
    ],
)
def test_bad_recipe_is_named(home: Path, text: str, words: tuple[str, ...]) -> None:
    (home / "bad.toml").write_text(text)
    assert_one_error(in_process("train", "--config", "bad.toml", folder=home), 2, *words)


def test_recipe_that_is_not_there_lists_those_that_ship(home: Path) -> None:
    outcome = in_process("train", "--config", "labb", folder=home)
    assert_one_error(outcome, 2, "labb", "default, lab, lab-corrected, wine")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_cuda_without_cuda_is_refused(home: Path, command: str, how: str) -> None:
    before = hashes(home)
    options = ("--config", "tiny.toml") if command == "train" else ()
    if how == "option":
        outcome = in_process(command, *options, "--device", "cuda", folder=home)
    else:
        outcome = in_process(command, *options, folder=home, env={"LSTMCLI_DEVICE": "cuda:0"})
    assert_one_error(outcome, 2, "--device cuda", "--device cpu")
    assert hashes(home) == before


@for_each("command", ["train", "predict", "evaluate"])
@for_each("device", ["tpu", "cuda:x", "CPU", ""])
def test_device_that_is_none_is_refused(home: Path, command: str, device: str) -> None:
    assert_one_error(in_process(command, "--device", device, folder=home), 2, "--device", "cuda:N")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_model_trained_on_cuda_forecasts_on_the_cpu(home: Path) -> None:
    assert train(home, "--device", "cuda", "--name", "gpu").code == 0
    succeed("predict", "-m", "gpu", "--device", "cpu", folder=home)


def test_another_run_on_the_same_name_is_refused(home: Path) -> None:
    with hold(home / "data/models/tiny/.lock"):
        before = hashes(home)
        assert_one_error(train(home), 5, "models/tiny", "--wait")
        assert_one_error(train(home, "--wait", "0.1"), 5, "0.1 s")
        assert hashes(home) == before
        assert train(home, "--name", "other").code == 0
        succeed("predict", "-m", "tiny", folder=home)
    assert train(home).code == 0
