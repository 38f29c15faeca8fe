"""From bytes to UTF-8 text: which encoding has a file, and which bytes does no text have?

UTF-8 and UTF-16 are certain where they are valid. Bytes that are neither are Western European in
almost every file of prices; digits and signs are the same in all such encodings, so that only
names could be wrong, and a note says which encoding was taken.
"""

import codecs

import pyarrow as pa

from lstmcli.errors import DataError
from lstmcli.reading.sources import no_prices

_SAMPLE = 400
_MOSTLY = 0.9
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}


def decode_text(data: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes as UTF-8 without mark and with line ends of one byte, and notes.

    Raises DataError naming the line of a byte that no text has.
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
            pa.array([data], pa.binary()).cast(pa.string())  # no copy as a decoded str has
        except pa.ArrowInvalid:
            data, notes = _from_western(data, where)
    return data, notes


def _wide_encoding(data: bytes) -> str:
    """Return the encoding of two or four bytes a character that a file has, or ""."""
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
        why = f"it starts as UTF-16, and is none at byte {error.start}"
        raise no_prices(where, why, "Fetch the file again.") from error
    return text.removeprefix("\ufeff").encode()


def _from_western(data: bytes, where: str) -> tuple[bytes, tuple[str, ...]]:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _no_text(data, error.start, "line {} is not UTF-8 text", where) from error
    return text.encode(), ("It is not UTF-8: read as Windows-1252, as Western Europe has it.",)


def _no_text(data: bytes, at: int, why: str, where: str) -> DataError:
    return no_prices(where, why.format(1 + data.count(b"\n", 0, at)))
