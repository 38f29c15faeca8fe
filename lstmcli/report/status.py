"""Whether all is well: a line a part, with its age and what to do, and a line a command's runs."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.runs.last_runs import RunEnd
from lstmcli.workflows.status import Part, StatusReport


def status_view(report: StatusReport) -> View:
    """Show the parts and the last runs; the rows are the parts."""

    def rows() -> list[dict[str, Any]]:
        return [
            {
                "part": each.name,
                "state": each.state,
                "found": each.what,
                "since": each.since and each.since.isoformat(),
                "age_hours": _hours(each, report.now),
                "next_step": each.next_step,
            }
            for each in report.parts
        ]

    def document() -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "command": "status",
            "data_dir": str(report.data_dir),
            "time": report.now.isoformat(timespec="seconds"),
            "max_age_hours": report.max_age and report.max_age / timedelta(hours=1),
            "too_old": list(report.too_old),
            "parts": rows(),
            "runs": {name: asdict(each) for name, each in report.runs.items()},
        }

    return View(lambda: _tables(report), document, rows)


def _tables(report: StatusReport) -> list[RenderableType]:
    title = f"Status of {report.data_dir}, {report.now:%Y-%m-%d %H:%M} UTC"
    parts = make_table(title, ["Part", "State", "Age", "Found", "Next"], left=5)
    for each in report.parts:
        age = _age(each.since, report.now)
        parts.add_row(each.name, each.state, age, each.what, each.next_step or "-")
    if not report.runs:
        return [parts, "No run has ended here yet."]
    names = ["Command", "Last run, UTC", "Run", "Last good run", "Exit", "Done", "Failed"]
    runs = make_table("Runs", names, left=4)
    for name, known in report.runs.items():
        good = "never" if known.last_good is None else _ago(known.last_good, report.now)
        counts = [f"{known.last.counts.get(key, 0):g}" for key in ("done", "failed")]
        last = known.last.ended[:16].replace("T", " ")
        runs.add_row(name, last, known.last.run_id, good, str(known.last.exit_code), *counts)
    errors = [
        f"The last {name} ended with exit code {known.last.exit_code}: {known.last.error}"
        for name, known in report.runs.items()
        if known.last.error
    ]
    return [parts, runs, *errors]


def _ago(end: RunEnd, now: datetime) -> str:
    partial = "" if end.exit_code == 0 else ", partial"
    return f"{_age(datetime.fromisoformat(end.ended), now)} ago{partial}"


def _hours(part: Part, now: datetime) -> float | None:
    return None if part.since is None else round((now - part.since) / timedelta(hours=1), 2)


def _age(since: datetime | None, now: datetime) -> str:
    """How long ago in one unit: "12 min", "3.4 h", "12 days"."""
    if since is None:
        return "-"
    hours = (now - since) / timedelta(hours=1)
    if abs(hours) < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if abs(hours) < 48 else f"{hours / 24:.0f} days"
