"""A lock for one writer at a time, which the kernel releases however its holder ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lstmcli.errors import FileError, LockedError, file_errors
from lstmcli.files.atomic import make_folder


@contextmanager
def hold(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    wait : seconds to wait for another holder; 0 does not wait.
    Raises LockedError if another run still holds it, FileError if it cannot be created.
    """
    lock = FileLock(path, timeout=max(wait, 0.0))
    if path.is_symlink():  # opening the lock would truncate the target of the link
        raise FileError("cannot lock", where=path, why="it is a link", next_step="Remove the link.")
    with file_errors("cannot lock", path, "Check the folder and its permissions."):
        try:
            make_folder(path.parent)
            lock.acquire()
        except Timeout as error:  # an OSError too
            raise LockedError(
                "another run is at work here",
                where=path,
                why=f"it still held the lock after {wait:g} s" if wait > 0 else "it holds the lock",
                next_step="Try again later, or pass --wait SECONDS.",
            ) from error
    try:
        yield
    finally:
        lock.release()
