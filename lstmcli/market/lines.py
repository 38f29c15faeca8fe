"""Lines of a CSV as arrays: strictly, so that no value is shifted, guessed or made of another.

pyarrow parses them. It has no rule for quotes within a field, reads `nan(1)` and `-nan`, and fails
on a field of spaces; so quotes are checked before, and a block with an odd value is read again one
field after another, which also finds the line and the column that an error names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.stamps import Stamps, parse_stamps

MISSING = ("", "null", "NULL", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "None", "none", "#N/A", ".")
_NUMBER = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.I | re.A
)
_RECENT = 250  # lines that a last one without a line end is compared with
_HARMLESS = 1e-6
_TOO_SMALL = 0.5


@dataclass(frozen=True)
class Form:
    """The form of a file's lines.

    names : the words of the header, one a field, for messages.
    positions : (K) of the fields with values that are read. where : the file, for messages.
    """

    names: Sequence[str]
    date_field: int
    positions: Sequence[int]
    sep: str
    decimal: str
    where: str

    def error(self, what: str, line: int, why: str, next_step: str) -> DataError:
        """Make an error that names a line."""
        return DataError(what, where=f"{self.where} line {line}", why=why, next_step=next_step)


@dataclass(frozen=True)
class Rows:
    """Lines as arrays.

    stamps : (N,), NaT where there is no date. lines : (N,) line numbers.
    values : position -> (N,), NaN where the field is empty or says null.
    """

    stamps: Stamps
    lines: NDArray[np.int64]
    values: dict[int, NDArray[np.float64]]

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Rows":
        """Keep the rows of a mask, or in the order of an index."""
        values = {position: column[which] for position, column in self.values.items()}
        return Rows(self.stamps.keep(which), self.lines[which], values)

    @staticmethod
    def joined(parts: "Sequence[Rows]") -> "Rows":
        """Join the rows of the parts, one part after another."""
        return Rows(
            Stamps.joined([rows.stamps for rows in parts]),
            np.concatenate([rows.lines for rows in parts]),
            {i: np.concatenate([rows.values[i] for rows in parts]) for i in parts[0].values},
        )


def parse_lines(form: Form, text: bytes, first_line: int, before: bytes = b"") -> Rows:
    """Read the lines of a text, of which some are not blank; those are left out.

    before : the lines before them, which a last line without a line end is compared with.
    Raises DataError naming the first line that breaks a rule.
    """
    _refuse_misplaced_quotes(form, text, first_line)
    ends = np.flatnonzero(np.frombuffer(text + b"\n", dtype=np.uint8) == ord("\n"))
    lines = first_line + np.flatnonzero(np.diff(ends, prepend=-1) > 1)
    try:
        dates, fields = _read_fields(form, text, lines, pa.float64())
        values = fields.to_tensor(null_to_nan=True, row_major=False).to_numpy()
        n_null = sum(column.null_count for column in fields.columns)
        is_plain = np.count_nonzero(np.isnan(values)) == n_null  # else there is a nan(1), a -nan
    except pa.ArrowInvalid:
        is_plain = False
    if not is_plain:
        dates, fields = _read_fields(form, text, lines, pa.string())
    stamps = parse_stamps(dates, lines, form.where)
    if not is_plain:
        values = _read_strictly(form, fields, lines)
    undated = lines[np.isnat(stamps.days) & ~np.isnan(values).all(axis=1)]
    if undated.size:
        why = "the line has values and no date"
        raise form.error("missing date", undated[0], why, "Correct or remove the line.")
    if not text.endswith(b"\n") and len(form.names) - 1 in form.positions:
        endings = _endings(before + text, form.sep)
        refuse_cut_ending(endings, form.decimal, f"{form.where} line {lines[-1]}")
    return Rows(stamps, lines, dict(zip(form.positions, values.T, strict=True)))


def refuse_cut_ending(endings: Sequence[str], decimal: str, where: str) -> None:
    """Raise DataError when the last of the endings, which has no line end, may be cut.

    endings : the last fields of the last lines, oldest first.

    Many programs leave the last line end out, so it alone proves nothing. All fields being there,
    only the last can be cut, and a cut number shows in three ways: it ends in the middle, it has
    fewer decimals than those above it, or it is far too small. Any other cut has lost less than a
    millionth of the value.
    """
    *others, last = endings
    if why := _why_cut(last, others, decimal):
        raise DataError(
            "the last line may be cut",
            where=where,
            why=f"it has no line end and its last field {last!r} {why}",
            next_step="Fetch the file again, or end the line with a line break if it is whole.",
        )


def _refuse_misplaced_quotes(form: Form, text: bytes, first_line: int) -> None:
    """Raise DataError for a quote within a field, which pyarrow would drop."""
    if b'"' not in text:
        return
    inner = rf"[^{re.escape(form.sep)}\n]"
    field = rf'(?<!{inner})"[^"\n]*+(?:""[^"\n]*+)*+"(?!{inner})'
    match = re.match(rf'(?:[^"]*+{field})*+[^"]*+'.encode(), text)
    at = match.end() if match else 0
    if at < len(text):
        line = first_line + text.count(b"\n", 0, at)
        why = "expected quotes only around whole fields, closed on the same line"
        raise form.error("misplaced quote", line, why, "Remove the quotes.")


def _read_fields(
    form: Form, text: bytes, lines: NDArray[np.int64], kind: pa.DataType
) -> tuple[pa.StringArray, pa.RecordBatch]:
    """Read the dates (N,) as text and the values (N, K) as `kind`, null for a missing number.

    Raises DataError naming the first line of another number of fields than the header's, and
    ArrowInvalid for a value that is none of the kind.
    """
    from pyarrow import csv  # the rest of pyarrow comes with pandas, this takes 4 ms

    odd: list[Any] = []

    def refuse(row: Any) -> str:
        odd.append(row)
        return "error"

    names = list(map(str, range(len(form.names))))
    wanted = [names[i] for i in (form.date_field, *form.positions)]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, block_size=len(text), column_names=names),
            csv.ParseOptions(delimiter=form.sep, invalid_row_handler=refuse),
            csv.ConvertOptions(
                check_utf8=False,  # it was checked
                column_types=dict.fromkeys(wanted, kind) | {wanted[0]: pa.string()},
                null_values=MISSING,
                include_columns=wanted,
                decimal_point=form.decimal,
            ),
        )
    except pa.ArrowInvalid:
        if odd:
            raise _wrong_count(form, odd[0], text, lines) from None
        raise
    [batch] = table.combine_chunks().to_batches()
    return batch.column(0), batch.remove_column(0)


def _wrong_count(form: Form, row: Any, text: bytes, lines: NDArray[np.int64]) -> DataError:
    next_step = "Name every column in the header."
    if row.number == lines.size and not text.endswith(b"\n"):
        what, next_step = "the last line is cut", "Remove it or fetch the file again."
    elif row.actual_columns < row.expected_columns:
        what, next_step = "a line is too short", "Complete the line or remove it."
    else:
        what = "a line is longer than the header"
        if form.sep == ",":
            next_step = (
                "Name every column in the header; for commas inside numbers pass --sep and "
                "--decimal or remove them."
            )
    why = f"found {row.actual_columns} fields, the header has {row.expected_columns}"
    return form.error(what, lines[row.number - 1], why, next_step)


def _read_strictly(
    form: Form, fields: pa.RecordBatch, lines: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Read the values (N, K) one by one, to name the first that is no number."""
    values = np.empty((lines.size, len(form.positions)))
    columns = [column.to_pylist() for column in fields.columns]
    for row, texts in enumerate(zip(*columns, strict=True)):
        for k, text in enumerate(texts):
            number = _read_number(text, form.decimal)
            if number is None:
                raise _bad_number(form, text.strip(), form.positions[k], lines[row])
            values[row, k] = number
    return values


def _read_number(text: str, decimal: str) -> float | None:
    """Read one field: NaN for a missing number, None for a text that is no number."""
    text = text.strip()
    if text in MISSING:
        return np.nan
    if decimal != ".":
        text = text.replace(".", "?").replace(decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) else None


def _bad_number(form: Form, text: str, position: int, line: int) -> DataError:
    other, mark = (",", "comma") if form.decimal == "." else (".", "point")
    advice = "Correct the field or leave it empty."
    if other in text:
        advice = (
            f"Pass --decimal '{other}' if that is a decimal {mark}; remove thousands separators."
        )
    why = f"found {text[:40]!a}, expected a number such as 1234{form.decimal}5"
    return form.error(f"bad number in column {form.names[position]}", line, why, advice)


def _endings(text: bytes, sep: str) -> list[str]:
    """Find the last fields of the last lines, oldest first."""
    lines = text.rsplit(b"\n", _RECENT + 1)[-_RECENT - 1 :]
    return [line.decode().rsplit(sep, 1)[-1].strip(' \t"') for line in lines if line]


def _why_cut(last: str, others: Sequence[str], decimal: str) -> str:
    value = _read_number(last, decimal)
    if value is None or np.isnan(value):
        return "" if others and last == others[-1] else "is no number"
    if not last[-1].isdigit():
        return "ends in the middle of a number"
    known = {text: number for text in others if (number := _read_number(text, decimal)) is not None}
    finite = {text: abs(number) for text, number in known.items() if np.isfinite(number)}
    if not finite:
        return ""
    decimals = _decimals(last, decimal)
    usual = max(_decimals(text, decimal) for text in finite)
    if decimals < usual and 10.0**-decimals > _HARMLESS * abs(value):
        return f"has {decimals} decimals where the lines above have {usual}"
    if abs(value) < _TOO_SMALL * min(finite.values()):
        return "is less than half of any value above it"
    return ""


def _decimals(text: str, decimal: str) -> int:
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(decimal)[2])
    return max(0, places - int(exponent or 0))
