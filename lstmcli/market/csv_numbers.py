"""Numbers out of a CSV's lines: pandas' C parser where it is sure, a strict slow reader where not.

The C parser takes a column of `True` for ones and, in older versions, fails on 1e400; whatever it
stumbles over is read again line by line, so that the error names the line and the column.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.csv_fields import Fields

MISSING = ("", "null", "NULL", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "None", "none", "#N/A", ".")
_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.I | re.A
)
# Exact rounding is the default from pandas 3.1, where the option is deprecated.
_EXACT: dict[str, Any] = (
    {}
    if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    else {"float_precision": "round_trip"}
)


def parse_numbers(
    fields: Fields, positions: Sequence[int], names: Sequence[str], decimal: str, where: str
) -> NDArray[np.float64]:
    """The fields at `positions` as (N, K) float64, NaN where one is empty or says null.

    Raises DataError naming the line and the column of the first that is no number.
    """
    if fields.lines.size == 0:
        return np.empty((0, len(positions)))
    if _has_truths(fields.text):
        return _slowly(fields, positions, names, decimal, where)
    ordered = sorted(positions)
    try:
        frame = pd.read_csv(
            io.BytesIO(fields.text),
            sep=fields.sep,
            header=None,
            names=range(len(names)),
            usecols=ordered,
            dtype=np.float64,
            decimal=decimal,
            keep_default_na=False,
            na_values=list(MISSING),
            # To look for spaces in every field takes a quarter of the time.
            skipinitialspace=b" " in fields.text or b"\t" in fields.text,
            quoting=3,
            index_col=False,
            encoding="utf-8",
            low_memory=False,  # no chunks: the block is in memory already
            **_EXACT,
        )
    except ValueError:
        return _slowly(fields, positions, names, decimal, where)
    assert len(frame) == fields.lines.size, "the lines were counted before"
    values: NDArray[np.float64] = frame.to_numpy(dtype=np.float64)
    return values if list(positions) == ordered else values[:, np.searchsorted(ordered, positions)]


def _has_truths(text: bytes) -> bool:
    """Whether True or False stands there, in any case; a look at one letter mostly tells."""
    if b"e" not in text and b"E" not in text:
        return False
    small = text.lower()
    return b"true" in small or b"false" in small


def _slowly(
    fields: Fields, positions: Sequence[int], names: Sequence[str], decimal: str, where: str
) -> NDArray[np.float64]:
    values = np.empty((fields.lines.size, len(positions)))
    for row in range(fields.lines.size):
        for column, position in enumerate(positions):
            text = fields.field(row, position).strip()
            number = read_number(text, decimal)
            if number is None:
                place = f"{where} line {fields.lines[row]}"
                raise _bad_number(text, names[position], decimal, place)
            values[row, column] = number
    return values


def read_number(text: str, decimal: str) -> float | None:
    """One field's number, NaN for a missing one, None for what is no number."""
    if text in MISSING:
        return np.nan
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def _bad_number(text: str, name: str, decimal: str, where: str) -> DataError:
    example = f"1234{decimal}5"
    if decimal == "." and "," in text:
        advice = "Pass --decimal ',' if that is a decimal comma; remove thousands separators."
    elif decimal != "." and "." in text:
        advice = "Pass --decimal '.' if that is a decimal point; remove thousands separators."
    else:
        advice = "Correct the field or leave it empty."
    return DataError(
        f"bad number in column {name}",
        where=where,
        why=f"found {text[:40]!a}, expected a number such as {example}",
        next_step=advice,
    )
