"""The worker processes of a cluster that this process has started."""

import gc
import os
import warnings
from pathlib import Path

import ray


def busy_workers(work: str) -> list[int]:
    """Return the processes that do such work: `_perform` a task, or an actor of that class."""
    started = [pid for raylet in _children(os.getpid()) for pid in _children(raylet)]
    names = {pid: (Path("/proc") / str(pid) / "cmdline") for pid in started}
    return [pid for pid, name in names.items() if name.read_bytes().startswith(_title(work))]


def stop_cluster() -> None:
    """Stop the cluster, and drop what Ray has of its processes, some of which it never waits for.

    The next test that asks for a cluster starts another.
    """
    ray.shutdown(wait_for_processes=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _title(work: str) -> bytes:
    return f"ray::{work}".encode()


def _children(parent: int) -> list[int]:
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = each.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(after_name[1]) == parent:
            found.append(int(each.parent.name))
    return found
