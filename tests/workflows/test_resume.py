"""Which checkpoint is taken up, and what is told of it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli.errors import noted_when_stopped
from lstmcli.runs.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    checkpoint_to_resume,
    note_kept,
    origin_of,
    save_checkpoint,
)
from lstmcli.training.loop import Epoch
from lstmcli.training.trainee import Snapshot
from tests.synthetic import CPU, tiny_settings

ORIGIN = {"data": "ab12", "train.epochs": 3}
HISTORY = (Epoch(1, 0.1, 0.3, 1e-3, 2.0, 0.5, True), Epoch(2, 0.1, 0.2, 1e-3, 2.0, 0.5, True))
NUMBERS = {"epoch": 2, "waited": 0, "best_loss": 0.5, "rate": 0.1, "rates": None}
DONE = Checkpoint((), Snapshot({"weights.w": torch.ones(2)}, NUMBERS), HISTORY)


@pytest.mark.parametrize(
    ("origin", "resume", "told"),
    [
        (ORIGIN, True, "resumed after epoch 2"),
        (ORIGIN, False, "the checkpoint of epoch 2 was replaced; --resume would have continued"),
        ({**ORIGIN, "data": "cd34"}, True, "the checkpoint of epoch 2 has other data; training"),
        (
            {**ORIGIN, "train.epochs": 9},
            True,
            "epoch 2 has train.epochs 3, not 9; training started",
        ),
    ],
)
def test_a_checkpoint_is_taken_up_if_asked_for_and_of_the_same_origin(
    tmp_path: Path, origin: dict[str, Any], resume: bool, told: str
) -> None:
    assert checkpoint_to_resume(tmp_path, origin, resume=resume) == (None, ())
    save_checkpoint(tmp_path, ORIGIN, DONE)
    start, (note,) = checkpoint_to_resume(tmp_path, origin, resume=resume)
    assert (start is not None) == told.startswith("resumed")
    assert told in note


def test_a_damaged_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"\x08" + b"\0" * 7 + b"nonsense")
    start, (note,) = checkpoint_to_resume(tmp_path, ORIGIN, resume=True)
    assert start is None
    assert note.startswith("the checkpoint is damaged (")
    assert note.endswith("; training started again")
    assert "\n" not in note


def test_the_origin_is_the_device_and_threads_in_use_and_all_else_by_key() -> None:
    auto, named = tiny_settings(train={"device": "auto", "threads": 0}), tiny_settings()
    one = origin_of(auto, "ab", CPU, 2)
    assert one == origin_of(named, "ab", CPU, 2)
    assert one != origin_of(named, "ab", CPU, 1)
    assert one != origin_of(named, "ab", torch.device("cuda"), 2)
    assert (one["train.device"], one["train.threads"]) == ("cpu", 2)
    assert {"data", "data.csv", "window.horizon", "evaluate.flat_band", "lstmcli", "torch"} <= set(
        one
    )


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)])
def test_a_stop_carries_a_note_of_what_is_kept(tmp_path: Path, stop: BaseException) -> None:
    def notes(origin: dict[str, Any]) -> list[str]:
        stop.__notes__ = []
        with (
            pytest.raises(type(stop)) as raised,
            noted_when_stopped(lambda: note_kept(tmp_path, "mine", origin)),
        ):
            raise stop
        return raised.value.__notes__

    nothing = ["stopped: no epoch of mine was done, nothing is kept"]
    assert notes(ORIGIN) == nothing
    save_checkpoint(tmp_path, ORIGIN, DONE)
    assert notes(ORIGIN) == ["stopped: epoch 2 of mine is kept, --resume continues from there"]
    assert notes({"data": "other"}) == nothing
    (tmp_path / CHECKPOINT).write_bytes(b"")
    assert notes(ORIGIN) == nothing
