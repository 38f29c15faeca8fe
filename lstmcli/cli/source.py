"""From the shared options to the source of a run's prices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli.errors import FileError, UsageError
from lstmcli.market.symbols import read_symbols, split_symbols

if TYPE_CHECKING:
    from lstmcli.workflows.source import Source

_MOST_CHARACTERS = 1_000_000


def make_source(
    symbols: Sequence[str] | None,
    data_dir: Path,
    csv: Sequence[str] | None,
    symbols_file: str | None,
    sep: str,
    decimal: str,
    strict: bool,
    start: datetime | None = None,
) -> Source:
    """Gather what the options say about the prices."""
    from lstmcli.workflows.source import Source

    return Source(
        data_dir=data_dir,
        today=datetime.now(UTC).date(),
        symbols=all_symbols(symbols, symbols_file, split=not csv),
        csv=tuple(csv or ()),
        sep=sep,
        decimal=decimal,
        strict=strict,
        start=start and start.date(),
        stdin=None if sys.stdin is None or sys.stdin.closed else sys.stdin.buffer,
    )


def all_symbols(
    symbols: Sequence[str] | None, symbols_file: str | None, *, split: bool = True
) -> tuple[str, ...]:
    """Return the symbols of the command line and of the file, each once.

    split : take `AAPL,MSFT` for two; the names of series in a file may hold commas.
    """
    named = split_symbols(symbols or ()) if split else symbols or ()
    listed = [] if symbols_file is None else read_symbols(_lines(symbols_file))
    return tuple(dict.fromkeys([*named, *listed]))


def _lines(symbols_file: str) -> list[str]:
    try:
        if symbols_file == "-":
            # A standard input that the caller has closed holds no symbols.
            text = "" if sys.stdin is None else sys.stdin.read(_MOST_CHARACTERS + 1)
        else:
            with open(symbols_file, encoding="utf-8-sig") as file:
                text = file.read(_MOST_CHARACTERS + 1)
    except OSError as error:
        raise FileError(
            "cannot read the symbols", where=symbols_file, why=error.strerror or str(error)
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError("not a list of symbols", where=symbols_file, why=str(error)) from error
    if len(text) > _MOST_CHARACTERS:
        why = f"it has more than {_MOST_CHARACTERS} characters"
        raise UsageError("not a list of symbols", where=symbols_file, why=why)
    return text.splitlines()
