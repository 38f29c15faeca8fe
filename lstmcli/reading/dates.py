"""Parse dates: detect the format of a file, and read times and UTC offsets.

All dates of a file must have one format, so each of FORMATS is tried on all of them. Dates are
refused if no format fits, or if two formats give different dates, e.g. 01/02 in a file where no day
exceeds 12. Dates with dots always have the day first. Two-digit years need an explicit format.
Numbers of 10, 13, 16 and 19 digits are seconds, milliseconds and so on since 1970.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lstmcli.arrays import Days, Ints, Mask
from lstmcli.errors import DataError, UsageError
from lstmcli.printable import at_line

Minutes = Ints

NO_OFFSET = -(10**6)
FORMATS = (
    "%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y",
    "%m-%d-%Y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%d/%b/%Y",
    "%d %b, %Y", "%Y-%b-%d", "%a %b %d %Y", "%a, %b %d, %Y", "%a, %d %b %Y",
)  # fmt: skip
_DAY_OR_MONTH_FIRST = ("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_WITH_TWO_DIGITS = ("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%y-%m-%d", "%d-%b-%y")
_CODES = {
    "Y": r"\d{4}", "y": r"\d{2}", "m": r"\d{1,2}", "d": r"\d{1,2}", "b": r"[a-z]{3,9}\.?",
    "a": r"[a-z]{2,9}\.?", "H": r"\d{1,2}", "I": r"\d{1,2}", "M": r"\d{1,2}", "S": r"\d{1,2}",
    "f": r"\d{1,9}", "p": r"[ap]\.?m\.?", "z": r"z|utc|gmt|[+-]\d{2}:?\d{2}",
}  # fmt: skip
_ALIASES = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%B": "%b", "%h": "%b", "%A": "%a"}
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
_UNITS = {10: 1, 13: 10**3, 16: 10**6, 19: 10**9}  # digits of an epoch time -> units per second
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)? ?([ap])?(?:(?<=[ap])\.?m\.?)?"
    r" ?(z|utc|gmt|[+-]\d{2}:?\d{2})?"
)
_FIRST, _LAST = np.datetime64("1678-01-01"), np.datetime64("2261-12-31")  # range of nanoseconds
_YEAR = 366 * 86_400
# To guess the intended format for an error message: number of texts to try, formats to compare.
_SAMPLE, _MOST_NAMED = 1000, 3


@dataclass(frozen=True)
class Stamps:
    """N dates as written, with their times.

    days : (N,) datetime64[D]. minutes : (N,) since midnight of that day, 0 without a time.
    offsets : (N,) minutes east of UTC, NO_OFFSET without an offset.
    notes : remarks on an interpretation that may be unexpected.
    """

    days: Days
    minutes: Minutes
    offsets: Minutes
    notes: tuple[str, ...] = ()

    def keep(self, which: Mask | Ints | slice) -> "Stamps":
        """Return the rows that a mask, an index or a slice selects."""
        return Stamps(self.days[which], self.minutes[which], self.offsets[which], self.notes)

    def instants(self) -> Days:
        """Return the times (N,) in UTC; times without an offset count as UTC."""
        offsets = np.where(self.offsets == NO_OFFSET, 0, self.offsets)
        since = (self.minutes - offsets).astype("timedelta64[m]")
        return np.asarray(self.days.astype("datetime64[m]") + since)


def check_date_format(text: str) -> str:
    """Return the date format; raise UsageError unless it has a year and a month.

    The codes are a subset of those of `strptime`.
    """
    _pattern(text)
    return text


def parse_stamps(dates: pa.Array, lines: Ints, where: str, date_format: str = "") -> Stamps:
    """Parse dates (N,); null and empty ones become NaT.

    dates : texts, numbers, or values of a date type. lines : (N,) line numbers, for messages.
    date_format : format of the texts; by default the only one of FORMATS that fits all of them.
    Raises DataError for the first text that is not a date, or if the dates are ambiguous, and
    UsageError for a format with unknown codes.
    """
    # pyarrow detects ISO dates by itself; an explicit format may mean something else.
    is_day = pa.types.is_date(dates.type) and not date_format
    if is_day or pa.types.is_timestamp(dates.type):
        return _typed(dates, lines, where)
    if pa.types.is_floating(dates.type) and pc.all(pc.equal(dates, pc.floor(dates))).as_py():
        dates = dates.cast(pa.int64())
    texts = dates.cast(pa.string())
    found = None if date_format else _read_iso(texts)
    if found is not None:
        return found
    coded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    words = coded.dictionary
    rows = coded.indices.fill_null(len(words)).to_numpy()
    filled = pc.not_equal(words, "")
    named = words.filter(filled)
    read = _read_alike(named, date_format)
    if read is None:
        raise _first_bad(named, words, rows, lines, where, date_format)
    n_words = len(words) + 1  # the last entry is for rows without a date
    days = np.full(n_words, np.datetime64("NaT"), dtype="datetime64[D]")
    minutes, offsets = np.zeros(n_words, dtype=np.int64), np.full(n_words, NO_OFFSET)
    at = np.flatnonzero(filled)
    days[at], minutes[at], offsets[at] = read.days, read.minutes, read.offsets
    return Stamps(days[rows], minutes[rows], offsets[rows], read.notes)


def read_time(tail: str) -> tuple[int, int] | None:
    """Parse the time after a date: minutes since midnight, offset; None if invalid."""
    if not tail.strip():
        return 0, NO_OFFSET
    if tail[0] not in "T ,":
        return None
    try:
        time = datetime.fromisoformat("2024-01-02" + tail.replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return _read_clock(tail.lstrip("T ,").lower())
    offset = time.utcoffset()
    east = NO_OFFSET if offset is None else int(offset.total_seconds()) // 60
    return time.hour * 60 + time.minute, east


def _read_clock(text: str) -> tuple[int, int] | None:
    """Parse times such as `9:30`, `4:00:00 PM` and `16:00 UTC`."""
    found = _CLOCK.fullmatch(text)
    if not found:
        return None
    hour, minute, second, half = int(found[1]), int(found[2]), int(found[3] or 0), found[4]
    if minute > 59 or second > 59 or not (1 <= hour <= 12 if half else hour <= 23):
        return None
    hour = hour % 12 + 12 * (half == "p") if half else hour
    return hour * 60 + minute, _offset(found[5])


def _offset(text: str | None) -> int:
    if not text:
        return NO_OFFSET
    if text[0] not in "+-":
        return 0
    east = int(text[1:3]) * 60 + int(text[-2:])
    return -east if text[0] == "-" else east


def _typed(dates: pa.Array, lines: Ints, where: str) -> Stamps:
    """Read values of a date or timestamp type; times with a zone become local times."""
    zone = getattr(dates.type, "tz", None)
    times = dates
    if not pa.types.is_date32(dates.type):
        local = pc.local_timestamp(dates) if zone else dates
        times = local.cast(pa.timestamp("s"), safe=False)
    times = np.asarray(times)
    days: Days = times.astype("datetime64[D]", copy=False)
    if (days < _FIRST).any() or (days > _LAST).any():
        wrong = np.flatnonzero((days < _FIRST) | (days > _LAST))
        raise DataError(
            "bad date",
            where=at_line(where, lines[wrong[0]]),
            why=f"found {days[wrong[0]]}, expected a year from 1678 to 2261",
            next_step="Correct or remove the row.",
        )
    if times is days:  # dates without times: broadcast instead of allocating
        none, nowhere = (np.broadcast_to(np.int64(n), days.shape) for n in (0, NO_OFFSET))
        return Stamps(days, none, nowhere)
    is_dated = ~np.isnat(days)
    minutes = np.zeros(days.size, dtype=np.int64)
    minutes[is_dated] = (times - days)[is_dated].astype("timedelta64[m]").astype(np.int64)
    offsets = np.full(days.size, NO_OFFSET)
    if zone:
        instants = dates.cast(pa.timestamp("s", zone), safe=False).cast(pa.int64()).fill_null(0)
        east = times.astype(np.int64) - instants.to_numpy()
        offsets[is_dated] = east[is_dated] // 60
    return Stamps(days, minutes, offsets)


def _read_iso(texts: pa.Array) -> Stamps | None:
    """Parse ISO dates, with or without times, all at once; None for other formats."""
    minutes, offsets, has_time = _times(pc.utf8_slice_codeunits(texts, 10))
    if not has_time.all():
        return None
    heads = pc.utf8_slice_codeunits(texts, 0, 10)
    heads = pc.if_else(pc.equal(heads, ""), pa.scalar(None, pa.string()), heads)
    try:
        days: Days = np.asarray(heads.cast(pa.date32()))
    except pa.ArrowInvalid:
        return None
    if ((days < _FIRST) | (days > _LAST)).any():
        return None
    return Stamps(days.astype("datetime64[D]"), minutes, offsets)


def _read_alike(words: pa.Array, date_format: str) -> Stamps | None:
    """Parse all texts (N,) by one format; None if none fits all, or two differ."""
    if date_format:
        stamps, is_read = _read(words, date_format)
        return stamps if is_read.all() else None
    found = []
    for each in _likely(words):
        stamps, is_read = _read(words, each)
        if is_read.all():
            found.append((each, stamps))
    if not found:
        return _read_epochs(words)
    [(chosen, stamps), *others] = found
    if any((other.days != stamps.days).any() for _, other in others):
        return None
    if chosen in _DAY_OR_MONTH_FIRST and not others:
        first, part = ("day", 0) if chosen[1] == "d" else ("month", 1)
        numbers = pc.list_element(pc.split_pattern_regex(words, r"\D"), part).cast(pa.int64())
        decisive = words[int(np.argmax(numbers.to_numpy() > 12))].as_py()
        stamps = replace(stamps, notes=(f"Dates are {first} first, as {decisive} shows.",))
    return stamps


def _likely(words: pa.Array) -> list[str]:
    """Return the formats that match the first text."""
    first = words[:1]
    return [f for f in FORMATS if pc.any(pc.match_substring_regex(first, _pattern(f))).as_py()]


@cache
def _pattern(date_format: str) -> str:
    """Return the regular expression of a format, with groups for codes and the rest."""
    full = date_format
    for alias, meaning in _ALIASES.items():
        full = full.replace(alias, meaning)
    parts = re.findall(r"%.|[^%]+|%$", full)
    codes = [part[1:] for part in parts if part[0] == "%"]
    unknown = [code for code in codes if code not in _CODES]
    is_whole = {"Y", "y"} & set(codes) and {"m", "b"} & set(codes)
    if unknown or not is_whole or len(set(codes)) < len(codes) or {"Y", "y"} <= set(codes):
        known = " ".join(f"%{code}" for code in _CODES)
        found = f"found {date_format[:40]!r}, expected a year, a month and a day from {known}"
        step = "Pass it as --date-format '%d/%m/%Y'."
        raise UsageError("bad date format", why=found, next_step=step)
    made = ""
    for i, part in enumerate(parts):
        if part[0] != "%":
            made += " +".join(map(re.escape, part.split(" ")))
            continue
        form = _CODES[part[1:]]
        # Without a separator, only a fixed number of digits is unambiguous.
        near = parts[max(0, i - 1) : i] + parts[i + 1 : i + 2]
        fixed = any(other[0] == "%" and other[1:] not in "pzf" for other in near)
        made += f"(?P<{part[1:]}>{form.replace('1,2', '2') if fixed else form})"
    has_time = {"H", "I"} & set(codes)
    return f"(?i)^{made}$" if has_time else f"(?i)^{made}(?P<rest>(?:[T ,].*)?)$"


def _read(words: pa.Array, date_format: str) -> tuple[Stamps, Mask]:
    """Parse texts (N,) by a format; return stamps and a mask of matching texts."""
    matched = pc.extract_regex(words, _pattern(date_format))
    is_read = np.array(matched.is_valid())
    names = {field.name for field in matched.type}

    def number(name: str, missing: int) -> Ints:
        if name not in names:
            return np.full(len(words), missing)
        texts = pc.if_else(pc.equal(matched.field(name), ""), str(missing), matched.field(name))
        return np.asarray(texts.cast(pa.int64()))

    years, months, days_of = number("Y", 0), number("m", 1), number("d", 1)
    if "y" in names:
        years = number("y", 0)
        years = years + np.where(years < 69, 2000, 1900)  # as in strptime
    if "b" in names:
        months = _months(matched.field("b"))
    for name in {"m", "d"} & names:  # if others are written 02, a single 1 has lost a digit
        is_short = pc.equal(pc.utf8_length(matched.field(name)), 1)
        if pc.any(pc.starts_with(matched.field(name), "0")).as_py():
            is_read &= ~np.asarray(is_short)
    is_read &= (months >= 1) & (months <= 12) & (days_of >= 1) & (days_of <= 31)
    is_read &= (years >= 1678) & (years <= 2261)
    months = np.where(is_read, (years - 1970) * 12 + months - 1, 0)
    days = (
        months.astype("datetime64[M]").astype("datetime64[D]") + np.where(is_read, days_of, 1) - 1
    )
    is_read &= days.astype("datetime64[M]").astype(np.int64) == months
    if "rest" in names:
        rests = matched.field("rest")
    else:  # the format has a time: rearrange its parts for `read_time`
        usual = {"H": "", "M": "00", "S": "00", "p": "am" if "I" in names else "", "z": ""}
        parts = {code: matched.field(code) for code in usual if code in names}
        parts |= {"H": matched.field("I")} if "I" in names else {}
        padded = {code: pc.utf8_lpad(parts[code], 2, "0") for code in parts if code in "MS"}
        hour, minute, second, half, zone = (usual | parts | padded).values()
        clock = pc.binary_join_element_wise(hour, minute, second, ":")
        rests = pc.binary_join_element_wise("", clock, half, zone, " ")
    minutes, offsets, has_time = _times(rests)
    return Stamps(days, minutes, offsets), is_read & has_time


def _months(names: pa.Array) -> Ints:
    """Convert English month names, long or short, to numbers; 0 for others."""
    names = pc.utf8_rtrim(pc.utf8_lower(names), ".")
    names = pc.if_else(pc.equal(names, "sept"), "sep", names)
    known = pa.array([*_MONTHS, *(name[:3] for name in _MONTHS)])
    at = np.asarray(pc.index_in(names, known).fill_null(-1)).astype(np.int64)
    return np.where(at < 0, 0, at % 12 + 1)


def _times(rests: pa.Array) -> tuple[Minutes, Minutes, Mask]:
    """Parse the texts after dates (N,): minutes, offsets, mask of valid or empty ones."""
    coded = rests.dictionary_encode()
    times = [*map(read_time, coded.dictionary.to_pylist()), (0, NO_OFFSET)]  # last entry: null
    rows = coded.indices.fill_null(len(times) - 1).to_numpy()
    both = np.array([time or (0, NO_OFFSET) for time in times], dtype=np.int64)
    minutes, offsets = both[rows].T
    return minutes, offsets, np.array([time is not None for time in times])[rows]


def _read_epochs(words: pa.Array) -> Stamps | None:
    """Parse epoch times in one unit, e.g. seconds, as UTC; None if invalid."""
    if not pc.all(pc.match_substring_regex(words, r"^\d{9,19}$")).as_py() or not len(words):
        return None
    longest = pc.max(pc.utf8_length(words)).as_py()
    if longest not in _UNITS:
        return None
    values = words.cast(pa.int64()).to_numpy()
    seconds = np.sort(values // _UNITS[longest])
    border = np.searchsorted(seconds, 10**9)  # before September 2001 there is one digit less
    if border and (border == seconds.size or seconds[border] - seconds[border - 1] > _YEAR):
        return None  # a number has lost a digit
    if seconds[0] < 10**8:
        return None
    times = (values // _UNITS[longest]).astype("datetime64[s]")
    days: Days = times.astype("datetime64[D]")
    minutes = (times - days).astype("timedelta64[m]").astype(np.int64)
    return Stamps(days, minutes, np.zeros(days.size, dtype=np.int64))


def _first_bad(
    words: pa.Array, all_words: pa.Array, rows: Ints, lines: Ints, where: str, date_format: str
) -> DataError:
    """Return the error for the first text that does not match the likeliest format."""
    formats = [date_format] if date_format else [*FORMATS, *_WITH_TWO_DIGITS]
    some = words.slice(0, _SAMPLE)
    formats.sort(key=lambda each: -_read(some, each)[1].sum())
    reads = {each: _read(words, each)[1] for each in formats[:_MOST_NAMED]}
    counts = {each: int(is_read.sum()) for each, is_read in reads.items()}
    likeliest = max(counts, key=lambda each: counts[each])
    all_read = [each for each, count in counts.items() if count == len(words)]
    is_number = np.asarray(pc.match_substring_regex(words, r"^\d{9,19}$"))
    what, at, step = "bad date", 0, "Correct the date, or pass its format with --date-format."
    if all_read:  # two formats fit with different dates, or one with two-digit years
        what = "ambiguous dates"
        why = f"may have the format {' or '.join(map(repr, all_read))}"
        step = f"Pass the right one: --date-format '{all_read[0]}'."
    elif is_number.sum() > counts[likeliest]:
        n_digits = pc.utf8_length(words).to_numpy()
        at = int(np.argmax(~is_number | (n_digits != np.bincount(n_digits).argmax())))
        why = "expected seconds or milliseconds since 1970, in the same unit as the other dates"
    elif counts[likeliest]:
        at = int(np.argmin(reads[likeliest]))
        why = f"expected {'YYYY-MM-DD' if likeliest == FORMATS[0] else likeliest}"
        why += "" if date_format else ", like most of the dates"
    else:
        why = f"expected {date_format or 'YYYY-MM-DD'}"
    text = words[at].as_py()
    row = int(np.argmax(rows == pc.index(all_words, text).as_py()))
    return DataError(
        what,
        where=at_line(where, lines[row]),
        why=f"found {text[:40]!a}, {'which ' if all_read else ''}{why}",
        next_step=step,
    )
