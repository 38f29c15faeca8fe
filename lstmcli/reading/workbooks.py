"""Read Excel workbooks with one table as raw tables. Needs the extra `excel`."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lstmcli.errors import DataError, UsageError
from lstmcli.printable import first_few
from lstmcli.reading.contents import DAMAGED_ZIP, Content, too_large
from lstmcli.reading.typed import TypedTable, array_of, text_rows

MAX_BYTES = 256 * 1024**2  # of unpacked XML
_SHOWN = 3
_KIND = "Excel"


def open_workbook(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a workbook.

    Raises UsageError if openpyxl is not installed, and DataError if the workbook is too large,
    damaged, or does not have exactly one table.
    """
    where = content.where
    sheets = _sheets(content)
    tables = {name: found for name, rows in sheets.items() if (found := _table(rows))}
    if not tables:
        raise DataError(
            "no table in the workbook",
            where=where,
            why=f"found the sheets {first_few(sheets, 5) or 'none'}, none with a header and rows",
            next_step="Give a sheet with the columns Date and Close.",
        )
    if len(tables) > 1:
        raise DataError(
            "several sheets have a table",
            where=where,
            why=f"found {first_few(tables, 5)}",
            next_step="Save the right sheet as a separate file.",
        )
    [(sheet, table)] = tables.items()
    numbers, rows = np.array(list(table)), list(table.values())
    names = [str(each or "").strip() for each in rows[0]]
    if len(rows) > 2 and rows[2][0] is not None and not any(rows[2][1:]):
        for i, name in enumerate(names[1:], start=1):  # a merged cell above several columns
            names[i] = name or names[i - 1]

    def load(positions: Sequence[int], skipped: int) -> list[pa.Array]:
        below = rows[1 + skipped :]
        return [array_of([row[i] for row in below], names[i], where, _KIND) for i in positions]

    head = [names, *text_rows(rows[1:_SHOWN])]
    notes = (f"Read the sheet {sheet!r} of an Excel workbook.",)
    return TypedTable(where, _KIND, head, notes, load, decimal, numbers[1:])


def _sheets(content: Content) -> dict[str, dict[int, tuple[Any, ...]]]:
    """Return the non-blank rows of each visible sheet, by row number."""
    try:
        import openpyxl
    except ImportError as error:
        raise UsageError(
            "Excel workbooks need openpyxl",
            where=content.where,
            next_step="Install it: pip install 'lstmcli[excel]', or save the sheet as CSV.",
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            size = sum(each.file_size for each in archive.infolist())
            if size > MAX_BYTES:
                limit = MAX_BYTES // 1024**2
                raise too_large(content.where, f"the workbook unpacks to more than {limit} MiB")
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it is damaged")
        book = openpyxl.load_workbook(io.BytesIO(content.data), read_only=True, data_only=True)
        found = {}
        for sheet in book.worksheets:
            if sheet.sheet_state == "visible":
                sheet.reset_dimensions()  # the recorded dimensions are often wrong
                cells = enumerate(sheet.iter_rows(values_only=True), start=1)
                found[sheet.title] = {
                    number: row for number, row in cells if any(each is not None for each in row)
                }
    except (*DAMAGED_ZIP, LookupError, TypeError, AttributeError, SyntaxError) as error:
        step = "Open it in Excel, and save the sheet as CSV."
        why = str(error).strip().split("\n")[0]
        raise DataError(
            "cannot read the Excel workbook", where=content.where, why=why, next_step=step
        ) from error
    return found


def _table(rows: dict[int, tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    """Return the rows of a sheet's table, header first, padded; {} without a table.

    Rows with a single cell of text above and below the table are titles and remarks.
    """
    numbers = list(rows)
    while numbers and _is_remark(rows[numbers[0]]):
        numbers.pop(0)
    while numbers and _is_remark(rows[numbers[-1]]):
        numbers.pop()
    if len(numbers) < 2:
        return {}
    width = max(i for i, cell in enumerate(rows[numbers[0]], start=1) if cell is not None)
    if any(cell is not None for n in numbers[1:] for cell in rows[n][width:]):
        width = max(len(rows[n]) for n in numbers)
    return {n: (*rows[n], *[None] * (width - len(rows[n])))[:width] for n in numbers}


def _is_remark(row: tuple[Any, ...]) -> bool:
    filled = [cell for cell in row if cell is not None]
    return len(filled) == 1 and isinstance(filled[0], str)
