"""One symbol brought up to date: what is asked, how it joins what is stored, what is written.

When the overlap shows that a split or a dividend restated history, all of it is asked for again and
replaced in one step; an answer that would lose rows is refused.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import Literal

import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market.feed import Answer, ask_feed
from lstmcli.market.merge import merge_overlap, replace_history
from lstmcli.market.store import sidecar_fits, write_stored
from lstmcli.market.store_folder import interval_option
from lstmcli.workflows.ask import Stored, Task, make_plan, read

Status = Literal["new", "updated", "unchanged", "restated", "failed"]

MAX_LOST = 0.01  # share of the stored rows that a restated history may lack


@dataclass(frozen=True)
class FetchResult:
    """What became of one symbol.

    rows, first, last : of the stored table now, dates in ISO form; `added` of its rows are new.
    note : what a user should know although it went well; `reason` : why it failed.
    exit_code, failure : of what failed, 0 and "" where nothing did; `failure` is its kind in words.
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
    failure: str = ""


def refresh(symbol: str, task: Task) -> FetchResult:
    """Ask, join and store. Raises LstmcliError and leaves what is stored when anything fails."""
    task.gate.check_time(symbol)
    stored = read(symbol, task)
    plan = make_plan(symbol, stored, task)
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
    stored = read(symbol, task)
    plan = make_plan(symbol, stored, task)
    if plan is None:
        return _result(symbol, "unchanged", stored.frame, 0, ("nothing to ask for",))
    status: Status = "updated" if len(stored.frame) else "new"
    note = f"would ask from {plan.start or 'the first bar'}"
    return _result(symbol, status, stored.frame, 0, (note,))


def _ask(symbol: str, start: date | None, stored: Stored, task: Task) -> Answer:
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
        gate=task.gate,
    )


def _replaced(symbol: str, stored: Stored, answer: Answer, task: Task) -> pd.DataFrame:
    """The whole restated history; DataError where it lacks more than a few of the stored rows."""
    lost = stored.frame.index.difference(answer.frame.index)
    if len(lost) > max(1, MAX_LOST * len(stored.frame)):
        raise DataError(
            "restated history is shorter than the stored one",
            where=symbol,
            why=f"{len(lost)} of {len(stored.frame)} stored rows are not in Yahoo's answer, "
            f"the first of {lost[0].date()}",
            next_step="What is stored is kept; to take the shorter one, first run: "
            f"lstmcli data remove {symbol}{interval_option(task.interval)}.",
        )
    return replace_history(stored.frame, answer.frame)


def _write(
    symbol: str,
    task: Task,
    stored: Stored,
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
