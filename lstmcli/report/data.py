"""The store: what a fetch or an import brought, what is stored, what is wrong, `status`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.tables import Column, list_table, make_table

if TYPE_CHECKING:  # each command loads its own workflow
    from lstmcli.workflows.data import CheckReport, Finding, StoredDetail, StoreList
    from lstmcli.workflows.data_import import ImportReport
    from lstmcli.workflows.fetch import FetchReport, Outcome
    from lstmcli.workflows.status import StatusReport

_MOST_GAPS = 10
_HOUR = timedelta(hours=1)
_SERIES: list[Column] = [("Symbol", "symbol"), ("Bars", "interval")]
_SPAN: list[Column] = [("First", "first"), ("Last", "last"), ("Rows", "rows")]
_STORED: list[Column] = [
    *_SERIES,
    ("Source", lambda each: each.source or "unknown"),
    ("Changed", lambda each: each.fetched_at[:10] or None),
    *_SPAN,
    *(("Behind", "behind"), ("Restated", "restatements")),
]
_FINDINGS: list[Column] = [
    *_SERIES,
    *(("Kind", "kind"), ("Date", "date"), ("Found", "what"), ("Next", "next_step")),
]
_IMPORTED: list[Column] = [
    *(*_SERIES, ("Status", "status"), ("File", "file"), *_SPAN),
    *(("New", "added"), ("Changed", "changed"), ("Gone", "removed")),
]
_FETCHED: list[Column] = [("Symbol", "symbol"), ("Status", "status"), *_SPAN, ("New", "added")]


def fetch_view(report: FetchReport) -> View:
    """Show one row a symbol, the notes, and a line of counts."""
    statuses = Counter(str(each.status) for each in report.results)
    failures = Counter(each.failure for each in report.results if each.failure)

    def counted(numbers: Counter[str]) -> str:
        # Failures come last, since their kinds follow.
        names = sorted(numbers, key=lambda name: name == "failed")
        return ", ".join(f"{numbers[name]} {name}" for name in names)

    kinds = f" ({counted(failures)})" if failures else ""
    waited = f", {report.waited:.0f} s waited" if report.waited else ""
    return View(
        lambda: [
            list_table("Fetched", _FETCHED, report.results, left=4),
            *(f"{each.symbol}: {each.note}" for each in report.results if each.note),
            f"{count_of(len(report.results), 'symbol')}: {counted(statuses)}{kinds}. "
            f"{count_of(report.requests, 'request')}{waited}.",
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


def format_pause(cause: Outcome, seconds: float) -> str:
    """Describe a pause of a fetch."""
    why = "Yahoo limits the rate" if cause == "refused" else "Yahoo does not answer"
    return f"{why}: waiting {seconds:.0f} s"


def list_view(report: StoreList) -> View:
    """Show one row a series."""
    return View(
        lambda: [
            list_table("Stored", _STORED, report.series, left=6),
            "Behind: complete bars of the exchange's calendar after the last one.",
        ],
        lambda: make_document("data list", **vars(report)),
        lambda: report.series,
    )


def show_view(report: StoredDetail) -> View:
    """Show what is known of a series, and its last bars; the rows are the bars."""
    series, restated = report.series, report.restatements
    frame = report.bars.astype(np.float64).astype(object)
    frame = frame.where(frame.notna(), None)
    frame.insert(0, "Date", [f"{day:%Y-%m-%d}" for day in frame.index])
    bars: Any = frame.to_dict("records")
    again = (
        f"{count_of(len(restated), 'time')}, last " + ": ".join(restated[-1]) if restated else ""
    )
    facts = [
        ("Rows", f"{series.rows}, {series.first} to {series.last}"),
        ("Behind", count_of(series.behind, "bar")),
        ("Source", f"{series.source or 'unknown'} {report.file}".rstrip()),
        ("Changed", series.fetched_at or "-"),
        ("Time zone", report.time_zone or "-"),
        ("Currency", report.currency or "-"),
        ("Restated", again or "never"),
        ("Missing", count_of(len(report.missing), "session")),
    ]
    history = [{"fetched": day, "reason": reason} for day, reason in restated]
    known = vars(series) | vars(report) | {"restatements": history, "bars": bars}
    del known["series"]
    return View(
        lambda: [
            make_table(f"{series.symbol}, {series.interval}", ["", ""], facts, left=2),
            *report.notes,
            make_table("Last bars", list(bars[0]), (map(_plain, bar.values()) for bar in bars)),
        ],
        lambda: make_document("data show", **known),
        lambda: bars,
    )


def _plain(value: str | float | None) -> str | None:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else value


def check_view(report: CheckReport) -> View:
    """Show one line a finding, and the first gaps of a series."""
    shown: list[Finding] = []
    gaps: Counter[str] = Counter()
    for each in report.findings:
        gaps[each.symbol] += each.kind == "gap"
        if each.kind != "gap" or gaps[each.symbol] <= _MOST_GAPS:
            shown.append(each)
    checked = f"{report.checked} series checked"
    more = (
        f"{count_of(number - _MOST_GAPS, 'more gap')} of {symbol}; --format csv has all."
        for symbol, number in gaps.items()
        if number > _MOST_GAPS
    )
    return View(
        lambda: (
            [list_table(checked, _FINDINGS, shown, left=6), *more]
            if shown
            else [f"{checked}, nothing found."]
        ),
        lambda: make_document("data check", **vars(report)),
        lambda: report.findings,
        columns=[str(name) for _, name in _FINDINGS],
    )


def import_view(report: ImportReport) -> View:
    """Show one row a series."""
    return View(
        lambda: [list_table("Imported", _IMPORTED, report.imported, left=6)],
        lambda: make_document("data import", **vars(report)),
        lambda: report.imported,
    )


def status_view(report: StatusReport) -> View:
    """Show the parts and the last runs; the rows are the parts."""
    parts = [
        {
            "part": each.name,
            "state": each.state,
            "found": each.what,
            "since": each.since and each.since.isoformat(),
            "age_hours": each.since and round((report.now - each.since) / _HOUR, 2),
            "next_step": each.next_step,
        }
        for each in report.parts
    ]

    def age(since: datetime) -> str:
        """Return an age in one unit: "12 min", "3.4 h", "12 days"."""
        hours = (report.now - since) / _HOUR
        if abs(hours) < 1:
            return f"{60 * hours:.0f} min"
        return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:.0f} days"

    def good(run: Any) -> str:
        partial = ", partial" if run.exit_code else ""
        return f"{age(datetime.fromisoformat(run.ended))} ago{partial}"

    shown: list[Column] = [
        *(("Part", "name"), ("State", "state")),
        ("Age", lambda each: each.since and age(each.since)),
        *(("Found", "what"), ("Next", "next_step")),
    ]
    runs: list[Column] = [
        ("Command", "last.command"),
        ("Last run, UTC", lambda each: each.last.ended[:16].replace("T", " ")),
        ("Run", "last.run_id"),
        ("Last good run", lambda each: good(each.last_good) if each.last_good else "never"),
        ("Exit", "last.exit_code"),
        ("Done", lambda each: f"{each.last.counts.get('done', 0):g}"),
        ("Failed", lambda each: f"{each.last.counts.get('failed', 0):g}"),
    ]
    title = f"Status of {report.data_dir}, {report.now:%Y-%m-%d %H:%M} UTC"
    known = report.runs.values()
    return View(
        lambda: [
            list_table(title, shown, report.parts, left=5),
            list_table("Runs", runs, known, left=4) if known else "No run has ended here yet.",
            *(
                f"The last {each.last.command} ended with exit code {each.last.exit_code}: "
                f"{each.last.error}"
                for each in known
                if each.last.error
            ),
        ],
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
