"""The device and threads that PyTorch computes on, and its random state."""

import contextlib
from collections.abc import Iterator

import torch

from lstmcli.errors import UsageError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:N` into a device; UsageError if it does not exist."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    found = torch.cuda.device_count() if kind == "cuda" else 0
    # Compared here because PyTorch takes cuda:256 for cuda:0.
    if kind == "cuda" and int(number or 0) >= found:
        raise UsageError(
            "no such device",
            where=f"--device {name}",
            why=f"PyTorch finds {found} CUDA devices",
            next_step="Pass --device cpu or --device auto.",
        )
    return torch.device(kind, int(number)) if number else torch.device(kind)


_LONG = 120.0  # seconds of epochs from which a note suggests a GPU


def describe_choice(asked: str, used: torch.device, epochs: float, total: float) -> tuple[str, ...]:
    """Return a note if `auto` chose a device and another might be faster.

    epochs, total : seconds of the epochs and of the whole run. Source of the figures: CUDA on one
    H200 against one thread of its CPU, PyTorch 2.11, 2026-11-26.
    """
    if asked != "auto":
        return ()
    if used.type == "cuda" and epochs < total / 2:
        return (
            f"device auto chose {used}. The epochs took {epochs:.1f} of {total:.1f} s, and a GPU "
            "shortens only these (default recipe, 2026-11-26: 9 s on an H200, 28 s on its CPU)",
        )
    if used.type == "cpu" and epochs > _LONG:
        return (
            f"device auto found no GPU, which may shorten the {epochs:.0f} s of epochs (H200, "
            "2026-11-26: an epoch over 1,000 series of 5,000 closes took 3.9 s in batches of 64, "
            "0.5 s in batches of 512)",
        )
    return ()


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's random numbers in the block; restore the random state after it."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def drawn_from(device: torch.device) -> dict[str, torch.Generator]:
    """Return the generators that `seeded` seeds, by name; dropout draws from the last one."""
    if device.type != "cuda":
        return {"cpu": torch.default_generator}
    index = torch.cuda.current_device() if device.index is None else device.index
    return {"cpu": torch.default_generator, "cuda": torch.cuda.default_generators[index]}


@contextlib.contextmanager
def threads(number: int) -> Iterator[int]:
    """Use `number` CPU threads, 0 for PyTorch's own choice; yields the number in use."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
