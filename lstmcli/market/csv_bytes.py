"""A CSV's bytes, from a file, a gzip file or a stream, as blocks of whole lines of clean text.

Memory stays bounded: no more than two blocks are held. What cannot be a CSV of prices (NUL bytes,
HTML, UTF-16, latin-1, a binary file, one endless line) is refused here, before anything is parsed.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from lstmcli.errors import DataError, FileError

MAX_BYTES = 2 * 1024**3
BLOCK_BYTES = 8 * 1024**2
_MAX_LINE_BYTES = 4 * 1024**2
_GZIP = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Whole lines, each ended by LF.

    first_line : the number of its first line in the source, from 1.
    ended : False when the source's last line had no line end; the block then has one added.
    """

    text: bytes
    first_line: int
    ended: bool = True


@contextmanager
def open_bytes(source: str | Path, stdin: IO[bytes] | None) -> Iterator[tuple[IO[bytes], str]]:
    """The stream and the name to call it by; `-` is standard input, gzip is unpacked.

    Raises FileError when the file cannot be opened, DataError when standard input is closed.
    """
    if str(source) == "-":
        if stdin is None or stdin.closed:
            raise DataError("no rows", where="stdin", why="standard input is closed")
        yield _unpacked(stdin, "stdin"), "stdin"
        return
    try:
        file = open(source, "rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise _unreadable(str(source), error) from error
    with file:
        yield _unpacked(file, str(source)), str(source)


def read_blocks(stream: IO[bytes], where: str, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The stream's lines, about `size` bytes at a time; the BOM and the CR of CRLF are gone."""
    rest, line, total = b"", 1, 0
    while piece := _read(stream, where, size):
        total += len(piece)
        if total > MAX_BYTES:
            raise DataError(
                "the CSV is too large",
                where=where,
                why=f"it has more than {MAX_BYTES // 1024**2} MiB",
                next_step="Split it by symbol or by date.",
            )
        if line == 1 and total == len(piece):
            piece = _checked_start(piece, where)
        rest += piece
        cut = rest.rfind(b"\n") + 1
        text, rest = rest[:cut], rest[cut:]
        if len(rest) > _MAX_LINE_BYTES:
            raise _not_prices(where, f"a line is longer than {_MAX_LINE_BYTES // 1024**2} MiB")
        if text:
            yield Block(_clean(text, where, line), line)
            line += text.count(b"\n")
    if rest:
        yield Block(_clean(rest + b"\n", where, line), line, ended=False)


def _unpacked(stream: IO[bytes], where: str) -> IO[bytes]:
    if isinstance(stream, io.BufferedReader):
        buffered = stream
    else:
        buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    try:
        start = buffered.peek(len(_GZIP))
    except OSError as error:
        raise _unreadable(where, error) from error
    return cast(IO[bytes], gzip.GzipFile(fileobj=buffered) if start[:2] == _GZIP else buffered)


def _read(stream: IO[bytes], where: str, size: int) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            "damaged gzip file", where=where, why=str(error), next_step="Fetch it again."
        ) from error
    except OSError as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: OSError | ValueError) -> FileError:
    return FileError(
        "cannot read the file",
        where=where,
        why=getattr(error, "strerror", None) or str(error),
        next_step="Check the path and its permissions.",
    )


def _checked_start(piece: bytes, where: str) -> bytes:
    piece = piece.removeprefix(_UTF8_BOM)
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_prices(where, "it is UTF-16, expected UTF-8")
    if piece.lstrip().startswith((b"<", b"{", b"[")):
        raise _not_prices(where, "it starts like an HTML page or JSON")
    return piece


def _clean(text: bytes, where: str, first_line: int) -> bytes:
    if b"\0" in text:
        number = first_line + text.count(b"\n", 0, text.index(b"\0"))
        raise _not_prices(where, f"NUL bytes in line {number}")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        if b"\r" in text:
            number = first_line + text.count(b"\n", 0, text.index(b"\r"))
            raise _not_prices(where, f"a carriage return inside line {number}")
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            number = first_line + text.count(b"\n", 0, error.start)
            raise _not_prices(where, f"line {number} is not UTF-8 text") from error
    return text


def _not_prices(where: str, why: str) -> DataError:
    return DataError(
        "not a CSV of prices",
        where=where,
        why=why,
        next_step="Give a UTF-8 text file with a header line, such as Date,Close.",
    )
