"""A pandas DataFrame or Series as a raw table, so that it passes the same checks as a file.

The header rows are those that `DataFrame.to_csv` would write: the index first, three rows for
yfinance's two levels of columns. Values are those of the frame, not their text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.reading.lines import MISSING
from lstmcli.reading.raw import RawColumns

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 3  # rows
_MIDNIGHT = "T00:00:00"


@dataclass(frozen=True)
class FrameTable:
    """The columns of a DataFrame, its index among them: a `RawTable`.

    names : the header rows, one or three, each with a name for every column.
    columns : each a Series (N,). Rows are numbered as by `iloc`.
    """

    names: list[list[str]]
    columns: tuple[pd.Series[Any], ...]
    where: str = "DataFrame"
    kind: str = "DataFrame"
    notes: tuple[str, ...] = ()

    @property
    def head(self) -> list[list[str]]:
        """The header rows, then the first rows as text."""
        first = [map(_text, each.iloc[:_HEAD].astype(object)) for each in self.columns]
        return [*self.names, *map(list, zip(*first, strict=True))][:_HEAD]

    def read(self, texts: Sequence[int], numbers: Sequence[int], header: int = 1) -> RawColumns:
        """Read columns by their positions, as `RawTable` has it."""
        skipped = header - len(self.names)
        columns = [each.iloc[skipped:] for each in self.columns]
        if not columns[0].size:
            raise DataError("no rows", where=self.where, why="it has columns and nothing else")
        values = np.empty((columns[0].size, len(numbers)), order="F")
        for k, position in enumerate(numbers):
            values[:, k] = self._numbers(columns[position], position)
        lines = np.arange(skipped, skipped + len(values), dtype=np.int64)
        return RawColumns([_texts(columns[each]) for each in texts], values, lines)

    def _numbers(self, column: pd.Series[Any], position: int) -> NDArray[np.float64]:
        import pandas as pd

        kind = column.dtype
        if pd.api.types.is_numeric_dtype(kind) and kind.kind in "iuf":
            return column.to_numpy(np.float64, na_value=np.nan)
        found = np.empty(column.size)
        for row, value in enumerate(column.astype(object)):
            number = _number(value)
            if number is None:
                raise DataError(
                    f"bad number in column {self.names[0][position]}",
                    where=f"{self.where} row {row}",
                    why=f"found {str(value)[:40]!a}, expected a number",
                    next_step="Convert the column to numbers: pandas.to_numeric.",
                )
            found[row] = number
        return found


def frame_table(data: pd.DataFrame | pd.Series[Any]) -> FrameTable:
    """Return a frame, or a series of closes, as a table; it shares the memory of the frame.

    An index of row numbers without a name is no column. Raises DataError for columns or an index
    of more levels than yfinance writes.
    """
    import pandas as pd

    if isinstance(data, pd.Series):
        frame = data.to_frame("Close" if data.name is None else data.name)
        where = "Series"
    else:
        frame, where = data, "DataFrame"
    index = [] if _is_numbering(frame.index) else _index_columns(frame.index)
    levels = frame.columns.nlevels
    if levels > 2:
        raise DataError(
            f"cannot use columns of {levels} levels",
            where=where,
            next_step="Keep one level, or yfinance's two of fields and tickers.",
        )
    labels = [(each,) if levels == 1 else tuple(each) for each in frame.columns]
    columns = [frame.iloc[:, place] for place in range(len(labels))]
    named = [(str(each.name or ""), each) for each in index]
    if levels == 2 and not named:  # the index was made a column, of the other level it has no name
        alone = [place for place, label in enumerate(labels) if label[1] == ""][:1]
        named = [(str(labels[place][0]), columns[place]) for place in alone]
        labels = [each for place, each in enumerate(labels) if place not in alone]
        columns = [each for place, each in enumerate(columns) if place not in alone]
    if not (named or columns):
        raise DataError("no rows", where=where, why="it is empty")
    dates, first = [name for name, _ in named], [each for _, each in named]
    if levels == 1:
        names = [[*dates, *(str(each[0]) for each in labels)]]
    else:
        words = [str(name or word) for name, word in zip(frame.columns.names, _WORDS, strict=True)]
        blanks = [""] * max(0, len(dates) - 1)
        names = [
            [word, *blanks, *(str(each[level]) for each in labels)]
            for level, word in enumerate(words)
        ]
        names.append([*(each or "Date" for each in dates), *([""] * len(labels))])
    return FrameTable(names, (*first, *columns), where=where)


_WORDS = ("Price", "Ticker")  # of yfinance's levels


def _is_numbering(index: pd.Index) -> bool:
    """Whether an index has no name and numbers the rows."""
    return index.nlevels == 1 and index.name is None and index.dtype.kind in "iu"


def _index_columns(index: pd.Index) -> list[pd.Series[Any]]:
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    return [each.to_series().reset_index(drop=True) for each in levels]


def _number(value: Any) -> float | None:
    """Return a value as a number: NaN for a missing one, None for what is no number."""
    import pandas as pd

    if value is None or value is pd.NA or (isinstance(value, str) and value.strip() in MISSING):
        return np.nan
    if isinstance(value, bool | np.bool_) or (isinstance(value, str) and "_" in value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _texts(column: pd.Series[Any]) -> pa.Array:
    """Return dates, or names, as text: ISO dates, with the time where some are not midnights."""
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        found = column.dt.strftime("%Y-%m-%dT%H:%M:%S%z").fillna("").to_numpy(object)
        return pa.array(found, pa.string())
    if column.dtype.kind == "M":
        days = column.to_numpy("datetime64[s]")
        whole = (days == days.astype("datetime64[D]"))[~np.isnat(days)].all()
        found = np.datetime_as_string(np.asarray(days), unit="D" if whole else "s")
        return pa.array(np.where(np.isnat(days), "", found).astype(object), pa.string())
    values = column.astype(object).to_numpy()
    return pa.array([_text(each) for each in values], pa.string())


def _text(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return ""
    if isinstance(value, date):  # a datetime and a Timestamp are ones
        return value.isoformat().removesuffix(_MIDNIGHT)
    return str(value).strip()
