"""List, show, check and remove the series of the store.

Reading takes no lock. The facts in a sidecar are used only if it belongs to the stored bars. A
check repairs nothing; it reports restated histories, which are not faults.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lstmcli.errors import (
    DataError,
    Failure,
    FileError,
    LstmcliError,
    PartialError,
    raise_if_all_failed,
)
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.market import sessions, store
from lstmcli.market import symbols as tickers
from lstmcli.market.calendars import Schedule, own_calendar
from lstmcli.market.prices import Prices, as_days, price_column
from lstmcli.market.sessions import schedule_of
from lstmcli.market.store import restatements_of
from lstmcli.market.symbols import INTERVALS, check_symbol, interval_option, price_path

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "unreadable", "bad row", "gap", "no session", "weekdays", "jump", "still", "restated",
    "sidecar", "owner", "stray",
]  # fmt: skip
_NO_FAULTS = ("restated", "weekdays")


@dataclass(frozen=True)
class StoredSeries:
    """One series of the store.

    first, last : dates in ISO form. behind : complete bars of the exchange's calendar since `last`.
    source : "Yahoo", "import", or "" without a sidecar. fetched_at : time of the last change.
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
    """All series, and failures for those that cannot be read."""

    series: tuple[StoredSeries, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class StoredDetail:
    """One series in full.

    file, time_zone, currency : empty if its sidecar does not say. restatements : times and reasons
    of replaced histories. missing : sessions without a bar, ISO dates. notes : reported when it is
    read. bars : the last rows as stored.
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
    """The removed symbols, and failures for those that could not be removed."""

    removed: tuple[str, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    symbol, interval : the series; empty if it concerns none. date : in ISO form or empty.
    next_step : a command or an instruction.
    """

    symbol: str
    interval: str
    kind: Kind
    date: str
    what: str
    next_step: str


@dataclass(frozen=True)
class CheckReport:
    """The findings in `checked` series."""

    checked: int
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 if there are only _NO_FAULTS, 4 if every series has a fault, 3 if some have."""
        faults = [each for each in self.findings if each.kind not in _NO_FAULTS]
        if not faults:
            return 0
        faulty = {(each.symbol, each.interval) for each in faults if each.symbol}
        return DataError.exit_code if len(faulty) == self.checked else PartialError.exit_code


def list_data(data_dir: Path, *, interval: str | None = None, today: date) -> StoreList:
    """List the series of one interval or of all; DataError if there are none."""
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
    """Show one series with its last rows; DataError if it is not stored or damaged."""
    symbol = check_symbol(symbol)
    prices = store.read_stored(data_dir, symbol, interval, today=today, mend=True)
    missing = sessions.missing_sessions(
        as_days(prices.frame.index), symbol, interval, from_feed=prices.from_feed
    )
    facts = store.read_sidecar(data_dir, symbol, interval)
    return StoredDetail(
        series=_series(data_dir, symbol, interval, today),
        file=str(facts.get("file", "")),
        time_zone=str(facts.get("time_zone", "")),
        currency=str(facts.get("currency", "")),
        restatements=restatements_of(facts),
        missing=tuple(map(str, missing)),
        notes=prices.notes,
        bars=store.read_raw(data_dir, symbol, interval).tail(rows),
    )


def remove_data(
    data_dir: Path, symbols: Sequence[str], *, interval: str = "1d", wait: float = 0.0
) -> RemoveReport:
    """Remove series and their sidecars one by one, while no other run writes.

    Raises UsageError before anything is removed, LockedError while another run writes.
    """
    wanted = tuple(dict.fromkeys(map(check_symbol, symbols)))
    all_stored(data_dir, None)  # before the lock, which would create folders in an empty store
    removed, failures = [], []
    with tickers.hold_store(data_dir, wait=wait):
        for symbol in wanted:
            try:
                store.remove_stored(data_dir, symbol, interval)
            except LstmcliError as error:
                failures.append(Failure.of(symbol, error))
            else:
                removed.append(symbol)
    raise_if_all_failed(len(removed), failures)
    return RemoveReport(tuple(removed), tuple(failures))


def check_data(
    data_dir: Path, symbols: Sequence[str] = (), *, interval: str | None = None, today: date
) -> CheckReport:
    """Check some series, or the whole store including stray files.

    Raises DataError if nothing is stored, FileError if a folder points outside the store.
    """
    series = all_stored(data_dir, interval, symbols)
    findings = [] if symbols else list(_strays(data_dir))
    for symbol, each in series:
        again = f"lstmcli fetch --full {symbol}{interval_option(each)} downloads it again."
        try:
            facts = store.read_sidecar(data_dir, symbol, each)
            if facts.get("source") == store.IMPORTED:
                again = f"Import a mended file: lstmcli data import {symbol}=FILE."
            found = list(_faults(data_dir, symbol, each, facts, today))
        except (DataError, FileError) as error:
            where = f" ({error.where})" if error.where else ""
            what = f"{error.what}{where}" + (f": {error.why}" if error.why else "")
            found = [("unreadable", "", what, error.next_step)]
        findings += [
            Finding(symbol, each, kind, str(day), what, step or again)
            for kind, day, what, step in found
        ]
    return CheckReport(len(series), tuple(findings))


def all_stored(
    data_dir: Path, interval: str | None, symbols: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Return (symbol, interval) of every series, or of some symbols; never empty.

    Raises DataError if nothing is stored, UsageError for an invalid ticker.
    """
    intervals = INTERVALS if interval is None else (interval,)
    every = [(name, each) for each in intervals for name in tickers.stored_symbols(data_dir, each)]
    if not symbols:
        if not every:
            raise DataError(
                "no prices stored",
                where=data_dir / "prices",
                next_step="Bring some: lstmcli fetch SYMBOL, or lstmcli data import FILE.",
            )
        return sorted(every, key=lambda pair: (pair[0], intervals.index(pair[1])))
    found = []
    for symbol in dict.fromkeys(map(check_symbol, symbols)):
        # A symbol that is not stored is kept, so that it fails by name.
        found += [pair for pair in every if pair[0] == symbol] or [(symbol, intervals[0])]
    return found


def stored_schedule(
    data_dir: Path, symbol: str, interval: str, facts: dict[str, Any] | None = None
) -> Schedule:
    """Return the trading days of a stored series, by its sidecar, symbol or dates."""
    facts = store.read_sidecar(data_dir, symbol, interval) if facts is None else facts
    if noted := Schedule.noted(facts.get("schedule")):
        return noted
    from_feed = facts.get("source") == store.YAHOO
    own = own_calendar(symbol, from_feed=from_feed)
    if own is not None and from_feed:
        return Schedule((own,))
    days = np.unique(store.read_bars(data_dir, symbol, interval).days)
    return schedule_of(days, symbol, from_feed=from_feed)


def _series(data_dir: Path, symbol: str, interval: str, today: date) -> StoredSeries:
    facts = store.read_sidecar(data_dir, symbol, interval)
    schedule = stored_schedule(data_dir, symbol, interval, facts)
    rows, first, last = _span(data_dir, symbol, interval, facts)
    return StoredSeries(
        symbol=symbol,
        interval=interval,
        rows=rows,
        first=str(first),
        last=str(last),
        behind=sessions.sessions_behind(last, schedule, interval, today),
        source=store.source_of(facts),
        fetched_at=str(facts.get("fetched_at", "")),
        restatements=len(restatements_of(facts)),
    )


def _span(
    data_dir: Path, symbol: str, interval: str, facts: dict[str, Any]
) -> tuple[int, date, date]:
    """Return the number of rows, first and last date, from the sidecar if it is valid."""
    if store.sidecar_fits(data_dir, symbol, interval):
        with suppress(KeyError, TypeError, ValueError):
            first, last = (date.fromisoformat(facts[name]) for name in ("first", "last"))
            return int(facts["rows"]), first, last
    days = store.read_bars(data_dir, symbol, interval).days
    return len(days), days.min().item(), days.max().item()


# Kind, day, description, and the next step unless it is the default.
_Fault = tuple[Kind, object, str, str]


def _faults(
    data_dir: Path, symbol: str, interval: str, facts: dict[str, Any], today: date
) -> Iterator[_Fault]:
    from lstmcli.market.bar_checks import jumps_by_column
    from lstmcli.market.validate import LONG_STILL, count_equal_closes
    from lstmcli.runs.registry import ownership_doubt

    path = price_path(data_dir, symbol, interval)
    if not store.source_of(facts):
        what = "no sidecar, or a damaged one: the prices are of unknown source"
        mend = f"lstmcli fetch {symbol}{interval_option(interval)} --full replaces them by Yahoo's;"
        mend += f" lstmcli data import {symbol}={path} --replace makes them your own."
        yield "sidecar", "", what, mend
    elif not store.sidecar_fits(data_dir, symbol, interval):
        what = "the sidecar belongs to other bars: a write was cut short, or the bars edited"
        yield "sidecar", "", what, ""
    if doubt := ownership_doubt(path):
        yield "owner", "", doubt, "Take over the file, or remove it."
    for day, reason in restatements_of(facts):
        what = f"the history was replaced: {reason}"
        yield "restated", day, what, "Retrain models trained before that day."
    prices = store.read_stored(data_dir, symbol, interval, today=today, mend=True)
    yield from _bad_rows(store.read_raw(data_dir, symbol, interval), prices)
    columns = {str(name): prices.frame[name].to_numpy(np.float64) for name in prices.frame}
    days = as_days(prices.frame.index)
    for name, jumps in jumps_by_column(columns, price_column(columns, "auto"), interval).items():
        for jump in jumps:
            yield "jump", days[jump.row], f"{name} {jump.text(days)}", ""
    if (count := count_equal_closes(columns["Close"])) >= LONG_STILL:
        what = f"the last {count} closes are equal: halted, pegged, or no longer updated"
        yield "still", days[-count], what, ""
    odd = sessions.odd_days(days, symbol, interval, from_feed=prices.from_feed)
    unit = odd.unit.removeprefix("exchange ")
    for hole in odd.missing:
        some = f"1 {unit}" if hole.size == 1 else f"{hole.size} {unit}s up to {hole[-1]}"
        yield "gap", hole[0], f"{some} missing", ""
    if odd.extra.size:
        (note,) = sessions.note_odd_days(sessions.OddDays(extra=odd.extra))
        yield "no session", odd.extra[0], note.rstrip("."), ""
    for note in sessions.note_doubtful(odd):
        step = "Name it as Yahoo does, with its exchange (VOD.L), or leave it so."
        yield "weekdays", "", note.rstrip("."), step


def _bad_rows(raw: pd.DataFrame, prices: Prices) -> Iterator[_Fault]:
    """Compare the rows of the file with the rows accepted by the reader, column by column."""
    from lstmcli.market.bar_checks import bar_text

    columns = {str(name): raw[name].to_numpy(np.float64) for name in raw}
    for day in raw.index.difference(prices.frame.index):
        row = int(np.flatnonzero(raw.index == day)[0])
        what = "a bar of a period that is not over, or a second bar of one"
        if day.date() in prices.left_out:
            what = f"impossible close: {bar_text(columns, row)}"
        elif np.isnan(columns["Close"][row]):
            what = "no price"
        yield "bad row", day.date(), what, ""
    kept = raw[~raw.index.duplicated()].reindex(prices.frame.index)
    read = prices.frame.reindex(columns=raw.columns)
    for name in raw.columns:
        bad = kept[name].notna() & ~np.isfinite(read[name])
        # Zero volume is valid: an index has none at all, and a share none on a day without trades.
        bad &= (kept[name] != 0) | (name != "Volume")
        if bad.any():
            what = f"{name} cannot be right in {bad.sum()} rows and counts as missing"
            yield "bad row", bad.idxmax().date(), what, ""


def _strays(data_dir: Path) -> Iterator[Finding]:
    """Find files in the store that belong to no series, and folders that others can write."""
    from lstmcli.runs.registry import ownership_doubt

    top = tickers.store_folder(data_dir)
    for path in tickers.stray_paths(data_dir):
        what, then = "no file of the store", "Move it elsewhere, or import it: lstmcli data import."
        if path.name.endswith(TEMPORARY_SUFFIX):
            what, then = "left by a write that was cut short", "The next fetch removes it."
        elif path.suffix == ".json":
            what, then = "a sidecar without bars", "Fetch or import its symbol, or remove it."
        yield Finding("", "", "stray", "", f"{path}: {what}", then)
    for folder in (data_dir, top, *sorted(path for path in top.iterdir() if path.is_dir())):
        if doubt := ownership_doubt(folder):
            step = f"chmod o-w {folder}, or move the store."
            yield Finding("", "", "owner", "", f"{folder}: {doubt}", step)
