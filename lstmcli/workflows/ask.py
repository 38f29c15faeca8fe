"""What is stored of a symbol, and what to ask the feed for.

A stored symbol is asked only for a short overlap and what follows it, and not at all while its
exchange can have nothing new.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market.gate import Gate
from lstmcli.market.merge import overlap_start
from lstmcli.market.prices import COLUMNS
from lstmcli.market.sessions import missing_sessions
from lstmcli.market.store import (
    IMPORTED,
    YAHOO,
    date_of,
    read_sidecar,
    read_stored,
    sidecar_fits,
    source_of,
)
from lstmcli.market.store_folder import inside, interval_option, price_path, sidecar_path
from lstmcli.market.unfinished import bars_due
from lstmcli.market.yahoo import Interval

RECENT = 60  # stored rows in which a missing session is asked for again


@dataclass(frozen=True)
class Task:
    """What is the same for every symbol of a run; the words are those of `fetch`."""

    data_dir: Path
    interval: Interval
    start: date | None
    end: date | None
    full: bool
    include_partial: bool
    now: datetime
    gate: Gate


@dataclass(frozen=True)
class Stored:
    """What is there.

    frame : all of COLUMNS, without a bar that was stored unfinished or has an impossible close;
        empty for nothing.
    dates : of every stored bar. left_out : of those with an impossible close. doubted : whether
        `frame` lacks opens, highs and lows that have another basis than the closes.
    asked_start : what the whole history was asked from; None for all that there is.
    is_known : whether a sidecar says that the bars are Yahoo's; fits : and that they are these.
    """

    frame: pd.DataFrame
    dates: pd.Index
    facts: dict[str, Any]
    asked_start: date | None
    is_known: bool = True
    fits: bool = False
    left_out: tuple[date, ...] = ()
    doubted: bool = False


@dataclass(frozen=True)
class Plan:
    """What to ask for; `whole` when it is meant to hold every stored row."""

    start: date | None
    whole: bool


def read(symbol: str, task: Task) -> Stored:
    """What is stored of a symbol.

    Raises DataError where that is damaged or of an unknown source, unless it is replaced, and where
    it was imported.
    """
    empty = pd.DataFrame(columns=list(COLUMNS), index=pd.DatetimeIndex([]), dtype="float64")
    nothing = Stored(empty, empty.index, {}, None)
    if not inside(task.data_dir, price_path(task.data_dir, symbol, task.interval)).exists():
        return nothing
    facts = read_sidecar(task.data_dir, symbol, task.interval)
    _refuse_others(symbol, facts, task)
    try:
        prices = read_stored(task.data_dir, symbol, task.interval, today=task.now.date(), mend=True)
    except DataError:
        if not task.full:
            raise
        return nothing  # --full mends a damaged file
    frame = prices.frame.reindex(columns=list(COLUMNS))
    dates = frame.index.union(pd.DatetimeIndex(prices.left_out)) if prices.left_out else frame.index
    if partial := date_of(facts.get("partial")):
        frame = frame[frame.index != pd.Timestamp(partial)]
    if frame.empty:
        return replace(nothing, dates=dates, facts=facts)
    had_all = "asked_start" in facts and facts["asked_start"] is None
    asked_start = None if had_all else date_of(facts.get("asked_start")) or dates[0].date()
    is_known = source_of(facts) == YAHOO
    fits = sidecar_fits(task.data_dir, symbol, task.interval)
    return Stored(frame, dates, facts, asked_start, is_known, fits, prices.left_out, prices.doubted)


def _refuse_others(symbol: str, facts: dict[str, Any], task: Task) -> None:
    """Raise DataError for bars that are or may be the user's own: Yahoo's are not mixed in."""
    source, named = source_of(facts), f"{symbol}{interval_option(task.interval)}"
    if source == IMPORTED:
        raise DataError(
            "not fetched: the stored prices are imported ones",
            where=symbol,
            why=f"they come from {facts.get('file', 'a file')}",
            next_step=f"Import a newer file, or first run: lstmcli data remove {named}.",
        )
    if source != YAHOO and not task.full:
        sidecar = sidecar_path(task.data_dir, symbol, task.interval)
        raise DataError(
            "not fetched: the stored prices are of unknown source",
            where=symbol,
            why=f"{sidecar} is {'damaged' if sidecar.exists() else 'missing'}",
            next_step=f"To replace them by Yahoo's, run: lstmcli fetch {named} --full.",
        )


def make_plan(symbol: str, stored: Stored, task: Task) -> Plan | None:
    """None where the stored rows reach up to the end that is asked for, or to the last session."""
    if not len(stored.frame):
        return Plan(task.start, whole=True)
    first, last = stored.frame.index[0].date(), stored.frame.index[-1].date()
    if task.full:
        return Plan(min(task.start, first) if task.start else None, whole=True)
    if task.start and stored.asked_start and task.start < stored.asked_start:
        return Plan(task.start, whole=True)
    if not stored.fits:  # edited, or a write that was cut short: any row may be another one
        return Plan(stored.asked_start, whole=True)
    if task.end and task.end <= last:
        return None
    if _is_fresh(symbol, stored, last, task):
        return None
    return Plan(_overlap_start(symbol, stored, task), whole=False)


def _is_fresh(symbol: str, stored: Stored, last: date, task: Task) -> bool:
    """Whether Yahoo can have no finished bar that is not stored."""
    if task.include_partial or len(stored.dates) > len(stored.frame):
        return False
    zone = str(stored.facts.get("time_zone", ""))
    due = bars_due(last, symbol=symbol, interval=task.interval, time_zone=zone, now=task.now)
    return due == 0


def _overlap_start(symbol: str, stored: Stored, task: Task) -> date:
    """First date to ask for again, back to the first session that is missing of late, or wrong."""
    frame = stored.frame
    start = min([overlap_start(frame), *stored.left_out])
    if task.interval != "1d":
        return start
    index = pd.DatetimeIndex(frame.index)
    missing = missing_sessions(index, symbol, from_feed=True)
    late = missing[missing > index[-min(RECENT, len(index))].to_datetime64()]
    return min(start, late[0].item()) if late.size else start
