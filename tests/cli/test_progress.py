"""The bar of symbols: on a terminal alone."""

import io
import sys

import pytest

from lstmcli.console.progress import show_symbols


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


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
