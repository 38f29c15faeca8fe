"""Past days held against what was forecast: grades, the leak audit, anomalies."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.leaks import Comparison
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document
from lstmcli.report.long_table import COLUMNS, all_levels, backtest_rows, chosen_models
from lstmcli.report.score_tables import directions, errors, score_tables, verdict_lines
from lstmcli.report.tables import (
    BAD,
    GOOD,
    Column,
    NextSteps,
    Prose,
    list_table,
    make_table,
    move,
    percent,
    styled,
)
from lstmcli.workflows.grade import Grade, GradeReport

if TYPE_CHECKING:
    from lstmcli.workflows.anomalies import AnomalyReport, Session
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


_MOST_SESSIONS = 30  # on the screen
_FEW_OWN, _MANY_POOLED = 2500, 4000  # moves; of fewer own ones, many others weigh more
_FEW_SYMBOLS = 3  # whose last session is shown where nothing is found
_MOST_YEARS = 100.0  # the moves of a tail span some tens of years of sessions


def anomalies_view(report: "AnomalyReport", *, typed: str = "") -> View:
    """Show the sessions found, the least likely first; the rows are those.

    typed : the words that name the data and the model, for the command to type next.
    """
    from lstmcli.workflows.anomalies import Session

    hidden = {"models", "found", "latest", "symbols", "notes", "warnings", "failures"}
    known = {each.name: getattr(report, each.name) for each in fields(report)}
    settled = {key: value for key, value in known.items() if key not in hidden}
    settled |= {"since": report.since and str(report.since), "expected": report.expected}
    return View(
        lambda: _anomaly_tables(report, typed),
        lambda: make_document(
            "anomalies",
            models=[
                {"model": str(by.reference), "trained_until": str(by.metadata.trained_until)}
                for by in report.models
            ],
            **settled,
            found=report.found,
            latest=report.latest,
            notes=report.notes,
            warnings=report.warnings,
            failures=report.failures,
        ),
        lambda: map(asdict, report.found),
        tuple(each.name for each in fields(Session)),
    )


def describe_found(report: "AnomalyReport") -> str:
    """Say how many moves were found, and how many by chance; empty for none."""
    if not report.found:
        return ""
    return (
        f"{count_of(len(report.found), 'move')} with a chance below {_chance(report.probability)} "
        f"({', '.join(dict.fromkeys(each.symbol for each in report.found[:5]))}); "
        f"{_expected(report)}"
    )


def _anomaly_tables(report: "AnomalyReport", typed: str) -> list[RenderableType]:
    unit, found = unit_of(report.interval), report.found
    names = sorted({str(by.reference) for by in report.models})
    whose = report.symbols[0] if len(report.symbols) == 1 else f"{len(report.symbols)} symbols"
    last = max(each.date for each in report.latest)
    days = f"{report.first} to {last}" if report.first != last else last
    over = f", moves over {count_of(report.steps, unit)}" if report.steps > 1 else ""
    lines: list[RenderableType] = [
        f"{whose}, {days}{over}, by {' and '.join(names)}",
        f"{len(found) or 'None'} of {count_of(report.judged, 'move')} had a chance below "
        f"{_chance(report.probability)}; {_expected(report)}",
        f"For one symbol such a warning comes by chance once in about {_years(report.years)}",
        "",
    ]
    shown = found or (report.latest if len(report.symbols) <= _FEW_SYMBOLS else [])
    if shown:
        lines.append(_session_table(shown[:_MOST_SESSIONS]))
    if len(found) > _MOST_SESSIONS:
        lines.append(f"... {len(found) - _MOST_SESSIONS} more: --format csv")
    lines += map(Prose, _levels(report))
    if report.steps > 1:
        lines.append(
            Prose(
                "Moves over several sessions overlap, so that one event is listed on several days."
            )
        )
    if report.left_out:
        lines.append(
            Prose(
                f"{count_of(report.left_out, unit)} left out, since the model was fitted on them."
            )
        )
    if found:
        lines.append(NextSteps(f"lstmcli predict {typed} --as-of {found[0].cutoff}"))
    return lines


def _session_table(sessions: Sequence["Session"]) -> RenderableType:
    nominal = percent(sessions[0].coverage, 0)
    columns = ["Symbol", "Date", "Move", f"{nominal} range", "Chance", "Once in"]
    rows = [
        [
            each.symbol,
            each.date,
            styled(move(each.move), BAD if each.move < 0 else GOOD),
            f"{move(each.low)} to {move(each.high)}",
            _chance(each.probability) if each.probability else "usual",
            _years(each.years) if each.years else None,
        ]
        for each in sessions
    ]
    return make_table("", columns, rows, left=2)


def _levels(report: "AnomalyReport") -> Iterator[str]:
    """Yield how the chances were found."""
    ways = Counter((each.model, each.series, each.pooled) for each in report.found)
    for model, series, pooled in ways:
        own = {
            each.symbol: each.own
            for each in report.found
            if (each.model, each.series, each.pooled) == (model, series, pooled)
        }
        most, few = max(own.values()), [name for name, moves in own.items() if moves < _FEW_OWN]
        text = f"Chances beyond the range: from the tail of up to {most:,} moves of the symbol"
        if series:
            text += f", drawn to that of {pooled:,} moves of {count_of(series, 'other')}"
        until = next(
            str(by.metadata.trained_until) for by in report.models if str(by.reference) == model
        )
        yield f"{text}, all up to {until}, when {model} stopped learning."
        if few:
            weight = "mostly the others' tail" if pooled >= _MANY_POOLED else "chances are rough"
            yield f"Fewer than {_FEW_OWN:,} moves of {first_few(few, 5)}: {weight}."


def _expected(report: "AnomalyReport") -> str:
    number = report.expected
    shown = f"{number:.0f}" if number >= 10 else f"{number:.2g}"
    return f"{shown} expected by chance"


def _chance(probability: float) -> str:
    """Format a small chance with two digits."""
    if probability < 1e-5:
        return "<0.001 %"
    return f"{100 * probability:.2g} %"


def _years(years: float) -> str:
    if years > _MOST_YEARS:
        return f">{_MOST_YEARS:.0f} years"
    return f"{years:.0f} years" if years >= 2 else f"{years:.1f} years"
