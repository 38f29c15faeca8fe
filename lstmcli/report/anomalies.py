"""Screen of `anomalies`: the moves found, their chances, and the number expected by chance."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document
from lstmcli.report.tables import BAD, GOOD, NextSteps, Prose, move, percent, record_table, styled

if TYPE_CHECKING:
    from lstmcli.workflows.anomalies import AnomalyReport, Session


_MOST_SESSIONS = 30  # on the screen
_FEW_OWN, _MANY_POOLED = 2500, 4000  # moves; with fewer own ones, many pooled ones dominate
_FEW_SYMBOLS = 3  # up to so many, the last session is shown even if nothing is found
_MOST_YEARS = 100.0  # tails are estimated from only some tens of years of sessions


def anomalies_view(report: "AnomalyReport", *, typed: str = "") -> View:
    """Show the sessions found, the least likely first; these are also the rows.

    typed : options that select the data and the model, for the suggested command.
    """
    from lstmcli.workflows.anomalies import Session

    models = [
        {"model": str(by.reference), "trained_until": str(by.metadata.trained_until)}
        for by in report.models
    ]
    return View(
        lambda: _anomaly_tables(report, typed),
        lambda: make_document(
            "anomalies",
            models=models,
            **settled(report),
            found=report.found,
            latest=report.latest,
            notes=report.notes,
            warnings=report.warnings,
            failures=report.failures,
        ),
        lambda: map(asdict, report.found),
        tuple(each.name for each in fields(Session)),
    )


def settled(report: "AnomalyReport") -> dict[str, Any]:
    """Return the settings and counts of the check, as the JSON document holds them."""
    hidden = {"models", "found", "latest", "symbols", "watched", "notes", "warnings", "failures"}
    known = {each.name: getattr(report, each.name) for each in fields(report)}
    settled = {key: value for key, value in known.items() if key not in hidden}
    return settled | {"since": report.since and str(report.since), "expected": report.expected}


def describe_found(report: "AnomalyReport") -> str:
    """Describe the moves found and the number expected by chance; empty if none were found."""
    if not report.found:
        return ""
    level = format_chance(report.probability)
    return (
        f"{count_of(len(report.found), 'move')} with a chance below {level} "
        f"({', '.join(dict.fromkeys(each.symbol for each in report.found[:5]))}); "
        f"{expected(report.expected)} by chance"
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
        f"{format_chance(report.probability)}; {expected(report.expected)} by chance",
        f"By chance, one symbol triggers such a warning about once in {_years(report.years)}",
        "",
    ]
    shown = found or (report.latest if len(report.symbols) <= _FEW_SYMBOLS else [])
    if shown:
        lines.append(_session_table(shown[:_MOST_SESSIONS]))
    if len(found) > _MOST_SESSIONS:
        lines.append(f"... {len(found) - _MOST_SESSIONS} more: --format csv")
    lines += map(Prose, _remarks(report, unit))
    if found:
        lines.append(NextSteps(f"lstmcli predict {typed} --as-of {found[0].cutoff}"))
    return lines


def _session_table(sessions: Sequence["Session"]) -> RenderableType:
    rows = (
        {
            "Symbol": each.symbol,
            "Date": each.date,
            "Move": styled(move(each.move), BAD if each.move < 0 else GOOD),
            f"{percent(sessions[0].coverage, 0)} range": f"{move(each.low)} to {move(each.high)}",
            "Chance": format_chance(each.probability),
            "Once in": None if each.years is None else _years(each.years),
        }
        for each in sessions
    )
    return record_table("", rows, left=2)


def _remarks(report: "AnomalyReport", unit: str) -> Iterator[str]:
    """Yield the basis of the probabilities, and which moves overlap or were left out."""
    own_moves: dict[tuple[str, int, int], dict[str, int]] = {}
    for each in report.found:
        own_moves.setdefault((each.model, each.series, each.pooled), {})[each.symbol] = each.own
    until = {str(by.reference): by.metadata.trained_until for by in report.models}
    for (model, series, pooled), own in own_moves.items():
        most, few = max(own.values()), [name for name, moves in own.items() if moves < _FEW_OWN]
        text = f"Chances beyond the range: from the tail of up to {most:,} moves of the symbol"
        if series:
            text += f", shrunk towards that of {pooled:,} moves of {count_of(series, 'other')}"
        yield f"{text}, all up to {until[model]}, the last day that {model} was fitted on."
        if few:
            weight = "mostly the others' tail" if pooled >= _MANY_POOLED else "chances are rough"
            yield f"Fewer than {_FEW_OWN:,} moves of {first_few(few, 5)}: {weight}."
    if report.steps > 1:
        yield "Moves over several sessions overlap, so that one event is listed on several days."
    if report.left_out:
        yield f"{count_of(report.left_out, unit)} left out, since the model was fitted on them."


def expected(number: float) -> str:
    """Format the number of moves expected by chance."""
    return f"{number:.0f} expected" if number >= 10 else f"{number:.2g} expected"


def format_chance(probability: float | None) -> str:
    """Format a small probability with two digits; None or NaN means a move within its range."""
    if probability is None or math.isnan(probability):
        return "usual"
    if probability < 1e-5:
        return "<0.001 %"
    return f"{100 * probability:.2g} %"


def _years(years: float) -> str:
    if years > _MOST_YEARS:
        return f">{_MOST_YEARS:.0f} years"
    return f"{years:.0f} years" if years >= 2 else f"{years:.1f} years"
