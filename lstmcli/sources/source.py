"""The source of a run's prices: requested files or symbols, else those of the recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import IO, Any

from lstmcli.config import Data, Settings
from lstmcli.errors import Failure
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.market.symbols import INTERVALS, price_folders
from lstmcli.market.tables import parse_csv_option
from lstmcli.reading.raw import RawTable
from lstmcli.recipes import load_settings


@dataclass(frozen=True)
class Source:
    """The source of a run's prices.

    csv : files as `FILE` or `NAME=FILE`, `-` for `stdin`; they, or `symbols` alone, replace the
        recipe's data and dates.
    reading : options for reading files, for properties that cannot be detected.
    around : see `market.bar_checks.usable_rows`; None if every row must be usable.
    symbols : columns or names in the files, or symbols in the store if there are no files.
    start, end : the first and the last day to use.
    only : a selection from the recipe's own data, in capitals.
    tables : named tables in memory, read like files, before them. own : whether they are the
        model's own data, so that its dates apply.
    read : prices that have already been read, in place of files or symbols.
    others : series used only for inputs, read with them.
    """

    data_dir: Path
    today: date
    symbols: tuple[str, ...] = ()
    csv: tuple[str, ...] = ()
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    strict: bool = False
    stdin: IO[bytes] | None = None
    start: date | None = None
    end: date | None = None
    around: date | None = None
    only: tuple[str, ...] = ()
    tables: tuple[tuple[str | None, RawTable], ...] = ()
    own: bool = False
    read: tuple[Prices | Failure, ...] | None = None
    others: tuple[Prices, ...] = ()

    @property
    def names_data(self) -> bool:
        """Return whether it replaces the recipe's data."""
        return bool(self.csv or self.symbols or self.tables) and not self.own

    @property
    def is_read(self) -> bool:
        """Return whether it names files or tables, so that the store is not read."""
        return bool(self.csv or self.tables)


def doubtful_folders(source: Source, interval: str) -> tuple[Path, ...]:
    """Return the folders of stored prices to read, for `warn_ownership`."""
    return () if source.is_read else price_folders(source.data_dir, interval)


def settings_for(source: Source, settings: Settings) -> Settings:
    """Return the settings without the recipe's dates if the source names other data."""
    return (
        settings.changed(evaluate=dict.fromkeys(("start", "end")))
        if source.names_data
        else settings
    )


def chosen_settings(recipe: str, source: Source, changes: Sequence[str]) -> tuple[Settings, Source]:
    """Return a recipe's settings with `KEY=VALUE` changes, and the source adjusted to them.

    Dates among the changes also apply to data that the source names; dates of the recipe do not.
    """
    given = {"data.start": source.start, **source.reading.as_toml()}
    first = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = load_settings(recipe, [*first, *changes], own_data=source.names_data)
    return settings, dated(source, settings.data)


def chosen_data(source: Source, data: Data) -> Data:
    """Return the data of a run: those of the source if it names any, else the recipe's."""
    if not source.names_data:
        changes: dict[str, Any] = {"start": source.start} if source.start else {}
        changes |= source.reading.facts()
        named = any(parse_csv_option(entry)[0] for entry in data.csv)
        if source.only and not named:  # for files all are read, and the others dropped later
            own = tuple(each for each in data.symbols if each.upper() in source.only)
            changes["symbols"] = own or source.only
        return data.model_copy(update=changes)
    names = ("csv", "symbols", "start", "end")
    changes = {name: getattr(source, name) for name in names} | vars(source.reading)
    return data.model_copy(update=changes)


def dated(source: Source, data: Data) -> Source:
    """Return a source with the dates and file-reading options of a recipe."""
    return replace(source, start=data.start, end=data.end, reading=reading_of(data))


def reading_of(data: Data) -> Reading:
    """Return the options for reading the files of a recipe's data."""
    return Reading(
        data.sep, data.decimal, dict(data.columns.items()), data.date_format, data.resample
    )


def lasting_data(source: Source, data: Data, interval: str) -> Data:
    """Describe a run's data so that it can be repeated from any folder.

    interval : of the bars, which a repeated run reads from the store.
    """
    data = chosen_data(source, data)
    lasting = {"csv": tuple(map(_absolute, data.csv))}
    stored = {"interval": interval} if interval in INTERVALS else {}
    return data.model_copy(update=lasting | stored)


def _absolute(entry: str) -> str:
    name, file = parse_csv_option(entry)
    path = file if file == "-" else str(Path(file).absolute())
    return path if name is None else f"{name}={path}"
