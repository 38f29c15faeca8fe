"""The grades of issued forecasts: what became of them, their scores, the verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.forecasters import Yardsticks
from lstmcli.evaluation.scores import Scores
from lstmcli.report.console import make_table
from lstmcli.report.long_table import COLUMNS, all_levels, backtest_rows, chosen_models
from lstmcli.report.numbers import count
from lstmcli.report.score_tables import score_tables
from lstmcli.report.view import SCHEMA_VERSION, View
from lstmcli.workflows.grade import Grade, GradeReport


def grade_view(report: GradeReport) -> View:
    """Show the grades; the rows are the graded forecasts, a row a step, without the baselines."""
    own = [grade.model for grade in report.grades]
    return View(
        lambda: [each for grade in report.grades for each in _tables(grade)],
        lambda: _document(report),
        lambda: _rows(report, own),
        _columns(report, own),
    )


def forecasts_view(report: GradeReport, only: Sequence[str]) -> View:
    """Show the rows of the baselines too, or of those models that are asked for."""
    known = dict.fromkeys(
        name
        for grade in report.grades
        for name in ([] if grade.backtest is None else grade.backtest.forecasts)
    )
    chosen = chosen_models(only, list(known))
    rows = partial(_rows, report, chosen)
    return View(list, dict, rows, _columns(report, chosen))


def _rows(report: GradeReport, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the long table of what is graded; all rows have the columns of all."""
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
    """Yield what can be graded, with those of the models that it is of."""
    for grade in report.grades:
        if grade.backtest is not None and grade.known is not None:
            some = [name for name in grade.backtest.forecasts if name in models]
            yield grade.backtest, grade.known, some


def _document(report: GradeReport) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "evaluate",
        "issued": [
            {
                "model": grade.model,
                "versions": grade.versions,
                "interval": grade.interval,
                "price": grade.price,
                "steps": list(grade.steps),
                "counts": asdict(grade.counts),
                "verdicts": list(grade.verdicts),
                "scores": [asdict(each) for each in grade.scores],
            }
            for grade in report.grades
        ],
        "damaged": [
            {"file": str(each.path), "line": each.line, "reason": each.why}
            for each in report.damages
        ],
        "notes": list(report.notes),
        "failures": [asdict(failure) for failure in report.failures],
    }


def _tables(grade: Grade) -> list[RenderableType]:
    found = [_counts(grade), *_told(grade)]
    for scores, verdict in zip(grade.scores, grade.verdicts, strict=True):
        over = _steps(scores)
        found += [*score_tables(scores, over), f"Verdict over steps {over}: {verdict}"]
    return found


def _counts(grade: Grade) -> RenderableType:
    counts = grade.counts
    table = make_table(
        f"Issued by {grade.model}: log moves of {grade.price}, {grade.interval}, "
        f"steps {', '.join(map(str, grade.steps))}",
        ["Version", "Issued", "Graded", "Graded in part", "To come", "Repeated", "Left out"],
    )
    told = [counts.whole, counts.partly, counts.pending, counts.repeated]
    told.append(sum(counts.left_out.values()))
    rest = list(map(str, told))
    for version, issued in grade.versions.items():
        table.add_row(version, str(issued), *rest)
        rest = [""] * len(rest)
    return table


def _told(grade: Grade) -> list[RenderableType]:
    counts = grade.counts
    told = [f"Left out: {number}, {why}." for why, number in counts.left_out.items()]
    if counts.missing_sessions:
        told.append(f"Without a bar: {count(counts.missing_sessions, 'step')} of those graded.")
    if counts.next_session is not None:
        told.append(f"The next session that decides is {counts.next_session}.")
    if counts.repeated:
        told.append("Of several forecasts for one cutoff the first that was issued counts.")
    return list(told)


def _steps(scores: Scores) -> str:
    return ", ".join(map(str, scores.models[scores.model].steps.step))
