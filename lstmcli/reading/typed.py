"""Raw tables with column types; read Parquet and Feather (Arrow) files.

Dates keep their type and time zone. Numbers become the nearest float64. Texts are parsed as in a
CSV file. Only the requested columns of a file are decoded.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError
from lstmcli.reading.contents import Content, too_large
from lstmcli.reading.numerals import Written
from lstmcli.reading.raw import RawColumns, RawTable

MAX_ROWS = 50_000_000
_SHOWN = 2  # rows of data in the head
_UNNAMED = "__index_level_"


@dataclass(frozen=True)
class TypedTable(RawTable):
    """A table whose columns have types.

    load : function of positions and a number of rows to skip; returns these columns, N values each.
    decimal : decimal mark of numbers stored as text, or "" to detect it. numbers : row numbers
    below the header, for messages; 1, 2, ... by default.
    """

    load: Callable[[Sequence[int], int], list[pa.Array]]
    decimal: str = ""
    numbers: Ints | None = None

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns; each number becomes the nearest float64."""
        skipped = header - 1
        columns = self.load([*texts, *numbers], skipped)
        n_rows = len(columns[0])
        if not n_rows:
            raise DataError("no rows", where=self.where, why="it has no rows")
        every = np.arange(1, 1 + skipped + n_rows) if self.numbers is None else self.numbers
        lines = every[skipped:]
        values = np.empty((n_rows, len(numbers)), order="F")
        written: list[int] = []
        for k, column in enumerate(columns[len(texts) :]):
            if pa.types.is_string(column.type):
                written.append(k)
            else:
                values[:, k] = self._numbers(column, self.head[0][numbers[k]])
        notes: tuple[str, ...] = ()
        if written:
            as_texts = [columns[len(texts) + k] for k in written]
            names, kind = [self.head[0][numbers[k]] for k in written], f"{self.kind} file"
            found = Written(as_texts, names, lines, self.where, kind, self.decimal).read()
            values[:, written] = found.values
            notes = found.notes(self.decimal)
        return RawColumns([_as_text(each) for each in columns[: len(texts)]], values, lines, notes)

    def _numbers(self, column: pa.Array, name: str) -> Floats:
        kind = column.type
        if pa.types.is_decimal(kind):
            column = column.cast(pa.string())  # Arrow's direct cast does not round to nearest
        elif not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
        ):
            raise DataError(
                f"column {name} has no numbers",
                where=self.where,
                why=f"its type in {self.kind} is {kind}, expected numbers",
                next_step="Store it as numbers, or leave the column out.",
            )
        return np.asarray(column.cast(pa.float64(), safe=False))


def open_parquet(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a Parquet file; raise DataError if it is damaged or too long."""
    from pyarrow import parquet

    where, kind = content.where, "Parquet"
    with _damages(where, kind):
        file = parquet.ParquetFile(pa.BufferReader(content.data), page_checksum_verification=True)
        _check_rows(file.metadata.num_rows, where)
        first = next(file.iter_batches(batch_size=_SHOWN), file.schema_arrow.empty_table())
    return _table(where, kind, first, lambda names: file.read(columns=names), decimal)


def open_arrow(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a Feather or Arrow file; raise the errors of `open_parquet`."""
    where, kind = content.where, "Feather"
    with _damages(where, kind):
        table = pa.ipc.open_file(pa.BufferReader(content.data)).read_all()
        table.validate(full=True)
    _check_rows(table.num_rows, where)
    return _table(where, kind, table.slice(0, _SHOWN), table.select, decimal)


def plain_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, with all text types converted to string."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # too large for one array of its type, or empty
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    of_words = pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()
    if array.type in of_words:
        array = array.cast(pa.string())
    return array


def array_of(values: Sequence[Any], name: str, where: str, kind: str) -> pa.Array:
    """Convert Python values to an array of dates, integers, floats or texts."""
    kinds = {type(value) for value in values} - {type(None)}
    if odd := kinds - {str, int, float, datetime, date, time}:
        words = {dict: "objects", list: "lists", bool: "true or false"}
        found = words.get(next(iter(odd)), "other things")
        raise DataError(
            f"column {name} has neither numbers nor texts",
            where=where,
            why=f"the {kind} file has {found} in it",
            next_step="Leave the column out.",
        )
    if kinds and kinds <= {datetime, date}:
        return pa.array(values, pa.timestamp("us"))
    if not kinds <= {int, float}:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if float not in kinds and all(value is None or abs(value) < 2**63 for value in values):
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else _float(value) for value in values], pa.float64())


def text_rows(rows: Iterable[Sequence[Any]]) -> list[list[str]]:
    """Convert rows of values to texts; None becomes ""."""
    return [["" if value is None else str(value) for value in row] for row in rows]


def _as_text(column: pa.Array) -> pa.Array:
    """Convert a column of dates or symbols to texts, dates or integers."""
    kind = column.type
    if pa.types.is_floating(kind):  # integers with missing values are stored as floats
        whole = pc.all(pc.or_kleene(pc.equal(column, pc.floor(column)), pc.is_nan(column))).as_py()
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
        return column.cast(pa.int64() if whole is not False else pa.string(), safe=False)
    if pa.types.is_integer(kind):
        return column.cast(pa.int64(), safe=False)
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    return column


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _table(
    where: str,
    kind: str,
    first: pa.Table | pa.RecordBatch,
    read: Callable[[list[str]], pa.Table],
    decimal: str,
) -> TypedTable:
    names = _ordered(first.schema)
    if len(set(names)) < len(names):
        why = "several columns have the same name"
        raise DataError(f"cannot read the {kind} file", where=where, why=why)

    def load(positions: Sequence[int], skipped: int) -> list[pa.Array]:
        wanted = [names[i] for i in positions]
        with _damages(where, kind):
            table = read(list(dict.fromkeys(wanted)))
            return [plain_array(table.column(name).slice(skipped)) for name in wanted]

    shown = [plain_array(first.column(name)).to_pylist() for name in names]
    head = ["" if name.startswith(_UNNAMED) else name for name in names]
    return TypedTable(where, kind, [head, *text_rows(zip(*shown, strict=True))], (), load, decimal)


def _ordered(schema: pa.Schema) -> list[str]:
    """Return the column names, those of a pandas index first."""
    names = list(schema.names)
    try:
        facts = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        index = [name for name in facts["index_columns"] if isinstance(name, str)]
    except (ValueError, KeyError, TypeError):
        index = []
    index = [name for name in index if name in names]
    return [*index, *(name for name in names if name not in index)]


def _check_rows(n_rows: int, where: str) -> None:
    if n_rows > MAX_ROWS:
        raise too_large(where, f"it has {n_rows:,} rows, expected at most {MAX_ROWS:,}")


@contextmanager
def _damages(where: str, kind: str) -> Iterator[None]:
    """Convert pyarrow's errors for an unreadable file to DataError."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).strip().split("\n")[0].rstrip(".")
        step = "Fetch or write it again."
        raise DataError(f"cannot read the {kind} file", where=where, why=why, next_step=step) from (
            error
        )
