"""From --config, --set and the options that stand for a setting to the settings of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli.errors import UsageError, file_errors
from lstmcli.market.symbols import read_symbols, split_symbols

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.learning.transfer import Donor
    from lstmcli.workflows.prices import Source


def settings_of(
    config: str,
    overrides: Sequence[str] | None,
    source: Source,
    *,
    seed: int | None,
    device: str | None,
    threads: int | None,
) -> tuple[Settings, Source]:
    """Read the recipe and change it, by --set last: a value of its own may be the environment's.

    Dates given with --set hold for data that the command names too; the recipe's do not.
    """
    options = {
        "data.start": source.start,
        "train.seed": seed,
        "train.device": device,
        "train.threads": threads,
    }
    named = [f"{key}={value}" for key, value in options.items() if value is not None]
    from lstmcli.recipes import load_settings

    settings = load_settings(config, [*named, *(overrides or ())], own_data=source.names_data)
    return settings, replace(source, start=settings.data.start, end=settings.data.end)


def recipe_of(config: str | None, donor: Donor | None) -> tuple[str, str]:
    """Return the recipe and what a model of it is called: the donor's where none was asked for."""
    if config is None and donor is not None:
        return str(donor.recipe), donor.reference.name
    recipe = "default" if config is None else config
    return recipe, Path(recipe).stem


if TYPE_CHECKING:
    from lstmcli.workflows.prices import Source

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
    from lstmcli.workflows.prices import Source

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
        with file_errors("cannot read the symbols", symbols_file, ""):
            if symbols_file == "-":
                # A standard input that the caller has closed holds no symbols.
                text = "" if sys.stdin is None else sys.stdin.read(_MOST_CHARACTERS + 1)
            else:
                with open(symbols_file, encoding="utf-8-sig") as file:
                    text = file.read(_MOST_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise UsageError("not a list of symbols", where=symbols_file, why=str(error)) from error
    if len(text) > _MOST_CHARACTERS:
        why = f"it has more than {_MOST_CHARACTERS} characters"
        raise UsageError("not a list of symbols", where=symbols_file, why=why)
    return text.splitlines()
