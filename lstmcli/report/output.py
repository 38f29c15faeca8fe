"""Results to stdout or to a file, in the format asked for, whole or not at all."""

import csv
import importlib.util
import io
import json
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstmcli import atomic
from lstmcli.errors import FileError, UsageError
from lstmcli.report.console import print_tables, tables_text
from lstmcli.report.view import Format, View


def check_output(output: str | None, form: Format) -> None:
    """Raise before any work is done if the result could not be written later."""
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError(
            "parquet is not installed",
            where="--format parquet",
            next_step="Install it: pip install 'lstmcli[parquet]'.",
        )
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
    if form == "table" and output in (None, "-"):
        print_tables(view.tables())
        return
    data = _encode(view, form)
    if output in (None, "-"):
        # Tables, JSON and CSV go through the text layer, so that a terminal's encoding holds.
        if isinstance(data, str):
            sys.stdout.write(data)
        else:
            sys.stdout.buffer.write(data)
        return
    write_file(Path(str(output)), data)


def rows_csv(rows: list[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as CSV with a header; None is empty, floats keep every digit.

    `columns` stand in the header also where there is no row.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_file(path: Path, data: str | bytes) -> None:
    """Replace a file by the data; a device or pipe is written to as it is."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    try:
        special = path.exists() and not stat.S_ISREG(path.stat().st_mode)
        if special:
            path.write_bytes(raw)
    except OSError as error:
        raise FileError(
            "cannot write the output", where=path, why=error.strerror or str(error)
        ) from error
    if not special:
        atomic.write_bytes(path, raw)


def _encode(view: View, form: Format) -> str | bytes:
    if form == "table":
        return tables_text(view.tables())
    if form == "json":
        return json.dumps(view.document(), indent=2, allow_nan=False) + "\n"
    if form == "jsonl":
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in view.rows())
    if form == "csv":
        return rows_csv(view.rows(), view.columns)
    return _parquet(view.rows())


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(rows)
    # A column without any value (no `actual` has happened yet) is one of numbers all the same.
    fields = [
        field.with_type(pyarrow.float64()) if pyarrow.types.is_null(field.type) else field
        for field in table.schema
    ]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.cast(pyarrow.schema(fields)), buffer)
    return buffer.getvalue()
