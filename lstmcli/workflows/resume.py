"""Whether a training run goes on where another was stopped, or need not run at all.

Both rest on its origin: all that the bytes of the weights depend on. The same origin gives the same
bytes, so a checkpoint of another one is of no use, and a version of the same one is not made twice.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import ModelError
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.checkpoint import Checkpoint, has_checkpoint, read_checkpoint
from lstmcli.runs.differences import differences
from lstmcli.runs.registry import ModelRef, find_model, model_folder, versions
from lstmcli.training.trainee import Stop

Origin = dict[str, Any]
"""Every setting by its key, `data` (the fingerprint), `lstmcli` and `torch` (the versions)."""


def origin_of(settings: Settings, fingerprint: str, device: torch.device, threads: int) -> Origin:
    """Return the origin of a run, with the device and the threads that it really uses."""
    tree = settings.model_dump(mode="json")
    tree["train"] |= {"device": str(device), "threads": threads}
    return {
        "data": fingerprint,
        **{f"{section}.{key}": value for section in tree for key, value in tree[section].items()},
        "lstmcli": __version__,
        "torch": str(torch.__version__),
    }


def origin_sha256(origin: Origin) -> str:
    """Return what a version's metadata keep of its origin."""
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode("utf-8")).hexdigest()


def find_unchanged(
    data_dir: Path, name: str, origin: Origin
) -> tuple[ModelRef, dict[str, Any]] | None:
    """Return the newest version of a name and its metadata if a new one would be the same.

    None where that one is damaged or was cut short, or where a later run was stopped.
    """
    known = versions(data_dir, name)
    if not known or has_checkpoint(model_folder(data_dir, name)):
        return None
    newest = find_model(data_dir, f"{name}/{known[-1]}")
    try:
        _, metadata = load_bundle(newest.folder, torch.device("cpu"))
    except ModelError:
        return None
    is_complete = metadata.get("stopped") in get_args(Stop)
    is_same = metadata.get("origin_sha256") == origin_sha256(origin)
    return (newest, metadata) if is_complete and is_same else None


def take_up(
    folder: Path, origin: Origin, *, resume: bool
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """Return the checkpoint to go on from, None for the start, and what there is to tell."""
    try:
        found = read_checkpoint(folder)
    except ModelError as error:
        return None, (f"{error}; training started anew",)
    if found is None:
        return None, ()
    kept, checkpoint = found
    if not resume:
        note = f"the checkpoint of {checkpoint} was replaced; --resume would have gone on from it"
        return None, (note,)
    if kept != origin:
        why = differences(kept, origin)
        return None, (f"the checkpoint of {checkpoint} has {why}; training started anew",)
    return checkpoint, (f"resumed after {checkpoint}",)


@contextmanager
def told_when_stopped(folder: Path, name: str, origin: Origin) -> Iterator[None]:
    """Add to a signal's exception, on its way out, a note of what is kept of the run."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        try:
            found = read_checkpoint(folder)
        except ModelError:
            found = None
        if found is None or found[0] != origin:
            stop.add_note(f"stopped: no epoch of {name} was done, nothing is kept")
        else:
            stop.add_note(f"stopped: {found[1]} of {name} is kept, --resume goes on from there")
        raise
