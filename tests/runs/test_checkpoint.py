"""A checkpoint survives a round trip, and damage to it is detected."""

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lstmcli.errors import FileError, ModelError, TrainingError
from lstmcli.runs import checkpoint as checkpoint_module
from lstmcli.runs.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    differences,
    has_checkpoint,
    read_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from lstmcli.training.loop import Epoch
from lstmcli.training.trainee import Snapshot
from tests.rows import for_each

ORIGIN = {"data": "ab12", "train.epochs": 3, "window.features": ["close"], "data.start": None}
HISTORY = (
    Epoch(1, 0.1, 0.3, 1e-3, 2.0, 0.5, best=True),
    Epoch(1, 1 / 3, 0.2, 1e-3, 2.0, 0.5, best=True, member=2),
)
NUMBERS = {
    "epoch": 1,
    "waited": 0,
    "rate": 0.1 + 0.2,
    "best_loss": float("inf"),
    "rates": {"base_lrs": [0.1]},
}


def checkpoint(error: TrainingError | None = None) -> Checkpoint:
    tensors = {
        "weights.w": torch.randn(3, 2),
        "weights.transposed": torch.randn(2, 3).T,
        "optimizer.0.step": torch.tensor(7.0),
        "generator.cpu": torch.get_rng_state(),
        "weights.none": torch.empty(0, 3, dtype=torch.float64),
    }
    return Checkpoint(({"w": torch.randn(4)},), Snapshot(tensors, NUMBERS), HISTORY, error)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return sorted(one) == sorted(other) and all(
        value.dtype == other[name].dtype and value.equal(other[name]) for name, value in one.items()
    )


def test_a_checkpoint_survives_a_round_trip(tmp_path: Path) -> None:
    error = TrainingError("training diverged", where="epoch 2", why="nan", next_step="Lower it.")
    saved = checkpoint(error)
    save_checkpoint(tmp_path, ORIGIN, saved)
    found = read_checkpoint(tmp_path)
    assert found is not None
    origin, read = found
    assert origin == ORIGIN
    assert same(read.snapshot.tensors, saved.snapshot.tensors)
    assert read.snapshot.numbers == NUMBERS
    assert len(read.members) == 1
    assert same(read.members[0], saved.members[0])
    assert read.history == HISTORY
    assert str(read.error) == str(error)
    assert str(read) == "epoch 1 of member 2"


def test_the_next_checkpoint_replaces_the_only_file(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    assert not has_checkpoint(tmp_path)
    for data in ("first", "second"):
        save_checkpoint(tmp_path, {"data": data}, checkpoint())
        found = read_checkpoint(tmp_path)
        assert found is not None
        assert found[0] == {"data": data}
        assert found[1].error is None
        assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    remove_checkpoint(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_checkpoint(tmp_path)


def test_every_flipped_byte_and_every_truncation_is_detected(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, ORIGIN, checkpoint())
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert_damaged(tmp_path)
        path.write_bytes(whole[:place])
        assert_damaged(tmp_path)
    path.write_bytes(whole)
    assert read_checkpoint(tmp_path) is not None


def assert_damaged(folder: Path) -> None:
    with pytest.raises(ModelError, match="the checkpoint is damaged") as error:
        read_checkpoint(folder)
    assert str(error.value).count("\n") == 0
    assert has_checkpoint(folder)


@pytest.mark.parametrize("data", [b"", b"\x80\x05pickle", b"{}", json.dumps([1]).encode() * 99])
def test_a_file_that_is_not_a_checkpoint_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(data)
    assert_damaged(tmp_path)


@pytest.mark.parametrize("facts", ["[]", "{}", '{"origin": 1}', "nonsense", "null"])
def test_facts_of_another_shape_are_an_error(tmp_path: Path, facts: str) -> None:
    for metadata in ({"lstmcli": facts, "sha256": checkpoint_module._digest(facts, {})}, None):
        data = safetensors.torch.save({}, metadata=metadata)
        (tmp_path / CHECKPOINT).write_bytes(data)
        assert_damaged(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_folder_a_link_or_a_pipe_of_that_name_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.mkdir()
    assert_damaged(tmp_path)
    path.rmdir()
    os.mkfifo(path)
    assert_damaged(tmp_path)
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    save_checkpoint(elsewhere, ORIGIN, checkpoint())
    path.symlink_to(elsewhere / CHECKPOINT)
    assert_damaged(tmp_path)
    path.unlink()
    path.symlink_to(tmp_path / "absent")
    assert_damaged(tmp_path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, ORIGIN, checkpoint())
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=rf"{CHECKPOINT}\): No space left"):
        save_checkpoint(tmp_path, ORIGIN, checkpoint())
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_checkpoint_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).mkdir()
    with pytest.raises(FileError, match="cannot remove the checkpoint"):
        remove_checkpoint(tmp_path)


@for_each(
    ("kept", "asked", "told"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"data": "ab", "a": 1}, {"data": "cd", "a": 2}, "other data; a 1, not 2"),
        ({"a": 1}, {"b": 2}, "b null, not 2; a 1, not null"),
        ({}, {"a": 1, "b": 1, "c": 1, "d": 1}, "c null, not 1 and 1 more"),
        ({}, dict.fromkeys("abcde", 1), "c null, not 1 and 2 more"),
        ({"a": "x" * 99}, {"a": 1}, "xxx..., not 1"),
    ],
)
def test_differences_are_described_briefly(
    kept: dict[str, object], asked: dict[str, object], told: str
) -> None:
    found = differences(kept, asked)
    assert found.endswith(told)
    assert bool(found) == bool(told)
    assert len(found) < 200
