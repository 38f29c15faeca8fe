"""One symbol up to date: read what is stored, fetch what is missing, merge and store.

Only a short overlap and the bars after it are fetched, and nothing while the exchange can have no
new bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market.bar_checks import UnusablePriceError
from lstmcli.market.calendars import zone_of
from lstmcli.market.feed import Answer, bars_due, fetch_answer
from lstmcli.market.merge import contradiction, merge_overlap, overlap_start, restate
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
    write_stored,
)
from lstmcli.market.symbols import inside, interval_option, price_path, sidecar_path
from lstmcli.market.throttle import Gate
from lstmcli.market.yahoo import Interval
from lstmcli.printable import count_of, first_few

RECENT = 60  # stored rows in which a missing session is asked for again
Status = Literal["new", "updated", "unchanged", "restated", "failed"]
MAX_LOST = 0.01  # share of the stored rows that a restated history may lack


@dataclass(frozen=True)
class Task:
    """The settings of a run, equal for all symbols; named as in `fetch`."""

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
    """The stored bars of a symbol.

    frame : all of COLUMNS, without a bar that was stored unfinished or has an impossible close;
        empty where nothing is stored.
    dates : of every stored bar. left_out : of those with an impossible close. doubted : whether
        `frame` lacks opens, highs and lows that have another basis than the closes.
    asked_start : first day requested for the whole history; None for everything.
    is_known : whether the sidecar names Yahoo as source. fits : whether it matches these bars.
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
    """What to fetch, from `start`; `whole` if that includes every stored row."""

    start: date | None
    whole: bool


def read(symbol: str, task: Task) -> Stored:
    """Read a symbol's stored bars.

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
    """Decide what to fetch; None where the stored rows reach the end or the last session."""
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
    if not task.include_partial and len(stored.dates) == len(stored.frame):
        zone = str(stored.facts.get("time_zone", ""))
        if bars_due(last, symbol=symbol, interval=task.interval, time_zone=zone, now=task.now) == 0:
            return None  # Yahoo can have no finished bar that is not stored
    return Plan(_overlap_start(symbol, stored, task), whole=False)


def _overlap_start(symbol: str, stored: Stored, task: Task) -> date:
    """Return the first date to fetch again: of a recent session that is missing or wrong."""
    frame = stored.frame
    start = min([overlap_start(frame), *stored.left_out])
    if task.interval != "1d":
        return start
    index = pd.DatetimeIndex(frame.index)
    missing = missing_sessions(index, symbol, from_feed=True)
    late = missing[missing > index[-min(RECENT, len(index))].to_datetime64()]
    return min(start, late[0].item()) if late.size else start


@dataclass(frozen=True)
class FetchResult:
    """The result of one symbol.

    rows, first, last : of the stored table now, dates in ISO form; `added` of its rows are new.
    note : remarks on a success. reason : why it failed. exit_code : 0 for success. failure : the
        kind of failure in words.
    behind : finished sessions, by the calendar, after the last bar of the feed's answer.
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
    behind: int = 0


class RefusedAnswer(DataError):
    """The feed's answer does not fit what is stored, which stays."""


def refresh(symbol: str, task: Task) -> FetchResult:
    """Fetch, merge and store; raise LstmcliError and leave the store as it was on failure."""
    task.gate.check_time(symbol)
    stored = read(symbol, task)
    plan = make_plan(symbol, stored, task)
    if plan is None:
        return _result(symbol, "unchanged", stored.frame, 0, ())
    answer = _request(symbol, plan.start, stored, task)
    if not len(stored.frame):
        _write(symbol, task, stored, answer, answer.frame, plan.start, None)
        return _result(symbol, "new", answer.frame, len(answer.frame), answer.notes, answer.behind)
    merge = merge_overlap(stored.frame, answer.frame)
    reason = merge.restated
    if reason and not plan.whole:
        answer = _request(symbol, stored.asked_start, stored, task)
        merge = merge_overlap(stored.frame, answer.frame)
    # Where all of history does not show it, the answer before was the odd one.
    restated = merge.restated and reason
    frame, notes = merge.frame, answer.notes
    if restated:
        frame, more = _restated(symbol, stored, answer, task)
        notes = (f"restated: {restated}", *more, *notes)
    else:
        notes = (*_kept_from_unknown(stored, answer, plan), *_emptied(merge.emptied), *notes)
    healed = _heal(stored, frame)
    asked_start = plan.start if plan.whole else stored.asked_start
    changed = False
    if healed or not stored.fits or not frame.equals(stored.frame):
        changed = _write(symbol, task, stored, answer, frame, asked_start, restated)
    status: Status = "restated" if restated else "updated" if changed else "unchanged"
    added = len(frame.index.difference(stored.dates)) if changed else 0
    return _result(symbol, status, frame, added, (*healed, *notes), answer.behind)


def preview(symbol: str, task: Task) -> FetchResult:
    """Report what `refresh` would fetch; fetch and write nothing."""
    stored = read(symbol, task)
    plan = make_plan(symbol, stored, task)
    if plan is None:
        return _result(symbol, "unchanged", stored.frame, 0, ("nothing to ask for",))
    status: Status = "updated" if len(stored.frame) else "new"
    note = f"would ask from {plan.start or 'the first bar'}"
    return _result(symbol, status, stored.frame, 0, (note,))


def _request(symbol: str, start: date | None, stored: Stored, task: Task) -> Answer:
    """Fetch; raise RefusedAnswer for an answer that does not match the stored bars."""
    end = task.end
    if end and len(stored.frame):
        end = max(end, stored.frame.index[-1].date())
    try:
        answer = fetch_answer(
            symbol,
            start=start,
            end=end,
            interval=task.interval,
            time_zone=str(stored.facts.get("time_zone", "")),
            include_partial=task.include_partial,
            now=task.now,
            gate=task.gate,
        )
    except UnusablePriceError as error:  # a row that Yahoo does not correct
        option, step = interval_option(task.interval), "Wait for later bars."
        if error.resume:
            first = f"lstmcli data remove {symbol}{option}, then: " if len(stored.dates) else ""
            step = f"To do without: {first}lstmcli fetch {symbol}{option} --start {error.resume}."
        raise DataError(error.what, where=error.where, why=error.why, next_step=step) from error
    if stored.is_known:
        _refuse_other(symbol, stored, answer, task)
    return answer


def _refuse_other(symbol: str, stored: Stored, answer: Answer, task: Task) -> None:
    """Raise RefusedAnswer for an answer that cannot be of what is stored."""
    named = f"{symbol}{interval_option(task.interval)}"
    for what, found, known, differs in (
        ("currency", answer.currency, stored.facts.get("currency"), str.__ne__),
        ("time zone", answer.time_zone, stored.facts.get("time_zone"), _other_hours),
    ):
        if found and known and differs(found, str(known)) and not task.full:
            raise RefusedAnswer(
                f"not stored: prices in another {what}",
                where=symbol,
                why=f"found {found}, expected {known} as stored",
                next_step=f"Where that is right, replace all: lstmcli fetch {named} --full.",
            )
    if odd := contradiction(stored.frame, answer.frame):
        raise RefusedAnswer(
            "not stored: the new prices contradict the stored ones",
            where=symbol,
            why=odd,
            next_step="Try again later; what is stored is kept. To take Yahoo's all the same, "
            f"first run: lstmcli data remove {named}.",
        )


def _heal(stored: Stored, frame: pd.DataFrame) -> tuple[str, ...]:
    """Note the replaced or removed bars with contradictions, which versions before 0.2 stored."""
    days = {str(day) for day in stored.left_out}
    again = days & set(pd.DatetimeIndex(frame.index).strftime("%Y-%m-%d"))
    notes = tuple(
        f"{what} the stored {'bar' if len(some) == 1 else 'bars'} with an impossible close of "
        f"{', '.join(sorted(some))}"
        for what, some in (("replaced", again), ("removed", days - again))
        if some
    )
    doubted = "removed stored opens, highs and lows that contradict the closes"
    return (*notes, doubted) if stored.doubted else notes


def _other_hours(one: str, other: str) -> bool:
    """Return whether two time zones differ in winter or summer."""
    zones = zone_of(one), zone_of(other)
    days = (datetime(2024, 1, 15), datetime(2024, 7, 15))
    return None not in zones and any(
        len({zone.utcoffset(day) for zone in zones if zone}) > 1 for day in days
    )


def _restated(
    symbol: str, stored: Stored, answer: Answer, task: Task
) -> tuple[pd.DataFrame, list[str]]:
    """Return the restated history with stored rows that it lacks, and notes on them.

    Raises RefusedAnswer where those are more than a few rows, or their new basis is not known. Rows
    of unknown source are left out.
    """
    lost = stored.frame.index.difference(answer.frame.index)
    if not stored.is_known:
        rows = f"{len(stored.frame)} rows of unknown source replaced"
        return answer.frame, [f"{rows}, {len(lost)} of them of days that Yahoo does not have"]
    remedy = "What is stored is kept; to take Yahoo's all the same, first run: "
    remedy += f"lstmcli data remove {symbol}{interval_option(task.interval)}."
    if len(lost) > max(1, MAX_LOST * len(stored.frame)):
        raise RefusedAnswer(
            "restated history is shorter than the stored one",
            where=symbol,
            why=f"{len(lost)} of {len(stored.frame)} stored rows are not in Yahoo's answer, "
            f"the first of {lost[0].date()}",
            next_step=remedy,
        )
    new = restate(stored.frame, answer.frame)
    if len(new.unclear):
        raise RefusedAnswer(
            "restated history lacks stored rows",
            where=symbol,
            why=f"{len(new.unclear)} not in it, the first of {new.unclear[0].date()}, and the rows "
            "around changed by different ratios",
            next_step=remedy,
        )
    notes = []
    if len(new.kept):
        days = first_few(day.date() for day in new.kept)
        notes.append(
            f"stored rows without a new price, kept and adjusted like those around: "
            f"{len(new.kept)} ({days})"
        )
    return new.frame, [*notes, *_emptied(new.emptied)]


def _kept_from_unknown(stored: Stored, answer: Answer, plan: Plan) -> list[str]:
    """Note rows that the whole of Yahoo's history lacks, of bars that may not be Yahoo's."""
    lost = stored.frame.index.difference(answer.frame.index)
    if not plan.whole or (stored.is_known and stored.fits) or not len(lost):
        return []
    return [
        f"kept {count_of(len(lost), 'stored row')} that Yahoo does not have, from {lost[0].date()}"
    ]


def _emptied(count: int) -> list[str]:
    return [f"stored values without a new one, left empty: {count}"] if count else []


def _write(
    symbol: str,
    task: Task,
    stored: Stored,
    answer: Answer,
    frame: pd.DataFrame,
    asked_start: date | None,
    restated: str | None,
) -> bool:
    """Store the table and its sidecar; return whether the table changed."""
    earlier = stored.facts.get("restatements")
    restatements = earlier if isinstance(earlier, list) else []
    if restated:
        entry = {"fetched": task.now.date().isoformat(), "reason": restated}
        if entry not in restatements:  # a run that died before the bars were there noted it
            restatements = [*restatements, entry]
    sidecar = {
        "symbol": symbol,
        "interval": task.interval,
        "source": YAHOO,
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
    symbol: str,
    status: Status,
    frame: pd.DataFrame,
    added: int,
    notes: Sequence[str],
    behind: int = 0,
) -> FetchResult:
    result = FetchResult(symbol, status, added=added, note="; ".join(notes), behind=behind)
    if not len(frame):
        return result
    first, last = str(frame.index[0].date()), str(frame.index[-1].date())
    return replace(result, rows=len(frame), first=first, last=last)
