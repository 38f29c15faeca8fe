"""Write files atomically, and append whole lines.

The bytes are written to a temporary file in the same folder, flushed to disk, and renamed in one
step: a reader sees the old file or the new one, never a part.
"""

import glob
import mmap
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from lstmcli.errors import LockedError, file_errors

if sys.platform != "win32":
    import fcntl

TEMPORARY_SUFFIX = ".lstmcli-tmp"
WAIT = 60.0  # seconds, far longer than another run needs to write its lines
_HEX_BYTES = 4
_PAUSE = 0.005  # seconds between two tries to get the lock


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, or leave it unchanged and raise FileError."""
    write_files([(path, data)])


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """Replace several files in this order, or none if there is no space for all of them.

    Raises FileError naming the file that cannot be written.
    """
    for path, _ in files:
        with _naming(path):
            make_folder(path.parent)
    with ExitStack() as stack:
        # The stack closes in reverse order, so that the first file is renamed first.
        staged = [stack.enter_context(_staged(path)) for path, _ in reversed(files)][::-1]
        for file, (_, data) in zip(staged, files, strict=True):
            file.write(data)
            file.sync()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write to, which replaces `path` when the block ends.

    It keeps the mode and the owner of the file that it replaces. First removes temporary files of
    `path` that killed runs have left. If the block raises, `path` stays unchanged. An OSError of
    the file becomes a FileError that names it; other errors of the block pass unchanged.
    """
    with _naming(path):
        remove_leftovers(path)
    with _staged(path) as file:
        yield cast(IO[bytes], file)
        _copy_mode(path, file.fileno())
        file.sync()


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file as `replacing` does, but write directly to a device or pipe."""
    if not os.path.exists(path) or os.path.isfile(path):
        with replacing(path) as file:
            yield file
        return
    with _naming(path):
        raw = open(path, "wb")  # noqa: SIM115 - closed by the next block
    with closing(_Output(raw, path)) as device:
        yield cast(IO[bytes], device)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each flushed to disk; raises OSError."""
    if folder.is_dir():
        return
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        sync_folder(each.parent)


def put_aside(path: Path) -> str:
    """Rename a damaged file to a free name next to it; return that name."""
    numbers = (f"{path.name}.damaged{number or ''}" for number in range(1000))
    aside = next(path.with_name(name) for name in numbers if not path.with_name(name).exists())
    with file_errors("cannot put aside", path, ""):
        path.rename(aside)
    return aside.name


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` whose writer has died, which are no longer locked."""
    digits = "[0-9a-f]" * (2 * _HEX_BYTES)
    pattern = f".{glob.escape(path.name[:50])}.{digits}{TEMPORARY_SUFFIX}"
    for left in path.parent.glob(pattern):
        with suppress(OSError):
            if sys.platform != "win32":
                handle = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                finally:
                    os.close(handle)
            left.unlink()  # Windows refuses while the file is open


def sync_folder(folder: Path) -> None:
    """Flush a rename in the folder to disk, if the platform can open folders."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Output:
    """A file that raises FileErrors naming a path instead of OSErrors."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path

    def write(self, data: bytes) -> int:
        with _naming(self._path):
            return self._file.write(data)

    def flush(self) -> None:
        with _naming(self._path):
            self._file.flush()

    def sync(self) -> None:
        with _naming(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        with _naming(self._path):
            self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _naming(path: Path, what: str = "cannot write the file") -> AbstractContextManager[None]:
    """Turn an OSError of the block into a FileError that names the path."""
    return file_errors(what, path, "Check the folder, its permissions and the free space.")


@contextmanager
def _staged(path: Path) -> Iterator[_Output]:
    """Yield a temporary file that is renamed to `path` unless the block raises."""
    # Shortened, so that a file with the longest possible name can be written too.
    name = f".{path.name[:50]}.{secrets.token_hex(_HEX_BYTES)}{TEMPORARY_SUFFIX}"
    temporary = path.with_name(name)
    try:
        with ExitStack() as stack:
            with _naming(path):
                stack.enter_context(_in_use(temporary))
                raw = open(temporary, "wb")  # noqa: SIM115 - closed by the next block
            with closing(_Output(raw, path)) as file:
                yield file
            with _naming(path):
                os.replace(temporary, path)
                sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _in_use(temporary: Path) -> Iterator[None]:
    """Create a file and lock it for the block, so that no other run removes it as a leftover."""
    if sys.platform == "win32":  # an open file cannot be removed there
        yield
        return
    while True:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:
            break
        os.close(handle)  # another run removed it before it was locked
    try:
        yield
    finally:
        os.close(handle)


def _copy_mode(path: Path, handle: int) -> None:
    """Copy owner and mode of the file at `path` to an open file, as far as the system allows."""
    with suppress(OSError):
        found = path.lstat()
        if sys.platform != "win32" and stat.S_ISREG(found.st_mode):
            with suppress(OSError):
                os.fchown(handle, found.st_uid, found.st_gid)
            os.fchmod(handle, stat.S_IMODE(found.st_mode))


def append_lines(path: Path, lines: bytes, *, wait: float = WAIT) -> int:
    """Append whole lines, durable on return, or leave the file unchanged.

    First removes a torn last line, and returns its number of bytes. Raises FileError if the file
    cannot be written, LockedError if another run still holds its lock after `wait` seconds.
    """
    assert lines.endswith(b"\n") or not lines
    with _naming(path, "cannot append to the file"):
        if path.exists() and not path.is_file():  # opening a pipe would wait for its reader
            raise OSError(0, "it is not a regular file")
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
    return size - whole


def is_torn(path: Path) -> bool:
    """Return whether the last line of a file lacks its line end; reads one byte."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _lock(path: Path, handle: int, wait: float) -> None:
    """Lock a file until it is closed. Polls, so that a signal can end the wait."""
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
                    next_step="Try again after it has ended.",
                ) from error
            time.sleep(_PAUSE)
        else:
            return


def _sizes(path: Path) -> tuple[int, int]:
    """Return the size of a file in bytes, and the size up to the end of its last whole line."""
    size = path.stat().st_size
    if not is_torn(path):
        return size, size
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return size, content.rfind(b"\n") + 1
