"""One symbol brought up to date: what to ask for, how it joins what is stored, what is written.

A stored symbol is asked only for a short overlap and what follows. When the overlap shows that a
split or a dividend restated history, all of it is asked for again and replaced in one step; an
answer that would lose rows is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market.feed import Answer, ask_feed
from lstmcli.market.merge import merge_overlap, overlap_start, replace_history
from lstmcli.market.prices import COLUMNS
from lstmcli.market.store import (
    IMPORTED,
    read_sidecar,
    read_stored,
    sidecar_fits,
    write_stored,
)
from lstmcli.market.store_folder import inside, interval_option, price_path
from lstmcli.market.yahoo import Interval

Status = Literal["new", "updated", "unchanged", "restated", "failed"]

MAX_LOST = 0.01  # share of the stored rows that a restated history may lack


@dataclass(frozen=True)
class FetchResult:
    """What became of one symbol.

    rows, first, last : of the stored table now, dates in ISO form; `added` of its rows are new.
    note : what a user should know although it went well; `reason` : why it failed.
    exit_code : of the failure, 0 where there is none.
    """

    symbol: str
    status: Status
    rows: int = 0
    added: int = 0
    first: str | None = None
    last: str | None = None
    note: str = ""
    reason: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Task:
    """What is the same for every symbol of a run; the words are those of `fetch`."""

    data_dir: Path
    interval: Interval
    start: date | None
    end: date | None
    full: bool
    include_partial: bool
    timeout: float
    now: datetime
    sleep: Callable[[float], None]


def refresh(symbol: str, task: Task) -> FetchResult:
    """Ask, join and store. Raises LstmcliError and leaves what is stored when anything fails."""
    stored = _read(symbol, task)
    plan = _plan(stored, task)
    if plan is None:
        return _result(symbol, "unchanged", stored.frame, 0, ())
    answer = _ask(symbol, plan.start, stored, task)
    if not len(stored.frame):
        _write(symbol, task, stored, answer, answer.frame, plan.start, None)
        return _result(symbol, "new", answer.frame, len(answer.frame), answer.notes)
    merge = merge_overlap(stored.frame, answer.frame)
    frame = merge.frame
    if merge.restated:
        if not plan.whole:
            answer = _ask(symbol, stored.asked_start, stored, task)
        frame = _replaced(symbol, stored, answer, task)
    asked_start = plan.start if plan.whole else stored.asked_start
    changed = False
    known = sidecar_fits(task.data_dir, symbol, task.interval)
    if not known or not frame.equals(stored.frame):
        changed = _write(symbol, task, stored, answer, frame, asked_start, merge.restated)
    status: Status = "restated" if merge.restated else "updated" if changed else "unchanged"
    told = (f"restated: {merge.restated}",) if merge.restated else ()
    added = len(frame.index.difference(stored.dates))
    return _result(symbol, status, frame, added, told + answer.notes)


def preview(symbol: str, task: Task) -> FetchResult:
    """What `refresh` would ask for; asks and writes nothing."""
    stored = _read(symbol, task)
    plan = _plan(stored, task)
    if plan is None:
        return _result(symbol, "unchanged", stored.frame, 0, ("nothing to ask for",))
    status: Status = "updated" if len(stored.frame) else "new"
    note = f"would ask from {plan.start or 'the first bar'}"
    return _result(symbol, status, stored.frame, 0, (note,))


@dataclass(frozen=True)
class _Stored:
    """What is there.

    frame : all of COLUMNS, without a bar that was stored unfinished; empty for nothing.
    dates : of every stored bar.
    asked_start : what the whole history was asked from; None for all that there is.
    """

    frame: pd.DataFrame
    dates: pd.Index
    facts: dict[str, Any]
    asked_start: date | None


@dataclass(frozen=True)
class _Plan:
    """What to ask for; `whole` when it is meant to hold every stored row."""

    start: date | None
    whole: bool


def _read(symbol: str, task: Task) -> _Stored:
    empty = pd.DataFrame(columns=list(COLUMNS), index=pd.DatetimeIndex([]), dtype="float64")
    nothing = _Stored(empty, empty.index, {}, None)
    if not inside(task.data_dir, price_path(task.data_dir, symbol, task.interval)).exists():
        return nothing
    facts = read_sidecar(task.data_dir, symbol, task.interval)
    _refuse_imported(symbol, facts, task)
    try:
        prices = read_stored(task.data_dir, symbol, task.interval, today=task.now.date())
    except DataError:
        if not task.full:
            raise
        return nothing  # --full mends a damaged file
    frame = prices.frame.reindex(columns=list(COLUMNS))
    dates = frame.index
    if partial := _date(facts.get("partial")):
        frame = frame[dates != pd.Timestamp(partial)]
    if frame.empty:
        return replace(nothing, dates=dates, facts=facts)
    had_all = "asked_start" in facts and facts["asked_start"] is None
    asked_start = None if had_all else _date(facts.get("asked_start")) or dates[0].date()
    return _Stored(frame, dates, facts, asked_start)


def _refuse_imported(symbol: str, facts: dict[str, Any], task: Task) -> None:
    """Raise DataError for bars of the user's own: Yahoo's are never mixed into them."""
    if facts.get("source") == IMPORTED:
        raise DataError(
            "not fetched: the stored prices are imported ones",
            where=symbol,
            why=f"they come from {facts.get('file', 'a file')}",
            next_step="Import a newer file, or first run: lstmcli data remove "
            f"{symbol}{interval_option(task.interval)}.",
        )


def _date(value: object) -> date | None:
    """A date noted in a sidecar, which may hold anything."""
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None


def _plan(stored: _Stored, task: Task) -> _Plan | None:
    """None where the stored rows reach up to the end that is asked for."""
    if not len(stored.frame):
        return _Plan(task.start, whole=True)
    first, last = stored.frame.index[0].date(), stored.frame.index[-1].date()
    if task.full:
        return _Plan(min(task.start, first) if task.start else None, whole=True)
    if task.start and stored.asked_start and task.start < stored.asked_start:
        return _Plan(task.start, whole=True)
    if task.end and task.end <= last:
        return None
    return _Plan(overlap_start(stored.frame), whole=False)


def _ask(symbol: str, start: date | None, stored: _Stored, task: Task) -> Answer:
    end = task.end
    if end and len(stored.frame):
        end = max(end, stored.frame.index[-1].date())
    return ask_feed(
        symbol,
        start=start,
        end=end,
        interval=task.interval,
        time_zone=str(stored.facts.get("time_zone", "")),
        include_partial=task.include_partial,
        now=task.now,
        timeout=task.timeout,
        sleep=task.sleep,
    )


def _replaced(symbol: str, stored: _Stored, answer: Answer, task: Task) -> pd.DataFrame:
    """The whole restated history; DataError where it lacks more than a few of the stored rows."""
    lost = stored.frame.index.difference(answer.frame.index)
    if len(lost) > max(1, MAX_LOST * len(stored.frame)):
        raise DataError(
            "restated history is shorter than the stored one",
            where=symbol,
            why=f"{len(lost)} of {len(stored.frame)} stored rows are not in Yahoo's answer, "
            f"the first of {lost[0].date()}",
            next_step="What is stored is kept; remove "
            f"{price_path(task.data_dir, symbol, task.interval)} to take the shorter one.",
        )
    return replace_history(stored.frame, answer.frame)


def _write(
    symbol: str,
    task: Task,
    stored: _Stored,
    answer: Answer,
    frame: pd.DataFrame,
    asked_start: date | None,
    restated: str | None,
) -> bool:
    """Store the table and what is known of it; whether the table changed."""
    earlier = stored.facts.get("restatements")
    restatements = earlier if isinstance(earlier, list) else []
    if restated:
        told = {"fetched": task.now.date().isoformat(), "reason": restated}
        restatements = [*restatements, told]
    sidecar = {
        "symbol": symbol,
        "interval": task.interval,
        "source": "Yahoo",
        "time_zone": answer.time_zone or stored.facts.get("time_zone", ""),
        "currency": answer.currency or stored.facts.get("currency", ""),
        "fetched_at": task.now.astimezone(UTC).isoformat(timespec="seconds"),
        "asked_start": asked_start.isoformat() if asked_start else None,
        "first": str(frame.index[0].date()),
        "last": str(frame.index[-1].date()),
        "rows": len(frame),
        "partial": answer.partial,
        "restatements": restatements,
    }
    return write_stored(task.data_dir, symbol, task.interval, frame, sidecar)


def _result(
    symbol: str, status: Status, frame: pd.DataFrame, added: int, notes: tuple[str, ...]
) -> FetchResult:
    result = FetchResult(symbol, status, added=added, note="; ".join(notes))
    if not len(frame):
        return result
    first, last = str(frame.index[0].date()), str(frame.index[-1].date())
    return replace(result, rows=len(frame), first=first, last=last)
