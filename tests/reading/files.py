"""Helpers that write price tables in various formats and read them as raw columns."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from lstmcli.reading.raw import Marks, RawColumns, RawTable, open_table

DAYS = [f"2024-01-{day:02d}" for day in (2, 3, 4, 5, 8)]
CLOSES = [1859.5, 999.25, 1013.75, 1200.5, 2300.25]
VOLUMES = [8870000.0, 1250000.0, 990000.0, 1000.0, 2000.0]


def frame(**more: Sequence[Any]) -> pd.DataFrame:
    """Return the table that most tests write in some format."""
    days = pd.to_datetime(DAYS)
    return pd.DataFrame({"Date": days, "Close": CLOSES, "Volume": VOLUMES, **more})


def written(write: Callable[[Any], object]) -> bytes:
    """Return the output of a writing method of pandas."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def opened(data: str | bytes, sep: str = "", decimal: str = "") -> RawTable:
    """Open bytes as standard input."""
    raw = data if isinstance(data, bytes) else data.encode()
    return open_table("-", Marks(sep, decimal), io.BytesIO(raw))


def read(data: str | bytes, sep: str = "", decimal: str = "") -> RawColumns:
    """Read the first column as text and all others as numbers."""
    table = opened(data, sep, decimal)
    return table.read([0], range(1, len(table.head[0])))


def numbers(data: str | bytes, sep: str = "", decimal: str = "") -> list[list[float]]:
    """Return the columns of numbers as lists."""
    columns: list[list[float]] = read(data, sep, decimal).numbers.T.tolist()
    return columns


def rows(*lines: str) -> str:
    """Return lines as a text file."""
    return "".join(f"{line}\n" for line in lines)
