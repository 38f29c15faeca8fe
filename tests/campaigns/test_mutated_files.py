"""Files that are damaged at random are read as they are written, or refused; never differently.

Each file is a table in a form that the generator knows: its separator, marks, currency and
encoding. After a mutation, a slow reader that knows the form says what each field of each line is.
What the tool reads without knowing the form must be the same; it may refuse more.
"""

import bz2
import csv
import gzip
import io
import lzma
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from random import Random

import numpy as np
import pytest

from lstmcli.errors import LstmcliError
from lstmcli.market.tables import read_prices
from lstmcli.reading.numerals import MISSING
from tests.campaigns.seeds import outcomes
from tests.reading.files import opened

PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    bytes,
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
)
OTHER = {".": ",", ",": "."}
POWERS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


@dataclass(frozen=True)
class Form:
    """How a table is written."""

    sep: str
    decimal: str
    thousands: str
    prefix: str
    suffix: str
    places: int
    quote: bool
    encoding: str
    end: str
    scaled: bool

    @property
    def shows_marks(self) -> bool:
        """Whether all files of this form have decimals or thousands in them."""
        return self.places > 0 or self.scaled

    @classmethod
    def draw(cls, chance: Random) -> "Form":
        decimal = chance.choice(".,")
        other = "," if decimal == "." else "."
        # Where commas separate, 1.000 is no thousand.
        sep = chance.choice(",,;\t|" if decimal == "." else ";\t|")
        return cls(
            sep=sep,
            decimal=decimal,
            thousands=chance.choice(["", "", other, "'"]),
            prefix=chance.choice(["", "", "", "$", "\u20ac "]),
            suffix=chance.choice(["", "", "", " USD"]),
            places=chance.choice([0, 2, 2, 3, 4]),
            quote=chance.random() < 0.3,
            encoding=chance.choice(["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
            end=chance.choice(["\n", "\n", "\n", "\r\n"]),
            scaled=chance.random() < 0.2,
        )

    def write(self, chance: Random) -> str:
        file = io.StringIO()
        writer = csv.writer(
            file,
            delimiter=self.sep,
            lineterminator=self.end,
            quoting=csv.QUOTE_ALL if self.quote else csv.QUOTE_MINIMAL,
        )
        writer.writerow(["Date", "Open", "Close", "Volume", "Remark"])
        price = 10 ** chance.uniform(-1, 4)
        for day in range(chance.randint(3, 20)):
            stamp = str(np.datetime64("2024-01-02") + day)
            shown = [self.shown(price * chance.uniform(0.8, 1.2)) for _ in range(2)]
            volume = chance.randint(0, 10**7)
            last = self.number(volume / 10**6, 2) + "M" if self.scaled else str(volume)
            writer.writerow([stamp, *shown, last, chance.choice(["a", "b c", ""])])
        text = file.getvalue()
        return text.removesuffix(self.end) if chance.random() < 0.3 else text

    def number(self, value: float, places: int) -> str:
        marks = str.maketrans({",": self.thousands, ".": self.decimal})
        return f"{value:,.{places}f}".translate(marks)

    def shown(self, value: float) -> str:
        return f"{self.prefix}{self.number(value, self.places)}{self.suffix}"

    def value(self, text: str, scaled: bool) -> float | None:
        """Return what a field is, None where it is no number in this form."""
        text = text.strip(" \t\xa0")
        if text in (*MISSING, "-", "--"):
            return float("nan")
        if not scaled:
            text = text.removeprefix(self.prefix.strip()).strip()
            text = text.removesuffix(self.suffix.strip()).strip()
        scaled = scaled or not text.strip("0.,KMB")  # no thousands are none
        power = text[-1:] if scaled and text[-1:] in POWERS else ""
        text = text.removesuffix(power).strip()
        point, group = re.escape(self.decimal), re.escape(self.thousands)
        plain = rf"[+-]?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
        grouped = rf"[+-]?[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?:{point}\d*)?"
        if re.fullmatch(r"[+-]?inf(?:inity)?", text, re.I):
            return float(text)
        if not re.fullmatch(plain, text, re.A) and not (
            self.thousands and re.fullmatch(grouped, text, re.A)
        ):
            return None
        cleaned = text.replace(self.thousands, "") if self.thousands else text
        cleaned = cleaned.replace(self.decimal, ".")
        exponent = {"": "", "K": "e3", "M": "e6", "B": "e9"}[power]
        return float(cleaned + exponent) if not (power and "e" in cleaned.lower()) else None


def mutate(data: bytes, chance: Random) -> bytes:
    """Change bytes, fields or lines."""
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at, kind = chance.randrange(max(1, len(data))), chance.randrange(12)
        some = bytes([chance.choice(b"0123456789.,;\t|\"'#-+eKM$ \n\r\0\xe9\xa0nan")])
        lines = data.split(b"\n")
        line = chance.randrange(len(lines))
        if kind == 0:
            data = data[:at] + some + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + some + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + 1 :]
        elif kind == 3:
            data = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        elif kind == 4:
            data = data[:at]
        elif kind == 5:
            data = b"\n".join(lines[:line] + lines[line + 1 :])
        elif kind == 6:
            data = b"\n".join(lines[:line] + [lines[line]] + lines[line:])
        elif kind == 7:
            data = b"\n".join(
                [*lines[:line], lines[line][: chance.randrange(30)], *lines[line + 1 :]]
            )
        elif kind == 8:
            start, new = chance.choice([(b".", b","), (b",", b"."), (b",", b""), (b".", b"")])
            data = data[:at] + data[at:].replace(start, new, 1)
        elif kind == 9:
            words = chance.choice([b"# note", b"Source: nobody", b"", b"Downloaded, from, x"])
            data = b"\n".join([*lines[:line], words, *lines[line:]])
        elif kind == 10:
            data = data.replace(*chance.choice([(b"\t", b" "), (b"M", b""), (b"$", b"")]))
        else:
            other = chance.randrange(len(lines))
            lines[line], lines[other] = lines[other], lines[line]
            data = b"\n".join(lines)
        if not data:
            return data
    return data


def lines_of(data: bytes, form: Form) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments, with their numbers."""
    try:
        text = data.decode(form.encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        if line and not re.match(r"#(?!N/A|[,;|\t])", line):
            yield number, line


def check(data: bytes, packed: bytes, form: Form) -> str:
    """Return "read" or "refused"; fail where the tool reads what the form does not say."""
    try:
        prices = read_prices("-", stdin=io.BytesIO(packed), today=date(2026, 1, 1))
    except LstmcliError as error:
        prices = []
        if "\n" in str(error):
            raise
    try:
        table = opened(packed)
        if len(table.head[0]) != 5:
            return "refused"
        found = table.read([0, 4], [1, 2, 3])
    except LstmcliError:
        return "refused"
    # A whole number has no mark, so that a first one may be either.
    other = replace(form, decimal=OTHER[form.decimal], thousands="")
    forms = [form] if form.shows_marks else [form, other]
    expected = dict(list(lines_of(data, form))[1:])
    left_out = [note for note in table.notes if note.startswith("Left out")]
    if len(expected) < 2:
        return "read"  # one row shows no form
    missing = [number for number in expected if number not in found.lines]
    assert not missing or (left_out and missing == list(expected)[-len(missing) :]), missing
    days = [str(day or "") for day in found.texts[0].to_pylist()]
    for row, number in enumerate(found.lines.tolist()):
        [fields] = csv.reader([expected[number]], delimiter=form.sep)
        where = (number, expected[number])
        assert len(fields) == 5, where
        assert days[row] in (fields[0], fields[0].strip()), where
        assert (found.texts[1][row].as_py() or "") in (fields[4], fields[4].strip()), where
        for k in range(3):
            text, value = fields[1 + k], found.numbers[row, k]
            read = [each.value(text, form.scaled and k == 2) for each in forms]
            same = [
                np.array_equal(value, each, equal_nan=True) for each in read if each is not None
            ]
            assert any(same), (*where, text, value, read)
    closes = [(day_of(day), value) for day, value in zip(days, found.numbers[:, 1], strict=True)]
    for day, close in prices[0].frame["Close"].items() if len(prices) == 1 else ():
        assert (str(day)[:10], close) in closes, (day, close)
    return "read"


def day_of(text: str) -> str:
    """Return an ISO date with two digits of the month and of the day."""
    parts = re.match(r" *(\d{4})-(\d{1,2})-(\d{1,2})", text)
    return "-".join(each.zfill(2) for each in parts.groups()) if parts else text


def one_file(chance: Random) -> str:
    form = Form.draw(chance)
    data = form.write(chance).encode("utf-8" if "16" in form.encoding else form.encoding)
    data = mutate(data, chance)
    if "16" in form.encoding:  # a byte more or less would make another text of all below it
        data = data.decode(errors="replace").encode(form.encoding)
    try:
        return check(data, chance.choice(PACKERS)(data), form)
    except Exception as error:
        raise AssertionError(f"{error!r}, {form}, {data!r}") from error


def test_some_mutated_files_are_read_as_written_or_refused() -> None:
    found = outcomes(one_file, 0, 400)
    assert min(found["read"], found["refused"]) > 40, found


@pytest.mark.slow
def test_twenty_thousand_mutated_files_are_read_as_written_or_refused() -> None:
    """Print how many of the files are read; the others are refused."""
    print(outcomes(one_file, 400, 20_000))
