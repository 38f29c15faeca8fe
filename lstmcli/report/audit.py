"""Screens of `evaluate --audit`: the numbers that changed when later bars were replaced."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from lstmcli.evaluation.leaks import Comparison
from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.tables import BAD, GOOD, Column, in_prose, list_table, make_table, styled

if TYPE_CHECKING:
    from lstmcli.workflows.audit import AuditReport


def audit_view(report: "AuditReport", *, details: bool = False) -> View:
    """Show one row per stage and the failed comparisons, or with `details` every comparison.

    The rows are the comparisons.
    """
    from lstmcli.workflows.audit import SHUFFLED, UNSEEN

    numbers: Counter[str] = Counter()
    for each in report.comparisons:
        if each.stage != "control":
            numbers[each.kind] += each.numbers

    def document() -> dict[str, Any]:
        return make_document(
            "evaluate",
            audit=True,
            models=list(map(str, report.models)),
            symbols=report.symbols,
            windows=report.n_windows,
            fitted_cutoffs=report.fitted_cutoffs,
            refit_epochs=report.epochs,
            clean=report.is_clean,
            numbers=numbers,
            comparisons=list(map(_comparison, report.comparisons)),
            shuffled=report.shuffled,
            cannot_see=UNSEEN,
            notes=report.notes,
            failures=report.failures,
        )

    def tables() -> list[RenderableType]:
        title = (
            f"Leak audit: {count_of(report.n_windows, 'window')} of {len(report.symbols)} series"
        )
        refits = ", ".join(f"{name} {count_of(n, 'epoch')}" for name, n in report.epochs.items())
        wrong = [each for each in report.comparisons if each.difference is not None]
        failed = _table_of("Failed comparisons", wrong) if wrong else None
        shown: list[RenderableType] = [
            _table_of(title, report.comparisons) if details else _stages(title, report),
            *([failed] if failed and not details else []),
            "In copies of the files, later bars were replaced by noise or removed, and all steps "
            f"were repeated. Short refits: {refits}.",
            f"Numbers compared: {', '.join(f'{kind} {n:,}' for kind, n in numbers.items())}.",
            *(f"{name}: {SHUFFLED}." for name in report.shuffled),
        ]
        if report.fitted_cutoffs:
            shown.append(
                f"{report.fitted_cutoffs} of {report.n_windows} windows lie in rows that a model "
                "was fitted on: its weights depend on later rows."
            )
        outcome = f"not clean. {len(wrong)} of {len(report.comparisons)} comparisons failed."
        if report.is_clean:
            outcome = "clean. Every number is identical to the last bit, whatever the later bars."
        shown.append(f"The audit cannot see: {'; '.join(UNSEEN)}.")
        return [*in_prose(shown), styled(f"Audit: {outcome}", GOOD if report.is_clean else BAD)]

    return View(tables, document, lambda: map(_comparison, report.comparisons))


def _table_of(title: str, comparisons: Sequence[Comparison]) -> RenderableType:
    return list_table(title, _COMPARISONS, comparisons, left=4, drop=["Numbers"])


def _stages(title: str, report: "AuditReport") -> RenderableType:
    """Show the number of comparisons in each stage, and their results."""
    results: dict[str, Counter[str]] = {}
    for each in report.comparisons:
        results.setdefault(each.stage, Counter())[_result(each)] += 1
    return make_table(
        title,
        ["Stage", "Result", "Comparisons"],
        (
            [stage, ", ".join(f"{n} {result}" for result, n in found.items()), found.total()]
            for stage, found in results.items()
        ),
        left=2,
    )


def _comparison(found: Comparison) -> dict[str, Any]:
    differs = dict.fromkeys(("name", "symbol", "cutoff", "step", "expected", "found"))
    if each := found.difference:
        known = asdict(each)
        differs = {key: _finite(known[key]) for key in differs}
        differs["cutoff"] = str(each.after if each.cutoff is None else each.cutoff)
    return {
        "stage": found.stage,
        "model": found.model,
        "compared": found.kind,
        "rewritings": len(found.after),
        "first_after": str(found.after[0]),
        "last_after": str(found.after[-1]),
        "numbers": found.numbers,
        "result": _result(found),
        **differs,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _after(found: Comparison) -> str:
    if len(found.after) == 1:
        return str(found.after[0])
    return f"{len(found.after)} cutoffs, {found.after[0]} to {found.after[-1]}"


def _result(found: Comparison) -> str:
    same, other = ("changed", "unchanged") if found.stage == "control" else ("identical", "differs")
    return same if found.difference is None else other


_COMPARISONS: list[Column] = [
    *(("Stage", "stage"), ("Model", "model"), ("Compared", "kind")),
    ("Bars rewritten after", _after),
    ("Numbers", lambda each: f"{each.numbers:,}"),
    ("Result", _result),
]
