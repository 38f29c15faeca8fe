"""Checkpoints: the state of a training run between two epochs, from which it can be resumed.

A checkpoint is one safetensors file next to the versions of a model name, replaced after every
epoch and removed at the end of the run. Its header holds the numbers as JSON, and a SHA-256 of
everything, without which a flipped bit would silently change the weights.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import ModelError, TrainingError, file_errors
from lstmcli.files import atomic
from lstmcli.printable import first_few
from lstmcli.records import parse_record
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, find_model, model_folder, versions
from lstmcli.training.loop import Epoch
from lstmcli.training.trainee import Snapshot, Stop

CHECKPOINT = ".checkpoint.safetensors"
_FACTS, _SHA256 = "lstmcli", "sha256"
_NOT_A_CHECKPOINT = (
    safetensors.SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError,
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """The progress of a training run.

    members : weights of the finished networks, in order. snapshot : state of the next network.
    history : all epochs so far. error : why one of the networks failed after a good epoch.
    """

    members: tuple[dict[str, Tensor], ...]
    snapshot: Snapshot
    history: tuple[Epoch, ...]
    error: TrainingError | None = None

    def __str__(self) -> str:
        last = self.history[-1]
        return f"epoch {last.epoch}" + (f" of member {last.member}" if last.member > 1 else "")


def save_checkpoint(folder: Path, origin: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in a model name's folder; a FileError leaves the old one.

    origin : everything that the run depends on, as JSON values.
    """
    tensors = {f"snapshot/{name}": value for name, value in checkpoint.snapshot.tensors.items()}
    for number, weights in enumerate(checkpoint.members):
        tensors |= {f"{number}/{name}": value for name, value in weights.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    error = checkpoint.error
    facts = json.dumps(
        {
            "origin": origin,
            "members": len(checkpoint.members),
            "numbers": checkpoint.snapshot.numbers,
            "history": [asdict(epoch) for epoch in checkpoint.history],
            "error": error and [error.what, error.where, error.why, error.next_step],
        }
    )
    metadata = {_FACTS: facts, _SHA256: _digest(facts, tensors)}
    atomic.write_bytes(folder / CHECKPOINT, safetensors.torch.save(tensors, metadata=metadata))


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], Checkpoint] | None:
    """Return the origin and the checkpoint in a model name's folder, or None.

    Raises ModelError for a damaged one.
    """
    path = folder / CHECKPOINT
    if not has_checkpoint(folder):
        return None
    try:
        if path.is_symlink() or not path.is_file():  # opening a pipe would wait for its writer
            raise ValueError("it is not a regular file")
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata[_SHA256] != _digest(metadata[_FACTS], tensors):
            raise ValueError("it does not match its hash")
        return _parse(parse_record(_Facts, metadata[_FACTS]), tensors)
    except _NOT_A_CHECKPOINT as error:
        raise ModelError("the checkpoint is damaged", where=path, why=str(error)) from error


def has_checkpoint(folder: Path) -> bool:
    """Whether a training of this model name was stopped or is running."""
    return (folder / CHECKPOINT).exists() or (folder / CHECKPOINT).is_symlink()


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint; raises FileError if that fails."""
    path, advice = folder / CHECKPOINT, "The new version is kept; remove the file."
    with file_errors("cannot remove the checkpoint", path, advice):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Numbers:
    epoch: int
    waited: int
    best_loss: float
    rate: float
    rates: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Facts:
    """The JSON part of a checkpoint; error : the four parts of the error's message."""

    origin: dict[str, Any]
    members: int
    numbers: _Numbers
    history: tuple[Epoch, ...]
    error: tuple[str, str, str, str] | None


def _parse(facts: _Facts, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], Checkpoint]:
    def part(prefix: str) -> dict[str, Tensor]:
        names = [name for name in tensors if name.startswith(prefix)]
        return {name.removeprefix(prefix): tensors[name] for name in names}

    known = {row.member for row in facts.history}
    if not known.issuperset(range(1, facts.members + 2)):
        raise ValueError("its epochs do not match its networks")
    what, where, why, next_step = facts.error or [""] * 4
    error = TrainingError(what, where=where, why=why, next_step=next_step) if facts.error else None
    return facts.origin, Checkpoint(
        members=tuple(part(f"{number}/") for number in range(facts.members)),
        snapshot=Snapshot(part("snapshot/"), asdict(facts.numbers)),
        history=facts.history,
        error=error,
    )


def _digest(facts: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(facts.encode("utf-8"))
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).numpy().tobytes())
    return digest.hexdigest()


def differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """List the keys whose JSON values differ, "a 1, not 2; b ..."; empty if none does.

    `data` is a fingerprint that says nothing to users, so it is shown as "other data".
    """
    keys = [key for key in {**asked, **kept} if kept.get(key) != asked.get(key)]
    shown = [
        "other data"
        if key == "data"
        else f"{key} {_short(kept.get(key))}, not {_short(asked.get(key))}"
        for key in keys
    ]
    return first_few(shown, 3, "; ")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 50 else text[:50] + "..."


Origin = dict[str, Any]
"""Every setting by its key, `data` (the fingerprint), `lstmcli` and `torch` (the versions)."""


def origin_of(settings: Settings, fingerprint: str, device: torch.device, threads: int) -> Origin:
    """Return the origin of a run, with the device and number of threads actually used."""
    tree = settings.model_dump(mode="json")
    tree["train"] |= {"device": str(device), "threads": threads}
    return {
        "data": fingerprint,
        **{f"{section}.{key}": value for section in tree for key, value in tree[section].items()},
        "lstmcli": __version__,
        "torch": str(torch.__version__),
    }


def origin_sha256(origin: Origin) -> str:
    """Return the hash of an origin, which a version's metadata keep."""
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode("utf-8")).hexdigest()


def find_unchanged(data_dir: Path, name: str, origin: Origin) -> tuple[ModelRef, Metadata] | None:
    """Return the newest version of a name and its metadata if a new one would be the same.

    None if that version is damaged or incomplete, or if a later training was stopped.
    """
    known = versions(data_dir, name)
    if not known or has_checkpoint(model_folder(data_dir, name)):
        return None
    newest = find_model(data_dir, f"{name}/{known[-1]}")
    try:
        _, metadata = load_bundle(newest.folder, torch.device("cpu"))
    except ModelError:
        return None
    is_complete = metadata.stopped in get_args(Stop)
    is_same = metadata.record.get("origin_sha256") == origin_sha256(origin)
    return (newest, metadata) if is_complete and is_same else None


def checkpoint_to_resume(
    folder: Path, origin: Origin, *, resume: bool
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """Return the checkpoint to resume from, or None to train from the start; and notes."""
    try:
        found = read_checkpoint(folder)
    except ModelError as error:
        return None, (f"{error}; training started again",)
    if found is None:
        return None, ()
    kept, checkpoint = found
    if not resume:
        note = f"the checkpoint of {checkpoint} was replaced; --resume would have continued from it"
        return None, (note,)
    if kept != origin:
        why = differences(kept, origin)
        return None, (f"the checkpoint of {checkpoint} has {why}; training started again",)
    return checkpoint, (f"resumed after {checkpoint}",)


def note_kept(folder: Path, name: str, origin: Origin) -> str:
    """Return a note on the checkpoint that a stopped run has kept."""
    with suppress(ModelError):
        found = read_checkpoint(folder)
        if found is not None and found[0] == origin:
            return f"{found[1]} of {name} is kept, --resume continues from there"
    return f"no epoch of {name} was done, nothing is kept"
