"""Whether a last line without a line end is whole or cut.

Many programs leave the last line end out, so it alone proves nothing. All fields being there, only
the last can be cut, and a cut number shows in three ways: it ends in the middle, it has fewer
decimals than those above it, or it is far too small. What could have been lost otherwise is less
than a millionth of the value.
"""

import numpy as np

from lstmcli.errors import DataError
from lstmcli.market.csv_fields import Fields
from lstmcli.market.csv_numbers import read_number

RECENT = 250
_HARMLESS = 1e-6
_TOO_SMALL = 0.5


def recent_endings(fields: Fields) -> list[str]:
    """The texts of the last field of the last 250 lines, oldest first."""
    rows = range(max(0, fields.lines.size - RECENT), fields.lines.size)
    return [fields.field(row, -1).strip() for row in rows]


def refuse_cut_ending(endings: list[str], decimal: str, where: str) -> None:
    """Raise DataError when the last of the endings may be a part of a number."""
    *others, last = endings
    why = _what_is_odd(last, others, decimal)
    if why:
        raise DataError(
            "the last line may be cut",
            where=where,
            why=f"it has no line end and its last field {last!r} {why}",
            next_step="Fetch the file again, or end the line with a line break if it is whole.",
        )


def _what_is_odd(last: str, others: list[str], decimal: str) -> str:
    value = read_number(last, decimal)
    if value is None or np.isnan(value):
        return "" if others and last == others[-1] else "is no number"
    if not last[-1].isdigit():
        return "ends in the middle of a number"
    numbers = [text for text in others if _is_number(text, decimal)]
    if not numbers:
        return ""
    decimals = _decimals(last, decimal)
    usual = max(_decimals(text, decimal) for text in numbers)
    if decimals < usual and 10.0**-decimals > _HARMLESS * abs(value):
        return f"has {decimals} decimals where the lines above have {usual}"
    smallest = min(abs(read_number(text, decimal) or 0.0) for text in numbers)
    if abs(value) < _TOO_SMALL * smallest:
        return "is less than half of any value above it"
    return ""


def _is_number(text: str, decimal: str) -> bool:
    value = read_number(text, decimal)
    return value is not None and bool(np.isfinite(value))


def _decimals(text: str, decimal: str) -> int:
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(decimal)[2])
    return max(0, places - int(exponent or 0))
