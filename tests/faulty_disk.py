"""A disk that fails at its k-th step, and a process that dies there.

A step is whatever changes a folder: a file opened for writing, a write, an fsync, a rename, a file
or folder made or removed. Nothing here can be undone: it is for a process that ends with its run.
"""

import builtins
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["kill", "error"]

_WRITING = os.O_WRONLY | os.O_RDWR
_CHANGES = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}  # which path changes


@dataclass
class FaultyDisk:
    """Counts the steps below a folder, and fails at one of them.

    at : the step, from 1; 0 for a disk without a fault. number : the error's errno.
    lasting : every step after it but removals fails as well, as on a disk that is full.
    record : a file descriptor that hears of every step, a line each.
    """

    folder: Path
    kind: Kind
    at: int
    number: int = 0
    lasting: bool = False
    record: int = 2
    steps: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self) -> None:
        """Watch every step of this process from now on."""
        sys.addaudithook(self._audit)
        original_open, original_fsync = builtins.open, os.fsync

        def watched_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            opened: Any = original_open(file, mode, *rest, **options)
            binary_writer = isinstance(opened, io.BufferedWriter | io.FileIO) and opened.writable()
            return _Writer(opened, self) if binary_writer and self._is_ours(file) else opened

        def watched_fsync(handle: int) -> None:
            self._step("fsync", os.readlink(f"/proc/self/fd/{handle}"))
            original_fsync(handle)

        builtins.open = watched_open
        os.fsync = watched_fsync  # type: ignore[assignment]

    def write(self, file: io.BufferedWriter | io.FileIO, data: bytes) -> int:
        """Write, or only the first half of it and fail."""

        def first_half() -> None:
            file.write(data[: len(data) // 2])
            file.flush()

        self._step("write", file.name, first_half)
        return file.write(data)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITING and not isinstance(path, int):
                self._step("open", path)
        elif event in _CHANGES:
            self._step(event.removeprefix("os."), arguments[_CHANGES[event]])

    def _step(self, name: str, path: Any, before: Callable[[], None] | None = None) -> None:
        if not self._is_ours(path):
            return
        with self.lock:
            self.steps += 1
            here = self.steps
            os.write(self.record, f"{name} {os.fsdecode(path)}\n".encode())
        is_removal = name in ("remove", "rmdir")
        hit = here == self.at or (self.lasting and 0 < self.at < here and not is_removal)
        if not hit:
            return
        if before:
            before()
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.number, os.strerror(self.number), os.fsdecode(path))

    def _is_ours(self, path: Any) -> bool:
        try:
            return Path(os.path.abspath(os.fsdecode(path))).is_relative_to(self.folder)
        except TypeError:
            return False


class _Writer:
    """A binary file whose writes are steps."""

    def __init__(self, file: io.BufferedWriter | io.FileIO, disk: FaultyDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: bytes) -> int:
        return self._disk.write(self._file, data)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
