"""The lines of a CSV, plain or gzipped, as arrays: strictly, no value is shifted or guessed.

pyarrow parses the lines. It has no rule for quotes within a field, reads `nan(1)` and `-nan`, and
fails on a field of spaces; so quotes are checked before, and lines with an odd value are read again
one field after another, which also finds the line and the column that an error names.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lstmcli.errors import DataError, UsageError, file_errors
from lstmcli.reading.raw import Marks, RawColumns

MAX_BYTES = 1024**3
MISSING = ("", "null", "NULL", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "None", "none", "#N/A", ".")
_PIECE = 8 * 1024**2
_GZIP = b"\x1f\x8b"
_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.I | re.A
)
_RECENT = 250  # lines that a last one without a line end is compared with
_HARMLESS = 1e-6
_TOO_SMALL = 0.5


def read_text(source: str | Path, stdin: IO[bytes] | None, where: str) -> tuple[int, bytes]:
    """Read a file, or standard input for "-", with line ends of one byte.

    Returns the number of the first line that is not blank, and the text from there on. Raises
    FileError when the file cannot be read, DataError for bytes that no CSV of prices has.
    """
    pieces: list[bytes] = []
    for number, piece in enumerate(_read_pieces(source, stdin, where)):
        if len(piece) == _PIECE and b"\n" not in piece:
            raise _not_prices(where, f"a line is longer than {_PIECE // 1024**2} MiB")
        if number * _PIECE + len(piece) > MAX_BYTES:
            raise DataError(
                "the CSV is too large",
                where=where,
                why=f"it has more than {MAX_BYTES // 1024**2} MiB",
                next_step="Split it by symbol or by date.",
            )
        pieces.append(piece)
    text = b"".join(pieces).removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    _refuse_odd_bytes(text, where)
    filled = text.lstrip(b"\n")
    return 1 + len(text) - len(filled), filled


_SEPARATORS = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}


def open_csv(source: str | Path, marks: Marks, stdin: IO[bytes] | None) -> "CsvFile":
    """Open a CSV file, or standard input for "-"; raises as `open_table` does."""
    where = "stdin" if str(source) == "-" else str(source)
    sep = _check_separator(marks)
    line, text = read_text(source, stdin, where)
    if not text:
        raise DataError("no rows", where=where, why="it is empty")
    first = [row.decode() for row in text.split(b"\n", 3)[:3]]
    head = [_split(row, sep) for row in first]
    header = first[0]
    others = [word for each, word in _WORDS.items() if each != sep and each in header]
    if not header.replace("\t", " ").isprintable() or (len(head[0]) == 1 and not others):
        raise DataError(
            "not a CSV of prices",
            where=where,
            why=f"the first line is {header[:60]!a}, expected a header such as Date,Close",
            next_step="Give a text file with the columns Date and Close.",
        )
    if len(head[0]) == 1:
        raise DataError(
            f"the header has one column when it is split at {sep!r}",
            where=where,
            why=f"it looks separated by {others[0]!r}",
            next_step=f"Pass --sep '{others[0]}', and --decimal ',' for decimal commas.",
        )
    return CsvFile(text, line, head, where, sep, marks.decimal)


_WORDS = {",": ",", ";": ";", "\t": "tab", "|": "|"}


def _check_separator(marks: Marks) -> str:
    if marks.sep not in _SEPARATORS:
        raise UsageError(f"unknown separator {marks.sep!r}", why="expected one of , ; | or tab")
    if marks.decimal not in (".", ","):
        raise UsageError(f"unknown decimal mark {marks.decimal!r}", why="expected . or ,")
    if marks.sep == marks.decimal:
        raise UsageError(
            "separator and decimal mark are the same",
            why=f"both are {marks.sep!r}",
            next_step="Pass --sep ';' with --decimal ','.",
        )
    return _SEPARATORS[marks.sep]


def _split(line: str, sep: str) -> list[str]:
    try:
        [fields] = csv.reader([line], delimiter=sep, strict=True)
    except (csv.Error, ValueError):  # quotes that are not closed; an empty line
        fields = line.split(sep)
    return [field.strip() for field in fields]


@dataclass(frozen=True)
class CsvFile:
    """The lines of a CSV: a `RawTable`.

    text : from its header on. first_line : the number of the header's.
    """

    text: bytes
    first_line: int
    head: list[list[str]]
    where: str
    sep: str
    decimal: str
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The format in words."""
        return f"CSV separated by {_WORDS[self.sep]!r}"

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read the lines below the header that are not blank, as `RawTable` has it."""
        text = b"".join(self.text.split(b"\n", header)[header:])
        if not text.strip(b"\n"):
            raise DataError("no rows", where=self.where, why="it has a header and nothing else")
        names = self.head[0]
        body = Lines(
            text,
            self.first_line + header,
            names,
            texts,
            numbers,
            self.where,
            self.sep,
            self.decimal,
        )
        return body.read()


@dataclass(frozen=True)
class Lines:
    """The lines of a CSV below its header, and how they are read.

    text : of which some lines are not blank. first_line : the number of its first one.
    """

    text: bytes
    first_line: int
    names: Sequence[str]
    texts: Sequence[int]
    numbers: Sequence[int]
    where: str
    sep: str
    decimal: str

    def read(self) -> RawColumns:
        """Read the columns; DataError names the first line that breaks a rule."""
        self.refuse_misplaced_quotes()
        ends = np.flatnonzero(np.frombuffer(self.text, dtype=np.uint8) == ord("\n"))
        ends = np.append(ends, len(self.text))
        lines = self.first_line + np.flatnonzero(np.diff(ends, prepend=-1) > 1)
        try:
            texts, fields = self.read_fields(lines, pa.float64())
            values = fields.to_tensor(null_to_nan=True, row_major=False).to_numpy()
            n_null = sum(column.null_count for column in fields.columns)
            is_plain = np.count_nonzero(np.isnan(values)) == n_null  # else a nan(1), a -nan
        except pa.ArrowInvalid:
            is_plain = False
        if not is_plain:
            texts, fields = self.read_fields(lines, pa.string())
            values = self._read_strictly(fields, lines)
        if not self.text.endswith(b"\n") and len(self.names) - 1 in self.numbers:
            last = self.text.rsplit(b"\n", _RECENT + 1)[-_RECENT - 1 :]
            endings = [line.decode().rsplit(self.sep, 1)[-1].strip(' \t"') for line in last if line]
            if why := why_cut(endings, self.decimal):
                why = f"it has no line end and its last field {endings[-1]!r} {why}"
                step = "Fetch the file again, or end the line with a line break if it is whole."
                raise self._error("the last line may be cut", lines[-1], why, step)
        return RawColumns(texts, values, lines)

    def refuse_misplaced_quotes(self) -> None:
        """Raise DataError for a quote within a field, which pyarrow would drop."""
        if b'"' not in self.text:
            return
        inner = rf"[^{re.escape(self.sep)}\n]"
        field = rf'(?<!{inner})"[^"\n]*+(?:""[^"\n]*+)*+"(?!{inner})'
        match = re.match(rf'(?:[^"]*+{field})*+[^"]*+'.encode(), self.text)
        at = match.end() if match else 0
        if at < len(self.text):
            line = self.first_line + self.text.count(b"\n", 0, at)
            why = "expected quotes only around whole fields, closed on the same line"
            raise self._error("misplaced quote", line, why, "Remove the quotes.")

    def read_fields(
        self, lines: NDArray[np.int64], kind: pa.DataType
    ) -> tuple[list[pa.Array], pa.RecordBatch]:
        """Read columns of text, and the numbers (N, K) as `kind`, null for a missing one.

        Raises DataError naming the first line of another number of fields than the header's, and
        ArrowInvalid for a value that is none of the kind.
        """
        from pyarrow import csv  # the rest of pyarrow comes with pandas, this takes 4 ms

        odd: list[Any] = []

        def refuse(row: Any) -> str:
            odd.append(row)
            return "error"

        names = list(map(str, range(len(self.names))))
        texts = [names[i] for i in self.texts]
        wanted = [*texts, *(names[i] for i in self.numbers)]
        try:
            table = csv.read_csv(
                pa.BufferReader(self.text),
                csv.ReadOptions(use_threads=False, block_size=len(self.text), column_names=names),
                csv.ParseOptions(delimiter=self.sep, invalid_row_handler=refuse),
                csv.ConvertOptions(
                    check_utf8=False,  # it was checked
                    column_types=dict.fromkeys(wanted, kind) | dict.fromkeys(texts, pa.string()),
                    null_values=MISSING,
                    include_columns=wanted,
                    decimal_point=self.decimal,
                ),
            )
        except pa.ArrowInvalid:
            if odd:
                raise self._wrong_count(odd[0], lines) from None
            raise
        [batch] = table.combine_chunks().to_batches()
        return batch.columns[: len(texts)], batch.select(wanted[len(texts) :])

    def _wrong_count(self, row: Any, lines: NDArray[np.int64]) -> DataError:
        what = "a line is longer than the header"
        step = "Name every column in the header; for commas in numbers pass --sep and --decimal."
        if row.number == lines.size and not self.text.endswith(b"\n"):
            what, step = "the last line is cut", "Remove it or fetch the file again."
        elif row.actual_columns < row.expected_columns:
            what, step = "a line is too short", "Complete the line or remove it."
        why = f"found {row.actual_columns} fields, the header has {row.expected_columns}"
        return self._error(what, lines[row.number - 1], why, step)

    def _read_strictly(
        self, fields: pa.RecordBatch, lines: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Read the values (N, K) one by one, to name the first that is no number."""
        values = np.empty((lines.size, len(self.numbers)))
        columns = [column.to_pylist() for column in fields.columns]
        for row, texts in enumerate(zip(*columns, strict=True)):
            for k, text in enumerate(texts):
                number = _read_number(text, self.decimal)
                if number is None:
                    raise self._bad_number(text.strip(), self.numbers[k], lines[row])
                values[row, k] = number
        return values

    def _bad_number(self, text: str, position: int, line: int) -> DataError:
        other, mark = (",", "comma") if self.decimal == "." else (".", "point")
        step = "Correct the field or leave it empty."
        if other in text:
            step = f"Pass --decimal '{other}' if that is a decimal {mark}; "
            step += "remove thousands separators."
        why = f"found {text[:40]!a}, expected a number such as 1234{self.decimal}5"
        return self._error(f"bad number in column {self.names[position]}", line, why, step)

    def _error(self, what: str, line: int, why: str, next_step: str) -> DataError:
        return DataError(what, where=f"{self.where} line {line}", why=why, next_step=next_step)


def why_cut(endings: Sequence[str], decimal: str) -> str:
    """Return why a last line without a line end may be cut, "" where it looks whole.

    endings : the last fields of the last lines, oldest first.

    Many programs leave the last line end out, so it alone proves nothing. All fields being there,
    only the last can be cut, and a cut number shows in three ways: it ends in the middle, it has
    fewer decimals than those above it, or it is far too small. Any other cut has lost less than a
    millionth of the value.
    """
    *others, last = endings
    value = _read_number(last, decimal)
    if value is None or np.isnan(value):
        return "" if others and last == others[-1] else "is no number"
    if not last[-1].isdigit():
        return "ends in the middle of a number"
    known = {text: number for text in others if (number := _read_number(text, decimal)) is not None}
    finite = {text: abs(number) for text, number in known.items() if np.isfinite(number)}
    decimals = _decimals(last, decimal)
    usual = max((_decimals(text, decimal) for text in finite), default=0)
    if decimals < usual and 10.0**-decimals > _HARMLESS * abs(value):
        return f"has {decimals} decimals where the lines above have {usual}"
    if abs(value) < _TOO_SMALL * min(finite.values(), default=0):
        return "is less than half of any value above it"
    return ""


def _decimals(text: str, decimal: str) -> int:
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(decimal)[2])
    return max(0, places - int(exponent or 0))


def _read_number(text: str, decimal: str) -> float | None:
    """Read one field: NaN for a missing number, None for a text that is no number."""
    text = text.strip()
    if text in MISSING:
        return np.nan
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def _read_pieces(source: str | Path, stdin: IO[bytes] | None, where: str) -> Iterator[bytes]:
    """Yield the bytes of a source, unpacked where it is gzip; the last piece is a short one."""
    is_file = str(source) != "-"
    if not is_file and (stdin is None or stdin.closed):
        raise DataError("no rows", where=where, why="standard input is closed")
    with file_errors("cannot read the file", where, kinds=(OSError, ValueError), named=True):
        try:
            with open(source, "rb") if is_file else nullcontext(stdin) as raw:
                stream: Any = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
                if stream.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
                    stream = gzip.GzipFile(fileobj=stream)
                while len(piece := stream.read(_PIECE)) == _PIECE:
                    yield piece
                yield piece
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                "damaged gzip file", where=where, why=str(error), next_step="Fetch it again."
            ) from error


def _refuse_odd_bytes(text: bytes, where: str) -> None:
    """Raise DataError for bytes that no CSV of prices has, naming their line."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_prices(where, "it is UTF-16, expected UTF-8")
    if text[:100].lstrip().startswith((b"<", b"{", b"[")):
        raise _not_prices(where, "it starts like an HTML page or JSON")
    odd = {"NUL bytes in line {}": text.find(b"\0")}
    odd["a carriage return inside line {}"] = text.find(b"\r")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        odd["line {} is not UTF-8 text"] = error.start
    for why, at in odd.items():
        if at >= 0:
            raise _not_prices(where, why.format(1 + text.count(b"\n", 0, at)))


def _not_prices(where: str, why: str) -> DataError:
    return DataError(
        "not a CSV of prices",
        where=where,
        why=why,
        next_step="Give a UTF-8 text file with a header line, such as Date,Close.",
    )
