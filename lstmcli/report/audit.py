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
        "clean": _is_clean(report),
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
        "result": "identical" if difference is None else "differs",
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
        result = "identical" if each.difference is None else "differs"
        table.add_row(each.stage, each.model, each.kind, _after(each), f"{each.numbers}", result)
    refits = ", ".join(f"{name} {count(n, 'epoch')}" for name, n in report.epochs.items())
    return [
        table,
        "Every value of every later bar was replaced by noise, and the run repeated. "
        f"Refits: {refits}.",
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
    if _is_clean(report):
        return "clean. Whatever the later bars are, every number is the same to the last bit."
    different = sum(each.difference is not None for each in report.comparisons)
    return f"not clean. {different} of {len(report.comparisons)} comparisons differ."


def _is_clean(report: AuditReport) -> bool:
    return all(each.difference is None for each in report.comparisons)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
