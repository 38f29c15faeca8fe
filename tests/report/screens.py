"""Screens of commands, rendered for terminals of several widths and for a pipe.

screen = screen_of("predict", folder=home)
assert_fits(screen)
lines = shown(screen, 80)
"""

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from rich.cells import cell_len
from rich.console import RenderableType

from lstmcli.report import View, output
from lstmcli.report.tables import FittedTable
from tests.command_line import in_process

WIDTHS = (80, 100, 120, 200)
_COLOURS = re.compile("\x1b[^m]*m")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return True."""
        return True


def screen_of(*command: object, folder: Path) -> list[RenderableType]:
    """Run a command and return its tables and lines."""
    found: list[RenderableType] = []

    def keep(view: View, form: str, file: str | None) -> None:
        found.extend(view.tables())

    with patch.object(output, "emit", keep):
        done = in_process(*command, folder=folder)
    assert done.code == 0, done.err
    return found


def shown(screen: Sequence[RenderableType], columns: int | None) -> list[str]:
    """Return the lines on a terminal of so many columns; None for a pipe."""
    stream = io.StringIO() if columns is None else Terminal()
    environment = {"COLUMNS": str(columns or 80), "TERM": "xterm"}
    with patch.object(sys, "stdout", stream), patch.dict("os.environ", environment):
        output.print_tables(screen)
    return _COLOURS.sub("", stream.getvalue()).splitlines()


def assert_fits(screen: Sequence[RenderableType]) -> None:
    """Check that no line is too long, no row is broken and no line ends in blanks."""
    assert screen
    for columns in (*WIDTHS, None):
        lines = shown(screen, columns)
        assert not [line for line in lines if line != line.rstrip()], columns
        assert columns is None or not [line for line in lines if cell_len(line) > columns], columns
    for table in screen:
        if isinstance(table, FittedTable):
            rows = {len(_rows(table, columns)) for columns in (*WIDTHS, None)}
            assert len(rows) == 1, table.heading


def _rows(table: FittedTable, columns: int | None) -> list[str]:
    """Return the lines of a table without those of its heading."""
    with patch.object(table, "heading", ""):
        return shown([table], columns)
