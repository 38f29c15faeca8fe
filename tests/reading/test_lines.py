"""Lines of a CSV, compared with slow and simple implementations."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.reading.lines import Lines, why_cut
from lstmcli.reading.numerals import MISSING
from tests.rows import for_each

FIELD = st.text("01x.- ", max_size=5)


def of(text: str, n_fields: int = 2, first_line: int = 1) -> Lines:
    names = ["Date", "Close", "Name", "Sector"][:n_fields]
    marks = ("x", "CSV", ",", ".")
    return Lines(text.encode(), names, [0], range(1, n_fields), *marks, first_line=first_line)


def fields_of(lines: list[str], n_fields: int) -> list[list[str]]:
    text = "".join(line + "\n" for line in lines)
    columns = of(text, n_fields).read_texts().columns
    return [list(row) for row in zip(*(each.to_pylist() for each in columns), strict=True)]


@given(st.lists(st.lists(FIELD, min_size=1, max_size=4), min_size=1, max_size=8), st.integers(2, 4))
def test_fields_are_those_of_split(rows: list[list[str]], n_fields: int) -> None:
    lines = [",".join(row) for row in rows]
    wanted = [(i, line.split(",")) for i, line in enumerate(lines, 1) if line]
    wrong = [i for i, fields in wanted if len(fields) != n_fields]
    if wrong:
        with pytest.raises(DataError, match=rf"x line {wrong[0]}\)"):
            of("\n".join([*lines, ""]), n_fields).read()
    elif wanted:
        assert fields_of(lines, n_fields) == [fields for _, fields in wanted]


@given(st.lists(st.tuples(FIELD, st.text("01,;x", max_size=4)), min_size=1, max_size=8))
def test_quoted_fields_are_those_without_quotes(rows: list[tuple[str, str]]) -> None:
    lines = [f'"{one}","{other}"' for one, other in rows]
    assert fields_of(lines, 2) == [list(row) for row in rows]


@given(st.text('1,"\n', max_size=12))
def test_quotes_are_only_allowed_around_whole_fields(text: str) -> None:
    field = r'(?:[^",\n]*|"(?:[^"\n]|"")*")'
    lines = text.split("\n")
    wrong = [
        i for i, line in enumerate(lines, 7) if not re.fullmatch(f"{field}(?:,{field})*", line)
    ]
    if wrong:
        with pytest.raises(DataError, match=rf"misplaced quote \(x line {wrong[0]}\)"):
            of(text, first_line=7).refuse_misplaced_quotes()
    else:
        of(text, first_line=7).refuse_misplaced_quotes()


@given(st.lists(st.sampled_from(["2024-01-02,1", ""]), max_size=9), st.sampled_from(["", "\n"]))
def test_blank_lines_count_in_line_numbers(lines: list[str], end: str) -> None:
    text = "\n".join([*lines, "2024-01-03,2"]) + end
    wanted = [number for number, line in enumerate(text.split("\n"), 5) if line]
    assert of(text, first_line=5).read().lines.tolist() == wanted


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=9))
def test_numbers_are_exact(values: list[float]) -> None:
    text = "".join(f"2024-01-02,{value!r}\n" for value in values)
    assert of(text).read().numbers[:, 0].tolist() == values


@given(st.text("0123456789.eE+-_ ,infINFxTrue", min_size=1, max_size=6))
def test_a_number_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        expected = float(text)
    except ValueError:
        expected = None
    if "_" in text or text.strip() in MISSING:
        return
    lines = f'2024-01-02,"{text}"\n' * 2
    try:
        found = of(lines).read().numbers[0, 0]
    except DataError:
        assert expected is None or np.isnan(expected)
    else:
        assert found == expected


@for_each("text", ["nan(1)", "-nan", "0x10", "1_000", "1d5"])
def test_numbers_that_only_parsers_accept_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"bad number in column Close \(x line 2\)"):
        of(f"2024-01-02,1\n2024-01-03,{text}\n").read()


@for_each(
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
def test_a_last_line_that_may_be_cut_off_is_refused(last: str, others: list[str]) -> None:
    assert why_cut([*others, last], ".")


@for_each(
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
def test_a_last_line_that_looks_complete_is_accepted(last: str, others: list[str]) -> None:
    assert not why_cut([*others, last], ".")
