"""Screens of `fetch`, `data` and `status`: downloads, imports, stored series and their faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.text import Text

from lstmcli.market.prices import bars_of
from lstmcli.market.sessions import MOST_BEHIND
from lstmcli.market.symbols import interval_option
from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document
from lstmcli.report.tables import (
    BAD,
    DIM,
    GOOD,
    Column,
    NextSteps,
    fact_table,
    list_table,
    make_table,
    styled,
)

if TYPE_CHECKING:  # each command loads its own workflow
    from rich.console import RenderableType

    from lstmcli.workflows.data import CheckReport, Finding, StoredDetail, StoreList
    from lstmcli.workflows.data_import import ImportReport
    from lstmcli.workflows.fetch import FetchReport, Outcome
    from lstmcli.workflows.status import StatusReport

_VERBS = ("train", "predict")
_MOST_GAPS = 10
_STOPPED = (129, 130, 143)  # exit codes after a signal
_LEAST = ("Restated", "Updated", "First", "Bars")
_MOST_MODELS = 6  # up to so many models without problems, `status` lists each
_HOUR = timedelta(hours=1)
_BARS: Column = ("Bars", lambda each: bars_of(each.interval).removesuffix(" bars"))
_SPAN: list[Column] = [("First", "first"), ("Last", "last"), ("Rows", "rows")]
_STORED: list[Column] = [
    ("Symbol", "symbol"),
    _BARS,
    ("Source", lambda each: each.source or styled("unknown", BAD)),
    ("Updated", lambda each: each.fetched_at[:10] or None),
    *_SPAN,
    ("Behind", lambda each: _late(each.behind)),
    ("Restated", "restatements"),
]
_IMPORTED: list[Column] = [
    *(("Symbol", "symbol"), _BARS, ("Status", "status"), ("File", "file"), *_SPAN),
    *(("New", "added"), ("Changed", "changed"), ("Gone", "removed")),
]
_FETCHED: list[Column] = [
    ("Symbol", "symbol"),
    ("Status", lambda each: styled(each.status, BAD) if each.failure else each.status),
    *_SPAN,
    ("New", "added"),
]


def fetch_view(report: FetchReport, *, next_steps: bool = True) -> View:
    """Show one row per symbol, each note once, a line of counts, and suggested commands."""
    statuses = Counter(str(each.status) for each in report.results)
    failures = Counter(each.failure for each in report.results if each.failure)
    notes: dict[str, list[str]] = {}
    for each in report.results:
        if each.note:
            notes.setdefault(each.note, []).append(each.symbol)
    fine = [each.symbol for each in report.results if next_steps and not each.failure]

    def counted(numbers: Counter[str]) -> str:
        # Failures come last, because the caller appends their kinds.
        names = sorted(numbers, key=lambda name: name == "failed")
        return ", ".join(f"{numbers[name]} {name}" for name in names)

    kinds = f" ({counted(failures)})" if failures else ""
    waited = f", {report.waited:.0f} s waited" if report.waited else ""
    return View(
        lambda: [
            list_table("Fetched", _FETCHED, report.results, left=4, drop=("First",)),
            *(f"{first_few(symbols)}: {note}" for note, symbols in notes.items()),
            f"{count_of(len(report.results), 'symbol')}: {counted(statuses)}{kinds}. "
            f"{count_of(report.requests, 'request')}{waited}.",
            _next_verbs(fine),
        ],
        lambda: make_document(
            "fetch",
            counts=statuses,
            failures=failures,
            requests=report.requests,
            seconds_waited=round(report.waited, 3),
            results=report.results,
        ),
        lambda: report.results,
    )


def _next_verbs(symbols: Sequence[str]) -> NextSteps:
    """Return suggested commands for the first of the symbols that have prices."""
    return NextSteps(*(f"lstmcli {verb} {one}" for one in symbols[:1] for verb in _VERBS))


def format_pause(cause: Outcome, seconds: float) -> str:
    """Describe a pause during a fetch."""
    why = "Yahoo limits the rate" if cause == "refused" else "Yahoo does not answer"
    return f"{why}: waiting {seconds:.0f} s"


def list_view(report: StoreList) -> View:
    """Show one row per stored series."""
    late = [each for each in report.series if each.behind > MOST_BEHIND and each.source != "import"]
    steps = [f"lstmcli fetch {late[0].symbol}{interval_option(late[0].interval)}"] if late else []
    return View(
        lambda: [
            list_table("Stored prices", _STORED, report.series, left=6, drop=_LEAST),
            "Behind: complete bars not stored yet, by the exchange's calendar.",
            NextSteps(*steps),
        ],
        lambda: make_document("data list", **vars(report)),
        lambda: report.series,
    )


def show_view(report: StoredDetail) -> View:
    """Show the facts about a series and its last bars; the rows are the bars."""
    series, restated = report.series, report.restatements
    frame = report.bars.astype(np.float64).astype(object)
    frame = frame.where(frame.notna(), None)
    frame.insert(0, "Date", [f"{day:%Y-%m-%d}" for day in frame.index])
    bars: Any = frame.to_dict("records")
    restatements = "never"
    if restated:
        restatements = f"{count_of(len(restated), 'time')}, last {': '.join(restated[-1])}"
    facts = [
        ("Rows", f"{series.rows}, {series.first} to {series.last}"),
        ("Behind", count_of(series.behind, "bar")),
        ("Source", f"{series.source or 'unknown'} {report.file}".rstrip()),
        ("Updated", series.fetched_at[:16].replace("T", " ") or "-"),
        ("Time zone", report.time_zone or "-"),
        ("Currency", report.currency or "-"),
        ("Restated", restatements),
        ("Missing", count_of(len(report.missing), "session")),
    ]
    history = [{"fetched": day, "reason": reason} for day, reason in restated]
    known = vars(series) | vars(report) | {"restatements": history, "bars": bars}
    del known["series"]
    shown = [name for name in bars[0] if any(bar[name] is not None for bar in bars)]
    return View(
        lambda: [
            styled(f"{series.symbol}, {bars_of(series.interval)}", "bold"),
            fact_table(facts),
            *report.notes,
            Text(),
            make_table(
                "Last bars",
                shown,
                ([_plain(bar[name]) for name in shown] for bar in bars),
                drop=("Stock Splits", "Dividends", "Volume", "High", "Low", "Open"),
            ),
        ],
        lambda: make_document("data show", **known),
        lambda: bars,
    )


def _late(behind: int) -> Text | int:
    return styled(behind, BAD) if behind > MOST_BEHIND else behind


def _plain(value: str | float | None) -> str | None:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else value


def check_view(report: CheckReport) -> View:
    """Show the findings of each series, with only its first gaps, and how to fix them."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for each in report.findings:
        found.setdefault((each.symbol, each.interval), []).append(each)
    checked = f"{report.checked} series checked"
    faults = f"{checked}, {len([each for each in found if each[0]])} with findings."
    return View(
        lambda: [
            faults if found else f"{checked}, nothing found.",
            *(part for key, findings in found.items() for part in _findings(*key, findings)),
        ],
        lambda: make_document("data check", **vars(report)),
        lambda: report.findings,
        columns=("symbol", "interval", "kind", "date", "what", "next_step"),
    )


def _findings(symbol: str, interval: str, found: list[Finding]) -> list[RenderableType]:
    """Return the findings of one series, with texts in full and each next step once."""
    gaps = [each for each in found if each.kind == "gap"]
    hidden = gaps[_MOST_GAPS:]
    lines: list[tuple[str, str]] = [
        (each.kind, each.what if each.date in each.what else f"{each.date}: {each.what}")
        for each in found
        if each not in hidden
    ]
    if hidden:
        lines.append(("", f"{count_of(len(hidden), 'more gap')}; --format csv has all."))
    lines += [("next", step) for step in dict.fromkeys(each.next_step for each in found)]
    name = f"{symbol}, {bars_of(interval)}" if symbol else "The folder of prices"
    return [Text(), styled(name, "bold"), fact_table(lines)]


def import_view(report: ImportReport) -> View:
    """Show one row per imported series."""
    daily = [each.symbol for each in report.imported if each.interval == "1d"]
    drop = ("Gone", "Changed", "First", "Bars")
    return View(
        lambda: [
            list_table("Imported", _IMPORTED, report.imported, left=6, drop=drop),
            _next_verbs(daily),
        ],
        lambda: make_document("data import", **vars(report)),
        lambda: report.imported,
    )


def status_view(report: StatusReport) -> View:
    """Show one line per part and per command's last run, and each cause once.

    The rows are the parts.
    """
    parts = [
        {
            "part": each.name,
            "state": each.state,
            "found": "; ".join(filter(None, (each.what, each.cause))),
            "since": each.since and each.since.isoformat(),
            "age_hours": each.since and round((report.now - each.since) / _HOUR, 2),
            "next_step": each.next_step,
        }
        for each in report.parts
    ]
    return View(
        lambda: _status_screen(report),
        lambda: make_document(
            "status",
            data_dir=str(report.data_dir),
            time=report.now.isoformat(timespec="seconds"),
            max_age_hours=report.max_age and report.max_age / _HOUR,
            too_old=report.too_old,
            parts=parts,
            runs=report.runs,
        ),
        lambda: parts,
    )


class _Line(NamedTuple):
    """One line of `status`; why : the cause and the next step, "" if there is no problem."""

    state: str
    name: str
    text: str
    why: str


def _status_screen(report: StatusReport) -> list[RenderableType]:
    lines = [*_part_lines(report), *_run_lines(report)]
    causes: dict[str, list[str]] = {}
    for each in lines:
        if each.state != "ok":
            # Different commands may describe the same failed symbol in different words: causes
            # that begin with the same symbol count as one.
            symbol = re.match(r"\S+: ", each.why)
            same = (why for why in causes if symbol and why.startswith(symbol[0]))
            causes.setdefault(next(same, each.why), []).append(each.name)
    wrong = {each.name for each in lines if each.state in ("old", "bad")}
    problems = sum(not wrong.isdisjoint(names) for names in causes.values())
    verdict = count_of(problems, "problem") if problems else "no problems"
    if not report.runs and causes and not problems:
        verdict = "nothing here yet"
    colours = {"ok": GOOD, "none": DIM}
    return [
        make_table(
            f"{report.data_dir}/ on {report.now:%Y-%m-%d %H:%M} UTC: {verdict}",
            ["", "", ""],
            [(styled(each.state, colours.get(each.state, BAD)), *each[1:3]) for each in lines],
            left=3,
        ),
        fact_table(((", ".join(names), why) for why, names in causes.items() if why), indent=""),
    ]


def _part_lines(report: StatusReport) -> Iterator[_Line]:
    """Yield the lines for prices, models and device, and for calendars that end soon.

    Many models without problems share one line. The feed is shown with the last fetch instead.
    """
    fine = [each for each in report.parts if each.state == "ok" and each.name.startswith("model ")]
    hidden = fine if len(fine) > _MOST_MODELS else []
    for each in report.parts[:-1]:
        if each not in hidden and (each.name, each.state) != ("calendars", "ok"):
            verb = "updated " if each.name == "store" else ""
            when = f", {verb}{_ago(each.since, report.now)}" if each.since else ""
            why = f"{each.cause}. {each.next_step}" if each.cause else each.next_step
            name = "prices" if each.name == "store" else each.name
            why = each.next_step if each.state == "none" else why
            yield _Line(each.state, name, each.what + when, why)
    if hidden:
        last = max(each.since for each in hidden if each.since)
        text = f"{len(hidden)} without problems, the last trained {_ago(last, report.now)}"
        yield _Line("ok", "models", text, "")


def _run_lines(report: StatusReport) -> Iterator[_Line]:
    """Yield a line for the last run of each command."""
    for command, runs in report.runs.items():
        last, good = runs.last, runs.last_good
        counts = [f"{last.counts.get(each, 0):g} {each}" for each in ("done", "failed")]
        found = [each for each in counts if not each.startswith("0 ")] or ["done"]
        if last.exit_code in _STOPPED:
            found = ["stopped"]
        elif not last.is_good:
            found = [*found[found[0] == "done" :], f"exit code {last.exit_code}"]
        text = f"{', '.join(found)}, {_ago(datetime.fromisoformat(last.ended), report.now)}"
        if good != last:
            since = _ago(datetime.fromisoformat(good.ended), report.now) if good else "never"
            text += f"; last good run {since}"
        old = any(each.startswith(f"{command} ") for each in report.too_old)
        state = "bad" if last.exit_code else "old" if old else "ok"
        why = last.error.rpartition(", first ")[2]
        if why != last.error and (others := last.counts.get("failed", 0) - 1) > 0:
            why = f"{why.rstrip('.')}. {others:g} more failed: see the log or --errors FILE."
        feed = report.parts[-1]
        if feed.state in ("old", "bad") and feed.what.startswith(f"last {command} "):
            state, why = feed.state, f"{why} {feed.next_step}".strip()
        yield _Line(state, command, text, why)


def _ago(since: datetime, now: datetime) -> str:
    """Format an age in one unit: "12 min ago", "3.4 h ago", "12 days ago"."""
    hours = (now - since) / _HOUR
    if abs(hours) < 1 / 60:
        return "just now"
    if abs(hours) < 1:
        return f"{60 * hours:.0f} min ago"
    return f"{hours:.1f} h ago" if abs(hours) < 48 else f"{hours / 24:.0f} days ago"
