"""Tables are whole, whatever they are printed on."""

import io
import sys

import pytest
from rich.console import RenderableType

from lstmcli.report.console import make_table, print_tables, tables_text
from tests.rows import for_each

NUMBERS = [f"{10**12 + column}.123456" for column in range(12)]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def tables() -> list[RenderableType]:
    table = make_table("A title that is longer than its table " * 5, ["", *"abcdefghijkl"])
    table.add_row("row", *NUMBERS)
    return [table, "A line of words after it."]


@for_each("columns", ["10", "20", "80", "1000"])
@for_each("kind", [io.StringIO, Terminal])
@for_each("term", ["xterm", "dumb", ""])
def test_no_number_is_cut(
    tables: list[RenderableType],
    kind: type[io.StringIO],
    columns: str,
    term: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = kind()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", term)
    print_tables(tables)
    lines = stream.getvalue().splitlines()
    assert any(all(number in line for number in NUMBERS) for line in lines)
    assert lines[0].replace("\x1b[1m", "").startswith("A title that is longer than its table A")
    assert "\u2026" not in stream.getvalue()


def test_text_for_a_file_is_plain_ascii(tables: list[RenderableType]) -> None:
    text = tables_text(tables)
    assert text.isascii()
    assert "\x1b" not in text
    assert text.endswith("A line of words after it.\n")


def test_square_brackets_are_words_and_no_markup() -> None:
    table = make_table("[bold]title[/bold]", ["Symbol"])
    table.add_row("[red]X")
    text = tables_text([table, "[/nothing]"])
    for words in ("[bold]title[/bold]", "[red]X", "[/nothing]"):
        assert words in text
