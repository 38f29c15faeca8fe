"""Results to stdout or to a file, in the format asked for, whole or not at all.

What is long is written as it is made: into the file that takes the place of the old one in the end,
or into one without a name whose content goes to stdout when it is complete.
"""

import csv
import io
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from lstmcli.errors import FileError, UsageError
from lstmcli.files import atomic
from lstmcli.printable import json_pieces, json_text, printable
from lstmcli.report.console import print_tables, tables_text
from lstmcli.report.view import Format, View

_IN_MEMORY = 16 * 1024**2  # bytes of a result for stdout that are kept out of a temporary file
_BATCH_ROWS = 5000
_MANY = 500  # numbers, for which it pays to ask pyarrow

Row = dict[str, Any]


def check_output(output: str | None, form: Format) -> None:
    """Raise before any work is done if the result could not be written later."""
    if output in (None, "-"):
        if form == "parquet" and sys.stdout.isatty():
            raise UsageError(
                "parquet is not for a terminal",
                where="--format parquet",
                next_step="Pass --output FILE.",
            )
        return
    check_file(output)


def check_file(name: str | None) -> None:
    """Raise if a file asked for beside the result could not be written later."""
    if name is None:
        return
    if name == "-":
        raise UsageError(
            "not a file", where=name, why="standard output holds the result", next_step="Name one."
        )
    path = Path(name)
    if path.is_dir():
        raise FileError("cannot write the output", where=path, why="it is a folder")
    if not path.parent.is_dir():
        raise FileError(
            "cannot write the output",
            where=path,
            why="there is no such folder",
            next_step=f"Make it first: mkdir -p {path.parent}.",
        )


def emit(view: View, form: Format, output: str | None) -> None:
    """Write the view in a format to stdout (None or `-`) or to a file that it replaces."""
    if output not in (None, "-"):
        with atomic.writing(Path(str(output))) as file:
            _write(view, form, file)
    elif form == "table":
        print_tables(view.tables())
    else:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            _write(view, form, file)
            file.seek(0)
            if form == "parquet":
                shutil.copyfileobj(file, sys.stdout.buffer)
            else:
                # JSON and CSV go through the text layer, so that a terminal's encoding holds.
                shutil.copyfileobj(io.TextIOWrapper(file, "utf-8", newline=""), sys.stdout)


def rows_csv(rows: Iterable[Row], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV with a header; None is empty, floats keep every digit.

    `columns` stand in the header also where there is no row.
    """
    return "".join(_csv(rows, columns))


def write_file(path: Path, data: str | bytes) -> None:
    """Replace a file by the data; a device or pipe is written to as it is."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    with atomic.writing(path) as file:
        file.write(raw)


def _write(view: View, form: Format, file: IO[bytes]) -> None:
    if form == "parquet":
        _write_parquet(view.rows(), file)
        return
    if form == "table":
        texts: Iterable[str] = [tables_text(view.tables())]
    elif form == "json":
        texts = _json(view.document())
    elif form == "jsonl":
        lines = view.lines or view.rows
        texts = (json_text(row, allow_nan=False) + "\n" for row in lines())
    else:
        texts = _csv(view.rows(), view.columns)
    for text in texts:
        file.write(text.encode("utf-8"))


def _json(document: dict[str, Any]) -> Iterator[str]:
    """Yield what json.dumps would make of a document whose iterators are lists."""
    before = "{\n"
    for key, value in document.items():
        yield f"{before}  {json_text(key)}: "
        yield from _json_list(value) if isinstance(value, Iterator) else _indented(value, 2)
        before = ",\n"
    yield "\n}\n"


def _json_list(values: Iterator[Any]) -> Iterator[str]:
    before = "[\n    "
    for value in values:
        yield before
        yield from _indented(value, 4)
        before = ",\n    "
    yield "[]" if before.startswith("[") else "\n  ]"


def _indented(value: Any, depth: int) -> Iterator[str]:
    """Yield JSON in pieces, since that of many symbols is long."""
    pieces = json_pieces(value, indent=2, allow_nan=False)
    while text := "".join(islice(pieces, _BATCH_ROWS)):
        yield text.replace("\n", "\n" + depth * " ")


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    names = tuple(columns)
    for number, batch in enumerate(_batches(rows)):
        names = names or tuple(batch[0])
        if number == 0:
            yield _lines([[name] for name in names])
        if batch:
            yield _lines([[row[name] for row in batch] for name in names])


def _lines(columns: Sequence[Sequence[object]]) -> str:
    """Return lines of CSV, printable: what the csv module makes of them.

    They are made by columns and checked as one text, since it takes twice as long cell by cell.
    """
    rows = list(zip(*map(_texts, columns), strict=True))
    lines = "".join([",".join(row) + "\n" for row in rows])
    commas = len(rows) * (len(columns) - 1)
    plain = commas and lines.count(",") == commas and '"' not in lines
    if plain and lines.count("\n") == len(rows) and lines.replace("\n", "").isprintable():
        return lines
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(printable, row) for row in rows])
    return text.getvalue()


def _texts(values: Sequence[object]) -> list[str]:
    """Return the cells of a column as `str` writes them, None as nothing."""
    kinds = set(map(type, values))
    if len(values) < _MANY or not kinds <= {float, type(None)} or float not in kinds:
        return ["" if each is None else str(each) for each in values]
    import pyarrow

    numbers = np.array(values, np.float64)  # None is NaN
    texts: list[str] = pyarrow.array(numbers).cast(pyarrow.string()).to_pylist()
    # The digits are the same, a seventh of the time; the notation is not for these.
    size = np.abs(numbers)
    with np.errstate(invalid="ignore"):
        alike = (size >= 1e-4) & (size < 1e10) & (numbers != np.rint(numbers))
    for at in np.flatnonzero(~alike).tolist():
        texts[at] = "" if values[at] is None else str(values[at])
    return texts


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows some thousands at a time; one empty list where there is none."""
    left = iter(rows)
    batch = list(islice(left, _BATCH_ROWS))
    yield batch
    while batch := list(islice(left, _BATCH_ROWS)):
        yield batch


def _write_parquet(rows: Iterable[Row], file: IO[bytes]) -> None:
    import pyarrow
    import pyarrow.parquet

    batches = _batches(rows)
    first = next(batches)
    # A column without any value (no `actual` has happened yet) is one of numbers all the same.
    schema = pyarrow.schema(
        field.with_type(pyarrow.float64()) if pyarrow.types.is_null(field.type) else field
        for field in pyarrow.Table.from_pylist(first).schema
    )
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for batch in chain([first], batches):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema))
