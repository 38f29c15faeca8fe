"""ISO dates out of a CSV's bytes, all lines at once, with no guessing.

`YYYY-MM-DD`, with a time and an offset after it if need be; which session those belong to is found
once all are known (`stamps.py`). pandas.to_datetime would take 1e9 for 1970 and 01/02 for either
day.
"""

import re

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.csv_fields import Fields
from lstmcli.market.stamps import NO_OFFSET, Stamps

_LENGTH = 10
_MAX_LENGTH = 40
_TIME = re.compile(
    rb"[T ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::[0-5]\d(?:\.\d{1,9})?)?"
    rb"(?: ?(?:(?P<utc>Z)|(?P<sign>[+-])(?P<hours>[01]\d)(?::?(?P<minutes>[0-5]\d))?))?"
)
_YEARS = (1678, 2261)  # what nanosecond dates can hold
_ONE_HOUR = 60


def parse_stamps(fields: Fields, position: int, where: str) -> Stamps:
    """The dates and times of field `position` as written, NaT where the field is empty.

    Raises DataError naming the line of the first that is no ISO date, and of the first whose UTC
    offset differs from the block's first by more than summer time does.
    """
    starts, ends = fields.starts[:, position], fields.ends[:, position]
    lengths = ends - starts
    empty = lengths == 0
    long_enough = (lengths >= _LENGTH) & (lengths <= _MAX_LENGTH)
    codes = np.frombuffer(fields.text, dtype=np.uint8)
    at = np.where(long_enough, starts, 0)
    digits, valid = _read_digits(codes, at)
    year = digits[:, 0] * 1000 + digits[:, 1] * 100 + digits[:, 2] * 10 + digits[:, 3]
    month, day = digits[:, 5] * 10 + digits[:, 6], digits[:, 8] * 10 + digits[:, 9]
    valid &= long_enough & (year >= _YEARS[0]) & (year <= _YEARS[1]) & (month >= 1) & (month <= 12)
    months = ((year - 1970) * 12 + month - 1) * valid
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    days: NDArray[np.datetime64] = first + (day - 1).astype("timedelta64[D]")
    valid &= (day >= 1) & (days.astype("datetime64[M]") == months.astype("datetime64[M]"))
    minutes, offsets, times_valid = _read_times(fields, position, lengths, valid)
    wrong = np.flatnonzero(~(valid & times_valid) & ~empty)
    if wrong.size:
        raise _bad_date(
            fields.field(int(wrong[0]), position), f"{where} line {fields.lines[wrong[0]]}"
        )
    _refuse_mixed_offsets(offsets[~empty], fields.lines[~empty], where)
    days[empty] = np.datetime64("NaT", "D")
    return Stamps(days, minutes, offsets)


def _read_digits(
    codes: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The ten characters from each start less "0", (N, 10), and which read as 9999-99-99."""
    at = np.minimum(starts[:, None] + np.arange(_LENGTH), codes.size - 1)
    digits = codes[at].astype(np.int64) - ord("0")
    dashes = [4, 7]
    numbers = np.delete(digits, dashes, axis=1)
    is_dash = digits[:, dashes] == ord("-") - ord("0")
    valid: NDArray[np.bool_] = ((numbers >= 0) & (numbers <= 9)).all(axis=1) & is_dash.all(axis=1)
    return digits, valid


def _read_times(
    fields: Fields, position: int, lengths: NDArray[np.int64], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """What follows the dates: minutes of the day and from UTC; and which of them are times.

    Few different times stand in a file of daily bars, so each is read once.
    """
    times = np.zeros(lengths.size, dtype=np.int64)
    offsets = np.full(lengths.size, NO_OFFSET, dtype=np.int64)
    times_valid = np.ones(lengths.size, dtype=bool)
    rows = np.flatnonzero(valid & (lengths > _LENGTH))
    if rows.size == 0:
        return times, offsets, times_valid
    codes = np.frombuffer(fields.text, dtype=np.uint8)
    starts = fields.starts[rows, position] + _LENGTH
    width = int(lengths[rows].max()) - _LENGTH
    at = np.minimum(starts[:, None] + np.arange(width), codes.size - 1)
    inside = np.arange(width) < (lengths[rows] - _LENGTH)[:, None]
    tails = np.ascontiguousarray(np.where(inside, codes[at], 0)).view(f"S{width}")[:, 0]
    texts, which = np.unique(tails, return_inverse=True)
    matches = [_TIME.fullmatch(text) for text in texts.tolist()]
    from_utc = np.array([_from_utc(match) if match else NO_OFFSET for match in matches])
    of_day = np.array([int(m["hour"]) * 60 + int(m["minute"]) if m else 0 for m in matches])
    offsets[rows], times[rows] = from_utc[which], of_day[which]
    times_valid[rows] = np.array([match is not None for match in matches])[which]
    return times, offsets, times_valid


def _from_utc(match: re.Match[bytes]) -> int:
    if match["utc"]:
        return 0
    if not match["sign"]:
        return NO_OFFSET
    minutes = int(match["hours"]) * 60 + int(match["minutes"] or 0)
    return -minutes if match["sign"] == b"-" else minutes


def _refuse_mixed_offsets(offsets: NDArray[np.int64], lines: NDArray[np.int64], where: str) -> None:
    """Winter and summer time differ by an hour; anything else is another zone, or none."""
    if offsets.size == 0 or offsets.max() - offsets.min() <= _ONE_HOUR:
        return
    wrong = int(np.flatnonzero(np.abs(offsets - offsets[0]) > _ONE_HOUR)[0])
    raise DataError(
        "mixed time zones",
        where=f"{where} line {lines[wrong]}",
        why="its UTC offset differs from the lines before by more than summer time does",
        next_step="Write all dates as YYYY-MM-DD.",
    )


def _bad_date(text: str, where: str) -> DataError:
    return DataError(
        "bad date",
        where=where,
        why=f"found {text[:40]!a}, expected YYYY-MM-DD",
        next_step="Write the dates in ISO form, year first.",
    )
