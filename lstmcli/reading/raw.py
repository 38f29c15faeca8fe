"""Raw tables: the uninterpreted columns of a file, and the function to open one."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError

if TYPE_CHECKING:
    from lstmcli.reading.contents import Content


@dataclass(frozen=True)
class RawColumns:
    """N rows of selected columns.

    texts : columns (N,) as text, or in their own type if the format has types; null or empty for
        missing values. numbers : (N, K), NaN for missing values.
    lines : (N,) line or row numbers in the file, for messages.
    notes : remarks on unusual number formats.
    """

    texts: list[pa.Array]
    numbers: Floats
    lines: Ints
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawTable(ABC):
    """A file of rows and named columns.

    where : the file, for messages. kind : its format in words, such as "CSV separated by ','".
    head : its first rows as fields, at most three; the first has the column names.
    notes : remarks from opening the file.
    """

    where: str
    kind: str
    head: list[list[str]]
    notes: tuple[str, ...]

    @abstractmethod
    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns by position.

        texts, numbers : positions of columns to read as text and as numbers.
        header : number of header rows.
        Raises DataError for the first invalid line, or if there are no rows of data.
        """


@dataclass(frozen=True)
class Marks:
    """The separator and the decimal mark of a text file; "" to detect them.

    sep : one of , ; | and tab. decimal : point or comma.
    """

    sep: str = ""
    decimal: str = ""


_NOT_READ = {
    b"\xd0\xcf\x11\xe0": (
        "cannot read the old Excel format",
        "found a workbook of Excel 97, expected .xlsx",
        "Open it in Excel, and save it as .xlsx or CSV.",
    ),
    b"PARE": ("cannot read the Parquet file", "it is encrypted", "Write it without encryption."),
    b"FEA1": (
        "cannot read the Feather file",
        "found version 1, expected version 2",
        "Write it again: in pandas, to_feather.",
    ),
}
_BOM = rb"(?:\xef\xbb\xbf)?\s*"
_JSON = re.compile(_BOM + rb'(?:\{\s*["}]|\[\s*[\[\]{])')
_TAGS = rb"html|head|body|title|meta|script|style|div|span|table|p|pre|h[1-6]|center|br|svg|error"
# Column names may be in angle brackets too: <TICKER>,<DATE>.
_WEB_PAGE = re.compile(_BOM + rb"<(?:!|\?xml|(?:" + _TAGS + rb")(?=[\s/>])(?!>[,;|\t]))", re.I)
_FORECASTS = {"symbol", "cutoff", "step", "median"}


def open_table(source: str | Path, marks: Marks, stdin: IO[bytes] | None = None) -> RawTable:
    """Open a file, or standard input for "-"; detect the format from the bytes.

    Raises FileError if it cannot be read, UsageError for bad options, DataError otherwise.
    """
    from lstmcli.reading.contents import is_url, read_source
    from lstmcli.reading.delimited import open_streamed

    table: RawTable | None = None
    if str(source) != "-" and not is_url(source):
        table = open_streamed(source, marks)
    table = table or _open(read_source(source, stdin), marks)
    if _FORECASTS.issubset(name.lower() for name in table.head[0]):
        raise DataError(
            "forecasts are not prices",
            where=table.where,
            why=f"it is a table of forecasts ({table.kind})",
            next_step="Pass the prices from which they were made.",
        )
    return table


def _open(content: "Content", marks: Marks) -> RawTable:
    from lstmcli.reading.contents import no_prices
    from lstmcli.reading.delimited import check_marks, open_csv

    check_marks(marks)
    data, decimal = content.data, marks.decimal
    for start, (what, why, step) in _NOT_READ.items():
        if data.startswith(start):
            raise DataError(what, where=content.where, why=why, next_step=step)
    if data.startswith((b"PAR1", b"ARROW1")):
        from lstmcli.reading.typed import open_arrow, open_parquet

        return (open_parquet if data[:4] == b"PAR1" else open_arrow)(content, decimal)
    if data.startswith(b"PK\x03\x04"):  # a workbook: zip archives are already unpacked
        from lstmcli.reading.workbooks import open_workbook

        return open_workbook(content, decimal)
    if _JSON.match(data):
        from lstmcli.reading.documents import open_json

        return open_json(content, decimal)
    if _WEB_PAGE.match(data):
        why = "it is a web page, perhaps an error page of the site"
        step = "Open it in a browser, and download the table itself as CSV."
        raise no_prices(content.where, why, step)
    return open_csv(content, marks)
