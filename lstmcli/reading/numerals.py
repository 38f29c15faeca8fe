"""Parse formatted numbers: decimal commas, thousands, currencies, 8.87M.

All columns of a file together decide the decimal mark. Each column as a whole decides the rest: a
currency, a thousands separator or a letter for millions is accepted only if all values of the
column that could have it do. Ambiguous values, such as 1,234 alone, are an error that names the
option to pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lstmcli.arrays import Floats, Ints
from lstmcli.errors import DataError
from lstmcli.printable import at_line

MISSING = ("", "null", "NULL", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "None", "none", "#N/A", ".")
_ALSO_MISSING = ("-", "--", "\u2013")  # only in a column of formatted numbers
_POWERS = {"K": "e3", "k": "e3", "M": "e6", "B": "e9", "T": "e12"}
# An explicit list: if any three letters were accepted, MIO or MRD would be currencies.
_CODES = (
    "USD|EUR|GBP|GBX|GBp|JPY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|RUB|UAH|TRY|CNY|"
    "CNH|HKD|TWD|KRW|INR|PKR|LKR|BDT|IDR|MYR|SGD|THB|PHP|VND|BRL|MXN|ARS|CLP|COP|PEN|ZAR|ZAc|ILS|"
    "ILA|SAR|AED|QAR|KWD|BHD|OMR|JOD|EGP|NGN|KES|KZT|BTC|ETH|USDT|USDC"
)
_SIGN = rf"(?:(?:US|C|A|HK|NZ|S|R|CA|AU)?\p{{Sc}}|{_CODES})"
_PREFIX = rf"^(?P<found>{_SIGN})\s*[+-]?[\d.,]"
_SUFFIX = rf"[\d.,]\s*(?P<found>{_SIGN})$"
_SPECIAL = r"(?i:[+-]?inf(?:inity)?)"
_OTHER = {".": ",", ",": "."}
_UNDECIDED = r"^[+-]?[1-9]\d{0,2}(?:[.]\d{3}|,\d{3})$"
_FEW, _SLIPS = 0.05, 2
_WORDS = {".": "decimal points", ",": "decimal commas"}


@dataclass(frozen=True)
class Numerals:
    """The parsed columns of numbers.

    values : (N, K), NaN if missing. cleaned : K columns (N,) of the texts that were parsed, null if
    missing. decimal : the decimal mark. extras : what was removed from the texts, in words.
    has_suffix : (K,) whether all values of a column end in a letter or sign.
    """

    values: Floats
    cleaned: list[pa.Array]
    decimal: str
    extras: tuple[str, ...]
    has_suffix: tuple[bool, ...]

    def notes(self, asked: str) -> tuple[str, ...]:
        """Return a note on the number format; `asked` is the requested decimal mark or ""."""
        words = ["decimal commas"] if self.decimal == "," and not asked else []
        words += self.extras
        return (f"Numbers were read with {', '.join(words)}.",) if words else ()


@dataclass(frozen=True)
class _Column:
    """One column without currency signs and codes.

    texts : (N,). powers : (N,) of ten, e.g. "e6", or None.
    is_loose : whether only some rows have a blank next to the sign; a blank is then not accepted
        as a thousands separator.
    """

    texts: pa.Array
    powers: pa.Array | None = None
    extras: tuple[str, ...] = ()
    has_suffix: bool = False
    is_loose: bool = False


@dataclass(frozen=True)
class _Reading:
    """A column read with one decimal mark: thousands separator, first bad row."""

    thousands: str
    bad: int | None
    n_bad: int = 0
    why: str = ""


@dataclass(frozen=True)
class Written:
    """K columns of formatted numbers (N,); missing values are null or one of MISSING.

    names : (K,) column names, lines : (N,) line numbers, where and kind : the file and its format,
    all for messages. decimal : the decimal mark, or "" to detect it. sep : the field separator, or
    "" if the format has none.
    """

    columns: Sequence[pa.Array]
    names: Sequence[str]
    lines: Ints
    where: str
    kind: str
    decimal: str = ""
    sep: str = ""

    def read(self) -> Numerals:
        """Parse the numbers.

        Raises DataError for the first text that is not a number, or if the numbers are ambiguous.
        """
        found = [self._strip(k, column) for k, column in enumerate(self.columns)]
        marks = [self.decimal] if self.decimal else [".", ","]
        readings = {mark: [_read(column, mark) for column in found] for mark in marks}
        n_bad = {mark: sum(each.n_bad for each in readings[mark]) for mark in marks}
        mark = min(marks, key=n_bad.__getitem__)  # the point in a tie
        for k, reading in enumerate(readings[mark]):
            if reading.bad is not None:
                raise self._bad_number(k, reading.bad, reading.why)
        if len(marks) == 2:
            is_grouped = any(each.thousands for each in readings[mark])
            # Files with comma-separated fields, and JSON, have decimal points.
            if mark == "," or is_grouped or self.sep not in (",", ""):
                self._refuse_two_readings(found, n_bad[_OTHER[mark]])
        cleaned = [
            _clean(column, mark, reading.thousands)
            for column, reading in zip(found, readings[mark], strict=True)
        ]
        values = np.empty((self.lines.size, len(found)), order="F")
        for k, texts in enumerate(cleaned):
            values[:, k] = np.asarray(texts.cast(pa.float64()))
        extras = dict.fromkeys(extra for column in found for extra in column.extras)
        thousands = dict.fromkeys(each.thousands for each in readings[mark] if each.thousands)
        extras |= dict.fromkeys(f"{each!r} between thousands" for each in thousands)
        suffixes = tuple(column.has_suffix for column in found)
        return Numerals(values, cleaned, mark, tuple(extras), suffixes)

    def _strip(self, k: int, column: pa.Array) -> _Column:
        """Remove currencies and power-of-ten letters that all values have."""
        texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
        texts = _drop(texts, pc.is_in(texts, pa.array(MISSING)))
        plain = pc.match_substring_regex(texts, r"^[+-]?[\d.,]*$")
        if pc.all(plain).as_py() is not False:
            return _Column(texts)
        texts = _drop(texts, pc.is_in(texts, pa.array(_ALSO_MISSING)))
        texts = pc.replace_substring_regex(texts, "[\u00a0\u202f\u2009]", " ")
        texts = pc.replace_substring(texts, "\u2019", "'")
        sample = texts.drop_null()[:1]
        extras: list[str] = []
        has_suffix = is_loose = False
        for pattern, has_it in ((_PREFIX, pc.starts_with), (_SUFFIX, pc.ends_with)):
            [match] = pc.extract_regex(sample, pattern).to_pylist() or [None]
            if match is None:
                continue
            affix = match["found"]
            self._refuse_odd(k, has_it(texts, affix))
            spaced = has_it(texts, f"{affix} " if pattern == _PREFIX else f" {affix}")
            is_loose |= pc.any(spaced).as_py() != pc.all(spaced).as_py()
            start, stop = (len(affix), None) if pattern == _PREFIX else (0, -len(affix))
            texts = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(texts, start, stop))
            extras.append(f"the currency {affix}")
            has_suffix |= pattern == _SUFFIX
        scaled = pc.extract_regex(texts, r"^(?P<mantissa>[+-]?[\d.,]+) ?(?P<power>[KkMBT])$")
        is_scaled = scaled.is_valid()
        if not pc.any(is_scaled).as_py():
            return _Column(texts, None, tuple(extras), has_suffix, is_loose)
        is_zero = pc.fill_null(pc.match_substring_regex(texts, r"^0*[.,]?0*$"), True)
        self._refuse_odd(k, pc.or_(is_scaled, is_zero))
        letters = scaled.field("power")
        powers = pc.fill_null(letters, "")
        for letter, power in _POWERS.items():
            powers = pc.replace_substring(powers, letter, power)
        texts = pc.if_else(is_scaled, scaled.field("mantissa"), texts)
        extras.append("K, M and B for thousands, millions and billions")
        return _Column(texts, powers, tuple(extras), has_suffix=True)

    def _refuse_odd(self, k: int, is_usual: pa.Array) -> None:
        """Raise DataError for the first row that is formatted unlike the others."""
        if (bad := _first(pc.invert(is_usual))) is not None:
            raise self._bad_number(k, bad, "is not formatted like the values above it")

    def _refuse_two_readings(self, found: Sequence["_Column"], n_deciding: int) -> None:
        """Raise DataError if the decimal mark is ambiguous.

        n_deciding : number of values that are valid with one decimal mark only.
        """
        open_ones = [pc.match_substring_regex(column.texts, _UNDECIDED) for column in found]
        n_open = sum(pc.sum(each).as_py() or 0 for each in open_ones)
        if decides(n_deciding, n_open):
            return
        for column, is_open, name in zip(found, open_ones, self.names, strict=True):
            row = _first(is_open)
            if row is not None:
                text = column.texts[row].as_py()
                mark = "," if "," in text else "."
                others = "too few other values decide" if n_deciding else "no other value decides"
                as_decimal, as_group = text.replace(mark, "."), text.replace(mark, "")
                raise DataError(
                    f"two readings of the numbers in column {name}",
                    where=at_line(self.where, self.lines[row]),
                    why=f"{text!a} in a {self.kind} may be {as_decimal} or {as_group}, and "
                    f"{others} it",
                    next_step=f"Pass --decimal '{mark}' for {as_decimal}, or --decimal "
                    f"'{_OTHER[mark]}' for {as_group}.",
                )

    def _bad_number(self, k: int, row: int, why: str) -> DataError:
        text = str(self.columns[k][row].as_py()).strip()
        other = _OTHER.get(self.decimal, "," if "," in text else "")
        step = "Correct the field or leave it empty."
        if other and other in text:
            step = (
                f"Pass --decimal '{other}' if the file has {_WORDS[other]}, or correct the field."
            )
        found = f"found {text[:40]!a} in a {self.kind}"
        why = f"{found}, which {why}" if why else f"{found}, expected a number such as 1234.5"
        where = at_line(self.where, self.lines[row])
        return DataError(
            f"bad number in column {self.names[k]}", where=where, why=why, next_step=step
        )


def decides(n_deciding: int, n_open: int) -> bool:
    """Return whether the unambiguous numbers, beyond a few slips, decide the rest."""
    return n_deciding >= n_open or (n_deciding > _SLIPS and n_deciding >= _FEW * n_open)


def _drop(texts: pa.Array, which: pa.Array) -> pa.Array:
    return pc.if_else(which, pa.scalar(None, pa.string()), texts)


def _first(which: pa.Array) -> int | None:
    """Return the first row that is true, or None."""
    row = pc.index(which, True).as_py()
    return None if row < 0 else row


def _read(column: _Column, mark: str) -> _Reading:
    """Read a column with one decimal mark and the thousands separator that fits."""
    point, other = "[.]" if mark == "." else ",", _OTHER[mark]
    exponent = "" if column.powers is not None else r"(?:[eE][+-]?\d+)?"
    number = rf"[+-]?(?:\d+{point}?\d*|{point}\d+){exponent}"
    is_plain = pc.match_substring_regex(column.texts, rf"^(?:{number}|{_SPECIAL})$")
    bad = _first(pc.invert(is_plain))
    if bad is None:
        return _Reading("", None)
    n_bad = pc.sum(pc.invert(is_plain)).as_py()
    for thousands in (other, "'") if column.is_loose else (other, "'", " "):
        group = "[.]" if thousands == "." else thousands
        grouped = rf"^[+-]?[1-9]\d{{0,2}}(?:{group}\d{{3}})+"
        is_grouped = pc.match_substring_regex(column.texts, rf"{grouped}(?:{point}\d*)?$")
        if not pc.any(is_grouped).as_py():
            continue
        fits = pc.or_(is_plain, is_grouped)
        # A point typed for a comma, or a lost digit, must not change a number's magnitude.
        long = pc.and_not(pc.match_substring_regex(column.texts, r"^[+-]?\d{4}"), is_grouped)
        wrong = pc.or_(pc.invert(fits), long)
        if pc.any(wrong).as_py():
            return _Reading(
                thousands, _first(wrong), pc.sum(wrong).as_py(), "is not grouped like the others"
            )
        if (odd := _without_decimals(column.texts, is_grouped, mark)) is not None:
            return _Reading(thousands, odd, 1, "lacks the decimals of the others")
        return _Reading(thousands, None)
    return _Reading("", bad, n_bad)


def _without_decimals(texts: pa.Array, is_grouped: pa.Array, mark: str) -> int | None:
    """Return the first grouped row that lacks the decimals of other rows, or None.

    1,234 among 1.235 and 1.236 is a typing error, not a number a thousand times as large.
    """
    has_mark = pc.match_substring(texts, mark)
    if pc.any(pc.and_(is_grouped, has_mark)).as_py():
        # If all other rows have the same number of decimals, one without has lost them.
        places = pc.utf8_length(pc.replace_substring_regex(texts, rf"^[^{mark}]*[{mark}]?", ""))
        counts = pc.value_counts(places.drop_null()).to_pylist()
        common = max(counts, key=lambda each: each["counts"])
        if common["values"] and len(counts) == 2 and len(texts) > 2:
            lone = pc.and_(is_grouped, pc.invert(has_mark))
            return _first(lone)
        return None
    if pc.any(has_mark).as_py():
        return _first(is_grouped)
    return None


def _clean(column: _Column, mark: str, thousands: str) -> pa.Array:
    """Convert the texts to the format of Python's `float`."""
    texts = pc.replace_substring(column.texts, thousands, "") if thousands else column.texts
    if mark == ",":
        texts = pc.replace_substring(texts, ",", ".")
    if column.powers is not None:
        texts = pc.binary_join_element_wise(texts, column.powers, "")
    return texts
