"""Files written wholly or not at all.

The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step;
whoever looks sees the old file or the new one, never a part.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lstmcli.errors import FileError

TEMPORARY_SUFFIX = ".lstmcli-tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, or leave it as it was and raise FileError."""
    write_files([(path, data)])


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """Replace several files in this order; none where there is no room for all of them.

    Raises FileError naming the file that cannot be written.
    """
    staged: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = _temporary(path)
            staged.append((temporary, path))
            _write(temporary, data)
        for temporary, path in staged:
            os.replace(temporary, path)
            sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        for temporary, _ in staged:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes the place of `path` when the block ends.

    Where the block raises, `path` is as it was and the file is gone; an OSError becomes FileError.
    """
    temporary = _temporary(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def put_aside(path: Path) -> str:
    """Rename a damaged file to a free name next to it; return that name."""
    numbers = (f"{path.name}.damaged{number or ''}" for number in range(1000))
    aside = next(path.with_name(name) for name in numbers if not path.with_name(name).exists())
    try:
        path.rename(aside)
    except OSError as error:
        raise FileError("cannot put aside", where=path, why=error.strerror or "") from error
    return aside.name


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the platform lets a folder be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def _unwritable(path: Path, error: OSError) -> FileError:
    return FileError(
        "cannot write the file",
        where=path,
        why=error.strerror or str(error),
        next_step="Check the folder, its permissions and the free space.",
    )


def _write(temporary: Path, data: bytes) -> None:
    with open(temporary, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
