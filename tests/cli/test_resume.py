"""`lstmcli train` where a run was broken off, has no time, or has nothing to do: what it says."""

import json
from pathlib import Path
from typing import Any

import pytest

from lstmcli.runs import checkpoint as checkpoint_module
from lstmcli.runs.checkpoint import CHECKPOINT, Checkpoint, save_checkpoint
from tests.command_line import Outcome, assert_one_error, hashes, in_process, succeed

ONCE = ("train", "--config", "tiny.toml")


@pytest.fixture
def trained_once(home: Path) -> Path:
    """A folder whose newest version is of the very settings that it will be trained with."""
    succeed(*ONCE, folder=home)
    return home


def train(home: Path, *options: object) -> Outcome:
    return succeed(*ONCE, *options, folder=home)


def break_off(home: Path, monkeypatch: pytest.MonkeyPatch, *options: object) -> Outcome:
    """Train until the first epoch is kept."""

    def save_and_stop(folder: Path, origin: dict[str, Any], checkpoint: Checkpoint) -> None:
        save_checkpoint(folder, origin, checkpoint)
        raise SystemExit(143)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save_checkpoint", save_and_stop)
        return in_process(*ONCE, "--force", *options, folder=home)


def test_unchanged_training_says_so_and_writes_nothing(trained_once: Path) -> None:
    before = hashes(trained_once)
    outcome = train(trained_once)
    assert outcome.out == (
        "unchanged: tiny/v0002 was made by the same settings, data and versions, so nothing was "
        "trained. --force trains anyway.\n"
    )
    assert outcome.err == ""
    found = json.loads(train(trained_once, "--format", "json").out)
    assert found["unchanged"] is True
    assert (found["model"], found["promoted"]) == ("tiny/v0002", False)
    assert found["metadata"]["stopped"] == "epochs"
    assert hashes(trained_once) == before


def test_unchanged_training_has_no_rows_but_their_names(trained_once: Path) -> None:
    (header,) = train(trained_once, "--format", "csv").out.splitlines()
    assert header.startswith("epoch,loss,validation_loss,")
    assert train(trained_once, "--format", "jsonl").out == ""


def test_the_json_of_both_has_the_same_keys(trained_once: Path) -> None:
    unchanged = json.loads(train(trained_once, "--format", "json").out)
    forced = json.loads(train(trained_once, "--format", "json", "--force").out)
    assert set(unchanged) == set(forced)
    assert set(unchanged["metadata"]) - set(forced["metadata"]) == {
        "schema_version", "trained_on", "weights_sha256", "config_sha256",
    }  # fmt: skip
    assert (forced["model"], forced["unchanged"]) == ("tiny/v0003", False)


def test_symbols_that_fail_are_named_also_where_nothing_is_trained(home: Path) -> None:
    options = ("--csv", "prices.csv", "--csv", "absent.csv", "--name", "pair")
    for unchanged in (False, True):
        outcome = in_process(*ONCE, *options, "--format", "json", folder=home)
        assert outcome.code == 3
        assert "failed: absent.csv: " in outcome.err
        assert json.loads(outcome.out)["unchanged"] is unchanged


def test_a_run_broken_off_is_resumed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = break_off(home, monkeypatch)
    assert (outcome.code, outcome.out) == (143, "")
    assert outcome.err == (
        "lstmcli: stopped: epoch 1 of tiny is kept, --resume goes on from there\n"
    )
    outcome = train(home, "--resume", "--verbose")
    assert "epoch 2: loss" in outcome.err
    assert "epoch 1: loss" not in outcome.err
    assert outcome.err.endswith("lstmcli: resumed after epoch 1\n")
    assert train(home, "--resume", "--force", "--quiet").err == ""


def test_other_settings_start_anew_and_say_what_differs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(home, monkeypatch)
    outcome = train(home, "--resume", "--seed", 3, "--set", "train.epochs=3")
    first, compared = outcome.err.splitlines()
    assert first == (
        "lstmcli: the checkpoint of epoch 1 has train.seed 0, not 3; train.epochs 2, not 3; "
        "training started again"
    )
    assert compared.startswith("lstmcli: You have evaluated 2 models on this period (")
    assert not (home / "data/models/tiny" / CHECKPOINT).exists()


def test_a_timeout_of_nothing_is_refused(home: Path) -> None:
    assert_one_error(in_process(*ONCE, "--timeout", "0", folder=home), 2, "--timeout")


def test_a_timeout_is_told_in_the_table_and_the_metadata(home: Path) -> None:
    """The clock is the real one: patience and epochs are such that only the timeout can end it."""
    options = ("--set", "train.epochs=100000", "--set", "train.patience=100000", "--timeout", "1")
    outcome = train(home, *options)
    assert "cut short by --timeout" in outcome.out
    assert "lstmcli: --timeout ended training after epoch " in outcome.err
    assert outcome.err.endswith("is kept as tiny/v0002, --resume goes on\n")
    folder = home / "data/models/tiny/v0002"
    assert json.loads((folder / "metadata.json").read_text())["stopped"] == "timeout"
    succeed("predict", "-m", "tiny/v0002", folder=home)
    assert (folder.parent / CHECKPOINT).exists()


def test_rows_of_a_resumed_run_are_all_its_epochs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(home, monkeypatch)
    rows = train(home, "--resume", "--format", "jsonl").out.splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2]
