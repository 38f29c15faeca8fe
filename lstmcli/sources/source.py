"""Where a run's prices come from: the files or symbols asked for, else those the recipe names."""

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
    """Where a run's prices come from.

    csv : files as `FILE` or `NAME=FILE`, `-` for `stdin`; they or `symbols` alone take the place
        of the recipe's data, with its dates.
    reading : how the files are read where they do not say so themselves.
    around : see `market.bar_checks.usable_rows`; None where every row must be usable.
    symbols : columns or names in the files, or symbols in the store where there is no file.
    start, end : the first and the last day used of these.
    only : series chosen among the recipe's own data, in capitals.
    tables : tables in memory with their names, read like files, before them. own : whether they
        are the data of the model, whose dates hold for them.
    read : the prices themselves where they have been read, in place of the files or symbols.
    others : series that only inputs are made of, read with them.
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
        """Whether it replaces the recipe's data."""
        return bool(self.csv or self.symbols or self.tables) and not self.own

    @property
    def is_read(self) -> bool:
        """Whether it names files or tables, so that no price comes from the store."""
        return bool(self.csv or self.tables)


def doubtful_folders(source: Source, interval: str) -> tuple[Path, ...]:
    """Return the folders that prices of the store are read from, for `warn_ownership`."""
    return () if source.is_read else price_folders(source.data_dir, interval)


def settings_for(source: Source, settings: Settings) -> Settings:
    """Leave out the recipe's dates where the source names data, which they are not of."""
    return (
        settings.changed(evaluate=dict.fromkeys(("start", "end")))
        if source.names_data
        else settings
    )


def chosen_settings(recipe: str, source: Source, changes: Sequence[str]) -> tuple[Settings, Source]:
    """Return a recipe's settings with `KEY=VALUE` changes, and the source as they have it.

    Dates given as changes apply to data that the source names too; the recipe's do not.
    """
    given = {"data.start": source.start, **source.reading.as_toml()}
    first = [f"{key}={value}" for key, value in given.items() if value is not None]
    settings = load_settings(recipe, [*first, *changes], own_data=source.names_data)
    return settings, dated(source, settings.data)


def chosen_data(source: Source, data: Data) -> Data:
    """Return the data that a run uses: those of the source, if it names any, else the recipe's."""
    if not source.names_data:
        changes: dict[str, Any] = {"start": source.start} if source.start else {}
        changes |= source.reading.facts()
        named = any(parse_csv_option(entry)[0] for entry in data.csv)
        if source.only and not named:  # otherwise all are read, and the others dropped
            own = tuple(each for each in data.symbols if each.upper() in source.only)
            changes["symbols"] = own or source.only
        return data.model_copy(update=changes)
    names = ("csv", "symbols", "start", "end")
    changes = {name: getattr(source, name) for name in names} | vars(source.reading)
    return data.model_copy(update=changes)


def dated(source: Source, data: Data) -> Source:
    """Return a source with the dates of a recipe, and with its way of reading files."""
    return replace(source, start=data.start, end=data.end, reading=reading_of(data))


def reading_of(data: Data) -> Reading:
    """Return how the files of a recipe's data are read."""
    return Reading(
        data.sep, data.decimal, dict(data.columns.items()), data.date_format, data.resample
    )


def lasting_data(source: Source, data: Data, interval: str) -> Data:
    """Name the data that a run used so that it can be repeated from any folder.

    interval : of the bars. The store will be asked for such ones, whatever they came from.
    """
    data = chosen_data(source, data)
    lasting = {"csv": tuple(map(_absolute, data.csv))}
    stored = {"interval": interval} if interval in INTERVALS else {}
    return data.model_copy(update=lasting | stored)


def _absolute(entry: str) -> str:
    name, file = parse_csv_option(entry)
    path = file if file == "-" else str(Path(file).absolute())
    return path if name is None else f"{name}={path}"
