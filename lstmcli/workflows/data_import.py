"""CSV files of one's own brought into the store, under the same checks as every CSV.

A file replaces a series whole or not at all: rows of two sources are never mixed. To take the place
of Yahoo's bars, or to drop rows that are stored, an option must allow it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
import pandas as pd

from lstmcli.config import Data
from lstmcli.errors import DataError, Failure, LstmcliError, UsageError, raise_if_all_failed
from lstmcli.market.intervals import as_days
from lstmcli.market.prices import COLUMNS, Prices
from lstmcli.market.sessions import schedule_of
from lstmcli.market.store import IMPORTED, read_raw, read_sidecar, source_of, write_stored
from lstmcli.market.symbols import (
    INTERVALS,
    check_symbol,
    hold_store,
    inside,
    price_path,
    store_folder,
)
from lstmcli.market.tables import parse_csv_option
from lstmcli.workflows.prices import Source, load_prices


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
    store_folder(source.data_dir)  # refused before any file is read
    loaded, failures = load_prices(source, Data())
    given = {name for name, _ in map(parse_csv_option, source.csv) if name}
    checked, unsuitable = _checked(loaded, interval, given)
    failures += unsuitable
    raise_if_all_failed(len(checked), failures)
    done: list[Imported] = []
    notes: list[str] = []
    with hold_store(source.data_dir, wait=wait):
        for prices in checked:
            try:
                done.append(_store(source.data_dir, prices, overwrite, now))
            except LstmcliError as error:
                failures.append(Failure.of(prices.symbol, error))
            else:
                notes += prices.named_notes()
    raise_if_all_failed(len(done), failures)
    return ImportReport(tuple(done), tuple(notes), tuple(failures))


def _checked(
    loaded: Sequence[Prices], interval: str | None, given: set[str]
) -> tuple[list[Prices], list[Failure]]:
    """Return the series that may be stored, under the names that the store knows.

    given : the names that are options; a bad one is a mistake of usage, one in a file is not.
    """
    ready: dict[tuple[str, str], Prices] = {}
    failures = []
    for prices in loaded:
        try:
            symbol = _name(prices, UsageError if prices.symbol in given else DataError)
            kept = replace(prices, symbol=symbol, interval=_interval(prices, interval))
        except LstmcliError as error:
            failures.append(Failure.of(prices.symbol, error))
            continue
        if ready.setdefault((symbol, kept.interval), kept) is not kept:
            raise UsageError(
                "a symbol comes twice", where=symbol, next_step="Name the files apart: NAME=FILE."
            )
    return list(ready.values()), failures


def _name(prices: Prices, kind: type[UsageError] | type[DataError]) -> str:
    try:
        return check_symbol(prices.symbol)
    except UsageError as error:
        raise kind(
            "not a symbol",
            where=f"{prices.symbol}, {prices.source}",
            why=error.why,
            next_step="Name it: lstmcli data import NAME=FILE.",
        ) from error


def _interval(prices: Prices, asked: str | None) -> str:
    """Return the interval to store a series as; DataError where its dates differ."""
    found = prices.interval if len(prices.frame) > 2 else asked or prices.interval
    if found in INTERVALS and asked in (None, found):
        return found
    raise DataError(
        "bars of another interval",
        where=f"{prices.symbol}, {prices.source}",
        why=f"the dates look like {found}, expected {asked or ' or '.join(INTERVALS)}",
        next_step="Give --interval as the dates are, or pass the file to a command by --csv.",
    )


def _store(data_dir: Path, prices: Prices, overwrite: bool, now: datetime) -> Imported:
    symbol, interval = prices.symbol, prices.interval
    index = pd.DatetimeIndex(prices.frame.index)
    before = _before(data_dir, prices, overwrite)
    first, last = f"{index[0]:%Y-%m-%d}", f"{index[-1]:%Y-%m-%d}"
    file = PurePath(prices.source).name
    sidecar = {
        "symbol": symbol,
        "interval": interval,
        "source": IMPORTED,
        "file": file,
        "fetched_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "first": first,
        "last": last,
        "rows": len(index),
    }
    if interval == "1d":
        sidecar["schedule"] = schedule_of(as_days(index), symbol).facts()
    written = write_stored(data_dir, symbol, interval, prices.frame, sidecar)
    status: Literal["new", "replaced"] = "new" if before is None else "replaced"
    old = pd.DatetimeIndex([] if before is None else before.index)
    return Imported(
        symbol=symbol,
        interval=interval,
        status=status if written else "unchanged",
        file=file,
        rows=len(index),
        added=len(index.difference(old)),
        removed=len(old.difference(index)),
        changed=0 if before is None else _changed_rows(before, prices.frame),
        first=first,
        last=last,
    )


def _before(data_dir: Path, prices: Prices, overwrite: bool) -> pd.DataFrame | None:
    """Return the rows stored so far or None; DataError where they must not be replaced."""
    symbol, interval = prices.symbol, prices.interval
    if not inside(data_dir, price_path(data_dir, symbol, interval)).exists():
        return None
    origin = source_of(read_sidecar(data_dir, symbol, interval)) or "an unknown source"
    if origin != IMPORTED and not overwrite:
        raise _not_replaced(symbol, f"the stored prices come from {origin}")
    try:
        before = read_raw(data_dir, symbol, interval)
        before = before[~before.index.duplicated()]
    except DataError:
        if overwrite:
            return pd.DataFrame(index=pd.DatetimeIndex([]))  # nothing of a damaged file is kept
        raise
    lost = before.index.difference(prices.frame.index)
    if len(lost) and not overwrite:
        share = f"{len(lost)} of {len(before)} stored rows"
        raise _not_replaced(symbol, f"{share} are not in it, the first of {lost[0]:%Y-%m-%d}")
    return before


def _not_replaced(symbol: str, why: str) -> DataError:
    return DataError("not imported", where=symbol, why=why, next_step="Pass --replace to do it.")


def _changed_rows(before: pd.DataFrame, after: pd.DataFrame) -> int:
    """How many of the rows in both differ in any value."""
    common = after.index.intersection(before.index)
    old, new = (
        each.reindex(index=common, columns=list(COLUMNS)).to_numpy(np.float64)
        for each in (before, after)
    )
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    return int(np.count_nonzero(~same.all(axis=1)))
