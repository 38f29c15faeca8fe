"""The store: what a fetch or an import brought, what is stored, what is wrong, `status`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.printable import count_of
from lstmcli.report.output import Column, list_table, make_table
from lstmcli.report.view import View, make_document

if TYPE_CHECKING:  # each command loads its own workflow
    from collections.abc import Sequence

    from rich.console import RenderableType

    from lstmcli.runs.last_runs import RunEnd
    from lstmcli.workflows.data import CheckReport, Finding, StoredDetail, StoreList
    from lstmcli.workflows.data_import import ImportReport
    from lstmcli.workflows.fetch import FetchReport, Outcome
    from lstmcli.workflows.status import StatusReport

_MOST_GAPS = 10
_SERIES: list[Column] = [("Symbol", "symbol"), ("Bars", "interval")]
_SPAN: list[Column] = [("First", "first"), ("Last", "last")]
_STORED: list[Column] = [
    *_SERIES,
    ("Source", lambda each: each.source or "unknown"),
    *_SPAN,
    ("Changed", lambda each: each.fetched_at[:10] or "-"),
    ("Rows", "rows"),
    ("Behind", "behind"),
    ("Restated", "restatements"),
]
_FINDINGS: list[Column] = [
    ("Symbol", lambda each: each.symbol or "-"),
    ("Bars", lambda each: each.interval or "-"),
    ("Kind", "kind"),
    ("Date", lambda each: each.date or "-"),
    ("Found", "what"),
    ("Next", "next_step"),
]
_IMPORTED: list[Column] = [
    *_SERIES,
    *(("Status", "status"), ("File", "file"), *_SPAN),
    *(("Rows", "rows"), ("New", "added"), ("Changed", "changed"), ("Gone", "removed")),
]
_FETCHED: list[Column] = [
    *(("Symbol", "symbol"), ("Status", "status")),
    ("First", lambda each: each.first or "-"),
    ("Last", lambda each: each.last or "-"),
    *(("Rows", "rows"), ("New", "added")),
]


def fetch_view(report: FetchReport) -> View:
    """Show one row a symbol, the notes, and a line of counts."""
    statuses = Counter(str(each.status) for each in report.results)
    failures = Counter(each.failure for each in report.results if each.failure)

    def tables() -> list[RenderableType]:
        found = _counted(statuses) + (f" ({_counted(failures)})" if failures else "")
        waited = f", {report.waited:.0f} s waited" if report.waited else ""
        return [
            list_table("Fetched", _FETCHED, report.results, left=4),
            *(f"{each.symbol}: {each.note}" for each in report.results if each.note),
            f"{count_of(len(report.results), 'symbol')}: {found}. "
            f"{count_of(report.requests, 'request')}{waited}.",
        ]

    def document() -> dict[str, Any]:
        return make_document(
            "fetch",
            counts=statuses,
            failures=failures,
            requests=report.requests,
            seconds_waited=round(report.waited, 3),
            results=report.results,
        )

    return View(tables, document, lambda: report.results)


def _counted(numbers: Counter[str]) -> str:
    """Return `2 new, 1 failed`; failures last, since their kinds follow."""
    names = sorted(numbers, key=lambda name: name == "failed")
    return ", ".join(f"{numbers[name]} {name}" for name in names)


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
        lambda: make_document("data list", series=report.series, failures=report.failures),
        lambda: report.series,
    )


def show_view(report: StoredDetail) -> View:
    """Show what is known of a series, and its last bars; the rows are the bars."""
    series, restated = report.series, report.restatements
    frame = report.bars.astype(np.float64).astype(object)
    frame = frame.where(frame.notna(), None)
    frame.insert(0, "Date", [f"{day:%Y-%m-%d}" for day in frame.index])
    bars: Any = frame.to_dict("records")

    def tables() -> list[RenderableType]:
        facts = [
            ("Rows", f"{series.rows}, {series.first} to {series.last}"),
            ("Behind", count_of(series.behind, "bar")),
            ("Source", f"{series.source or 'unknown'} {report.file}".rstrip()),
            ("Changed", series.fetched_at or "-"),
            ("Time zone", report.time_zone or "-"),
            ("Currency", report.currency or "-"),
            ("Restated", "never"),
            ("Missing", count_of(len(report.missing), "session")),
        ]
        if restated:
            day, reason = restated[-1]
            facts[-2] = "Restated", f"{count_of(len(restated), 'time')}, last {day}: {reason}"
        cells = ([_plain(value) for value in bar.values()] for bar in bars)
        return [
            make_table(f"{series.symbol}, {series.interval}", ["", ""], facts, left=2),
            *report.notes,
            make_table("Last bars", list(bars[0]), cells),
        ]

    def document() -> dict[str, Any]:
        return make_document(
            "data show",
            **vars(series) | {"restatements": [{"fetched": d, "reason": r} for d, r in restated]},
            file=report.file,
            time_zone=report.time_zone,
            currency=report.currency,
            missing=report.missing,
            notes=report.notes,
            bars=bars,
        )

    return View(tables, document, lambda: bars)


def _plain(value: str | float | None) -> str | None:
    return np.format_float_positional(value, trim="-") if isinstance(value, float) else value


def check_view(report: CheckReport) -> View:
    """Show one line a finding, and the first gaps of a series."""

    def tables() -> list[RenderableType]:
        checked = f"{report.checked} series checked"
        if not report.findings:
            return [f"{checked}, nothing found."]
        shown: list[Finding] = []
        gaps: Counter[str] = Counter()
        for each in report.findings:
            gaps[each.symbol] += each.kind == "gap"
            if each.kind != "gap" or gaps[each.symbol] <= _MOST_GAPS:
                shown.append(each)
        return [
            list_table(checked, _FINDINGS, shown, left=6),
            *(
                f"{count_of(number - _MOST_GAPS, 'more gap')} of {symbol}; --format csv has all."
                for symbol, number in gaps.items()
                if number > _MOST_GAPS
            ),
        ]

    return View(
        tables,
        lambda: make_document("data check", checked=report.checked, findings=report.findings),
        lambda: report.findings,
        columns=("symbol", "interval", "kind", "date", "what", "next_step"),
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

    def rows() -> list[dict[str, Any]]:
        return [
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

    def document() -> dict[str, Any]:
        return make_document(
            "status",
            data_dir=str(report.data_dir),
            time=report.now.isoformat(timespec="seconds"),
            max_age_hours=report.max_age and report.max_age / _HOUR,
            too_old=report.too_old,
            parts=rows(),
            runs=report.runs,
        )

    return View(lambda: _status_tables(report), document, rows)


_HOUR = timedelta(hours=1)


def _status_tables(report: StatusReport) -> Sequence[RenderableType]:
    parts = make_table(
        f"Status of {report.data_dir}, {report.now:%Y-%m-%d %H:%M} UTC",
        ["Part", "State", "Age", "Found", "Next"],
        (
            (each.name, each.state, _age(each.since, report.now), each.what, each.next_step or "-")
            for each in report.parts
        ),
        left=5,
    )
    if not report.runs:
        return [parts, "No run has ended here yet."]
    runs = make_table(
        "Runs",
        ["Command", "Last run, UTC", "Run", "Last good run", "Exit", "Done", "Failed"],
        (
            (
                name,
                known.last.ended[:16].replace("T", " "),
                known.last.run_id,
                _ago(known.last_good, report.now),
                known.last.exit_code,
                *(f"{known.last.counts.get(key, 0):g}" for key in ("done", "failed")),
            )
            for name, known in report.runs.items()
        ),
        left=4,
    )
    errors = [
        f"The last {name} ended with exit code {known.last.exit_code}: {known.last.error}"
        for name, known in report.runs.items()
        if known.last.error
    ]
    return [parts, runs, *errors]


def _ago(end: RunEnd | None, now: datetime) -> str:
    if end is None:
        return "never"
    partial = "" if end.exit_code == 0 else ", partial"
    return f"{_age(datetime.fromisoformat(end.ended), now)} ago{partial}"


def _age(since: datetime | None, now: datetime) -> str | None:
    """Return an age in one unit: "12 min", "3.4 h", "12 days"."""
    if since is None:
        return None
    hours = (now - since) / _HOUR
    if abs(hours) < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:.0f} days"
