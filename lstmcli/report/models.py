"""Screens of `models`: the list of versions, one version in full, and changes to them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document
from lstmcli.report.tables import (
    BAD,
    GOOD,
    OWN,
    Column,
    NextSteps,
    fact_table,
    list_table,
    percent,
    styled,
)
from lstmcli.runs.registry import BASE
from lstmcli.workflows.models import (
    ModelDetail,
    ModelList,
    ModelVersion,
    PointerReport,
    PruneReport,
    UseReport,
)

_MOST_DECISIONS = 12
_MOST_SYMBOLS = 3  # named per version in the list
_DECISION_COLUMNS = (
    *("version", "created", "promoted", "against", "loss", "steps", "challenger", "champion"),
    *("n_independent", "p", "level", "why"),
)
_VERSIONS: list[Column] = [
    ("Model", lambda each: f"{each.name}/{each.version}"),
    ("Mark", lambda each: _mark(each)),
    ("Trained on", lambda each: first_few(each.trained_on, _MOST_SYMBOLS) or None),
    ("Data until", "data_last"),
    ("Created", lambda each: each.created[:10] or None),
    ("State", lambda each: _state(each)),
    ("Error", lambda each: percent(each.rmse)),
    ("Naive", lambda each: percent(each.naive_rmse)),
    ("CRPS", lambda each: percent(each.crps)),
    ("Past moves", lambda each: percent(each.baseline_crps)),
    *(("Windows", "windows"), ("Epochs", "epochs")),
    ("kB", lambda each: f"{each.size / 1000:.0f}"),
]
_LEAST = ("kB", "Epochs", "Windows", "Past moves", "CRPS", "Created")


def list_view(report: ModelList) -> View:
    """Show one row per version."""
    return View(
        lambda: [
            list_table("Models", _VERSIONS, report.versions, left=6, drop=_LEAST),
            "Scores are optimistic: the same validation data chose the epoch.",
            *(
                f"{each.name}/{each.version} is damaged: {each.damaged}."
                for each in report.versions
                if each.damaged
            ),
            NextSteps(*(f"lstmcli models show {each.name}" for each in report.versions[:1])),
        ],
        lambda: make_document("models list", models=report.versions, notes=report.notes),
        lambda: [
            vars(each) | {"trained_on": " ".join(each.trained_on)} for each in report.versions
        ],
        lines=lambda: map(asdict, report.versions),
    )


def show_view(report: ModelDetail) -> View:
    """Show one version in full; the rows are the promotion decisions on its model."""
    each, shown = report.version, report.decisions[-_MOST_DECISIONS:]
    found = [(one.get("comparison") or {}) | one for one in report.decisions]
    return View(
        lambda: [
            styled(f"{each.name}/{each.version}", "bold"),
            fact_table(_facts(report)),
            *([Text(), styled("Promotions", "bold")] if shown else []),
            fact_table((one["version"], _decision(one)) for one in shown),
        ],
        lambda: make_document(
            "models show",
            **vars(each) | {"stale": report.stale},
            path=str(report.folder),
            champions=report.champions,
            decisions=report.decisions,
            metadata=report.metadata.record,
            settings=report.settings.model_dump(mode="json"),
        ),
        lambda: [{name: one.get(name) for name in _DECISION_COLUMNS} for one in found],
        columns=_DECISION_COLUMNS,
    )


def pointer_view(report: PointerReport, command: str) -> View:
    """Show the current champion of a model; one row."""
    row = {
        "name": report.name,
        "before": report.before,
        "champion": report.now,
        "promoted": report.decision.promoted,
        "why": report.decision.why,
    }
    now = "no version" if report.now is None else f"{report.name}/{report.now}"
    more = {name: getattr(report, name) for name in ("decision", "notes", "failures")}
    return View(
        lambda: [f"{now} is the champion: {report.decision.why}."],
        lambda: make_document(command, **row, **more),
        lambda: [row],
    )


def use_view(report: UseReport) -> View:
    """Show the symbols of a preferred model; one row per preferred model."""
    undone = report.name not in report.in_use
    shown = f"{'no longer ' * undone}preferred for {first_few(report.symbols, 8) or 'any symbol'}"
    return View(
        lambda: [f"{report.name} is {shown}."],
        lambda: make_document("models use", **asdict(report)),
        lambda: [{"name": name} for name in report.in_use],
        columns=("name",),
    )


def prune_view(report: PruneReport) -> View:
    """Show the removed and kept versions; one row per version."""
    state = "would be removed" if report.dry_run else "removed"
    states = dict.fromkeys(report.removed, state) | dict.fromkeys(report.kept, "kept")
    going = f": {', '.join(report.removed)}" if report.removed else ""
    return View(
        lambda: [
            f"{count_of(len(report.removed), 'version')} of {report.name} {state}{going} "
            f"({report.size / 1000:.0f} kB).",
            f"Kept: {', '.join(report.kept)}.",
        ],
        lambda: make_document("models prune", **asdict(report)),
        lambda: [
            {"name": report.name, "version": version, "state": states[version]}
            for version in sorted(states, key=lambda version: int(version[1:]))
        ],
    )


def _decision(kept: Mapping[str, Any]) -> str:
    verb = "promoted" if kept.get("promoted") else "not promoted"
    return f"{str(kept['created'])[:10]}, {verb}: {kept.get('why')}"


def _state(each: ModelVersion) -> Text:
    if each.damaged:
        return styled("damaged", BAD)
    if each.stale:
        return styled(f"stale ({count_of(each.stale, 'symbol')})", BAD)
    return styled("ok", GOOD)


def _mark(each: ModelVersion) -> Text | str:
    if each.name == BASE:
        return "ready-made"
    if each.champion:
        return styled("preferred" if each.in_use else "champion", OWN)
    return "before" if each.next_back else ""


def _facts(report: ModelDetail) -> Iterator[tuple[str, str]]:
    each, kept, settings = report.version, report.metadata, report.settings

    def found(*keys: str) -> str:
        """Return the metadata value under nested keys as text, whatever its type."""
        value: Any = kept.record
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return "-" if value is None else str(value)

    def counted(key: str, form: str = ",") -> str:
        """Return a number of the metadata, formatted."""
        value = kept.record.get(key)
        return format(value, form) if isinstance(value, int | float) else found(key)

    if each.name == BASE:
        yield "Ready-made", "ships with lstmcli"
    else:
        champions = ", ".join(report.champions) or "none"
        yield "Champion", f"{'yes' if each.champion else 'no'}; now and before: {champions}"
    took = f"{counted('duration_seconds', '.1f')} s on {found('device')}"
    yield "Created", f"{each.created[:16].replace('T', ' ')} UTC in {took}"
    yield "By", f"lstmcli {found('lstmcli_version')}, PyTorch {found('torch_version')}"
    network, head = settings.model.network, settings.model.head
    yield "Network", f"{network}, {counted('parameters')} weights, {head} head"
    yield (
        "Window",
        f"reads {settings.window.context_length} bars, forecasts {settings.window.horizon}",
    )
    priced = f"{kept.price} of {count_of(len(kept.trained_on), 'symbol')}"
    yield "Data", f"{priced} up to {each.data_last}"
    yield "Symbols", ", ".join(kept.trained_on)
    yield "Validation", f"from {found('split', 'validation_start')}"
    yield "Fitted until", f"{kept.trained_until}, no later day was used"
    yield "Test span", f"from {kept.test_start}"
    yield "Windows", f"{each.windows:,} train, {kept.windows['validation']:,} validate"
    if kept.record.get("from"):
        yield "From", f"{found('from', 'model')}, {found('from', 'how')}"
    yield "Epochs", f"{each.epochs}, the best is {kept.best_epoch}"
    yield "Error", f"{percent(each.rmse)} (RMSE), naive {percent(each.naive_rmse)}"
    if each.crps is not None:
        yield "Ranges", f"{percent(each.crps)} (CRPS), past moves {percent(each.baseline_crps)}"
    for mark in report.stale:
        yield "Stale", f"{mark.symbol} {mark.price} replaced {mark.restated[:10]}: {mark.reason}"
    if kept.record.get("licence"):
        yield "Licence", found("licence")
    yield "Kept in", str(report.folder)
