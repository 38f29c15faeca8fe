"""A large CSV file, read from the disk piece by piece, so that its text is never in memory whole.

Only plain files are read so: ASCII, no comments, quotes or blank lines, numbers without more than a
decimal mark, a line end at the end. Any other is read whole, which finds what is to be said of it.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lstmcli.errors import file_errors
from lstmcli.reading.delimited import HEAD, CsvFile, open_csv
from lstmcli.reading.lines import PlainRows
from lstmcli.reading.raw import Marks, RawColumns
from lstmcli.reading.sources import MAX_BYTES, Content, read_source

_LARGE = 2**26
_FIRST = 2**20
_PIECE = 2**25
_MORE = 1.02  # rows, against those that the first piece lets expect
_NOT_PLAIN = (b"\r", b"\0", b'"', b"#")


@dataclass(frozen=True)
class StreamedCsv(CsvFile):
    """A large plain CSV file: a `RawTable`.

    text : its first lines. size : in bytes.
    """

    path: str | Path
    marks: Marks
    size: int

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns as `RawTable` has it."""
        found = self._read_pieces(texts, numbers, header)
        if found is not None:
            return found
        table = open_csv(read_source(self.path), self.marks)
        columns = table.read(texts, numbers, header)
        more = [note for note in table.notes if note not in self.notes]
        return replace(columns, notes=(*more, *columns.notes))

    def _read_pieces(
        self, texts: Sequence[int], numbers: Sequence[int], header: int
    ) -> RawColumns | None:
        """Read the file piece by piece; None where it is not plain."""
        lines = self.below(texts, numbers, header)
        mark = next((each for each in lines.likely_marks() if lines.decides_mark(each)), None)
        if mark is None:
            return None
        n_first = self.text.count(b"\n")
        n_likely = int(_MORE * n_first * self.size / len(self.text))
        rows = PlainRows(lines.parser, n_likely + n_first)
        dates, skipped = lines.iso_dates(), lines.start
        for piece, end in self._pieces():
            start, skipped = skipped, 0
            if not _is_plain(piece, start, end):
                return None
            text = pa.py_buffer(piece).slice(start, end - start)
            try:
                table = lines.parser.parse(text, pa.float64(), mark, dates, lambda _: "error")
            except pa.ArrowInvalid:
                return None
            has_blank = len(table) != piece.count(b"\n", start, end)
            if has_blank or not rows.add(table):
                return None
        columns, values = rows.columns()
        numbered = np.arange(lines.first_line, lines.first_line + len(values))
        return RawColumns(columns, values, numbered, lines.notes(mark))

    def _pieces(self) -> Iterator[tuple[bytes, int]]:
        """Yield pieces of the text, and where the last whole line of each ends: 0 for none."""
        with (
            file_errors("cannot read the file", self.path, kinds=(OSError, ValueError), named=True),
            open(self.path, "rb", buffering=0) as file,
        ):
            while piece := file.read(_PIECE):
                end = piece.rfind(b"\n") + 1
                file.seek(end - len(piece), os.SEEK_CUR)  # to copy what is left takes longer
                yield piece, end
                if not end:
                    return


def open_streamed(path: str | Path, marks: Marks) -> StreamedCsv | None:
    """Open a large CSV file; None for any file that is better read whole."""
    if not os.path.isfile(path):
        return None
    with file_errors("cannot read the file", path, kinds=(OSError, ValueError), named=True):
        size = os.path.getsize(path)
        if not _LARGE <= size <= MAX_BYTES:
            return None
        with open(path, "rb") as file:
            start = file.read(_FIRST)
    start = start[: start.rfind(b"\n") + 1]
    begins = start[:2].lstrip(b'"')[:1].isalnum() and start.count(b"\n") > HEAD
    if not begins or not _is_plain(start, start.find(b"\n") + 1, len(start)):
        return None
    first = open_csv(Content(str(path), start), marks)
    is_usual = all(note.startswith("Read as CSV separated") for note in first.notes)
    return StreamedCsv(**vars(first), path=path, marks=marks, size=size) if is_usual else None


def _is_plain(text: bytes, start: int, end: int) -> bool:
    """Return whether lines, of which there are some, are as a program writes them."""
    return (
        end > 0 and text.isascii() and all(text.find(each, start, end) < 0 for each in _NOT_PLAIN)
    )
