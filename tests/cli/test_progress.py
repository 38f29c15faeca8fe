"""Progress: a bar on a terminal alone, and lines with --verbose."""

import io
import sys

import pytest

from lstmcli.console.progress import show_backtest, show_symbols
from tests.report.screens import Terminal


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
)
def test_symbols_that_are_done_are_counted_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written = stream()
    monkeypatch.setattr(sys, "stderr", written)
    with show_symbols(3, quiet=quiet) as advance:
        for _ in range(3):
            advance()
    assert ("3/3" in written.getvalue()) == shown


def test_windows_that_are_done_have_no_line_even_with_verbose(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with show_backtest(quiet=False, verbose=True) as done:
        done()
    assert capsys.readouterr() == ("", "")
