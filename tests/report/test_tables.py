"""Tables are whole, whatever they are printed on."""

import io
import re
import sys

import pytest
from rich.console import RenderableType

from lstmcli.report.output import print_tables, tables_text
from lstmcli.report.tables import BAD, NextSteps, Prose, fact_table, in_prose, make_table, styled

NUMBERS = [f"{10**12 + column}.123456" for column in range(12)]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(
    tables: list[RenderableType], stream: io.StringIO, columns: int, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_tables(tables)
    return re.sub("\x1b[^m]*m", "", stream.getvalue()).splitlines()


@pytest.fixture
def tables() -> list[RenderableType]:
    rows = [["row", *NUMBERS]]
    table = make_table("A title that is longer than its table " * 5, ["", *"abcdefghijkl"], rows)
    return [table, "A line of words after it."]


@pytest.mark.parametrize("columns", [10, 20, 80, 1000])
@pytest.mark.parametrize("term", ["xterm", "dumb", ""])
def test_a_table_fits_the_terminal_and_no_number_is_cut(
    tables: list[RenderableType], columns: int, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    lines = printed(tables, Terminal(), columns, monkeypatch)
    assert lines[0].startswith("A title")
    shown = next(each for each in range(12, -1, -1) if 3 + 23 * each <= max(columns, 3))
    end = next(place for place, line in enumerate(lines) if line.startswith("row"))
    assert lines[end].split() == ["row", *NUMBERS[:shown]]
    assert lines[end - 1].split() == list("abcdefghijkl")[:shown]
    assert not [line for line in lines if line.endswith(" ")]


def test_a_pipe_gets_the_whole_table(
    tables: list[RenderableType], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(tables, io.StringIO(), 20, monkeypatch)
    assert lines[2].split() == ["row", *NUMBERS]


def test_named_columns_go_first_then_words_are_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["a name of some length", "1.00", "2.00", "3.00"]]
    table = make_table("", ["Name", "A", "B", "C"], rows, drop=["B", "A"])
    assert printed([table], Terminal(), 39, monkeypatch)[0].split() == ["Name", "A", "B", "C"]
    assert printed([table], Terminal(), 38, monkeypatch)[0].split() == ["Name", "A", "C"]
    narrow = printed([table], Terminal(), 25, monkeypatch)
    assert narrow[0].split() == ["Name", "C"]
    assert narrow[1] == "a name of some len\u2026  3.00"


def test_no_number_is_cut_where_an_inner_column_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["a", "2026-11-25", "100.00 to 200.00", "60 %"]]
    table = make_table("", ["Name", "Date", "Range", "Up"], rows, drop=["Date"])
    assert printed([table], Terminal(), 32, monkeypatch) == [
        "Name             Range    Up",
        "a     100.00 to 200.00  60 %",
        "",
    ]


def test_a_terminal_without_utf_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    stream.encoding = "latin-1"
    table = make_table("", [""], [["\u2713"], [styled("\u2717", BAD)]])
    assert printed([table, "\u2588"], stream, 80, monkeypatch) == ["+", "x", "", "#"]


def test_a_sentence_keeps_a_figure_with_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Prose("Less error, which may be chance (p = 0.41), on 24 forecasts of 5 %.", indent=2)
    stream = Terminal()
    stream.encoding = "latin-1"
    assert printed([said], stream, 38, monkeypatch) == [
        "  Less error, which may be chance",
        "  (p = 0.41), on 24 forecasts of 5 %.",
    ]
    assert max(map(len, printed([said], Terminal(), 200, monkeypatch))) <= 80


def test_the_note_below_a_table_is_wrapped_also_where_it_is_piped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = make_table("", ["a", "b"], [["row", "1"]])
    table.note = "It says what the figures above rest on. " * 4 + "\nAnd another line."
    *_, first, second, third, last, end = printed([table], io.StringIO(), 80, monkeypatch)
    assert max(map(len, (first, second, third))) <= 80
    assert (last, end) == ("And another line.", "")


def test_sentences_between_tables_are_wrapped_and_tables_are_not(
    tables: list[RenderableType], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [*tables[:1], "", "A sentence that goes on and on. " * 5]
    lines = printed(list(in_prose(parts)), io.StringIO(), 80, monkeypatch)
    row = next(line for line in lines if line.startswith("row"))
    assert row.count(".123456") == len(NUMBERS)
    sentence = lines[lines.index(row) + 1 :]
    assert len(list(filter(None, sentence))) == 2
    assert max(map(len, sentence)) <= 80


def test_text_for_a_file_is_plain_ascii(tables: list[RenderableType]) -> None:
    text = tables_text(tables)
    assert text.isascii()
    assert "\x1b" not in text
    assert text.endswith("A line of words after it.\n")


def test_square_brackets_are_words_and_no_markup() -> None:
    table = make_table("[bold]title[/bold]", ["Symbol"], [["[red]X"]])
    text = tables_text([table, "[/nothing]"])
    for words in ("[bold]title[/bold]", "[red]X", "[/nothing]"):
        assert words in text


def test_next_steps_are_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[RenderableType] = [NextSteps("lstmcli predict AAPL", "lstmcli evaluate AAPL")]
    line = "Next: lstmcli predict AAPL   lstmcli evaluate AAPL"
    assert printed(steps, Terminal(), 80, monkeypatch) == [line]
    narrow = printed(steps, Terminal(), 40, monkeypatch)
    assert narrow == ["Next: lstmcli predict AAPL", "      lstmcli evaluate AAPL"]
    assert printed(steps, io.StringIO(), 80, monkeypatch) == []
    assert tables_text(steps) == ""


def test_a_long_fact_goes_on_below_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: list[RenderableType] = [fact_table([("Data", "AAPL, MSFT"), ("Device", "CPU")])]
    assert printed(facts, Terminal(), 80, monkeypatch) == ["  Data    AAPL, MSFT", "  Device  CPU"]
    narrow = printed(facts, Terminal(), 16, monkeypatch)
    assert narrow == ["  Data    AAPL,", "          MSFT", "  Device  CPU"]
