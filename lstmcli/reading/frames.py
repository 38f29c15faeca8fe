"""Convert a pandas DataFrame or Series to a raw table, checked like a file.

The header rows are those of `DataFrame.to_csv`: the index comes first, and yfinance's two levels of
columns give three rows. Values keep their type instead of becoming text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lstmcli.errors import DataError
from lstmcli.reading.typed import TypedTable, plain_array, text_rows

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 3  # rows
_LEVELS = ("Price", "Ticker")  # the column levels of yfinance


def frame_table(data: pd.DataFrame | pd.Series[Any]) -> TypedTable:
    """Convert a frame, or a series of closes, to a table that shares its memory.

    Rows are numbered as in `iloc`. An unnamed index of row numbers does not become a column. Raises
    DataError for more column levels than yfinance writes.
    """
    import pandas as pd

    where, frame = "DataFrame", data
    if isinstance(frame, pd.Series):
        where, frame = "Series", frame.to_frame("Close" if frame.name is None else frame.name)
    names, columns = _named_columns(frame, where)
    if not columns:
        raise DataError("no rows", where=where, why="it is empty")

    def arrays(places: Sequence[int], rows: slice) -> list[pa.Array]:
        return [_array(columns[i].iloc[rows], names[0][i], where) for i in places]

    def load(places: Sequence[int], skipped: int) -> list[pa.Array]:
        return arrays(places, slice(1 + skipped - len(names), None))

    shown = [each.to_pylist() for each in arrays(range(len(columns)), slice(_HEAD))]
    head = [*names, *text_rows(list(zip(*shown, strict=True)))][:_HEAD]
    numbers = np.arange(1 - len(names), len(frame))  # the first row of data has number 0
    return TypedTable(where, "DataFrame", head, (), load, numbers=numbers)


def _named_columns(frame: pd.DataFrame, where: str) -> tuple[list[list[str]], list[pd.Series[Any]]]:
    """Return the header rows, one or three, and the columns including the index."""
    levels = frame.columns.nlevels
    if levels > len(_LEVELS):
        raise DataError(
            f"cannot use columns of {levels} levels",
            where=where,
            next_step="Keep one level, or yfinance's two of fields and tickers.",
        )
    labels = [(each,) if levels == 1 else tuple(each) for each in frame.columns]
    columns = [frame.iloc[:, place] for place in range(len(labels))]
    rows = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    is_numbering = len(rows) == 1 and rows[0].name is None and rows[0].dtype.kind in "iu"
    index = [] if is_numbering else [each.to_series().reset_index(drop=True) for each in rows]
    first = [str(each.name or "") for each in index]
    if levels == 1:
        return [[*first, *(str(each[0]) for each in labels)]], [*index, *columns]
    if not index:  # use the first column that has a name on one level only
        alone = [place for place, label in enumerate(labels) if label[1] == ""][:1]
        first = [str(labels[place][0]) for place in alone]
        index = [columns[place] for place in alone]
        labels = [each for place, each in enumerate(labels) if place not in alone]
        columns = [each for place, each in enumerate(columns) if place not in alone]
    words = [str(name or word) for name, word in zip(frame.columns.names, _LEVELS, strict=True)]
    blanks = [""] * max(0, len(first) - 1)
    names = [
        [word, *blanks, *(str(each[level]) for each in labels)] for level, word in enumerate(words)
    ]
    names.append([*(each or "Date" for each in first), *([""] * len(labels))])
    return names, [*index, *columns]


def _array(column: pd.Series[Any], name: str, where: str) -> pa.Array:
    import pandas as pd

    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.astype(str)
    try:
        return plain_array(pa.Array.from_pandas(column))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {name} has neither numbers nor texts",
            where=where,
            why=str(error).splitlines()[0],
            next_step="Convert it, e.g. with pandas.to_numeric, or leave it out.",
        ) from error
