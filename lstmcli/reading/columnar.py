"""Parquet and Feather (Arrow) files as raw tables: only the columns asked for are decoded."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from lstmcli.errors import DataError
from lstmcli.reading.sources import Content, too_large
from lstmcli.reading.typed import MAX_ROWS, TypedTable, plain_array, text_rows

_SHOWN = 2  # rows below the names in the head
_UNNAMED = "__index_level_"


def open_parquet(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a Parquet file; DataError where it is damaged or has too many rows."""
    from pyarrow import parquet

    where, kind = content.where, "Parquet"
    with _damages(where, kind):
        file = parquet.ParquetFile(pa.BufferReader(content.data), page_checksum_verification=True)
        _check_rows(file.metadata.num_rows, where)
        schema = file.schema_arrow
        first = next(file.iter_batches(batch_size=_SHOWN), None)

    def read(names: list[str]) -> pa.Table:
        return file.read(columns=names)

    return _table(where, kind, schema, first, read, decimal)


def open_arrow(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a Feather or Arrow file; raises as `open_parquet` does."""
    where, kind = content.where, "Feather"
    with _damages(where, kind):
        table = pa.ipc.open_file(pa.BufferReader(content.data)).read_all()
        table.validate(full=True)
    _check_rows(table.num_rows, where)
    [first] = table.slice(0, _SHOWN).combine_chunks().to_batches() or [None]
    return _table(where, kind, table.schema, first, table.select, decimal)


def _table(
    where: str,
    kind: str,
    schema: pa.Schema,
    first: pa.RecordBatch | None,
    read: Callable[[list[str]], pa.Table],
    decimal: str,
) -> TypedTable:
    names = _ordered(schema)
    if len(set(names)) < len(names):
        why = "several columns have one name"
        raise DataError(f"cannot read the {kind} file", where=where, why=why)

    def load(positions: Sequence[int], skipped: int) -> list[pa.Array]:
        wanted = [names[i] for i in positions]
        with _damages(where, kind):
            table = read(list(dict.fromkeys(wanted)))
            return [plain_array(table.column(name).slice(skipped)) for name in wanted]

    shown: list[Any] = []
    if first is not None:
        columns = [plain_array(first.column(name)).to_pylist() for name in names]
        shown = list(zip(*columns, strict=True))
    head = ["" if name.startswith(_UNNAMED) else name for name in names]
    return TypedTable(where, kind, [head, *text_rows(shown)], load, decimal)


def _ordered(schema: pa.Schema) -> list[str]:
    """Return the names of the columns, those of a pandas index first."""
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
    """Raise DataError for a file that pyarrow cannot read."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).strip().split("\n")[0].rstrip(".")
        step = "Fetch or write it again."
        raise DataError(f"cannot read the {kind} file", where=where, why=why, next_step=step) from (
            error
        )
