"""Files that only grow, line by line: the log and the ledger of forecasts.

Several runs may append to one file at once; the kernel's lock on the file keeps their lines whole.
What a power cut left of a last line is cut before the next one is written.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from lstmcli.atomic import sync_folder
from lstmcli.errors import FileError, LockedError

if sys.platform != "win32":
    import fcntl

WAIT = 60.0  # seconds, far longer than the lines of another run take to reach the disk
_BLOCK = 65536
_PAUSE = 0.005  # seconds between two tries to get the lock


def append_lines(path: Path, lines: bytes, *, wait: float = WAIT) -> int:
    """Append whole lines, on the disk when this returns, or leave the file as it was.

    Returns how many bytes of a torn last line were cut first. Raises FileError when the file
    cannot be written, LockedError when another run still holds its lock after `wait` seconds.
    """
    assert lines.endswith(b"\n") or not lines
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for its reader
            raise OSError(0, "it is no file")
        with open(path, "ab", buffering=0) as file:
            _lock(path, file.fileno(), wait)
            size, whole = _sizes(path)
            if whole < size:
                file.truncate(whole)
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
                if not size:
                    sync_folder(path.parent)
            except OSError:
                with suppress(OSError):
                    file.truncate(whole)
                raise
    except OSError as error:
        raise FileError(
            "cannot append to the file",
            where=path,
            why=error.strerror or str(error),
            next_step="Check the folder, its permissions and the free space.",
        ) from error
    return size - whole


def is_torn(path: Path) -> bool:
    """Whether the last line of a file lacks its end; one byte is read."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _lock(path: Path, handle: int, wait: float) -> None:
    """Lock a file until it is closed; by short tries, so that a signal ends the wait."""
    if sys.platform == "win32":
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise LockedError(
                    "another run is writing to the file",
                    where=path,
                    why=f"it still held the lock after {wait:g} s",
                    next_step="Try again when it has ended.",
                ) from error
            time.sleep(_PAUSE)
        else:
            return


def _sizes(path: Path) -> tuple[int, int]:
    """Bytes in the file, and up to the end of its last whole line."""
    size = end = path.stat().st_size
    if not is_torn(path):
        return size, size
    with open(path, "rb") as file:
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return size, start + found + 1
            end = start
    return size, 0
