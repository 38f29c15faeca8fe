"""What a fetch brought, symbol by symbol, and what it took."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.numbers import count
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.fetch import FetchReport, Outcome


def fetch_view(report: FetchReport) -> View:
    """Show one row a symbol, the notes, and a line of counts."""

    def tables() -> list[RenderableType]:
        table = make_table("Fetched", ["Symbol", "Status", "First", "Last", "Rows", "New"], left=4)
        for result in report.results:
            table.add_row(
                result.symbol,
                result.status,
                str(result.first or "-"),
                str(result.last or "-"),
                str(result.rows),
                str(result.added),
            )
        notes = [f"{each.symbol}: {each.note}" for each in report.results if each.note]
        return [table, *notes, _summary(report)]

    def rows() -> list[dict[str, Any]]:
        return [asdict(result) for result in report.results]

    def document() -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "fetch",
            "counts": Counter(each.status for each in report.results),
            "failures": _kinds(report),
            "requests": report.requests,
            "seconds_waited": round(report.waited, 3),
            "results": rows(),
        }

    return View(tables, document, rows)


def pause_told(cause: Outcome, seconds: float) -> str:
    """Say that a fetch pauses, and why."""
    why = "Yahoo limits the rate" if cause == "refused" else "Yahoo does not answer"
    return f"{why}: waiting {seconds:.0f} s"


def _summary(report: FetchReport) -> str:
    """Return one line such as `3 symbols: 2 new, 1 failed (1 not found). 7 requests.`"""
    told = _counted(Counter(str(each.status) for each in report.results))
    if kinds := _kinds(report):
        told += f" ({_counted(kinds)})"
    waited = f", {report.waited:.0f} s waited" if report.waited else ""
    asked = f"{count(report.requests, 'request')}{waited}"
    return f"{count(len(report.results), 'symbol')}: {told}. {asked}."


def _counted(numbers: Counter[str]) -> str:
    """Return `2 new, 1 failed`; failures last, as their kinds follow."""
    names = sorted(numbers, key=lambda name: name == "failed")
    return ", ".join(f"{numbers[name]} {name}" for name in names)


def _kinds(report: FetchReport) -> Counter[str]:
    return Counter(each.failure for each in report.results if each.failure)
