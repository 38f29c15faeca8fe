"""Open CSV files: detect the separator; skip comments, blank lines, footers.

The separator is the one that gives the header and the first lines the same number of fields, at
least two. If several do, the file is refused. All lines must then have that number of fields.

A large file is read in pieces, so that its text is never in memory as a whole. This requires a
plain file: ASCII, no comments, quotes or blank lines, numbers with nothing but a decimal mark, and
a line end at the end. Any other file is read whole, which also reports its errors.
"""

import csv
import itertools
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lstmcli.errors import DataError, UsageError, file_errors
from lstmcli.reading.contents import MAX_BYTES, Content, decode_text, no_prices, read_source
from lstmcli.reading.lines import Lines, is_plain, split
from lstmcli.reading.raw import Marks, RawColumns, RawTable

_SEPARATORS = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}
_WORDS = {",": ",", ";": ";", "\t": "tab", "|": "|"}
_SAMPLE, _SAMPLE_LINES = 2**16, 100
_HEAD = 3
# A line of # alone, or of # and words; not a column named #, and not the value #N/A.
_COMMENT = re.compile(rb"^#(?!N/A|[,;|\t])[^\n]*", re.M)
_STATED = re.compile(rb'^"?sep=(.)"?\n', re.I)
_FILLED = re.compile(rb"[^\n]+")
_MOST_FOOTERS = 5
_TAIL = 5000  # bytes at the end that are searched for footers
_BLANK_END = re.compile(rb"(?:\n *)+\Z")
_DAY_NAME = re.compile(
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)(?:d|da|day)?|(?:janu|febru)(?:a|ar|ary)?|marc|march|"
    r"apri|april|june|july|augu|augus|august|octo|octob|octobe|october|"
    r"(?:sept|sep|nov|dec)(?:e|em|emb|embe|ember)?",
    re.I,
)
_LARGE = 2**26
_FIRST = 2**20
_PIECE = 2**25
_MORE = 1.02  # reserve, relative to the number of rows extrapolated from the first piece


def open_csv(content: Content, marks: Marks) -> "CsvFile":
    """Open the bytes of a CSV file; raise the errors of `open_table`."""
    stated = check_marks(marks)
    where = content.where
    text, notes = decode_text(content.data, where)
    line = 1
    if not stated and (match := _STATED.match(text)) and match[1].decode("latin-1") in _WORDS:
        stated, text, line = match[1].decode(), text[match.end() :], 2
    # Comment lines become empty, so that the other lines keep their numbers.
    text, n_comments = _COMMENT.subn(b"", text) if b"#" in text else (text, 0)
    if n_comments:
        notes = (*notes, f"Skipped comment lines: {n_comments}.")
    if text.endswith((b" ", b" \n")) and (
        blank := _BLANK_END.search(text, max(0, len(text) - _TAIL))
    ):
        text = text[: blank.start() + 1]
    filled = text.lstrip(b"\n")
    line += len(text) - len(filled)
    if not filled:
        raise DataError("no rows", where=where, why="it is empty")
    header = _first_lines(filled, 1)[0].decode()
    if not header.replace("\t", " ").isprintable():
        raise _no_header(header, where)
    sep = stated or _find_separator(filled, where)
    filled, footers = _cut_footers(filled, sep)
    if footers:
        shown = "; ".join(f"{each[:60]!a}" for each in footers)
        lines = "the last line" if len(footers) == 1 else f"the last {len(footers)} lines"
        notes = (*notes, f"Left out {lines} (no prices): {shown}.")
    if sep != "," and not marks.sep:
        notes = (*notes, f"Read as CSV separated by {_WORDS[sep]!r}.")
    first = [row.decode() for row in _first_lines(filled, _HEAD)]
    head = split(first, sep)
    _check_header(first[0], head[0], sep, where)
    kind = f"CSV separated by {_WORDS[sep]!r}"
    return CsvFile(where, kind, head, notes, filled, line, sep, marks.decimal)


@dataclass(frozen=True)
class CsvFile(RawTable):
    """The lines of a CSV file.

    text : from the header on. first_line : line number of the header. decimal : point, comma, or
    "" to detect it.
    """

    text: bytes
    first_line: int
    sep: str
    decimal: str

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read the non-blank lines below the header."""
        return self.below(texts, numbers, header).read()

    def below(self, texts: Sequence[int], numbers: Sequence[int], header: int) -> Lines:
        """Return the lines below the header; raise DataError if there are none."""
        start = 0
        for _ in range(header):  # blank lines do not count
            while self.text[start : start + 1] == b"\n":
                start += 1
            end = self.text.find(b"\n", start)
            start = len(self.text) if end < 0 else end + 1
        if not _FILLED.search(self.text, start):
            raise DataError("no rows", where=self.where, why="it has a header and nothing else")
        line = self.first_line + self.text.count(b"\n", 0, start)
        marks = self.where, self.kind, self.sep, self.decimal
        return Lines(self.text, self.head[0], texts, numbers, *marks, start, line)


@dataclass(frozen=True)
class StreamedCsv(CsvFile):
    """A large plain CSV file.

    text : the first lines. size : size of the file in bytes.
    """

    path: str | Path
    marks: Marks
    size: int

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns, in pieces if the whole file is plain."""
        lines = self.below(texts, numbers, header)
        for mark in filter(lines.decides_mark, lines.likely_marks()):
            n_first = self.text.count(b"\n")
            n_likely = int(_MORE * n_first * self.size / len(self.text))
            found = lines.read_plain(mark, self._pieces(lines.start), n_likely + n_first)
            if found is not None:
                columns, values = found
                numbered = np.arange(lines.first_line, lines.first_line + len(values))
                return RawColumns(columns, values, numbered, lines.notes(mark))
        table = open_csv(read_source(self.path), self.marks)
        whole = table.read(texts, numbers, header)
        more = [note for note in table.notes if note not in self.notes]
        return replace(whole, notes=(*more, *whole.notes))

    def _pieces(self, start: int) -> Iterator[pa.Buffer | None]:
        """Yield pieces of whole lines from byte `start` on; None for one not plain."""
        with (
            file_errors("cannot read the file", self.path, kinds=(OSError, ValueError), named=True),
            open(self.path, "rb", buffering=0) as file,
        ):
            while piece := file.read(_PIECE):
                end = piece.rfind(b"\n") + 1
                if not is_plain(piece, start, end):
                    yield None
                yield pa.py_buffer(piece).slice(start, end - start)
                file.seek(end - len(piece), os.SEEK_CUR)  # faster than copying the rest
                start = 0


def open_streamed(path: str | Path, marks: Marks) -> StreamedCsv | None:
    """Open a large CSV file for reading in pieces; None if it must be read whole."""
    if not os.path.isfile(path):
        return None
    with file_errors("cannot read the file", path, kinds=(OSError, ValueError), named=True):
        size = os.path.getsize(path)
        if not _LARGE <= size <= MAX_BYTES:
            return None
        with open(path, "rb") as file:
            start = file.read(_FIRST)
    start = start[: start.rfind(b"\n") + 1]
    begins = start[:2].lstrip(b'"')[:1].isalnum() and start.count(b"\n") > _HEAD
    if not begins or not is_plain(start, start.find(b"\n") + 1, len(start)):
        return None
    first = open_csv(Content(str(path), start), marks)
    is_usual = all(note.startswith("Read as CSV separated") for note in first.notes)
    return StreamedCsv(**vars(first), path=path, marks=marks, size=size) if is_usual else None


def check_marks(marks: Marks) -> str:
    """Return the requested separator or ""; raise UsageError for invalid marks."""
    if marks.sep and marks.sep not in _SEPARATORS:
        raise UsageError(f"unknown separator {marks.sep!r}", why="expected one of , ; | or tab")
    if marks.decimal not in ("", ".", ","):
        raise UsageError(f"unknown decimal mark {marks.decimal!r}", why="expected . or ,")
    return _SEPARATORS.get(marks.sep, "")


def _first_lines(text: bytes, most: int) -> list[bytes]:
    """Return the first non-blank lines."""
    return [match[0] for match in itertools.islice(_FILLED.finditer(text), most)]


def _find_separator(text: bytes, where: str) -> str:
    """Detect the separator from the first lines; raise DataError if several fit."""
    second = text.find(b"\n", text.find(b"\n") + 1)  # the header may be longer than the sample
    sample = text[: max(_SAMPLE, second + 1)]
    lines = [row.decode(errors="replace") for row in _first_lines(sample, _SAMPLE_LINES)]
    if len(lines) > 1 and not sample.endswith(b"\n"):
        lines.pop()  # the last line may be incomplete
    fit: dict[str, float] = {}
    for sep in _WORDS:
        rows = [len(row) for row in csv.reader(lines, delimiter=sep)] if sep in lines[0] else [1]
        if rows[0] > 1:
            fit[sep] = math.inf if len(set(rows)) == 1 else rows.count(rows[0])
    # Some lines may be wrong: take the separator that fits most; reading then names the error.
    candidates = [sep for sep in fit if fit[sep] == max(fit.values())]
    if len(candidates) > 1:
        words = " and ".join(repr(_WORDS[sep]) for sep in candidates)
        raise DataError(
            "cannot detect the separator",
            where=where,
            why=f"{words} both fit the first lines",
            next_step=f"Pass --sep '{_WORDS[candidates[0]]}' or --sep '{_WORDS[candidates[1]]}'.",
        )
    return candidates[0] if candidates else ","


def _check_header(line: str, names: list[str], sep: str, where: str) -> None:
    """Raise DataError if the first line is not a header."""
    if len(names) > 1:
        return
    others = [word for each, word in _WORDS.items() if each != sep and each in line]
    if others:
        raise DataError(
            f"the header has one column when it is split at {_WORDS[sep]!r}",
            where=where,
            why=f"it looks separated by {others[0]!r}",
            next_step=f"Pass --sep '{others[0]}', or leave --sep out.",
        )
    raise _no_header(line, where)


def _no_header(line: str, where: str) -> DataError:
    why = f"the first line is {line[:60]!a}, expected a header such as Date,Close"
    return no_prices(where, why, "Give a text file with the columns Date and Close.")


def _cut_footers(text: bytes, sep: str) -> tuple[bytes, list[str]]:
    """Remove footers, such as the name of a source, and return them too."""
    footers: list[str] = []
    tail = text[-_TAIL:]
    while len(footers) < _MOST_FOOTERS:
        body = tail.rstrip(b"\n")
        at = body.rfind(b"\n")
        last = body[at + 1 :]
        # If other rows begin with the same name, this is an incomplete row, not a footer.
        is_cut = last and (b"\n" + last.split(b" ")[0]) in body[: at + 1]
        if at < 0 or is_cut or not _is_footer(last.decode(errors="replace"), sep):
            break
        footers.insert(0, last.decode().strip(' "'))
        tail = body[: at + 1]
    if footers:
        text = text[:-_TAIL] + tail
    return text, footers


def _is_footer(line: str, sep: str) -> bool:
    """Return whether a line is a single field of words that cannot begin a row."""
    if sep in line.strip().strip('"') and not re.fullmatch(r'\s*"[^"]*"\s*', line):
        return False
    words = re.findall(r"[^\W\d_]{2,}", line)
    long = [word for word in words if len(word) > 3]
    is_date = all(_DAY_NAME.fullmatch(word) for word in long)
    return len(words) > 1 and bool(long) and not is_date
