"""What a fetch brought, symbol by symbol."""

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.fetch import FetchReport


def fetch_view(report: FetchReport) -> View:
    """Show one row a symbol."""

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
        return [table, *notes]

    def rows() -> list[dict[str, Any]]:
        return [asdict(result) for result in report.results]

    def document() -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "command": "fetch", "results": rows()}

    return View(tables, document, rows)
