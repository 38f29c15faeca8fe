"""pyarrow's parser of CSV lines, and the rows that it gives, collected without a second copy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lstmcli.arrays import Floats
from lstmcli.reading.numerals import MISSING

_SMALL = 2**23  # bytes up to which one thread parses one block
_BLOCK = 2**22  # bytes of the blocks that several threads parse
_GROWTH = 1.3


@dataclass(frozen=True)
class Parser:
    """Which fields of each line are read, and what separates them.

    texts, numbers : the positions of those read as text and as numbers, of n_fields in all.
    """

    n_fields: int
    texts: Sequence[int]
    numbers: Sequence[int]
    sep: str

    def parse(
        self,
        text: pa.Buffer,
        kind: pa.DataType,
        decimal: str,
        dates: Sequence[int] = (),
        refuse: Callable[[Any], str] | None = None,
        *,
        in_order: bool = False,
    ) -> pa.Table:
        """Parse lines into the columns of text, then the numbers as `kind`, null for a missing one.

        dates : the positions of texts that are read as dates. refuse : called for a line of another
        number of fields, returns "error". in_order : so that such a line has its number.
        Raises ArrowInvalid for a value that is none of the kind, or after `refuse`.
        """
        from pyarrow import csv  # the rest of pyarrow comes with pandas, this takes 4 ms

        names = list(map(str, range(self.n_fields)))
        texts = {names[i]: pa.date32() if i in dates else pa.string() for i in self.texts}
        wanted = [*texts, *(names[i] for i in self.numbers)]
        in_order |= len(text) <= _SMALL
        return csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(
                use_threads=not in_order,
                block_size=len(text) if in_order else _BLOCK,
                column_names=names,
            ),
            csv.ParseOptions(delimiter=self.sep, invalid_row_handler=refuse),
            csv.ConvertOptions(
                check_utf8=False,  # it was checked
                column_types=dict.fromkeys(wanted, kind) | texts,
                null_values=MISSING,
                include_columns=wanted,
                decimal_point=decimal,
            ),
        )


class PlainRows:
    """Rows of texts and of plain numbers that are added table by table.

    capacity : how many rows there will be, nearly; 0 where they come as one table.
    """

    def __init__(self, parser: Parser, capacity: int) -> None:
        self._texts: list[list[pa.Array]] = [[] for _ in parser.texts]
        self._values = np.empty((capacity, len(parser.numbers)), order="F")
        self._end = 0

    def add(self, table: pa.Table) -> bool:
        """Add the rows of a table of `Parser`; return False where a number is a nan(1) or -nan."""
        start, self._end = self._end, self._end + len(table)
        if self._end > len(self._values):
            more = int(self._end * _GROWTH) if start else self._end
            grown = np.empty((more, self._values.shape[1]), order="F")
            grown[:start] = self._values[:start]
            self._values = grown
        n_texts = len(self._texts)
        for found, column in zip(self._texts, table.columns, strict=False):
            found += column.chunks
        n_null = 0
        for k, column in enumerate(table.columns[n_texts:]):
            row = start
            for chunk in column.chunks:
                self._values[row : row + len(chunk), k] = chunk.to_numpy(zero_copy_only=False)
                row += len(chunk)
            n_null += column.null_count
        return bool(np.count_nonzero(np.isnan(self._values[start : self._end])) == n_null)

    def columns(self) -> tuple[list[pa.Array], Floats]:
        """Return the columns of text (N,), and the numbers (N, K)."""
        texts = [pa.concat_arrays(chunks) for chunks in self._texts]
        return texts, self._values[: self._end]
