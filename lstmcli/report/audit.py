"""The leak audit for a reader: what was compared, how much, and whether it stayed the same."""

import math
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.audit import Comparison
from lstmcli.report.console import make_table
from lstmcli.report.numbers import count
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.audit import SHUFFLED, UNSEEN, AuditReport


def audit_view(report: AuditReport) -> View:
    """Show every comparison; the rows are the comparisons too."""
    return View(
        lambda: _tables(report),
        lambda: _document(report),
        lambda: [_row(each) for each in report.comparisons],
    )


def _document(report: AuditReport) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "evaluate",
        "audit": True,
        "models": [str(model) for model in report.models],
        "symbols": list(report.symbols),
        "windows": report.n_windows,
        "fitted_cutoffs": report.fitted_cutoffs,
        "refit_epochs": report.epochs,
        "clean": report.is_clean,
        "numbers": _numbers(report),
        "comparisons": [_row(each) for each in report.comparisons],
        "shuffled": list(report.shuffled),
        "cannot_see": list(UNSEEN),
        "notes": list(report.notes),
        "failures": [asdict(failure) for failure in report.failures],
    }


def _row(found: Comparison) -> dict[str, Any]:
    difference = found.difference
    return {
        "stage": found.stage,
        "model": found.model,
        "compared": found.kind,
        "rewritings": len(found.after),
        "first_after": str(found.after[0]),
        "last_after": str(found.after[-1]),
        "numbers": found.numbers,
        "result": _result(found),
        "name": difference and difference.name,
        "symbol": difference and difference.symbol,
        "cutoff": difference
        and str(difference.after if difference.cutoff is None else difference.cutoff),
        "step": difference and difference.step,
        "expected": difference and _finite(difference.expected),
        "found": difference and _finite(difference.found),
    }


def _tables(report: AuditReport) -> list[RenderableType]:
    table = make_table(
        f"Leak audit: {count(report.n_windows, 'window')} of {len(report.symbols)} series",
        ["Stage", "Model", "Compared", "Bars rewritten after", "Numbers", "Result"],
        left=4,
    )
    for each in report.comparisons:
        row = (each.stage, each.model, each.kind, _after(each), f"{each.numbers:,}")
        table.add_row(*row, _result(each))
    refits = ", ".join(f"{name} {count(n, 'epoch')}" for name, n in report.epochs.items())
    compared = ", ".join(f"{kind} {n:,}" for kind, n in _numbers(report).items())
    return [
        table,
        "Later bars were replaced by noise or removed in copies of the files, and everything was "
        f"repeated from there. Short refits: {refits}.",
        f"Numbers compared: {compared}.",
        *_caveats(report),
        f"What this cannot see: {'; '.join(UNSEEN)}.",
        f"Audit: {_outcome(report)}",
    ]


def _after(found: Comparison) -> str:
    if len(found.after) == 1:
        return str(found.after[0])
    return f"{len(found.after)} cutoffs, {found.after[0]} to {found.after[-1]}"


def _caveats(report: AuditReport) -> list[RenderableType]:
    caveats: list[RenderableType] = [f"{name}: {SHUFFLED}." for name in report.shuffled]
    if report.fitted_cutoffs:
        caveats.append(
            f"{report.fitted_cutoffs} of {report.n_windows} windows lie in rows that a model was "
            "fitted on: its weights have seen what follows them."
        )
    return caveats


def _outcome(report: AuditReport) -> str:
    if report.is_clean:
        return "clean. Whatever the later bars are, every number is the same to the last bit."
    failed = sum(each.difference is not None for each in report.comparisons)
    return f"not clean. {failed} of {len(report.comparisons)} comparisons failed."


def _numbers(report: AuditReport) -> dict[str, int]:
    """Count the numbers that had to stay the same, by kind."""
    counts: dict[str, int] = {}
    for each in report.comparisons:
        if each.stage != "control":
            counts[each.kind] = counts.get(each.kind, 0) + each.numbers
    return counts


def _result(found: Comparison) -> str:
    if found.stage == "control":
        return "changed" if found.difference is None else "unchanged"
    return "identical" if found.difference is None else "differs"


def _finite(value: float | str) -> float | str | None:
    return value if isinstance(value, str) or math.isfinite(value) else None
