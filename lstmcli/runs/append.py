"""Files that only grow, line by line: the log and the ledger of forecasts.

Several runs may append to one file at once; the kernel's lock on the file keeps their lines whole.
What a power cut left of a last line is cut before the next one is written.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from lstmcli.atomic import sync_folder
from lstmcli.errors import FileError

if sys.platform != "win32":
    import fcntl

_BLOCK = 65536


def append_lines(path: Path, lines: bytes) -> int:
    """Append whole lines, on the disk when this returns, or leave the file as it was.

    Returns how many bytes of a torn last line were cut first. Raises FileError when the file
    cannot be written.
    """
    assert lines.endswith(b"\n") or not lines
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for its reader
            raise OSError(0, "it is no file")
        with open(path, "ab", buffering=0) as file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)
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


def _sizes(path: Path) -> tuple[int, int]:
    """Bytes in the file, and up to the end of its last whole line."""
    with open(path, "rb") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return size, start + found + 1
            end = start
    return size, 0
