"""Parse the lines of a CSV file strictly: no value is shifted or guessed.

pyarrow parses the lines. It drops quotes within a field, accepts `nan(1)` and `-nan`, and fails on
a field of spaces. Therefore quotes are checked first, and if any value is unusual, the numbers are
read again from text (numerals.py), which also finds the line for the error message.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError
from lstmcli.printable import count_of
from lstmcli.reading.numerals import MISSING, Written, decides
from lstmcli.reading.raw import RawColumns

_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.I | re.A
)
_RECENT = 250  # number of lines to compare with a last line without a line end
_SAMPLE = 2**18  # bytes, usually enough to decide the decimal mark
_PIECE = 2**25  # bytes to parse at a time
_LINE = re.compile(rb"[^\n]+")
_ISO = re.compile(r"\d{4}-\d\d-\d\d", re.A)
_HARMLESS = 1e-6
_TOO_SMALL = 0.5
_SMALL = 2**23  # bytes; up to this size one thread parses a single block
_BLOCK = 2**22  # bytes per block if several threads parse
_GROWTH = 1.3
_NOT_PLAIN = (b"\r", b"\0", b'"', b"#")


@dataclass(frozen=True)
class Lines:
    """The lines of a CSV file below its header, and how to read them.

    text : the file; the lines begin at byte `start`, and some are not blank. first_line : number of
    the line at `start`. kind : the format in words. decimal : point or comma, or "" to detect it.
    """

    text: bytes
    names: Sequence[str]
    texts: Sequence[int]
    numbers: Sequence[int]
    where: str
    kind: str
    sep: str
    decimal: str = ""
    start: int = 0
    first_line: int = 1

    def read(self) -> RawColumns:
        """Read the columns; raise DataError for the first invalid line."""
        self.refuse_misplaced_quotes()
        for mark in self.likely_marks():
            plain = self.read_plain(mark, self._pieces())
            if plain is not None and self.decides_mark(mark):  # not if all are like 1.234
                texts, values = plain
                lines = self.number_lines(len(values))
                self._refuse_cut_end(lines, None, mark)
                return RawColumns(texts, values, lines, self.notes(mark))
        columns = [column.combine_chunks() for column in self.read_texts().columns]
        texts, fields = columns[: len(self.texts)], columns[len(self.texts) :]
        lines = self.number_lines(len(columns[0]))
        names = [self.names[i] for i in self.numbers]
        marks = (self.where, self.kind, self.decimal, self.sep)
        found = Written(fields, names, lines, *marks).read()
        if (last := len(self.names) - 1) in self.numbers:
            k = list(self.numbers).index(last)
            endings = [text or "" for text in found.cleaned[k][-_RECENT - 1 :].to_pylist()]
            if not found.has_suffix[k]:
                self._refuse_cut_end(lines, endings, ".")
        return RawColumns(texts, found.values, lines, found.notes(self.decimal))

    def read_plain(
        self, mark: str, pieces: Iterable[pa.Buffer | None], capacity: int = 0
    ) -> tuple[list[pa.Array], Floats] | None:
        """Read texts, ISO dates as dates, and numbers (N, K); None if some are not plain.

        pieces : the text in pieces of whole lines, which avoids a second copy of all numbers; None
        for a piece that is not plain. capacity : expected number of lines, 0 if there is only one
        piece.
        """
        match = _LINE.search(self.text, self.start)
        [first] = split([match[0].decode() if match else ""], self.sep)
        dates = [i for i in self.texts if i < len(first) and _ISO.fullmatch(first[i])]
        texts: list[list[pa.Array]] = [[] for _ in self.texts]
        values, end = np.empty((capacity, len(self.numbers)), order="F"), 0
        for piece in pieces:
            try:
                table = None if piece is None else self._parse(piece, pa.float64(), mark, dates)
            except pa.ArrowInvalid:
                return None
            if table is None:
                return None
            start, end = end, end + len(table)
            if end > len(values):
                grown = np.empty((int(end * _GROWTH) if start else end, values.shape[1]), order="F")
                grown[:start] = values[:start]
                values = grown
            for chunks, column in zip(texts, table.columns, strict=False):
                chunks += column.chunks
            numbers = table.columns[len(texts) :]
            for k, column in enumerate(numbers):
                values[start:end, k] = column.to_numpy()
            # pyarrow also reads nan(1) and -nan.
            n_null = sum(column.null_count for column in numbers)
            if np.count_nonzero(np.isnan(values[start:end])) != n_null:
                return None
        return [pa.concat_arrays(chunks) for chunks in texts], values[:end]

    def notes(self, mark: str) -> tuple[str, ...]:
        """Return a note if decimal commas were detected."""
        is_found = mark == "," and not self.decimal
        return ("Numbers were read with decimal commas.",) if is_found else ()

    def refuse_misplaced_quotes(self) -> None:
        """Raise DataError for a quote within a field, which pyarrow would drop."""
        text = self.text
        if text.find(b'"', self.start) < 0:
            return
        inner = rf"[^{re.escape(self.sep)}\n]"
        field = rf'(?<!{inner})"[^"\n]*+(?:""[^"\n]*+)*+"(?!{inner})'
        match = re.compile(rf'(?:[^"]*+{field})*+[^"]*+'.encode()).match(text, self.start)
        at = match.end() if match else self.start
        if at < len(text):
            line = self.first_line + text.count(b"\n", self.start, at)
            why = "expected quotes only around whole fields, closed on the same line"
            raise self._error("misplaced quote", line, why, "Remove the quotes.")

    def number_lines(self, n_rows: int | None = None) -> Ints:
        """Return the line number of each non-blank line.

        n_rows : number of non-blank lines, if known.
        """
        n_lines = self.text.count(b"\n", self.start) + (not self.text.endswith(b"\n"))
        if n_rows == n_lines:
            return np.arange(self.first_line, self.first_line + n_rows)
        text = np.frombuffer(self.text, dtype=np.uint8)[self.start :]
        ends = np.append(np.flatnonzero(text == ord("\n")), len(text))
        numbers: Ints = np.flatnonzero(np.diff(ends, prepend=-1) > 1)
        return self.first_line + numbers

    def _pieces(self) -> Iterator[pa.Buffer]:
        """Yield the text in pieces of whole lines."""
        start = self.start
        while start < len(self.text):
            end = self.text.find(b"\n", start + _PIECE)
            end = len(self.text) if end < 0 else end + 1
            yield pa.py_buffer(self.text).slice(start, end - start)
            start = end

    def read_texts(self) -> pa.Table:
        """Read all columns as text, null for missing values.

        Raises DataError for the first line whose number of fields differs from the header's.
        """
        odd: list[Any] = []

        def refuse(row: Any) -> str:
            odd.append(row)
            return "error"

        try:
            return self._parse(
                pa.py_buffer(self.text).slice(self.start), pa.string(), ".", (), refuse
            )
        except pa.ArrowInvalid:
            if not odd:
                raise
        raise self._wrong_count(odd[0])

    def _parse(
        self,
        text: pa.Buffer,
        kind: pa.DataType,
        decimal: str,
        dates: Sequence[int],
        refuse: Callable[[Any], str] | None = None,
    ) -> pa.Table:
        """Parse lines into text columns, then number columns of type `kind`.

        dates : positions of text columns to read as dates. refuse : called for a line with a wrong
        number of fields; returns "error".
        Raises ArrowInvalid for such a line, and for a value that is not of the type.
        """
        from pyarrow import csv  # takes 4 ms; pandas imports the rest of pyarrow anyway

        names = list(map(str, range(len(self.names))))
        texts = {names[i]: pa.date32() if i in dates else pa.string() for i in self.texts}
        wanted = [*texts, *(names[i] for i in self.numbers)]
        in_order = len(text) <= _SMALL or refuse is not None
        return csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(
                use_threads=not in_order,
                block_size=len(text) if in_order else _BLOCK,
                column_names=names,
            ),
            csv.ParseOptions(delimiter=self.sep, invalid_row_handler=refuse),
            csv.ConvertOptions(
                check_utf8=False,  # `decode_text` has checked it
                column_types=dict.fromkeys(wanted, kind) | texts,
                null_values=MISSING,
                include_columns=wanted,
                decimal_point=decimal,
            ),
        )

    def likely_marks(self) -> list[str]:
        """Return the possible decimal marks, given the separator."""
        if self.decimal:
            return [self.decimal] if self.decimal != self.sep else []
        return ["."] if self.sep == "," else [".", ","]

    def decides_mark(self, mark: str) -> bool:
        """Return whether the first lines prove that a mark is not for thousands."""
        if self.decimal or self.sep == ",":
            return True
        sample = self.text[self.start : self.start + _SAMPLE].decode(errors="replace")
        point = re.escape(mark)
        is_open = re.compile(rf"[+-]?[1-9]\d{{0,2}}{point}\d{{3}}")
        rows = csv.reader(sample.split("\n")[:-1], delimiter=self.sep)
        fields = [
            row[i].strip() for row in rows if len(row) == len(self.names) for i in self.numbers
        ]
        marked = [field for field in fields if mark in field]
        n_open = sum(is_open.fullmatch(field) is not None for field in marked)
        return len(marked) > 1 and decides(len(marked) - n_open, n_open)

    def _last_fields(self) -> list[str]:
        """Return the last field of each of the last lines, oldest first, without quotes."""
        tail = self.text[max(self.start, len(self.text) - _SAMPLE) :].split(b"\n")[-_RECENT - 1 :]
        texts = [line.decode(errors="replace") for line in tail if line]
        return [text.rsplit(self.sep, 1)[-1].strip(' \t"') for text in texts]

    def _refuse_cut_end(self, lines: Ints, endings: Sequence[str] | None, decimal: str) -> None:
        """Raise DataError if the last line has no line end and its number may be cut off.

        endings : the last field of each of the last lines; None to take them from the text.
        """
        if self.text.endswith(b"\n") or len(self.names) - 1 not in self.numbers:
            return
        endings = self._last_fields() if endings is None else endings
        if why := why_cut(endings, decimal):
            why = f"it has no line end and its last field {endings[-1]!r} {why}"
            step = "Fetch the file again, or end the line with a line break if it is complete."
            raise self._error("the last line may be cut", lines[-1], why, step)

    def _wrong_count(self, row: Any) -> DataError:
        lines = self.number_lines()
        what = "a line is longer than the header"
        step = "Name every column in the header; for commas in numbers pass --sep and --decimal."
        if row.number == lines.size and not self.text.endswith(b"\n"):
            what, step = "the last line is cut", "Remove it or fetch the file again."
        elif row.actual_columns < row.expected_columns:
            what, step = "a line is too short", "Complete the line or remove it."
        found = count_of(row.actual_columns, "field")
        why = f"found {found}, the header has {row.expected_columns}"
        why += f" in a {self.kind}"
        return self._error(what, lines[row.number - 1], why, step)

    def _error(self, what: str, line: int, why: str, next_step: str) -> DataError:
        return DataError(what, where=f"{self.where} line {line}", why=why, next_step=next_step)


def why_cut(endings: Sequence[str], decimal: str) -> str:
    """Return why a last line without a line end may be cut off, or "".

    Many programs omit the last line end, so that alone proves nothing. If no field is missing, only
    the last one can be cut off. A number that is cut off ends in the middle, has fewer decimals
    than those above it, or is far too small; any other loses less than a millionth of its value.

    endings : the last field of each of the last lines, oldest first.
    """
    *others, last = endings
    value = _read_number(last, decimal)
    if value is None or np.isnan(value):
        return "" if others and last == others[-1] else "is not a number"
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
    """Parse one field: NaN for a missing number, None for text that is not a number."""
    text = text.strip()
    if text in MISSING:
        return np.nan
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def is_plain(text: bytes, start: int, end: int) -> bool:
    """Return whether part of a text is whole lines without anything unusual."""
    blank = text.startswith(b"\n", start) or text.find(b"\n\n", start, end) >= 0
    odd = any(text.find(each, start, end) >= 0 for each in _NOT_PLAIN)
    return start < end and text.isascii() and not blank and not odd


def split(lines: Iterable[str], sep: str) -> list[list[str]]:
    """Split lines at separators outside quotes, and strip the fields."""
    rows = []
    for line in lines:
        try:
            [fields] = csv.reader([line], delimiter=sep, strict=True)
        except (csv.Error, ValueError):  # an unclosed quote; an empty line
            fields = line.split(sep)
        rows.append([field.strip() for field in fields])
    return rows
