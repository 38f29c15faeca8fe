"""Where the fields of a block of CSV lines begin and end, found for all lines at once.

pandas.read_csv shifts columns when rows are longer than the header and fills short rows; so the
separators of every line are counted here first, and a line that differs from the header is an
error that names it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.csv_bytes import Block

_LF, _QUOTE = 10, 34
# Stands for a separator inside quotes: it keeps the field whole and is part of no number or date.
_QUOTED_SEP = 31


@dataclass(frozen=True)
class Fields:
    """N lines of F fields each, none of them blank.

    text : the lines without quotes. lines : (N,) number of each line in the source.
    starts, ends : (N, F) byte positions in `text`.
    """

    text: bytes
    sep: str
    lines: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def field(self, row: int, position: int) -> str:
        """One field's text, as it stood in the source."""
        raw = self.text[self.starts[row, position] : self.ends[row, position]]
        return raw.decode("utf-8").replace(chr(_QUOTED_SEP), self.sep)


def split_fields(block: Block, sep: str, n_fields: int, where: str) -> Fields:
    """The fields of a block's lines, or DataError naming the first line with another number."""
    text = _without_quotes(block, sep, where)
    codes = np.frombuffer(text, dtype=np.uint8)
    line_ends = np.flatnonzero(codes == _LF)
    line_starts = np.concatenate([[0], line_ends[:-1] + 1])
    separators = np.flatnonzero(codes == ord(sep))
    filled = line_ends > line_starts
    counts = np.diff(np.searchsorted(separators, line_ends), prepend=0) + 1
    wrong = np.flatnonzero(filled & (counts != n_fields))
    lines = block.first_line + np.arange(line_ends.size)
    if wrong.size:
        is_cut = not block.ended and wrong[0] == line_ends.size - 1
        raise _wrong_count(
            int(counts[wrong[0]]), n_fields, sep, f"{where} line {lines[wrong[0]]}", is_cut
        )
    inner = separators.reshape(-1, n_fields - 1)
    starts = np.column_stack([line_starts[filled], inner + 1])
    ends = np.column_stack([inner, line_ends[filled]])
    return Fields(text, sep, lines[filled], starts, ends)


def _without_quotes(block: Block, sep: str, where: str) -> bytes:
    """The text with the quotes around fields taken away and quoted separators disarmed."""
    if b'"' not in block.text:
        return block.text
    codes = np.frombuffer(block.text, dtype=np.uint8).copy()
    quotes = np.flatnonzero(codes == _QUOTE)
    inside = (np.cumsum(codes == _QUOTE) % 2).astype(bool)
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, codes[opening - 1], _LF)
    after = codes[np.minimum(closing + 1, codes.size - 1)]
    edges = (_LF, ord(sep), _QUOTE)  # a doubled quote closes and opens again
    wrong = np.concatenate(
        [
            opening[~np.isin(before, edges)],
            closing[~np.isin(after, edges)],
            np.flatnonzero(inside & (codes == _LF)),
        ]
    )
    if wrong.size:
        number = block.first_line + block.text.count(b"\n", 0, int(wrong.min()))
        raise DataError(
            "misplaced quote",
            where=f"{where} line {number}",
            why="expected quotes only around whole fields, closed on the same line",
            next_step="Remove the quotes.",
        )
    codes[inside & (codes == ord(sep))] = _QUOTED_SEP
    text: bytes = codes[codes != _QUOTE].tobytes()
    return text


def _wrong_count(found: int, expected: int, sep: str, where: str, is_cut: bool) -> DataError:
    why = f"found {found} fields, the header has {expected}"
    if is_cut:
        what, next_step = "the last line is cut", "Remove it or fetch the file again."
    elif found < expected:
        what, next_step = "a line is too short", "Complete the line or remove it."
    else:
        what = "a line is longer than the header"
        next_step = (
            "Name every column in the header; for commas inside numbers pass --sep and --decimal "
            "or remove them."
            if sep == ","
            else "Name every column in the header."
        )
    return DataError(what, where=where, why=why, next_step=next_step)
