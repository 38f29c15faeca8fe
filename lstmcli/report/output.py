"""Write results to stdout or a file in the requested format, atomically.

Long results are streamed into a temporary file, which then replaces the old file or is copied to
stdout. Only terminals get colours. Characters that a terminal cannot show become ASCII.
"""

import csv
import importlib.util
import io
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import chain, groupby, islice
from pathlib import Path
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.segment import Segment, Segments
from rich.text import Text

from lstmcli.errors import FileError, MissingFileError, UsageError
from lstmcli.files import atomic
from lstmcli.printable import json_text, printable, raw_stream
from lstmcli.report import Format, View

_IN_MEMORY = 16 * 1024**2  # bytes; larger results for stdout go through a temporary file
_BATCH_ROWS = 5000

Row = dict[str, Any]
_WIDTH, _HEIGHT = 100_000, 25  # of a console without a width limit
# Show text literally: no [markup], no :emoji:, no automatic highlighting.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
_SCALARS = str | int | float | None
_WITHOUT_UTF = str.maketrans("✓✗█▁▂▃▄▅▆▇…", "+x#.:-=+*%~")


def print_tables(renderables: Iterable[RenderableType]) -> None:
    """Print to stdout, fitted to the width if it is a terminal, else in full."""
    stream = raw_stream(sys.stdout)
    console = Console(file=stream, **_PLAIN)
    width = shutil.get_terminal_size().columns if console.is_terminal else _WIDTH
    console.size = ConsoleDimensions(width, _HEIGHT)
    _print(console, renderables, (stream.encoding or "").lower().startswith("utf"))


def tables_text(renderables: Iterable[RenderableType]) -> str:
    """Return tables as plain text, for a file."""
    text = io.StringIO()
    _print(Console(file=text, width=_WIDTH, **_PLAIN), renderables, utf=True)
    return text.getvalue()


def _print(console: Console, renderables: Iterable[RenderableType], utf: bool) -> None:
    for each in renderables:
        renderable = Text(printable(each, keep="\n")) if isinstance(each, str) else each
        for line in Segment.split_lines(console.render(renderable)):
            width = cell_len("".join(each.text for each in line).rstrip())
            kept = Segment.adjust_line_length(line, width)  # without trailing blanks
            shown = [each if utf else _in_ascii(each) for each in kept]
            console.print(Segments([*shown, Segment.line()]), end="", crop=False)


def _in_ascii(segment: Segment) -> Segment:
    return segment._replace(text=segment.text.translate(_WITHOUT_UTF))


def check_output(output: str | None, form: Format) -> None:
    """Raise before the work starts if the result cannot be written."""
    if output not in (None, "-"):
        check_file(output)
    elif form == "parquet" and sys.stdout.isatty():
        what, where = "parquet is not for a terminal", "--format parquet"
        raise UsageError(what, where=where, next_step="Pass --output FILE.")


def check_file(name: str | None) -> None:
    """Raise before the work starts if a further output file cannot be written."""
    if name is None:
        return
    if name == "-":
        raise UsageError(
            "not a file", where=name, why="stdout holds the result", next_step="Pass a file name."
        )
    path = Path(name)
    if path.is_dir():
        raise FileError("cannot write the output", where=path, why="it is a folder")
    if not path.parent.is_dir():
        raise MissingFileError(
            "cannot write the output",
            where=path,
            why="no such folder",
            next_step=f"Create it first: mkdir -p {path.parent}.",
        )


def check_plot(target: str | None, form: Format = "table") -> None:
    """Raise before the work starts if `--plot TARGET` cannot be drawn; None means no plot.

    form : format of the result, which may share stdout with the plot.
    """
    if target == "-":
        if form != "table":
            raise UsageError(
                "two results on standard output",
                where=f"--plot - with --format {form}",
                next_step="Draw to a file, or leave --format out.",
            )
        check_package("plotext")
    elif target is not None:
        check_picture(target)
        check_file(target)
        check_package("matplotlib")


def check_package(package: str, option: str = "--plot") -> None:
    """Raise UsageError if a package of the extra `plot` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise missing(package, option)


def missing(package: str, option: str = "--plot") -> UsageError:
    """Return the error for a package of the extra `plot` that is not installed."""
    return UsageError(
        f"The package {package} is not installed",
        where=option,
        next_step="Install it: pip install 'lstmcli[plot]'.",
    )


def check_picture(target: str) -> None:
    """Raise UsageError if the file name does not end in .png or .svg."""
    if Path(target).suffix.lower() not in (".png", ".svg"):
        raise UsageError(
            "unsupported picture format",
            where=f"--plot {target}",
            why=f"found {Path(target).suffix or 'no suffix'}, expected .png or .svg",
            next_step="Rename the file, or pass --plot - to draw in the terminal.",
        )


def check_page(target: str | None) -> None:
    """Raise before the work starts if `--report TARGET` cannot be written."""
    if target is None:
        return
    if Path(target).suffix.lower() not in (".html", ".htm", ""):
        raise UsageError(
            "unsupported report format",
            where=f"--report {target}",
            why=f"found {Path(target).suffix}, expected .html",
            next_step="Use --format for tables and figures as data.",
        )
    check_file(target)
    check_package("matplotlib", "--report")


def emit(view: View, form: Format, output: str | None) -> None:
    """Write the view in a format to stdout (None or `-`) or to a file, which is replaced."""
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
                # JSON and CSV go through the text layer, which applies the terminal's encoding.
                shutil.copyfileobj(io.TextIOWrapper(file, "utf-8", newline=""), sys.stdout)


def write_file(path: Path, data: str | bytes) -> None:
    """Replace a file by the data; write directly to a device or pipe."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    with atomic.writing(path) as file:
        file.write(raw)


def _write(view: View, form: Format, file: IO[bytes]) -> None:
    rows = _alike(_dicts(view.rows())) if view.levels_differ else _dicts(view.rows())
    if form == "parquet":
        _write_parquet(rows, file)
        return
    if form == "table":
        texts: Iterable[str] = [tables_text(view.tables())]
    elif form == "json":
        texts = _json(view.document())
    elif form == "jsonl":
        lines = _dicts((view.lines or view.rows)())
        texts = (json_text(row, allow_nan=False) + "\n" for row in lines)
    else:
        texts = _csv(rows, view.columns)
    for text in texts:
        file.write(text.encode("utf-8"))


def _dicts(records: Iterable[Any]) -> Iterator[Row]:
    return (each if isinstance(each, dict) else asdict(each) for each in records)


def _json(document: dict[str, Any]) -> Iterator[str]:
    """Yield a document as JSON in pieces; iterators become lists, written item by item."""
    before = "{\n"
    for key, value in document.items():
        yield f"{before}  {json_text(key)}: "
        before = "[\n    "
        if isinstance(value, Iterator):
            for item in value:
                yield before + _indented(item, 4)
                before = ",\n    "
            yield "[]" if before.startswith("[") else "\n  ]"
        else:
            yield _indented(value, 2)
        before = ",\n"
    yield "\n}\n"


def _indented(value: Any, depth: int) -> str:
    """Return JSON as with indent=2, for a position that is already `depth` blanks deep.

    With an indent, the json module runs in Python for each line. Here it encodes each flat list or
    object in C, with one call.
    """
    if not isinstance(value, _SCALARS | dict | list | tuple):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, _SCALARS) or not value:
        return json_text(value, allow_nan=False)
    first, last = "\n" + (depth + 2) * " ", "\n" + depth * " "
    parts = value.values() if isinstance(value, dict) else value
    if all(isinstance(each, _SCALARS) for each in parts):
        text = json_text(value, allow_nan=False, separators=(f",{first}", ": "))
        return f"{text[0]}{first}{text[1:-1]}{last}{text[-1]}"
    texts = [_indented(each, depth + 2) for each in parts]
    opened, closed = "[]"
    if isinstance(value, dict):
        opened, closed = "{}"
        keys = (json_text({key: 0})[1:-4] for key in value)  # a number is quoted there
        texts = [f"{key}: {text}" for key, text in zip(keys, texts, strict=True)]
    return f"{opened}{first}{f',{first}'.join(texts)}{last}{closed}"


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[str]:
    names = tuple(columns)
    for number, batch in enumerate(_batches(rows)):
        names = names or tuple(batch[0])
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in chain([] if number else [dict(zip(names, names, strict=True))], batch):
            cells = [row[name] for name in names]
            writer.writerow([printable(each) if isinstance(each, str) else each for each in cells])
        yield text.getvalue()


def _alike(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows with the union of their columns, None where a row lacks a column.

    Until all rows are known, they are kept as Arrow tables, a tenth of the memory of dicts.
    """
    from pyarrow import Table

    tables = [
        Table.from_pylist(batch) for _, alike in groupby(rows, tuple) for batch in _batches(alike)
    ]
    names = dict.fromkeys(
        name
        for table in sorted(tables, key=lambda each: -each.num_columns)
        for name in table.column_names
    )
    for table in tables:
        for row in table.to_pylist():
            yield {name: row.get(name) for name in names}


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in lists of at most 5000; one empty list if there are no rows."""
    left = iter(rows)
    yield list(islice(left, _BATCH_ROWS))
    while batch := list(islice(left, _BATCH_ROWS)):
        yield batch


def _write_parquet(rows: Iterable[Row], file: IO[bytes]) -> None:
    import pyarrow
    import pyarrow.parquet

    batches = _batches(rows)
    first = next(batches)
    # Give a column of only None (e.g. `actual` before its date) a numeric type too.
    schema = pyarrow.schema(
        field.with_type(pyarrow.float64()) if pyarrow.types.is_null(field.type) else field
        for field in pyarrow.Table.from_pylist(first).schema
    )
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for batch in chain([first], batches):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema))
