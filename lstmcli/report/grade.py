"""The other views of `evaluate`: the grades of issued forecasts, and the leak audit."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.leaks import Comparison
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.long_table import COLUMNS, all_levels, backtest_rows, chosen_models
from lstmcli.report.score_tables import directions, errors, score_tables, verdict_lines
from lstmcli.report.tables import BAD, GOOD, Column, list_table, make_table, styled
from lstmcli.workflows.grade import Grade, GradeReport

if TYPE_CHECKING:
    from lstmcli.workflows.audit import AuditReport


def grade_view(report: GradeReport, *, details: bool = False) -> View:
    """Show the grades, with `details` every table.

    The rows are the graded forecasts, a row a step, without the baselines.
    """
    own = [grade.model for grade in report.grades]

    def document() -> dict[str, Any]:
        return make_document(
            "evaluate",
            issued=[
                {
                    "model": grade.model,
                    "versions": grade.versions,
                    "interval": grade.interval,
                    "price": grade.price,
                    "steps": grade.steps,
                    "counts": grade.counts,
                    "verdicts": list(map(str, grade.verdicts)),
                    "scores": grade.scores,
                }
                for grade in report.grades
            ],
            damaged=[
                {"file": str(each.path), "line": each.line, "reason": each.why}
                for each in report.damages
            ],
            notes=report.notes,
            failures=report.failures,
        )

    return View(
        lambda: [each for grade in report.grades for each in _tables(grade, details)],
        document,
        lambda: _rows(report, own),
        _columns(report, own),
    )


def forecasts_view(report: GradeReport, only: Sequence[str]) -> View:
    """Return the rows of the baselines too, or of the models in `only`."""
    backtests = [grade.backtest for grade in report.grades if grade.backtest is not None]
    known = dict.fromkeys(name for backtest in backtests for name in backtest.forecasts)
    chosen = chosen_models(only, list(known))
    rows = partial(_rows, report, chosen)
    return View(list, dict, rows, _columns(report, chosen))


def _rows(report: GradeReport, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the long table of all grades; every row has the columns of all."""
    empty = dict.fromkeys(_columns(report, models))
    for backtest, known, some in _graded(report, models):
        for row in backtest_rows(backtest, known, some, shown=True):
            yield {**empty, **row}


def _columns(report: GradeReport, models: Sequence[str]) -> tuple[str, ...]:
    graded = _graded(report, models)
    levels = {level for backtest, _, some in graded for level in all_levels(backtest, some)}
    return (*COLUMNS, "shown", *(f"q{level:g}" for level in sorted(levels)))


def _graded(
    report: GradeReport, models: Sequence[str]
) -> Iterator[tuple[Backtest, Yardsticks, list[str]]]:
    """Yield each backtest that can be graded, and which of the models it holds."""
    for grade in report.grades:
        if grade.backtest is not None and grade.known is not None:
            some = [name for name in grade.backtest.forecasts if name in models]
            yield grade.backtest, grade.known, some


def _tables(grade: Grade, details: bool) -> Iterator[RenderableType]:
    yield _counts(grade)
    yield from _remarks(grade)
    for scores, verdict, summary in zip(grade.scores, grade.verdicts, grade.summaries, strict=True):
        over = _steps(scores.models[scores.model].steps.step)
        if details:
            yield from score_tables(scores, over)
        yield ""
        yield styled(f"{count_of(scores.n_windows, 'forecast')} over {over}", "bold")
        yield from directions(summary, scores)
        yield from errors(summary, scores, over, scores.model)
        yield from verdict_lines(summary, verdict)


def _steps(steps: Sequence[int]) -> str:
    """Return steps in words: "steps 1 to 50", "steps 1, 5, 10"."""
    if len(steps) > 2 and list(steps) == list(range(steps[0], steps[-1] + 1)):
        return f"steps {steps[0]} to {steps[-1]}"
    return f"step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}"


def _counts(grade: Grade) -> RenderableType:
    counts = grade.counts
    left_out = sum(counts.left_out.values())
    once = [counts.whole, counts.partly, counts.pending, counts.repeated, left_out]
    return make_table(
        f"Issued by {grade.model}: {grade.price}, {grade.interval}, {_steps(grade.steps)}",
        ["Version", "Issued", "Graded", "Graded in part", "To come", "Repeated", "Left out"],
        (
            [version, issued, *(once if place == 0 else [""] * len(once))]
            for place, (version, issued) in enumerate(grade.versions.items())
        ),
        drop=["Repeated", "Left out"],
    )


def _remarks(grade: Grade) -> list[str]:
    counts = grade.counts
    remarks = [f"Left out: {number}, {why}." for why, number in counts.left_out.items()]
    if counts.missing_sessions:
        remarks.append(
            f"Without a bar: {count_of(counts.missing_sessions, 'step')} of those graded."
        )
    if counts.next_session is not None:
        remarks.append(f"The next session that decides is {counts.next_session}.")
    if counts.repeated:
        remarks.append("Of several forecasts for one cutoff the first one issued counts.")
    return remarks


def audit_view(report: "AuditReport", *, details: bool = False) -> View:
    """Show one row a stage and what differs, or every comparison; the rows are the comparisons."""
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
        failed = _table_of("Not as it should be", wrong) if wrong else None
        shown: list[RenderableType] = [
            _table_of(title, report.comparisons) if details else _stages(title, report),
            *([failed] if failed and not details else []),
            "Later bars were replaced by noise or removed in copies of the files, and everything "
            f"was repeated from there. Short refits: {refits}.",
            f"Numbers compared: {', '.join(f'{kind} {n:,}' for kind, n in numbers.items())}.",
            *(f"{name}: {SHUFFLED}." for name in report.shuffled),
        ]
        if report.fitted_cutoffs:
            shown.append(
                f"{report.fitted_cutoffs} of {report.n_windows} windows lie in rows that a model "
                "was fitted on: its weights have seen what follows them."
            )
        outcome = f"not clean. {len(wrong)} of {len(report.comparisons)} comparisons failed."
        if report.is_clean:
            outcome = "clean. Every number is the same to the last bit, whatever the later bars."
        shown.append(f"What this cannot see: {'; '.join(UNSEEN)}.")
        return [*shown, styled(f"Audit: {outcome}", GOOD if report.is_clean else BAD)]

    return View(tables, document, lambda: map(_comparison, report.comparisons))


def _table_of(title: str, comparisons: Sequence[Comparison]) -> RenderableType:
    return list_table(title, _COMPARISONS, comparisons, left=4, drop=["Numbers"])


def _stages(title: str, report: "AuditReport") -> RenderableType:
    """Show how many comparisons of each stage there are, and how they came out."""
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
