"""Read JSON as a raw table: a list of objects, JSON Lines, or pandas' formats."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lstmcli.errors import DataError
from lstmcli.printable import first_few
from lstmcli.reading.contents import Content, decode_text, no_prices, too_large
from lstmcli.reading.typed import TypedTable, array_of, text_rows

MAX_BYTES = 256 * 1024**2  # Python objects take ten times as much memory
_SHOWN = 2
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8,}")
_EXAMPLE = '[{"Date": "2024-01-02", "Close": 1.5}]'


def open_json(content: Content, decimal: str = "") -> TypedTable:
    """Open the bytes of a JSON file; raise DataError if it has no table."""
    where = content.where
    if len(content.data) > MAX_BYTES:
        raise too_large(where, f"it has more than {MAX_BYTES // 1024**2} MiB of JSON")
    data, notes = decode_text(content.data, where)
    try:
        found = _parse(data)
        lines = None
    except ValueError as error:
        if not data.lstrip().startswith(b"{") or b"\n" not in data.strip():
            raise _damaged(where, str(error)) from error
        found, lines = _parse_lines(data, where)
    kind = "JSON" if lines is None else "JSON Lines"
    columns = _columns(found, where, kind)
    if not columns:
        raise DataError("no rows", where=where, why=f"the {kind} file has no rows")
    names = list(columns)
    n_rows = max(len(column) for column in columns.values())
    if any(len(column) != n_rows for column in columns.values()):
        raise _no_table(where, kind, "has columns of different lengths")
    rows = [[columns[name][row] for name in names] for row in range(min(n_rows, _SHOWN))]

    def load(positions: Sequence[int], skipped: int) -> list[pa.Array]:
        return [array_of(columns[names[i]][skipped:], names[i], where, kind) for i in positions]

    numbers = np.array(lines) if lines else None
    return TypedTable(where, kind, [names, *text_rows(rows)], notes, load, decimal, numbers)


def _parse(data: bytes) -> Any:
    """Parse JSON; raise ValueError if it is invalid or an object repeats a name."""
    try:
        return json.loads(data, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _parse_lines(data: bytes, where: str) -> tuple[list[Any], list[int]]:
    """Parse JSON Lines; return the objects and their line numbers."""
    found, numbers = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(_parse(line))
        except ValueError as error:
            raise _damaged(f"{where} line {number}", str(error)) from error
        numbers.append(number)
    return found, numbers


def _columns(found: Any, where: str, kind: str) -> dict[str, list[Any]]:
    """Return the columns of a document by name."""
    if isinstance(found, dict):
        if "forecasts" in found:
            raise DataError(
                "forecasts are not prices",
                where=where,
                why=f"it is a list of forecasts ({kind})",
                next_step="Pass the prices from which they were made.",
            )
        if isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):
            return _split_columns(found, where, kind)
        if dated := [each for each in (found, *found.values()) if _is_by_date(each)]:
            rows = dated[0].items()  # `orient="index"` of pandas, also used by Alpha Vantage
            found = {"bars": [{"": day} | row for day, row in rows]} if len(dated) == 1 else found
        lists = [each for each in found.values() if _is_records(each)]
        if len(lists) > 1 and _is_records(found.get("bars")):  # the output of `data show`
            lists = [found["bars"]]
        if len(lists) == 1:
            found = lists[0]
        elif found and all(isinstance(each, dict) for each in found.values()):
            return _keyed_columns(found, where, kind)
        elif not lists and all(isinstance(each, list) for each in found.values()):
            return dict(found)
        elif not any(isinstance(each, list | dict) for each in found.values()):
            found = [found]  # JSON Lines with a single line
        else:
            keys = first_few(found, 5)
            raise _no_table(where, kind, f"has an object with {keys}")
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise _no_table(where, kind, "has no list of objects")
    names = dict.fromkeys(name for row in found for name in row)
    return {name: [row.get(name) for row in found] for name in names}


def _is_records(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _is_by_date(value: Any) -> bool:
    """Return whether a value is an object that maps dates to rows."""
    return (
        bool(value)
        and isinstance(value, dict)
        and all(isinstance(row, dict) and _DATE.match(day) for day, row in value.items())
    )


def _split_columns(found: Mapping[str, Any], where: str, kind: str) -> dict[str, list[Any]]:
    """Return the columns of pandas' `orient="split"`, the index first."""
    names = [_name(name) for name in found["columns"]]
    rows = found["data"]
    if len(set(names)) < len(names) or any(
        not isinstance(row, list) or len(row) != len(names) for row in rows
    ):
        raise _no_table(where, kind, "has rows that do not fit its columns")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    index = found.get("index")
    if isinstance(index, list) and index != list(range(len(rows))) and "" not in columns:
        columns = {"": index} | columns
    return columns


def _name(name: Any) -> str:
    return name if isinstance(name, str) else str(tuple(name) if isinstance(name, list) else name)


def _keyed_columns(found: Mapping[str, Any], where: str, kind: str) -> dict[str, list[Any]]:
    """Return the columns of pandas' `orient="columns"`: objects keyed by the index."""
    first = list(next(iter(found.values())))
    if any(list(column) != first for column in found.values()):
        raise _no_table(where, kind, "has columns with different rows")
    columns = {name: list(column.values()) for name, column in found.items()}
    if not all(any(each.isdigit() for each in key) for key in first):
        raise _no_table(where, kind, f"has rows named {first_few(first, 5)}")
    if first != list(map(str, range(len(first)))) and "" not in columns:
        columns = {"": list(first)} | columns
    return columns


def _damaged(where: str, why: str) -> DataError:
    step = "Fetch the file again."
    return DataError("not valid JSON", where=where, why=why, next_step=step)


def _no_table(where: str, kind: str, why: str) -> DataError:
    why = f"the {kind} file {why}, expected a list of objects such as {_EXAMPLE}"
    step = "Write it in that form: in pandas, to_json(orient='records')."
    return no_prices(where, why, step)
