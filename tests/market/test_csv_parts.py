"""The vectorised parts of the CSV reader against slow, obvious twins."""

import re
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.market.csv_bytes import Block
from lstmcli.market.csv_dates import parse_stamps
from lstmcli.market.csv_ending import refuse_cut_ending
from lstmcli.market.csv_fields import split_fields
from lstmcli.market.csv_numbers import MISSING, parse_numbers

ISO = re.compile(r"\d{4}-\d{2}-\d{2}", re.A)
FIELD = st.text("01x.- ", max_size=5)


def block(lines: list[str]) -> Block:
    return Block("".join(line + "\n" for line in lines).encode(), 1)


@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=8), st.integers(2, 4))
def test_fields_are_those_of_split(rows: list[list[str]], n_fields: int) -> None:
    lines = [",".join(row) for row in rows]
    wanted = [(i, line.split(",")) for i, line in enumerate(lines, 1) if line]
    wrong = [i for i, fields in wanted if len(fields) != n_fields]
    if wrong:
        with pytest.raises(DataError, match=rf"x line {wrong[0]}\)"):
            split_fields(block(lines), ",", n_fields, "x")
        return
    found = split_fields(block(lines), ",", n_fields, "x")
    assert found.lines.tolist() == [i for i, _ in wanted]
    texts = [[found.field(row, i) for i in range(n_fields)] for row in range(found.lines.size)]
    assert texts == [fields for _, fields in wanted]


@given(st.lists(st.tuples(FIELD, st.text("01,;x", max_size=4)), min_size=1, max_size=8))
def test_quoted_fields_are_those_without_quotes(rows: list[tuple[str, str]]) -> None:
    lines = [f'"{one}","{other}"' for one, other in rows]
    found = split_fields(block(lines), ",", 2, "x")
    texts = [(found.field(row, 0), found.field(row, 1)) for row in range(found.lines.size)]
    assert texts == rows


@given(
    st.lists(
        st.one_of(st.dates(date(1678, 1, 1), date(2261, 12, 31)).map(str), st.just("")),
        min_size=1,
        max_size=9,
    )
)
def test_dates_are_those_of_the_standard_library(texts: list[str]) -> None:
    fields = split_fields(block([f"{text},1" for text in texts]), ",", 2, "x")
    found = parse_stamps(fields, 0, "x").days
    expected = [date.fromisoformat(text) if text else None for text in texts]
    assert found.astype(object).tolist() == expected


@given(st.text("0123456789-", min_size=1, max_size=11) | st.from_regex(ISO, fullmatch=True))
def test_only_iso_dates_are_dates(text: str) -> None:
    fields = split_fields(block([f"{text},1"]), ",", 2, "x")
    try:
        expected = date.fromisoformat(text) if ISO.fullmatch(text) else None
    except ValueError:
        expected = None
    if expected is None or not 1678 <= expected.year <= 2261:
        with pytest.raises(DataError, match="bad date"):
            parse_stamps(fields, 0, "x")
    else:
        assert parse_stamps(fields, 0, "x").days[0] == np.datetime64(expected)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=9))
def test_numbers_are_exact(values: list[float]) -> None:
    fields = split_fields(block([f"{value!r},x" for value in values]), ",", 2, "x")
    found = parse_numbers(fields, [0], ["Close", "Name"], ".", "x")
    assert found[:, 0].tolist() == values


@given(st.text("0123456789.eE+-_ ,infINFxTrue", min_size=1, max_size=6))
def test_a_number_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        expected = float(text)
    except ValueError:
        expected = None
    if "_" in text or text.strip() in MISSING:
        return
    fields = split_fields(block([f'2024-01-02,"{text}"'] * 2), ",", 2, "x")
    try:
        found = parse_numbers(fields, [1], ["Date", "Close"], ".", "x")[0, 0]
    except DataError:
        assert expected is None or np.isnan(expected)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("last", "others"),
    [
        ("1.", ["1.5", "2.5"]),
        ("1.5e", ["1.5", "2.5"]),
        ("-", ["1.5"]),
        ("", ["1.5", "2.5"]),
        ("20", ["2043.9", "2043.0"]),
        ("204", ["2043", "2043"]),
        ("2043.9", ["2043.94", "2041.12"]),
        ("2043", ["2043.94", "2041.12"]),
        ("0", ["0.84", "0.85"]),
        ("1.2e-0", ["1.2e-05", "1.3e-05"]),
    ],
)
def test_an_ending_that_may_be_cut_is_refused(last: str, others: list[str]) -> None:
    with pytest.raises(DataError, match="the last line may be cut"):
        refuse_cut_ending([*others, last], ".", "x")


@pytest.mark.parametrize(
    ("last", "others"),
    [
        ("2043.94", ["2043.12", "2041.12"]),
        ("2044", ["2043", "2041"]),
        ("2043.9412345678", ["2043.12345678901", "2041.1"]),
        ("", ["1.5", ""]),
        ("7", []),
        ("1500", ["2000", "2100"]),
    ],
)
def test_an_ending_that_looks_whole_is_accepted(last: str, others: list[str]) -> None:
    refuse_cut_ending([*others, last], ".", "x")
