"""A training run between two epochs on disk: what an unbroken run would have gone on with.

One safetensors file beside the versions of a model name, replaced whole after every epoch and gone
once the run has reached its end. Its header holds the numbers as JSON, and a SHA-256 of all of it:
a flipped bit would give other weights without a word.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from lstmcli import atomic
from lstmcli.errors import FileError, ModelError, TrainingError
from lstmcli.records import check_plain, check_record
from lstmcli.training.loop import Epoch
from lstmcli.training.trainee import Snapshot

CHECKPOINT = ".checkpoint.safetensors"
_FACTS, _SHA256 = "lstmcli", "sha256"
_NUMBER = (None, float)
_EPOCH = {
    **dict.fromkeys(("epoch", "member", "clipped", "phase"), int),
    **dict.fromkeys(("loss", "learning_rate", "gradient_norm", "seconds"), float),
    **dict.fromkeys(("validation_loss", "gradient_kept"), _NUMBER),
    "best": bool,
    "gradient_norms": {str: float},
}
_SHAPE: dict[str, Any] = {
    "origin": {},
    "members": int,
    "numbers": {
        "epoch?": int,
        "waited?": int,
        "best_loss?": float,
        "rate?": float,
        "rates?": (None, {}),
    },
    "history": [_EPOCH],
    "error": (None, [str]),
}
_NOT_A_CHECKPOINT = (
    safetensors.SafetensorError,
    OSError,
    IndexError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


@dataclass(frozen=True)
class Checkpoint:
    """How far a training run has come.

    members : the weights of the networks that are done, in order. snapshot : of the one after.
    history : all epochs so far. error : why one of the networks broke down after a good epoch.
    """

    members: tuple[dict[str, Tensor], ...]
    snapshot: Snapshot
    history: tuple[Epoch, ...]
    error: TrainingError | None = None

    def __str__(self) -> str:
        last = self.history[-1]
        return f"epoch {last.epoch}" + (f" of member {last.member}" if last.member > 1 else "")


def save_checkpoint(folder: Path, origin: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a model name's folder; raises FileError and leaves the old one.

    origin : what the run depends on, as JSON can hold it.
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
    """Return the origin and the checkpoint of a model name's folder; None where there is none.

    Raises ModelError for one that is damaged.
    """
    path = folder / CHECKPOINT
    if not has_checkpoint(folder):
        return None
    try:
        if path.is_symlink() or not path.is_file():  # to open a pipe would wait for its writer
            raise ValueError("it is no file")
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata[_SHA256] != _digest(metadata[_FACTS], tensors):
            raise ValueError("it does not match its hash")
        return _parse(json.loads(metadata[_FACTS]), tensors)
    except _NOT_A_CHECKPOINT as error:
        raise ModelError("the checkpoint is damaged", where=path, why=str(error)) from error


def has_checkpoint(folder: Path) -> bool:
    """Whether a run of this model name was stopped, or is under way."""
    return (folder / CHECKPOINT).exists() or (folder / CHECKPOINT).is_symlink()


def remove_checkpoint(folder: Path) -> None:
    """Remove the checkpoint; raises FileError where that fails."""
    try:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            "cannot remove the checkpoint",
            where=folder / CHECKPOINT,
            why=error.strerror or str(error),
            next_step="The new version is kept; remove the file.",
        ) from error


def _parse(facts: Any, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], Checkpoint]:
    def part(prefix: str) -> dict[str, Tensor]:
        names = [name for name in tensors if name.startswith(prefix)]
        return {name.removeprefix(prefix): tensors[name] for name in names}

    check_plain(facts)
    check_record(facts, _SHAPE)
    best = {row["member"] for row in facts["history"] if row["best"]}
    if not best.issuperset(range(1, facts["members"] + 2)):
        raise ValueError("its epochs do not fit its networks")
    broken = facts["error"]
    return dict(facts["origin"]), Checkpoint(
        members=tuple(part(f"{number}/") for number in range(facts["members"])),
        snapshot=Snapshot(part("snapshot/"), dict(facts["numbers"])),
        history=tuple(Epoch(**row) for row in facts["history"]),
        error=broken
        and TrainingError(broken[0], where=broken[1], why=broken[2], next_step=broken[3]),
    )


def _digest(facts: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(facts.encode("utf-8"))
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).numpy().tobytes())
    return digest.hexdigest()
