"""Model versions: a list of them, one in full, and what was changed about them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import RenderableType

from lstmcli.report.console import make_table
from lstmcli.report.numbers import count, percent
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.models import (
    ModelDetail,
    ModelList,
    ModelVersion,
    PointerReport,
    PruneReport,
)

_MOST_DECISIONS = 12
_COMPARED = ("loss", "steps", "challenger", "champion", "n_independent", "p", "level")
_DECISION_COLUMNS = ("version", "created", "promoted", "against", *_COMPARED, "why")


def list_view(report: ModelList) -> View:
    """Show one row a version."""

    def tables() -> list[RenderableType]:
        names = ["Model", "Mark", "Created", "Last bar", "State", "Symbols", "Epochs", "Windows"]
        scores = ["Path RMSE", "naive", "CRPS", "climatology", "kB"]
        table = make_table("Models", [*names, *scores], left=5)
        for each in report.versions:
            table.add_row(
                f"{each.name}/{each.version}",
                _mark(each),
                each.created[:16].replace("T", " ") or "-",
                each.data_last or "-",
                _state(each),
                *(_count(number) for number in (each.symbols, each.epochs, each.windows)),
                *(percent(each.rmse, 3), percent(each.naive_rmse, 3)),
                *(percent(each.crps, 3), percent(each.baseline_crps, 3)),
                f"{each.size / 1000:.0f}",
            )
        damaged = [
            f"{each.name}/{each.version} is damaged: {each.damaged}."
            for each in report.versions
            if each.damaged
        ]
        return [table, "Scores are those of validation, beside a baseline's.", *damaged]

    def rows() -> list[dict[str, Any]]:
        return [asdict(each) for each in report.versions]

    def document() -> dict[str, Any]:
        return _document("models list", models=rows(), notes=list(report.notes))

    return View(tables, document, rows)


def show_view(report: ModelDetail) -> View:
    """Show all that is kept of a version; the rows are the decisions on all of its name."""

    def rows() -> list[dict[str, Any]]:
        return [_flat(each) for each in report.decisions]

    def document() -> dict[str, Any]:
        return _document(
            "models show",
            **asdict(report.version) | {"stale": [asdict(mark) for mark in report.stale]},
            path=str(report.folder),
            champions=list(report.champions),
            decisions=list(report.decisions),
            metadata=report.metadata.record,
            settings=report.settings.model_dump(mode="json"),
        )

    return View(lambda: _detail(report), document, rows, columns=_DECISION_COLUMNS)


def pointer_view(report: PointerReport, command: str) -> View:
    """Show which version a name means now; one row."""

    def rows() -> list[dict[str, Any]]:
        return [
            {
                "name": report.name,
                "before": report.before,
                "champion": report.now,
                "promoted": report.decision.promoted,
                "why": report.decision.why,
            }
        ]

    def document() -> dict[str, Any]:
        return _document(
            command,
            **rows()[0],
            decision=asdict(report.decision),
            notes=list(report.notes),
            failures=[asdict(failure) for failure in report.failures],
        )

    now = "no version" if report.now is None else f"{report.name}/{report.now}"
    return View(lambda: [f"{now} is the champion: {report.decision.why}."], document, rows)


def prune_view(report: PruneReport) -> View:
    """Show what was removed; one row a version."""

    def tables() -> list[RenderableType]:
        what = "would be removed" if report.dry_run else "removed"
        going = f": {', '.join(report.removed)}" if report.removed else ""
        return [
            f"{count(len(report.removed), 'version')} of {report.name} {what}{going} "
            f"({report.size / 1000:.0f} kB).",
            f"Kept: {', '.join(report.kept)}.",
        ]

    def rows() -> list[dict[str, Any]]:
        state = "would be removed" if report.dry_run else "removed"
        found = [(version, state) for version in report.removed]
        found += [(version, "kept") for version in report.kept]
        return [
            {"name": report.name, "version": version, "state": state}
            for version, state in sorted(found, key=lambda each: int(each[0][1:]))
        ]

    return View(tables, lambda: _document("models prune", **asdict(report)), rows)


def _document(command: str, **content: Any) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "command": command, **content}


def _mark(each: ModelVersion) -> str:
    return "champion" if each.champion else "before" if each.next_back else ""


def _state(each: ModelVersion) -> str:
    if each.damaged:
        return "damaged"
    return f"stale ({count(each.stale, 'symbol')})" if each.stale else "ok"


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _flat(decision: dict[str, Any]) -> dict[str, Any]:
    compared = decision.get("comparison") or {}
    return {name: decision.get(name, compared.get(name)) for name in _DECISION_COLUMNS}


def _detail(report: ModelDetail) -> list[RenderableType]:
    each = report.version
    table = make_table(f"{each.name}/{each.version}", ["", ""], left=2)
    for label, text in _facts(report):
        table.add_row(label, text)
    shown = report.decisions[-_MOST_DECISIONS:]
    told = make_table("Decisions", ["Version", "Created", "Promoted", "Why"], left=4)
    for decision in shown:
        told.add_row(
            str(decision["version"]),
            str(decision["created"])[:16].replace("T", " "),
            "yes" if decision.get("promoted") else "no",
            str(decision.get("why")),
        )
    return [table, *([told] if shown else [])]


def _facts(report: ModelDetail) -> Iterator[tuple[str, str]]:
    each, settings, found = report.version, report.settings, partial(_found, report.metadata.record)
    champions = ", ".join(report.champions)
    yield "Champion", f"{'yes' if each.champion else 'no'}; now and before: {champions or 'none'}"
    yield "Created", f"{each.created} in {found('duration_seconds')} s on {found('device')}"
    yield "By", f"lstmcli {found('lstmcli_version')}, PyTorch {found('torch_version')}"
    yield (
        "Network",
        f"{settings.model.network}, {found('parameters')} weights, {settings.model.head} head",
    )
    yield "Window", f"{settings.window.context_length} bars seen, {settings.window.horizon} ahead"
    symbols = report.metadata.trained_on
    price = found("data", "price")
    yield "Data", f"{price} of {count(len(symbols), 'symbol')} up to {each.data_last}"
    yield "Symbols", ", ".join(map(str, symbols))
    yield "Validation", f"from {found('split', 'validation_start')}"
    yield "Test span", f"from {found('split', 'test_start')}"
    yield "Windows", f"{each.windows} train, {found('windows', 'validation')} validate"
    if report.metadata.record.get("from"):
        yield "From", f"{found('from', 'model')}, {found('from', 'how')}"
    yield "Epochs", f"{each.epochs}, the best is {found('epochs', 'best')}"
    yield "Path RMSE", f"{percent(each.rmse, 3)}, naive {percent(each.naive_rmse, 3)}"
    if each.crps is not None:
        yield "CRPS", f"{percent(each.crps, 3)}, climatology {percent(each.baseline_crps, 3)}"
    for mark in report.stale:
        yield "Stale", f"{mark.symbol} {mark.price} replaced {mark.restated[:10]}: {mark.reason}"
    yield "Kept in", str(report.folder)


def _found(metadata: Mapping[str, Any], *keys: str) -> str:
    """What the metadata hold under the keys, which may be anything."""
    value: Any = metadata
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "-" if value is None else str(value)
