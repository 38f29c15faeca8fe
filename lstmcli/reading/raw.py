"""A raw table: the columns of a file as it has them, before anybody says what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class RawColumns:
    """N rows of some columns.

    texts : columns (N,) as text, or of a type of their own where the format has types; null or
        empty where there is no value. numbers : (N, K), NaN where there is no value.
    lines : (N,) the number of each row's line or row in the file, for messages.
    """

    texts: list[pa.Array]
    numbers: NDArray[np.float64]
    lines: NDArray[np.int64]


class RawTable(Protocol):
    """A file of rows and named columns.

    where : the file, for messages. kind : its format in words, such as "CSV separated by ','".
    head : its first rows as fields, at most three, of which the first has the columns' names.
    notes : what was noticed while it was opened.
    """

    @property
    def where(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def head(self) -> list[list[str]]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns by their positions: those of texts, and those of numbers.

        header : how many of the first rows are names and no data. Raises DataError naming the
        first line that breaks a rule, or that no data follow.
        """
        ...


@dataclass(frozen=True)
class Marks:
    """How the numbers and fields of a text file are separated.

    sep : one of , ; | and tab. decimal : point or comma.
    """

    sep: str = ","
    decimal: str = "."


def open_table(source: str | Path, marks: Marks, stdin: IO[bytes] | None = None) -> RawTable:
    """Open a file, or standard input for "-", as what its bytes say that it is.

    Raises FileError when it cannot be read, UsageError for bad options, DataError otherwise.
    """
    from lstmcli.reading.lines import open_csv

    return open_csv(source, marks, stdin)
