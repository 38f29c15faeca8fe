"""Read, unpack and decode a file or stdin; list the tables of a folder.

Archives are detected by their first bytes, not by name. Unpacking stops at the size limit, so that
a small file that unpacks to terabytes fails early. Nothing is written to disk.

Valid UTF-8 and UTF-16 are certain. Other files of prices are almost always in a Western European
encoding; digits and signs are the same in all of these, so only names could be wrong. A note names
the encoding.
"""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any

import pyarrow as pa

from lstmcli.errors import DataError, UsageError, file_errors
from lstmcli.printable import count_of, first_few

MAX_BYTES = 1024**3
EXCEL = "xl/workbook.xml"  # a member of every workbook; workbooks are zip archives
_PIECE = 8 * 1024**2
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)
_ZIP = b"PK\x03\x04"
_STREAMS: dict[bytes, tuple[str, Any]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}
_BINARY = (_ZIP, b"PAR1", b"ARROW1")  # formats without lines
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"PK\x05\x06": "an empty zip archive",
}
_SUFFIXES = {
    ".csv", ".tsv", ".txt", ".dat", ".parquet", ".pq", ".feather", ".arrow", ".json", ".jsonl",
    ".ndjson", ".xlsx", ".xlsm",
}  # fmt: skip
_PACKED = {".gz", ".bz2", ".xz", ".zip"}
_DAMAGED = (EOFError, OSError, ValueError, RuntimeError, struct.error, zlib.error, lzma.LZMAError)
DAMAGED_ZIP = (*_DAMAGED, zipfile.BadZipFile, NotImplementedError)
_SAMPLE = 400
_MOSTLY = 0.9
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}


@dataclass(frozen=True)
class Content:
    """The unpacked bytes of a source. where : its name, for messages."""

    where: str
    data: bytes


def is_url(source: str | Path) -> bool:
    """Return whether a source is a URL rather than a file."""
    return _URL.match(str(source)) is not None


def read_source(source: str | Path, stdin: IO[bytes] | None = None) -> Content:
    """Read a file, or standard input for "-", and unpack it.

    Raises UsageError for a URL, FileError if the file cannot be read, and DataError for an archive
    that is damaged, has several files, or is too large.
    """
    if is_url(source):
        step = f"Download it first: curl -O '{source}'"
        raise UsageError("cannot read from a URL", where=source, next_step=step)
    is_file = str(source) != "-"
    where = str(source) if is_file else "stdin"
    if not is_file and (stdin is None or stdin.closed):
        raise DataError("no rows", where=where, why="standard input is closed")
    with (
        file_errors("cannot read the file", where, kinds=(OSError, ValueError), named=True),
        open(source, "rb") if is_file else nullcontext(stdin) as raw,
    ):
        stream: Any = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
        start = stream.peek(6)[:6]
        for magic, (packed, unpack) in _STREAMS.items():
            if start.startswith(magic):
                return _unpacked(where, packed, unpack(stream))
        expected = os.fstat(stream.fileno()).st_size if is_file else 0  # 0 for a pipe
        data = _read(stream, where, binary=start.startswith(_BINARY), expected=expected)
    if data.startswith(_ZIP):
        return _unzipped(where, data)
    return _content(where, data)


def decode_text(data: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    r"""Convert bytes to UTF-8 with `\n` line ends and no byte order mark, with notes.

    Raises DataError with the line of a byte that is not text.
    """
    notes: tuple[str, ...] = ()
    if encoding := _wide_encoding(data):
        data = _from_wide(data, encoding, where)
        notes = ("Read as UTF-16.",)
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
    for why, byte in (("NUL bytes in", b"\0"), ("a carriage return inside", b"\r")):
        if (at := data.find(byte)) >= 0:
            raise _no_text(data, at, f"{why} line {{}}", where)
    if not data.isascii():
        try:
            pa.array([data], pa.binary()).cast(pa.string())  # validates without a decoded copy
        except pa.ArrowInvalid:
            data, notes = _from_western(data, where)
    return data, notes


def table_name(path: str | PurePath) -> str:
    """Return a file's name without format suffixes: `AAPL` for `prices/AAPL.csv.gz`."""
    name = PurePath(path)
    if name.suffix.lower() in _PACKED:
        name = name.with_suffix("")
    return name.stem if name.suffix.lower() in _SUFFIXES else name.name


def list_tables(folder: str) -> tuple[list[str], str]:
    """Return the possible tables of a folder, by name, and a note on other files.

    Hidden files, folders, files with other suffixes and sidecars (AAPL.json next to AAPL.csv) are
    skipped. Raises FileError if the folder cannot be read, DataError if it has no table.
    """
    with file_errors("cannot read the folder", folder), os.scandir(folder) as entries:
        files = {entry.name: entry.is_file() for entry in entries}
    shown = {name for name, is_file in files.items() if is_file and not name.startswith(".")}
    tables = {name for name in shown if PurePath(name).suffix.lower() in _SUFFIXES | _PACKED}
    facts = {name for name in tables if name.lower().endswith(".json")}
    data = {table_name(name) for name in tables - facts}
    tables -= {name for name in facts if table_name(name) in data}
    if not tables:
        raise DataError(
            "no tables in the folder",
            where=folder,
            why=f"found {first_few(sorted(files), 5) or 'nothing'}",
            next_step="Name a folder of files such as AAPL.csv.",
        )
    found, note = [os.path.join(folder, name) for name in sorted(tables)], ""
    if skipped := sorted(files.keys() - tables):
        note = f"Skipped {count_of(len(skipped), 'other file')} in {folder}: {first_few(skipped)}."
    return found, note


def no_prices(where: str, why: str, next_step: str = "") -> DataError:
    """Return the error for a file that is not a table of prices."""
    step = next_step or "Give a text file with a header line, such as Date,Close."
    return DataError("not a table of prices", where=where, why=why, next_step=step)


def too_large(where: str, why: str) -> DataError:
    """Return the error for a file that exceeds a size limit."""
    step = "Split it by symbol or by date."
    return DataError("the file is too large", where=where, why=why, next_step=step)


def _read(stream: Any, where: str, *, binary: bool, expected: int = 0) -> bytes:
    """Read a stream to its end.

    expected : expected number of bytes, 0 if unknown.
    Raises DataError at the size limit, or for an overlong line of text.
    """
    pieces: list[bytes] = []
    size = 0
    # Read a file of known size as one piece: joining pieces takes as long as parsing them.
    while piece := stream.read(max(_PIECE, min(expected, MAX_BYTES) + 1)):
        is_long = len(piece) >= _PIECE and piece.find(b"\n", 0, _PIECE) < 0
        if is_long and not pieces and not binary:
            raise no_prices(where, f"a line is longer than {_PIECE // 1024**2} MiB")
        size += len(piece)
        if size > MAX_BYTES:
            raise too_large(where, f"it has more than {MAX_BYTES / 1024**2:.4g} MiB of data")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpacked(where: str, packed: str, stream: Any) -> Content:
    try:
        with stream:
            data = _read(stream, where, binary=True)
    except _DAMAGED as error:
        raise _damaged(where, packed, error) from error
    return _content(where, data, packed)


def _unzipped(where: str, data: bytes) -> Content:
    """Unpack the only file of a zip archive; return a workbook as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [each for each in archive.infolist() if not _is_hidden(each)]
            names = [each.filename for each in entries]
            if EXCEL in names:
                return Content(where, data)
            if len(entries) != 1:
                raise DataError(
                    "expected one file in the zip archive",
                    where=where,
                    why=f"found {first_few(names, 5) or 'none'}",
                    next_step="Unpack it, and pass one of the files, or their folder.",
                )
            if entries[0].flag_bits & 1:
                step = "Unpack it with its password first."
                raise DataError("the zip archive is encrypted", where=where, next_step=step)
            with archive.open(entries[0]) as stream:
                found = _read(stream, where, binary=True)
    except DAMAGED_ZIP as error:
        raise _damaged(where, "zip", error) from error
    return _content(where, found, "zip")


def _is_hidden(entry: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a folder, a hidden file, or a file that macOS adds."""
    path = PurePosixPath(entry.filename)
    return entry.is_dir() or path.parts[:1] == ("__MACOSX",) or path.name.startswith(".")


def _content(where: str, data: bytes, packed: str = "") -> Content:
    """Return the bytes of a file; raise DataError if they are an unsupported archive."""
    known = {magic: f"{name} data" for magic, (name, _) in _STREAMS.items()} | {_ZIP: "a zip"}
    others = known | _OTHERS if packed else _OTHERS
    found = next((name for magic, name in others.items() if data.startswith(magic)), "")
    if found and packed:
        found = f"{packed} of {found}"
    elif data[257:262] == b"ustar" and not found:
        found = f"a tar archive{f' in {packed}' * bool(packed)}"
    if found:
        raise DataError(
            "cannot unpack the file",
            where=where,
            why=f"found {found}, expected gzip, bzip2, xz or a zip archive of one file",
            next_step="Unpack it first.",
        )
    return Content(where, data)


def _damaged(where: str, packed: str, error: BaseException) -> DataError:
    why = str(error) or type(error).__name__
    return DataError(f"damaged {packed} file", where=where, why=why, next_step="Fetch it again.")


def _wide_encoding(data: bytes) -> str:
    """Detect UTF-16 and UTF-32; return "" for other encodings."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    even, odd = data[0:_SAMPLE:2], data[1:_SAMPLE:2]
    if len(odd) > 3 and 0 not in even and odd.count(0) > _MOSTLY * len(odd):
        return "UTF-16-LE"
    if len(odd) > 3 and 0 not in odd and even.count(0) > _MOSTLY * len(even):
        return "UTF-16-BE"
    return ""


def _from_wide(data: bytes, encoding: str, where: str) -> bytes:
    if encoding == "UTF-32":
        raise no_prices(where, "it is UTF-32, expected UTF-8 or UTF-16")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        why = f"it starts as UTF-16 but is invalid at byte {error.start}"
        raise no_prices(where, why, "Fetch the file again.") from error
    return text.removeprefix("\ufeff").encode()


def _from_western(data: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _no_text(data, error.start, "line {} is not UTF-8 text", where) from error
    return text.encode(), ("Read as Windows-1252 (Western European), since it is not UTF-8.",)


def _no_text(data: bytes, at: int, why: str, where: str) -> DataError:
    return no_prices(where, why.format(1 + data.count(b"\n", 0, at)))
