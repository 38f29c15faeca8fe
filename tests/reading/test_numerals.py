"""Formatted numbers, compared with Python's `float` of the cleaned text."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.reading.numerals import Numerals, Written
from tests.rows import for_each


def of(*columns: list[str], sep: str = ";", decimal: str = "") -> Numerals:
    names = ["Close", "Volume", "Open"][: len(columns)]
    arrays = [pa.array(column, pa.string()) for column in columns]
    lines = np.arange(2, 2 + len(columns[0]))
    return Written(arrays, names, lines, "x", "CSV", decimal, sep).read()


def values(*columns: list[str], sep: str = ";", decimal: str = "") -> list[list[float]]:
    found: list[list[float]] = of(*columns, sep=sep, decimal=decimal).values.T.tolist()
    return found


@for_each(
    ("texts", "expected"),
    [
        (["1,5", "2,25"], [1.5, 2.25]),
        (["1,234", "1,2"], [1.234, 1.2]),
        (["0,123", "1,234"], [0.123, 1.234]),
        (["1.234,5", "2.345,25"], [1234.5, 2345.25]),
        (["1,234.5", "2,345"], [1234.5, 2345.0]),
        (["1.234.567", "999"], [1234567.0, 999.0]),
        (["1'859.50", "999.50"], [1859.5, 999.5]),
        (["1\u2019859,50", "999,50"], [1859.5, 999.5]),
        (["1 859,50", "12\u202f859,50", "1\u00a0000,00"], [1859.5, 12859.5, 1000.0]),
        (["$203.32", "$1,203.32"], [203.32, 1203.32]),
        (["\u20ac 12,50", "\u20ac 1.012,50"], [12.5, 1012.5]),
        (["203.32 USD", "199.30 USD"], [203.32, 199.3]),
        (["12,50 \u20ac", "13,5\u20ac"], [12.5, 13.5]),
        (["GBp 12.5", "GBp 13.5"], [12.5, 13.5]),
        (["US$5.5", "US$6.25"], [5.5, 6.25]),
        (["8.87M", "1.1K", "2B", "-", "0"], [8.87e6, 1.1e3, 2e9, math.nan, 0]),
        (["8,87M", "900K"], [8.87e6, 9e5]),
        (["1e5", "2.5E-3", "inf", "-Infinity"], [1e5, 2.5e-3, math.inf, -math.inf]),
        (["+1.5", "-2.5", " 3.5 "], [1.5, -2.5, 3.5]),
        (
            ["2.5", *("NULL", "null", "#N/A", "N/A", "NaN", "nan", "None", ".", "")],
            [2.5, *[math.nan] * 9],
        ),
    ],
)
def test_an_unambiguous_column_is_read(texts: list[str], expected: list[float]) -> None:
    np.testing.assert_array_equal(values(texts), [expected])


@for_each("sep", [",", ";", "\t", ""])
@for_each("texts", [["1,234", "2,345"], ["1,234,567", "1,234"][1:], ["$1,234", "$2,345"]])
def test_ambiguous_numbers_are_refused_and_the_option_decides(texts: list[str], sep: str) -> None:
    with pytest.raises(DataError, match=r"two readings .*line 2\).*1\.234 or 1234.*--decimal ','"):
        of(texts, sep=sep)
    assert values(texts, sep=sep, decimal=",")[0][0] == 1.234
    assert values(texts, sep=sep, decimal=".")[0][0] == 1234.0


@for_each(
    ("other", "first"),
    [(["12.5", "13.25"], 1234.0), (["12,5", "13,25"], 1.234), (["1,234.5", "2,000.1"], 1234.0),
     (["1.234,5", "2.000,1"], 1.234), (["0.5", "0.25"], 1234.0), (["0,123", "0,234"], 1.234)],
)  # fmt: skip
def test_another_column_decides(other: list[str], first: float) -> None:
    for columns in ((["1,234", "2,345"], other), (other, ["1,234", "2,345"])):
        found = values(*columns)
        assert found[columns.index(["1,234", "2,345"])][0] == first


def test_points_are_decimal_in_comma_separated_files_and_ambiguous_elsewhere() -> None:
    assert values(["1.234", "2.345"], sep=",") == [[1.234, 2.345]]
    assert values(["1.234", "2.345"], sep="") == [[1.234, 2.345]]
    with pytest.raises(DataError, match=r"two readings.*--decimal '\.' for 1\.234"):
        of(["1.234", "2.345"], sep=";")


@for_each(
    ("texts", "line"),
    [
        (["1.5", "1,5"], 3),
        (["1.234,5", "1,234.5"], 2),
        (["1,23,456", "1,234.5"], 2),
        (["1,234.50", "1234.50"], 3),
        (["1.235", "1,236", "1.237"], 3),
        (["1,859.50", "1,860", "1,861.25"], 3),
        (["0,123", "1,234.5"], 2),
        (["$5", "6"], 3),
        (["5 USD", "6 EUR"], 3),
        (["8.87M", "8.87"], 3),
        (["8.87M", "1e5K"], 3),
        (["5 MIO", "6 MIO"], 2),
        (["5%", "6%"], 2),
        (["$ 5", "$8 175"], 3),
        (["(5)", "6"], 2),
        (["1 23", "1 234"], 2),
        (["nan(1)", "2"], 2),
        (["1", "0x10"], 3),
        (["1", "1_000"], 3),
        (["1", "\u0661"], 3),
        (["1", "True"], 3),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_line(texts: list[str], line: int) -> None:
    with pytest.raises(DataError, match=rf"bad number in column Close \(x line {line}\)"):
        of(texts)


@for_each(("decimal", "text"), [(".", "1,5"), (",", "1.5"), (".", "1.234,5"), (",", "1,234.5")])
def test_a_requested_decimal_mark_is_enforced(decimal: str, text: str) -> None:
    other = "," if decimal == "." else "."
    with pytest.raises(DataError, match=f"Pass --decimal '[{other}]'"):
        of([text, "1"], decimal=decimal)


NUMBER = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False)


@given(
    columns=st.lists(
        st.tuples(
            st.lists(NUMBER, min_size=3, max_size=6),
            st.integers(0, 5),
            st.booleans(),
            st.sampled_from(["", "$", "\u20ac ", "EUR ", "CHF"]),
            st.sampled_from(["", " USD", "\u20ac"]),
        ),
        min_size=1,
        max_size=3,
    ),
    point=st.sampled_from([".", ","]),
    sep=st.sampled_from([",", ";", "\t", ""]),
    group=st.sampled_from([None, "'", " "]),
)
def test_any_column_is_read_as_python_reads_it_or_refused(
    columns: list[tuple[list[float], int, bool, str, str]], point: str, sep: str, group: str | None
) -> None:
    # In comma-separated files, 1.000 alone is not a thousand.
    has_places = any(places for _, places, _, _, _ in columns)
    assume(point == "." or sep not in (",", "") or has_places)
    other = "," if point == "." else "."
    marks = str.maketrans({",": group or other, ".": point})
    texts, truth = [], []
    for numbers, places, grouped, prefix, suffix in columns:
        cleaned = [f"{abs(number):.{places}f}" for number in numbers[:3]]
        shown = [f"{float(each):{',' if grouped else ''}.{places}f}" for each in cleaned]
        texts.append([f"{prefix}{each.translate(marks)}{suffix}" for each in shown])
        truth.append([float(each.replace(",", "")) for each in shown])
    try:
        found = values(*texts, sep=sep)
    except DataError as error:
        if "two readings" not in str(error):
            raise
        found = values(*texts, sep=sep, decimal=point)
    assert found == truth
