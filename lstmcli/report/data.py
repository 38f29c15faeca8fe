"""What is in the store, what is wrong with it, and what was imported."""

from collections import Counter
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.numbers import count
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.data import StoredDetail, StoreList
from lstmcli.workflows.data_check import CheckReport, Finding
from lstmcli.workflows.data_import import ImportReport

_MOST_GAPS = 10


def list_view(report: StoreList) -> View:
    """Show one row a series."""

    def tables() -> list[RenderableType]:
        names = ["Symbol", "Bars", "Source", "First", "Last", "Changed", "Rows", "Behind"]
        table = make_table("Stored", [*names, "Restated"], left=6)
        for each in report.series:
            table.add_row(
                each.symbol,
                each.interval,
                each.source or "unknown",
                each.first,
                each.last,
                each.fetched_at[:10] or "-",
                str(each.rows),
                str(each.behind),
                str(each.restatements),
            )
        return [table, "Behind: complete bars of the exchange's calendar after the last one."]

    def rows() -> list[dict[str, Any]]:
        return [asdict(each) for each in report.series]

    def document() -> dict[str, Any]:
        failures = [asdict(failure) for failure in report.failures]
        return _document("data list", series=rows(), failures=failures)

    return View(tables, document, rows)


def show_view(report: StoredDetail) -> View:
    """Show what is known of a series, and its last bars; the rows are the bars."""

    def rows() -> list[dict[str, Any]]:
        names = ["Date", *map(str, report.bars.columns)]
        days = [f"{day:%Y-%m-%d}" for day in report.bars.index]
        bars = [
            [None if np.isnan(value) else value for value in bar]
            for bar in report.bars.to_numpy(np.float64).tolist()
        ]
        return [
            dict(zip(names, [day, *bar], strict=True)) for day, bar in zip(days, bars, strict=True)
        ]

    def document() -> dict[str, Any]:
        restatements = [{"fetched": day, "reason": reason} for day, reason in report.restatements]
        return _document(
            "data show",
            **asdict(report.series) | {"restatements": restatements},
            file=report.file,
            time_zone=report.time_zone,
            currency=report.currency,
            missing=list(report.missing),
            notes=list(report.notes),
            bars=rows(),
        )

    return View(lambda: _detail(report, rows()), document, rows)


def check_view(report: CheckReport) -> View:
    """Show one line a finding."""

    def tables() -> list[RenderableType]:
        checked = f"{report.checked} series checked"
        if not report.findings:
            return [f"{checked}, nothing found."]
        table = make_table(checked, ["Symbol", "Bars", "Kind", "Date", "Found", "Next"], left=6)
        shown, more = _first_gaps(report.findings)
        for each in shown:
            table.add_row(
                each.symbol or "-",
                each.interval or "-",
                each.kind,
                each.date or "-",
                each.what,
                each.next_step,
            )
        return [table, *more]

    def rows() -> list[dict[str, Any]]:
        return [asdict(each) for each in report.findings]

    def document() -> dict[str, Any]:
        return _document("data check", checked=report.checked, findings=rows())

    return View(tables, document, rows, columns=[field.name for field in fields(Finding)])


def import_view(report: ImportReport) -> View:
    """Show one row a series."""

    def tables() -> list[RenderableType]:
        names = ["Symbol", "Bars", "Status", "File", "First", "Last"]
        table = make_table("Imported", [*names, "Rows", "New", "Changed", "Gone"], left=6)
        for each in report.imported:
            table.add_row(
                each.symbol,
                each.interval,
                each.status,
                each.file,
                each.first,
                each.last,
                str(each.rows),
                str(each.added),
                str(each.changed),
                str(each.removed),
            )
        return [table]

    def rows() -> list[dict[str, Any]]:
        return [asdict(each) for each in report.imported]

    def document() -> dict[str, Any]:
        failures = [asdict(failure) for failure in report.failures]
        return _document(
            "data import", imported=rows(), notes=list(report.notes), failures=failures
        )

    return View(tables, document, rows)


def _document(command: str, **content: Any) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "command": command, **content}


def _detail(report: StoredDetail, bars: list[dict[str, Any]]) -> list[RenderableType]:
    series = report.series
    table = make_table(f"{series.symbol}, {series.interval}", ["", ""], left=2)
    for label, text in (
        ("Rows", f"{series.rows}, {series.first} to {series.last}"),
        ("Behind", count(series.behind, "bar")),
        ("Source", f"{series.source or 'unknown'} {report.file}".rstrip()),
        ("Changed", series.fetched_at or "-"),
        ("Time zone", report.time_zone or "-"),
        ("Currency", report.currency or "-"),
        ("Restated", _restated(report.restatements)),
        ("Missing", count(len(report.missing), "session")),
    ):
        table.add_row(label, text)
    last = make_table("Last bars", list(bars[0]), left=1)
    for bar in bars:
        last.add_row(*(_cell(value) for value in bar.values()))
    return [table, *report.notes, last]


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else np.format_float_positional(value, trim="-")


def _restated(restatements: tuple[tuple[str, str], ...]) -> str:
    if not restatements:
        return "never"
    day, reason = restatements[-1]
    return f"{count(len(restatements), 'time')}, last {day}: {reason}"


def _first_gaps(findings: tuple[Finding, ...]) -> tuple[list[Finding], list[str]]:
    """The findings without all but the first gaps of a series, and a line on each such series."""
    shown: list[Finding] = []
    gaps: Counter[str] = Counter()
    for each in findings:
        gaps[each.symbol] += each.kind == "gap"
        if each.kind != "gap" or gaps[each.symbol] <= _MOST_GAPS:
            shown.append(each)
    more = {symbol: number - _MOST_GAPS for symbol, number in gaps.items() if number > _MOST_GAPS}
    return shown, [
        f"{count(number, 'more gap')} of {symbol}; --format csv has all."
        for symbol, number in more.items()
    ]
