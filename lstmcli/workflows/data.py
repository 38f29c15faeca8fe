"""What is in the store: every series at a glance, one of them in full, and removing some.

Reading takes no lock. What a sidecar says of its bars is believed only where it belongs to them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstmcli.errors import DataError, Failure, FileError, LstmcliError, raise_if_all_failed
from lstmcli.market.intervals import as_days
from lstmcli.market.schedule import Schedule, own_calendar, schedule_of
from lstmcli.market.sessions import missing_sessions, sessions_behind
from lstmcli.market.store import (
    YAHOO,
    read_raw,
    read_sidecar,
    read_stored,
    remove_stored,
    restatements_of,
    sidecar_fits,
    source_of,
)
from lstmcli.market.symbols import INTERVALS, check_symbol, hold_store, stored_symbols


@dataclass(frozen=True)
class StoredSeries:
    """One series of the store.

    first, last : dates in ISO form. behind : complete bars of the exchange's calendar since `last`.
    source : "Yahoo", "import", or "" where no sidecar says. fetched_at : when it was last changed.
    restatements : how often its history was replaced.
    """

    symbol: str
    interval: str
    rows: int
    first: str
    last: str
    behind: int
    source: str
    fetched_at: str
    restatements: int


@dataclass(frozen=True)
class StoreList:
    """All series, and those that cannot be read."""

    series: tuple[StoredSeries, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class StoredDetail:
    """One series in full.

    file, time_zone, currency : empty where its sidecar does not say. restatements : when its
    history was replaced, and why. missing : sessions without a bar, ISO dates. notes : what is
    reported of it when it is read. bars : the last rows as they are stored.
    """

    series: StoredSeries
    file: str
    time_zone: str
    currency: str
    restatements: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    bars: pd.DataFrame


@dataclass(frozen=True)
class RemoveReport:
    """The symbols that were removed, and those that could not be."""

    removed: tuple[str, ...]
    failures: tuple[Failure, ...]


def list_data(data_dir: Path, *, interval: str | None = None, today: date) -> StoreList:
    """Every series of an interval, or of all of them; raises DataError where there is none."""
    found, failures = [], []
    for symbol, each in all_stored(data_dir, interval):
        try:
            found.append(_series(data_dir, symbol, each, today))
        except (DataError, FileError) as error:
            failures.append(Failure.of(symbol, error))
    raise_if_all_failed(len(found), failures)
    return StoreList(tuple(found), tuple(failures))


def show_data(
    data_dir: Path, symbol: str, *, interval: str = "1d", rows: int = 10, today: date
) -> StoredDetail:
    """One series with its last rows; raises DataError where it is not stored or damaged."""
    symbol = check_symbol(symbol)
    prices = read_stored(data_dir, symbol, interval, today=today, mend=True)
    days = np.asarray(prices.frame.index).astype("datetime64[D]")
    facts = read_sidecar(data_dir, symbol, interval)
    return StoredDetail(
        series=_series(data_dir, symbol, interval, today),
        file=str(facts.get("file", "")),
        time_zone=str(facts.get("time_zone", "")),
        currency=str(facts.get("currency", "")),
        restatements=restatements_of(facts),
        missing=tuple(
            map(str, missing_sessions(days, symbol, interval, from_feed=prices.from_feed))
        ),
        notes=prices.notes,
        bars=read_raw(data_dir, symbol, interval).tail(rows),
    )


def remove_data(
    data_dir: Path, symbols: Sequence[str], *, interval: str = "1d", wait: float = 0.0
) -> RemoveReport:
    """Remove series and their sidecars, one after the other, while no other run writes.

    Raises UsageError before anything is touched, LockedError while another run writes.
    """
    wanted = tuple(dict.fromkeys(map(check_symbol, symbols)))
    _refuse_empty(data_dir)
    removed, failures = [], []
    with hold_store(data_dir, wait=wait):
        for symbol in wanted:
            try:
                remove_stored(data_dir, symbol, interval)
            except LstmcliError as error:
                failures.append(Failure.of(symbol, error))
            else:
                removed.append(symbol)
    raise_if_all_failed(len(removed), failures)
    return RemoveReport(tuple(removed), tuple(failures))


def all_stored(
    data_dir: Path, interval: str | None, symbols: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Symbol and interval of every series, or of the symbols named, by name; never none.

    Raises DataError where nothing is stored, UsageError for what is no ticker.
    """
    intervals = INTERVALS if interval is None else (interval,)
    every = [(name, each) for each in intervals for name in stored_symbols(data_dir, each)]
    if not symbols:
        if not every:
            raise _nothing_stored(data_dir)
        return sorted(every, key=lambda pair: (pair[0], intervals.index(pair[1])))
    found = []
    for symbol in dict.fromkeys(map(check_symbol, symbols)):
        # One that is not stored is asked for all the same, to fail by name.
        found += [pair for pair in every if pair[0] == symbol] or [(symbol, intervals[0])]
    return found


def stored_schedule(
    data_dir: Path, symbol: str, interval: str, facts: dict[str, Any] | None = None
) -> Schedule:
    """On which days a stored series trades: its sidecar says, or its symbol, or else its dates."""
    facts = read_sidecar(data_dir, symbol, interval) if facts is None else facts
    if noted := Schedule.noted(facts.get("schedule")):
        return noted
    from_feed = facts.get("source") == YAHOO
    own = own_calendar(symbol, from_feed=from_feed)
    if own is not None and from_feed:
        return Schedule((own,))
    days = as_days(pd.DatetimeIndex(read_raw(data_dir, symbol, interval).index))
    return schedule_of(np.unique(days), symbol, from_feed=from_feed)


def _refuse_empty(data_dir: Path) -> None:
    """Raise before a lock makes folders where there is nothing to remove."""
    if not any(stored_symbols(data_dir, interval) for interval in INTERVALS):
        raise _nothing_stored(data_dir)


def _nothing_stored(data_dir: Path) -> DataError:
    return DataError(
        "no prices stored",
        where=data_dir / "prices",
        next_step="Bring some: lstmcli fetch SYMBOL, or lstmcli data import FILE.",
    )


def _series(data_dir: Path, symbol: str, interval: str, today: date) -> StoredSeries:
    facts = read_sidecar(data_dir, symbol, interval)
    fits = sidecar_fits(data_dir, symbol, interval)
    rows, first, last = (fits and _span(facts)) or _read_span(data_dir, symbol, interval)
    return StoredSeries(
        symbol=symbol,
        interval=interval,
        rows=rows,
        first=str(first),
        last=str(last),
        behind=sessions_behind(
            last, stored_schedule(data_dir, symbol, interval, facts), interval, today
        ),
        source=source_of(facts),
        fetched_at=str(facts.get("fetched_at", "")),
        restatements=len(restatements_of(facts)),
    )


def _span(facts: dict[str, Any]) -> tuple[int, date, date] | None:
    """Rows, first and last date as the sidecar has them, None where it does not."""
    try:
        first, last = (date.fromisoformat(facts[name]) for name in ("first", "last"))
        return int(facts["rows"]), first, last
    except (KeyError, TypeError, ValueError):
        return None


def _read_span(data_dir: Path, symbol: str, interval: str) -> tuple[int, date, date]:
    index = read_raw(data_dir, symbol, interval).index
    return len(index), index.min().date(), index.max().date()
