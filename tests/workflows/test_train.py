"""The whole of a training: resumed, cut short, left undone where nothing has changed."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli.config import Settings
from lstmcli.errors import TrainingError
from lstmcli.runs.checkpoint import CHECKPOINT
from lstmcli.sources.source import Source
from lstmcli.training.device import describe_choice
from lstmcli.workflows.train import TrainReport, train
from tests.command_line import csv_text, walk
from tests.synthetic import stop_after, tiny_settings


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "prices.csv").write_text(csv_text(walk(150)))
    return Source(tmp_path / "data", date(2020, 1, 1), csv=(str(tmp_path / "prices.csv"),))


def trained(source: Source, settings: Settings | None = None, **options: Any) -> TrainReport:
    return train(settings or tiny_settings(), source, name="mine", **options)


def weights(report: TrainReport) -> bytes:
    return (report.model.folder / "model.safetensors").read_bytes()


def test_a_run_broken_off_and_resumed_keeps_the_bytes_of_an_unbroken_one(source: Source) -> None:
    settings = tiny_settings(train={"epochs": 5})
    unbroken = train(settings, source, name="whole")
    with pytest.raises(KeyboardInterrupt) as stop:
        trained(source, settings, on_epoch=stop_after(3))
    assert stop.value.__notes__ == [
        "stopped: epoch 3 of mine is kept, --resume continues from there"
    ]
    assert (source.data_dir / "models/mine" / CHECKPOINT).exists()
    told: list[int] = []
    report = trained(source, settings, resume=True, on_epoch=lambda epoch: told.append(epoch.epoch))
    assert told == [4, 5]
    assert weights(report) == weights(unbroken)
    assert [replace(epoch, seconds=0.0) for epoch in report.history] == [
        replace(epoch, seconds=0.0) for epoch in unbroken.history
    ]
    assert report.notes == ("resumed after epoch 3",)
    assert report.metadata.record["duration_seconds"] >= sum(
        epoch.seconds for epoch in report.history
    )
    for key in ("data", "split", "windows", "epochs", "stopped", "origin_sha256", "validation"):
        assert report.metadata.record[key] == unbroken.metadata.record[key]
    assert not (source.data_dir / "models/mine" / CHECKPOINT).exists()


def test_a_note_says_that_a_small_job_gains_little_by_a_gpu(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretend(asked: str, used: torch.device, epochs: float, total: float) -> tuple[str, ...]:
        assert (asked, used.type) == ("auto", "cpu")
        assert 0 < epochs < total
        return describe_choice(asked, torch.device("cuda"), total / 10, total)

    monkeypatch.setattr("lstmcli.workflows.train.choose_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr("lstmcli.workflows.train.describe_choice", pretend)
    report = trained(source, tiny_settings(train={"device": "auto"}))
    assert report.notes[0].startswith("device auto chose cuda. The epochs took ")
    assert report.metadata.record["device"] == "cpu"


def test_a_version_is_made_once_unless_forced(source: Source) -> None:
    first = trained(source)
    again = trained(source)
    assert (first.unchanged, again.unchanged) == (False, True)
    assert str(again.model) == "mine/v0001"
    assert again.history == ()
    forced = trained(source, force=True)
    assert (str(forced.model), forced.unchanged) == ("mine/v0002", False)
    assert weights(forced) == weights(first)


def test_whatever_changes_is_trained_again(source: Source) -> None:
    trained(source)
    assert str(trained(source, tiny_settings(train={"seed": 1})).model) == "mine/v0002"
    assert str(trained(source).model) == "mine/v0003"  # the newest is not of these settings
    assert trained(source).unchanged
    Path(source.csv[0]).write_text(csv_text(walk(150, seed=1)))
    assert str(trained(source).model) == "mine/v0004"


@pytest.mark.parametrize("name", ["lstmcli", "torch"])
def test_another_version_of_the_tool_or_of_torch_trains_again(
    source: Source, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    trained(source)
    if name == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9")
    else:
        monkeypatch.setattr("lstmcli.runs.checkpoint.__version__", "9.9")
    assert not trained(source).unchanged


@pytest.mark.parametrize("file", ["model.safetensors", "metadata.json", "config.toml"])
def test_a_damaged_version_is_made_again(source: Source, file: str) -> None:
    path = trained(source).model.folder / file
    path.write_bytes(path.read_bytes()[:-9])
    assert str(trained(source).model) == "mine/v0002"


def test_a_run_broken_off_since_is_no_reason_to_do_nothing(source: Source) -> None:
    first = trained(source)
    with pytest.raises(KeyboardInterrupt):
        trained(source, force=True, on_epoch=stop_after(1))
    report = trained(source, resume=True)
    assert str(report.model) == "mine/v0002"
    assert weights(report) == weights(first)
    assert trained(source).unchanged


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much whenever it is looked at."""
    ticks = itertools.count()
    return lambda: next(ticks) * seconds


def test_a_timeout_keeps_the_best_epoch_and_the_checkpoint_to_go_on_from(source: Source) -> None:
    settings = tiny_settings(train={"epochs": 6})
    unbroken = train(settings, source, name="whole")
    cut = trained(source, settings, timeout=20.0, clock=ticking(1.0))
    assert 0 < len(cut.history) < 6
    assert cut.metadata.stopped == "timeout"
    assert cut.metadata.epochs == len(cut.history)
    (note,) = cut.notes
    assert note.startswith(f"--timeout ended training after epoch {len(cut.history)}; ")
    assert "mine/v0001" in note
    done = trained(source, settings, resume=True)
    assert (str(done.model), done.unchanged) == ("mine/v0002", False)
    assert done.metadata.stopped == unbroken.metadata.stopped == "epochs"
    assert weights(done) == weights(unbroken)
    assert trained(source, settings).unchanged


def test_a_version_cut_short_is_never_unchanged(source: Source) -> None:
    settings = tiny_settings(train={"epochs": 6})
    trained(source, settings, timeout=20.0, clock=ticking(1.0))
    report = trained(source, settings)
    assert str(report.model) == "mine/v0002"
    assert len(report.history) == 6
    cut = trained(source, settings, force=True, timeout=20.0, clock=ticking(1.0))
    (cut.model.folder.parent / CHECKPOINT).unlink()
    assert not trained(source, settings).unchanged


def test_a_timeout_before_the_first_epoch_leaves_nothing(source: Source) -> None:
    with pytest.raises(TrainingError, match="out of time"):
        trained(source, timeout=0.5, clock=ticking(1.0))
    assert [path.name for path in (source.data_dir / "models/mine").iterdir()] == [".lock"]
