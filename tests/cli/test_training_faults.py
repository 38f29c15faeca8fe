"""Training that must fail: too few rows, a diverging network, no such device, a lock.

The numbers are the rows of the list of faults that the tool survives.
"""

import json
from collections.abc import Callable
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


def assert_enough_is_what_is_asked_for(run: Callable[[int], Outcome], *words: str) -> None:
    """Run on 20 rows, then on one row fewer than the error asks for, then on as many."""
    outcome = run(20)
    assert_one_error(outcome, 4, "has 20", *words)
    enough = int(outcome.err.partition("needs ")[2].split()[0])
    assert_one_error(run(enough - 1), 4, f"needs {enough} rows", f"has {enough - 1}")
    done = run(enough)
    assert done.code == 0, done.err


@pytest.mark.parametrize(("context_length", "horizon"), [(10, 5), (30, 2), (5, 12)])
def test_the_requested_number_of_rows_is_enough_and_one_less_is_not(
    home: Path, context_length: int, horizon: int
) -> None:
    sizes = (f"--set=window.context_length={context_length}", f"--set=window.horizon={horizon}")

    def on(rows: int) -> Outcome:
        (home / "short.csv").write_text(csv_text(walk(rows)))
        return train(home, *sizes, "--csv", "short.csv", "--name", "short")

    assert_enough_is_what_is_asked_for(on, "short")


def test_rows_up_to_train_end_are_counted_alone(home: Path) -> None:
    days = sessions(300)
    assert_enough_is_what_is_asked_for(
        lambda rows: train(home, "--set", f"split.train_end={days[rows - 1]}"), "split.train_end"
    )


def test_forecast_needs_its_context_and_a_backtest_a_horizon_too(home: Path) -> None:
    def run(rows: int, command: str, *options: str) -> Outcome:
        (home / "short.csv").write_text(csv_text(walk(rows)))
        return in_process(command, "--csv", "short.csv", "-m", "tiny", *options, folder=home)

    for rows in (1, 2, 9):
        words = f"needs 10 rows up to the cutoff, has {rows}"
        assert_one_error(run(rows, "predict"), 4, "short", words)
    assert run(10, "predict").code == 0
    options = ("--start", "2000-01-03", "--format", "json")
    assert_one_error(run(14, "evaluate", *options), 4, "short")
    assert json.loads(run(15, "evaluate", *options).out)["windows"]["evaluated"] == 1


def test_divergence_in_the_first_epoch_keeps_nothing(home: Path) -> None:
    # The squares of such moves leave the range of a float32.
    prices = walk(300) * np.where(np.arange(300) % 3, 1e30, 1)
    (home / "prices.csv").write_text(csv_text(prices))
    before = hashes(home)
    outcome = train(home, "--set", "window.scaling=relative", "--set", "train.clip_norm=0")
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
    assert before.items() <= hashes(home).items()  # the champion's pointer too
    kept = home / "data/models/tiny/v0002"
    assert json.loads((kept / "metadata.json").read_text())["epochs"]["run"] == 2
    succeed("predict", "-m", "tiny/v0002", folder=home)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@for_each("command", ["train", "predict", "evaluate"])
def test_cuda_without_cuda_is_refused(home: Path, command: str) -> None:
    before = hashes(home)
    env = {"LSTMCLI_CONFIG": "tiny.toml"}
    asked = in_process(command, "--device", "cuda", folder=home, env=env)
    for outcome in (asked, in_process(command, folder=home, env={**env, "LSTMCLI_DEVICE": "cuda"})):
        assert_one_error(outcome, 2, "--device cuda", "--device cpu")
    assert hashes(home) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_model_trained_on_cuda_forecasts_on_the_cpu(home: Path) -> None:
    assert train(home, "--device", "cuda", "--name", "gpu").code == 0
    assert document_of(home, "predict", "-m", "gpu", "--device", "cpu")["forecasts"]


def test_another_run_on_the_same_name_is_refused(home: Path) -> None:
    with hold(home / "data/models/tiny/.lock"):
        before = hashes(home)
        assert_one_error(train(home), 5, "models/tiny", "--wait")
        assert_one_error(train(home, "--wait", "0.1"), 5, "0.1 s")
        assert hashes(home) == before
        assert train(home, "--name", "other").code == 0
        succeed("predict", "-m", "tiny", folder=home)
    assert train(home).code == 0
