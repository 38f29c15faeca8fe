"""Tables fit every output without losing rows or digits; formats of figures."""

import math
import sys
from collections.abc import Sequence

import pytest
from rich.console import RenderableType

from lstmcli.report.output import print_tables, tables_text
from lstmcli.report.tables import (
    BAD,
    NextSteps,
    Prose,
    fact_table,
    in_prose,
    make_table,
    move,
    number,
    percent,
    price,
    record_table,
    styled,
)
from tests.report.screens import Terminal, shown
from tests.rows import for_each

NUMBERS = [f"{10**12 + column}.123456" for column in range(12)]
TABLES: Sequence[RenderableType] = (
    make_table(
        "A title that is longer than its table " * 5,
        ["", *"abcdefghijkl"],
        [["row", *NUMBERS]],
    ),
    "A line of words after it.",
)


@for_each("columns", [10, 20, 80, 1000])
def test_a_table_fits_the_terminal_and_no_number_is_cut(columns: int) -> None:
    lines = shown(TABLES, columns)
    assert lines[0].startswith("A title")
    left = next(each for each in range(12, -1, -1) if 3 + 23 * each <= max(columns, 3))
    end = next(place for place, line in enumerate(lines) if line.startswith("row"))
    assert lines[end].split() == ["row", *NUMBERS[:left]]
    assert lines[end - 1].split() == list("abcdefghijkl")[:left]
    assert not [line for line in lines if line.endswith(" ")]


def test_a_pipe_gets_the_whole_table() -> None:
    assert shown(TABLES, None)[2].split() == ["row", *NUMBERS]


def test_rows_give_each_cell_by_its_heading() -> None:
    table = record_table("", [{"Name": "a", "Last": 1}, {"Name": "b", "First": 2, "Last": None}])
    assert shown([table], 80) == ["Name  Last  First", "a        1      -", "b        -      2", ""]


def test_named_columns_are_dropped_first_then_texts_are_shortened() -> None:
    rows = [["a name of some length", "1.00", "2.00", "3.00"]]
    table = make_table("", ["Name", "A", "B", "C"], rows, drop=["B", "A"])
    assert shown([table], 39)[0].split() == ["Name", "A", "B", "C"]
    assert shown([table], 38)[0].split() == ["Name", "A", "C"]
    narrow = shown([table], 25)
    assert narrow[0].split() == ["Name", "C"]
    assert narrow[1] == "a name of some len\u2026  3.00"


def test_no_number_is_cut_if_an_inner_column_is_dropped() -> None:
    rows = [["a", "2026-11-25", "100.00 to 200.00", "60 %"]]
    table = make_table("", ["Name", "Date", "Range", "Up"], rows, drop=["Date"])
    assert shown([table], 32) == [
        "Name             Range    Up",
        "a     100.00 to 200.00  60 %",
        "",
    ]


def test_a_terminal_without_utf_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    stream.encoding = "latin-1"
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("NO_COLOR", "1")
    print_tables([make_table("", [""], [["\u2713"], [styled("\u2717", BAD)]]), "\u2588"])
    assert stream.getvalue().split() == ["+", "x", "#"]


def test_a_sentence_keeps_a_figure_with_its_unit() -> None:
    said = Prose("Less error, which may be chance (p = 0.41), on 24 forecasts of 5 %.", indent=2)
    assert shown([said], 38) == [
        "  Less error, which may be chance",
        "  (p = 0.41), on 24 forecasts of 5 %.",
    ]
    assert max(map(len, shown([said], 200))) <= 80


def test_the_note_below_a_table_is_wrapped_even_if_piped() -> None:
    table = make_table("", ["a", "b"], [["row", "1"]])
    table.note = "It says what the figures above rest on. " * 4 + "\nAnd another line."
    *_, first, second, third, last, end = shown([table], None)
    assert max(map(len, (first, second, third))) <= 80
    assert (last, end) == ("And another line.", "")


def test_sentences_between_tables_are_wrapped_and_tables_are_not() -> None:
    parts = [TABLES[0], "", "A sentence that goes on and on. " * 5]
    lines = shown(list(in_prose(parts)), None)
    row = next(line for line in lines if line.startswith("row"))
    assert row.count(".123456") == len(NUMBERS)
    sentence = lines[lines.index(row) + 1 :]
    assert len(list(filter(None, sentence))) == 2
    assert max(map(len, sentence)) <= 80


def test_text_for_a_file_is_plain_and_square_brackets_are_no_markup() -> None:
    text = tables_text([make_table("[bold]title[/bold]", ["Symbol"], [["[red]X"]]), "[/nothing]"])
    assert text.splitlines() == ["[bold]title[/bold]", "Symbol", "[red]X", "", "[/nothing]"]


def test_next_steps_are_for_a_terminal() -> None:
    steps = [NextSteps("lstmcli predict AAPL", "lstmcli evaluate AAPL")]
    assert shown(steps, 80) == ["Next: lstmcli predict AAPL   lstmcli evaluate AAPL"]
    assert shown(steps, 40) == ["Next: lstmcli predict AAPL", "      lstmcli evaluate AAPL"]
    assert shown(steps, None) == []
    assert tables_text(steps) == ""


def test_a_long_fact_wraps_within_its_column() -> None:
    facts = [fact_table([("Data", "AAPL, MSFT"), ("Device", "CPU")])]
    assert shown(facts, 80) == ["  Data    AAPL, MSFT", "  Device  CPU"]
    assert shown(facts, 16) == ["  Data    AAPL,", "          MSFT", "  Device  CPU"]


@for_each(
    ("text", "expected"),
    [
        (price(2901.519999), "2,901.52"),
        (price(1234567.891), "1,234,567.89"),
        (price(10.0), "10.00"),
        (price(9.876543), "9.87654"),
        (price(0.00001234), "1.234e-05"),
        (percent(0.034751, 3), "3.475 %"),
        (percent(0.5, 0), "50 %"),
        (percent(0.041, 1, sign=True), "+4.1 %"),
        (percent(-0.041, 1, sign=True), "-4.1 %"),
        (percent(-0.0004, 1, sign=True), "0.0 %"),
        (percent(None), "-"),
        (percent(math.nan), "-"),
        (number(5.5741), "5.574"),
        (number(None), "-"),
        (move(math.log(1.05)), "+5.00 %"),
        (move(math.log(0.5)), "-50.00 %"),
        (move(None), "-"),
    ],
)
def test_figures_are_rounded_or_a_dash(text: str, expected: str) -> None:
    assert text == expected
