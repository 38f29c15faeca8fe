"""Screens of `evaluate --issued`: the scores of the forecasts in the ledger."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import RenderableType

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.long_table import COLUMNS, all_levels, backtest_rows, chosen_models
from lstmcli.report.score_tables import directions, errors, every_table, verdict_lines
from lstmcli.report.tables import in_prose, make_table, styled
from lstmcli.workflows.grade import Grade, GradeReport


def grade_view(report: GradeReport, *, details: bool = False) -> View:
    """Show the scores, with `details` in every table.

    The rows are the scored forecasts, one row per step, without the baselines.
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
    """Show the rows of all models and baselines, or only of those in `only`."""
    backtests = [grade.backtest for grade in report.grades if grade.backtest is not None]
    known = dict.fromkeys(name for backtest in backtests for name in backtest.forecasts)
    chosen = chosen_models(only, list(known))
    rows = partial(_rows, report, chosen)
    return View(list, dict, rows, _columns(report, chosen))


def _rows(report: GradeReport, models: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the long table of all models; every row has all columns."""
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
    """Yield each backtest that can be scored, with the selected models that it holds."""
    for grade in report.grades:
        if grade.backtest is not None and grade.known is not None:
            some = [name for name in grade.backtest.forecasts if name in models]
            yield grade.backtest, grade.known, some


def _tables(grade: Grade, details: bool) -> Iterator[RenderableType]:
    yield _counts(grade)
    yield from _remarks(grade)
    for scores, verdict, summary in zip(grade.scores, grade.verdicts, grade.summaries, strict=True):
        steps = scores.models[scores.model].steps.step
        over = _steps(steps)
        if details:
            yield from in_prose(every_table(scores, over))
        yield ""
        yield styled(f"{count_of(scores.n_windows, 'forecast')} over {over}", "bold")
        assert grade.backtest is not None, "it has scores"
        moves = grade.backtest.actual[:, grade.backtest.column(steps[-1])]
        yield from directions(summary, scores, moves)
        yield from errors(summary, scores, over, scores.model)
        yield from verdict_lines(summary, verdict)


def _steps(steps: Sequence[int]) -> str:
    """Format steps: "steps 1 to 50", "steps 1, 5, 10"."""
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
        remarks.append(f"Without a bar: {count_of(counts.missing_sessions, 'graded step')}.")
    if counts.next_session is not None:
        remarks.append(f"The next session to be graded is {counts.next_session}.")
    if counts.repeated:
        remarks.append("Of several forecasts for one cutoff, only the first one issued counts.")
    return remarks
