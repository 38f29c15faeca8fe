"""CSV files of one's own brought into the store, under the same checks as every CSV.

A file replaces a series whole or not at all: rows of two sources are never mixed. To take the place
of Yahoo's bars, or to drop rows that are stored, an option must allow it. How a file is to be read
is stored with its series, so that the next import of the same file needs no options.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, Literal

import pandas as pd

from lstmcli.config import Data
from lstmcli.errors import DataError, Failure, LstmcliError, UsageError, raise_if_all_failed
from lstmcli.market import symbols
from lstmcli.market.columns import Reading
from lstmcli.market.prices import COLUMNS, Prices, as_days
from lstmcli.market.sessions import schedule_of
from lstmcli.market.store import IMPORTED, read_raw, read_sidecar, source_of, write_stored
from lstmcli.market.tables import parse_csv_option
from lstmcli.market.validate import note_last
from lstmcli.printable import Note
from lstmcli.sources.loading import load_prices, with_files
from lstmcli.sources.source import Source


@dataclass(frozen=True)
class Imported:
    """One series that is stored now.

    file : the name of its file. added, removed, changed : rows, against what was stored before.
    """

    symbol: str
    interval: str
    status: Literal["new", "replaced", "unchanged"]
    file: str
    rows: int
    added: int
    removed: int
    changed: int
    first: str
    last: str


@dataclass(frozen=True)
class ImportReport:
    """What was imported, what could not be, and notes."""

    imported: tuple[Imported, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def import_data(
    source: Source,
    *,
    interval: str | None = None,
    overwrite: bool = False,
    wait: float = 0.0,
    now: datetime,
) -> ImportReport:
    """Store every series of the source's CSV files; one that fails leaves what is stored.

    interval : what the files must hold; by default each series' own, as its dates tell.
    overwrite : take the place of what was not imported before, and of more rows.
    Raises UsageError before anything is written, LockedError while another run writes.
    """
    if not source.csv:
        raise UsageError("no files", next_step="Name some: lstmcli data import FILE.")
    for name, _ in map(parse_csv_option, source.csv):
        if name:
            symbols.check_symbol(name)
    symbols.store_folder(source.data_dir)  # refused before any file is read
    files, folder_notes = with_files(Data(csv=source.csv))
    source, notes = replace(source, csv=files.csv), [*folder_notes]
    loaded: list[tuple[Prices, Reading]] = []
    failures: list[Failure] = []
    for words, (reading, entries) in _readings(source).items():
        own = replace(source, csv=tuple(entries))
        part, failed = load_prices(replace(own, reading=reading), Data())
        if failed and reading is not source.reading:  # the files may need no options any more
            plain, still = load_prices(own, Data())
            if not still:
                part, failed, reading = plain, still, source.reading
        loaded += [(prices, reading) for prices in part]
        failures += failed
        if reading is not source.reading:
            notes.append(f"{', '.join(entries)}: read as before, with {words}")
    ready: dict[tuple[str, str], tuple[Prices, Reading]] = {}
    for prices, reading in loaded:
        try:
            kept = replace(prices, symbol=_name(prices), interval=_interval(prices, interval))
        except DataError as error:
            failures.append(Failure.of(prices.symbol, error))
            continue
        if (kept.symbol, kept.interval) in ready:
            step = "Name the files apart: NAME=FILE."
            raise UsageError("a symbol comes twice", where=kept.symbol, next_step=step)
        ready[kept.symbol, kept.interval] = kept, reading
    raise_if_all_failed(len(ready), failures)
    done: list[Imported] = []
    with symbols.hold_store(source.data_dir, wait=wait):
        for prices, reading in ready.values():
            try:
                found, lost = _store(source.data_dir, prices, reading, overwrite, now)
            except LstmcliError as error:
                failures.append(Failure.of(prices.symbol, error))
            else:
                done.append(found)
                notes += [*prices.named_notes(), *lost]
                if unfinished := note_last(prices, now):
                    notes.append(Note.of(prices.symbol, unfinished))
    raise_if_all_failed(len(done), failures)
    return ImportReport(tuple(done), tuple(notes), tuple(failures))


def _name(prices: Prices) -> str:
    """Return the name that the store knows a series by; DataError where it can be none."""
    try:
        return symbols.check_symbol(prices.symbol)
    except UsageError as error:
        raise DataError(
            "not a symbol",
            where=f"{prices.symbol}, {prices.source}",
            why=error.why,
            next_step="Name it: lstmcli data import NAME=FILE.",
        ) from error


def _interval(prices: Prices, asked: str | None) -> str:
    """Return the interval to store a series as; DataError where its dates differ."""
    found = prices.interval if len(prices.frame) > 2 else asked or prices.interval
    if found in symbols.INTERVALS and asked in (None, found):
        return found
    raise DataError(
        "bars of another interval",
        where=f"{prices.symbol}, {prices.source}",
        why=f"the dates look like {found}, expected {asked or ' or '.join(symbols.INTERVALS)}",
        next_step="Give --interval as the dates are, or pass the file to a command by --csv.",
    )


def _readings(source: Source) -> dict[str, tuple[Reading, list[str]]]:
    """Return the files by the options that read them: those given, else each file's last ones."""
    known: dict[str, Reading] = {}
    for interval in symbols.INTERVALS if not source.reading.facts() else ():
        for symbol in symbols.stored_symbols(source.data_dir, interval):
            facts = read_sidecar(source.data_dir, symbol, interval)
            if reading := Reading.noted(facts.get("reading")):
                known[str(facts.get("file"))] = reading
    found: dict[str, tuple[Reading, list[str]]] = {}
    for entry in source.csv:
        reading = known.get(PurePath(parse_csv_option(entry)[1]).name, source.reading)
        found.setdefault(reading.as_options(), (reading, []))[1].append(entry)
    return found


def _store(
    data_dir: Path, prices: Prices, reading: Reading, overwrite: bool, now: datetime
) -> tuple[Imported, list[str]]:
    """Store a series; return what is stored now, and notes of columns that are gone."""
    symbol, interval = prices.symbol, prices.interval
    index = pd.DatetimeIndex(prices.frame.index)
    before = _before(data_dir, prices, overwrite)
    facts: dict[str, Any] = {
        "symbol": symbol,
        "interval": interval,
        "file": PurePath(prices.source).name,
        "rows": len(index),
        "first": f"{index[0]:%Y-%m-%d}",
        "last": f"{index[-1]:%Y-%m-%d}",
    }
    sidecar = facts | {
        "source": IMPORTED,
        "fetched_at": now.astimezone(UTC).isoformat(timespec="seconds"),
    }
    if reading.facts():
        sidecar["reading"] = reading.facts()
    if interval == "1d":
        sidecar["schedule"] = schedule_of(as_days(index), symbol).facts()
    written = write_stored(data_dir, symbol, interval, prices.frame, sidecar)
    old = pd.DataFrame(index=pd.DatetimeIndex([])) if before is None else before
    filled = [name for name in old if old[name].notna().any()]
    gone = [name for name in filled if name not in prices.frame]
    lost: list[str] = [Note.of(symbol, f"{name} is gone: the file has none.") for name in gone]
    imported = Imported(
        **facts,
        status="unchanged" if not written else "new" if before is None else "replaced",
        added=len(prices.frame.index.difference(old.index)),
        removed=len(old.index.difference(index)),
        changed=_changed_rows(old, prices.frame),
    )
    return imported, lost


def _before(data_dir: Path, prices: Prices, overwrite: bool) -> pd.DataFrame | None:
    """Return the rows stored so far or None; DataError where they must not be replaced."""
    symbol, interval = prices.symbol, prices.interval
    if not symbols.inside(data_dir, symbols.price_path(data_dir, symbol, interval)).exists():
        return None
    origin = source_of(read_sidecar(data_dir, symbol, interval)) or "an unknown source"
    why = "" if origin == IMPORTED else f"the stored prices come from {origin}"
    try:
        before = read_raw(data_dir, symbol, interval)
    except DataError:
        if not overwrite and not why:
            raise
        before = pd.DataFrame(index=pd.DatetimeIndex([]))  # nothing of a damaged file is kept
    before = before[~before.index.duplicated()]
    lost = before.index.difference(prices.frame.index)
    if len(lost) and not why:
        share = f"{len(lost)} of {len(before)} stored rows"
        why = f"{share} are not in it, the first of {lost[0]:%Y-%m-%d}"
    if why and not overwrite:
        raise DataError("not imported", where=symbol, why=why, next_step="Pass --replace to do it.")
    return before


def _changed_rows(before: pd.DataFrame, after: pd.DataFrame) -> int:
    """How many of the rows in both differ in any value."""
    common = after.index.intersection(before.index)
    old, new = (each.reindex(index=common, columns=list(COLUMNS)) for each in (before, after))
    return int(((old != new) & (old.notna() | new.notna())).any(axis=1).sum())
