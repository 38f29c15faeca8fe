"""Update one symbol: read the stored bars, fetch missing ones, merge and store.

Only a short overlap and the bars after it are fetched, and nothing if the exchange cannot have a
new bar yet. An answer that contradicts the stored bars is refused, and the store stays unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market import store
from lstmcli.market.bar_checks import UnusablePriceError
from lstmcli.market.calendars import drop_unfinished, zone_of
from lstmcli.market.merge import Merge, contradiction, merge, overlap_start
from lstmcli.market.prices import COLUMNS, unit_of
from lstmcli.market.sessions import bars_due, missing_sessions
from lstmcli.market.symbols import inside, interval_option, price_path, sidecar_path
from lstmcli.market.throttle import Gate
from lstmcli.market.validate import bars_from_frame, check_bars
from lstmcli.market.yahoo import Answer, Interval, NothingInRange, fetch_bars
from lstmcli.printable import count_of, first_few

RECENT = 60  # number of last stored rows within which a missing session is requested again
MAX_LOST = 0.01  # share of the stored rows that a restated history may lack
Status = Literal["new", "updated", "unchanged", "restated", "failed"]


@dataclass(frozen=True)
class Task:
    """The settings of a fetch run, named like the options of `fetch`."""

    data_dir: Path
    interval: Interval
    start: date | None
    end: date | None
    full: bool
    include_partial: bool
    dry_run: bool
    now: datetime
    gate: Gate


@dataclass(frozen=True)
class FetchResult:
    """The result of fetching one symbol.

    rows, first, last : number of rows of the stored table, and its first and last date in ISO form.
    added : number of new rows.
    note : remarks on a success. reason : why it failed. exit_code : 0 for success. failure : the
        kind of failure in words.
    behind : number of finished sessions, by the calendar, after the last bar of the feed's answer.
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
    """The feed's answer contradicts the stored bars, which are kept."""


@dataclass(frozen=True)
class Stored:
    """The stored bars of a symbol.

    frame : all of COLUMNS, without bars that were stored unfinished or have an impossible close;
        empty if nothing is stored.
    dates : dates of all stored bars. left_out : dates of bars with an impossible close. doubted :
        whether opens, highs and lows were removed because their basis differs from the closes'.
    asked_start : first day requested for the whole history; None for everything.
    fits : whether the sidecar matches these bars.
    """

    frame: pd.DataFrame
    dates: pd.Index
    facts: dict[str, Any] = field(default_factory=dict)
    asked_start: date | None = None
    fits: bool = False
    left_out: tuple[date, ...] = ()
    doubted: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the sidecar names Yahoo as the source of the bars."""
        return store.source_of(self.facts) == store.YAHOO

    @property
    def time_zone(self) -> str:
        """The exchange's time zone, "" if unknown."""
        return str(self.facts.get("time_zone", ""))


def refresh(symbol: str, task: Task) -> FetchResult:
    """Fetch, merge and store one symbol's bars; on failure the store is unchanged.

    A dry run neither fetches nor stores, and reports which bars it would request.

    Raises LstmcliError.
    """
    task.gate.check_time(symbol)
    stored = _read(symbol, task)
    span = _missing_span(symbol, stored, task)
    if span is None:
        notes = ["nothing to request"] if task.dry_run else []
        return _result(symbol, "unchanged", stored.frame, notes)
    (start, whole), is_new = span, stored.frame.empty
    if task.dry_run:
        note = f"would ask from {start or 'the first bar'}"
        return _result(symbol, "new" if is_new else "updated", stored.frame, [note])
    answer, restated = _fetch_answer(symbol, start, stored, task), None
    frame, notes = answer.frame, list[str]()
    if not is_new:
        merged = merge(stored.frame, answer.frame)
        if merged.restated and not whole:
            # If the whole history shows no restatement, the first answer was wrong.
            answer = _fetch_answer(symbol, stored.asked_start, stored, task)
            merged = merge(stored.frame, answer.frame)
        restated = merged.restated
        frame, notes = _accept(symbol, stored, answer, merged, whole, task)
    healed, changed = _heal(stored, frame), False
    if healed or not stored.fits or not frame.equals(stored.frame):
        asked = start if whole else stored.asked_start
        changed = _write(symbol, task, stored, answer, frame, asked, restated)
    status: Status = "updated" if changed else "unchanged"
    if is_new or restated:
        status = "new" if is_new else "restated"
    added = len(frame.index.difference(stored.dates)) if changed else 0
    notes = [*healed, *notes, *answer.notes]
    return _result(symbol, status, frame, notes, added, answer.behind)


def _read(symbol: str, task: Task) -> Stored:
    """Read a symbol's stored bars.

    Raises DataError if the bars are damaged or of unknown source, unless `task.full` replaces them,
    and if they were imported: Yahoo's bars are never mixed with the user's own.
    """
    empty = pd.DataFrame(columns=list(COLUMNS), index=pd.DatetimeIndex([]), dtype="float64")
    where = task.data_dir, symbol, task.interval
    if not inside(task.data_dir, price_path(*where)).exists():
        return Stored(empty, empty.index)
    facts, named = store.read_sidecar(*where), f"{symbol}{interval_option(task.interval)}"
    if store.source_of(facts) == store.IMPORTED:
        raise DataError(
            "not fetched: the stored prices were imported",
            where=symbol,
            why=f"they come from {facts.get('file', 'a file')}",
            next_step=f"Import a newer file, or first run: lstmcli data remove {named}.",
        )
    if not store.source_of(facts) and not task.full:
        sidecar = sidecar_path(*where)
        raise DataError(
            "not fetched: the stored prices are of unknown source",
            where=symbol,
            why=f"{sidecar} is {'damaged' if sidecar.exists() else 'missing'}",
            next_step=f"To replace them with Yahoo's, run: lstmcli fetch {named} --full.",
        )
    try:
        prices = store.read_stored(*where, today=task.now.date(), mend=True)
    except DataError:
        if not task.full:
            raise
        return Stored(empty, empty.index)  # --full replaces a damaged file
    frame = prices.frame.reindex(columns=list(COLUMNS))
    dates = frame.index.union(pd.DatetimeIndex(prices.left_out))
    if partial := store.date_of(facts.get("partial")):
        frame = frame[frame.index != pd.Timestamp(partial)]
    had_all = "asked_start" in facts and facts["asked_start"] is None
    asked_start = None if had_all else store.date_of(facts.get("asked_start")) or dates[0].date()
    fits = store.sidecar_fits(*where)
    return Stored(frame, dates, facts, asked_start, fits, prices.left_out, prices.doubted)


def _missing_span(symbol: str, stored: Stored, task: Task) -> tuple[date | None, bool] | None:
    """Return the first day to fetch, and whether that span includes all stored rows.

    Returns None if the stored rows reach `task.end` or the last finished session.
    """
    if stored.frame.empty:
        return task.start, True
    index = pd.DatetimeIndex(stored.frame.index)
    first, last = index[0].date(), index[-1].date()
    if task.full:
        return min(task.start, first) if task.start else None, True
    if task.start and stored.asked_start and task.start < stored.asked_start:
        return task.start, True
    if not stored.fits:  # edited, or an interrupted write: any row may have changed
        return stored.asked_start, True
    if task.end and task.end <= last:
        return None
    if not task.include_partial and len(stored.dates) == len(index):
        due = bars_due(last, symbol, task.interval, stored.time_zone, task.now)
        if due == 0:
            return None  # Yahoo cannot have a newer finished bar
    start = min([overlap_start(stored.frame), *stored.left_out])
    if task.interval == "1d":  # request recent missing sessions again
        missing = missing_sessions(index, symbol, from_feed=True)
        late = missing[missing > index[-min(RECENT, len(index))].to_datetime64()]
        start = min([start, *late[:1].tolist()])
    return start, False


def _fetch_answer(symbol: str, start: date | None, stored: Stored, task: Task) -> Answer:
    """Fetch bars; raise RefusedAnswer if they contradict the stored ones."""
    end = task.end
    if end and not stored.frame.empty:
        end = max(end, stored.frame.index[-1].date())
    option = interval_option(task.interval)
    try:
        answer = fetch_answer(symbol, start, end, stored.time_zone, task)
    except UnusablePriceError as error:  # a row that Yahoo does not correct
        step = "Wait for later bars."
        if error.resume:
            first = f"lstmcli data remove {symbol}{option}, then: " if len(stored.dates) else ""
            step = f"To leave it out: {first}lstmcli fetch {symbol}{option} --start {error.resume}."
        raise error.changed(next_step=step) from error
    if not stored.is_known:
        return answer
    currency = str(stored.facts.get("currency") or "")
    for what, found, known, is_other in (
        ("currency", answer.currency, currency, answer.currency != currency),
        ("time zone", answer.time_zone, stored.time_zone, _differ(answer, stored)),
    ):
        if found and known and is_other and not task.full:
            raise RefusedAnswer(
                f"not stored: prices in another {what}",
                where=symbol,
                why=f"found {found}, expected {known} as stored",
                next_step=f"If that is correct, replace all: lstmcli fetch {symbol}{option} "
                "--full.",
            )
    if odd := contradiction(stored.frame, answer.frame):
        raise _refused(symbol, task, "the new prices contradict the stored ones", odd)
    return answer


def fetch_answer(
    symbol: str, start: date | None, end: date | None, time_zone: str, task: Task
) -> Answer:
    """Fetch the finished bars from `start` to `end`, inclusive, as a table of COLUMNS.

    time_zone : time zone of the exchange, "" if unknown.
    Raises the errors of `fetch_bars` and `check_bars`, and NothingInRange if the only bar is
    unfinished.
    """
    interval, now = task.interval, task.now
    answer = fetch_bars(
        symbol, start=start, end=end, interval=interval, time_zone=time_zone, gate=task.gate
    )
    frame, zone, notes = answer.frame, answer.time_zone, [*answer.notes]
    done = drop_unfinished(frame, symbol, interval, zone, now, answer.market_time)
    partial = None
    if len(done) < len(frame):
        partial = str(frame.index[len(done)].date())
        kept = "kept" if task.include_partial else "left out"
        notes.append(f"the unfinished bar of {partial} {kept}")
    if not task.include_partial:
        frame, partial = done, None
    if frame.empty:
        raise NothingInRange(symbol, "only an unfinished bar", "Try again after the close.")
    checked = check_bars(
        bars_from_frame(frame, symbol, "Yahoo", from_feed=True),
        today=now.astimezone(zone_of(zone) or UTC).date(),
        interval=interval,
        mend=True,
        unfinished=store.date_of(partial),
    )
    notes += [note.rstrip(".") for note in checked.notes]
    last, until = frame.index[-1].date(), now
    if end is not None:  # bars after that day are not expected
        until = min(now, datetime.combine(end + timedelta(days=1), time(), UTC))
    behind = bars_due(last, symbol, interval, zone, until) or 0
    if behind:
        notes.append(
            f"stale: Yahoo's last bar is {last}, {count_of(behind, unit_of(interval))} ago"
        )
    frame = checked.frame.reindex(columns=list(COLUMNS))
    return replace(answer, frame=frame, notes=tuple(notes), partial=partial, behind=behind)


def _differ(answer: Answer, stored: Stored) -> bool:
    """Return whether the UTC offsets differ in winter or summer; zones may be renamed."""
    zones = zone_of(answer.time_zone), zone_of(stored.time_zone)
    days = (datetime(2024, 1, 15), datetime(2024, 7, 15))
    return None not in zones and any(
        len({zone.utcoffset(day) for zone in zones if zone}) > 1 for day in days
    )


def _accept(
    symbol: str, stored: Stored, answer: Answer, merged: Merge, whole: bool, task: Task
) -> tuple[pd.DataFrame, list[str]]:
    """Return the table to store and the notes on it.

    Stored rows of unknown source are not added to a restated history. Raises RefusedAnswer if a
    restated history lacks more than a few stored rows, or if their adjustment is unclear.
    """
    lost = stored.frame.index.difference(answer.frame.index)
    emptied = [f"stored values without a new one, left empty: {merged.emptied}"]
    emptied = emptied if merged.emptied else []
    if not merged.restated:
        if whole and len(lost) and not (stored.is_known and stored.fits):
            rows = count_of(len(lost), "stored row")
            kept = f"kept {rows} that Yahoo does not have, from {lost[0].date()}"
            return merged.frame, [kept, *emptied]
        return merged.frame, emptied
    notes = [f"restated: {merged.restated}"]
    if not stored.is_known:
        rows = f"{len(stored.frame)} rows of unknown source replaced"
        notes.append(f"{rows}, {len(lost)} of them on days that Yahoo does not have")
        return answer.frame, notes
    if len(lost) > max(1, MAX_LOST * len(stored.frame)):
        why = f"{len(lost)} of {len(stored.frame)} stored rows are not in Yahoo's answer, the first"
        why += f" of {lost[0].date()}"
        raise _refused(symbol, task, "restated history is shorter than the stored one", why)
    if len(merged.unclear):
        why = f"{len(merged.unclear)} missing, the first of {merged.unclear[0].date()}, and the "
        why += "rows around changed by different ratios"
        raise _refused(symbol, task, "restated history lacks stored rows", why)
    if len(merged.kept):
        days = first_few(day.date() for day in merged.kept)
        kept = "stored rows without a new price, kept and adjusted like those around"
        notes.append(f"{kept}: {len(merged.kept)} ({days})")
    return merged.frame, [*notes, *emptied]


def _refused(symbol: str, task: Task, what: str, why: str) -> RefusedAnswer:
    named = f"{symbol}{interval_option(task.interval)}"
    step = "Try again later; the stored bars are kept. To use Yahoo's anyway, first run: "
    step += f"lstmcli data remove {named}."
    return RefusedAnswer(f"not stored: {what}", where=symbol, why=why, next_step=step)


def _heal(stored: Stored, frame: pd.DataFrame) -> list[str]:
    """Return notes on fixed contradictory bars, which versions before 0.2 stored."""
    odd, notes = pd.DatetimeIndex(stored.left_out), []
    there = odd.isin(frame.index)
    for what, days in (("replaced", odd[there]), ("removed", odd[~there])):
        if len(days):
            dates = first_few(day.date() for day in days)
            notes.append(f"{what} stored bars with an impossible close: {dates}")
    if stored.doubted:
        notes.append("removed stored opens, highs and lows that contradict the closes")
    return notes


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
    entry = {"fetched": task.now.date().isoformat(), "reason": restated}
    if restated and entry not in restatements:  # a killed run may have noted it already
        restatements = [*restatements, entry]
    sidecar = {
        "symbol": symbol,
        "interval": task.interval,
        "source": store.YAHOO,
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
    return store.write_stored(task.data_dir, symbol, task.interval, frame, sidecar)


def _result(
    symbol: str,
    status: Status,
    frame: pd.DataFrame,
    notes: Sequence[str],
    added: int = 0,
    behind: int = 0,
) -> FetchResult:
    first, last = (str(frame.index[at].date()) if len(frame) else None for at in (0, -1))
    note = "; ".join(notes)
    return FetchResult(symbol, status, len(frame), added, first, last, note, behind=behind)
