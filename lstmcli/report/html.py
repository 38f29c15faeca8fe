"""An evaluation as one page that stands alone: no script, no address, nothing fetched.

The verdict comes first, the tables are those of the terminal, and the same evaluation always makes
the same bytes.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from lstmcli.errors import UsageError
from lstmcli.report import html_parts as parts
from lstmcli.report.evaluate import caveats, evaluate_view
from lstmcli.report.html_sections import (
    bands_section,
    chances_section,
    skill_section,
    trend_section,
)
from lstmcli.report.html_windows import windows_section
from lstmcli.report.numbers import count
from lstmcli.report.output import check_file, write_file
from lstmcli.report.picture import check_package
from lstmcli.runs.bundle import settings_toml
from lstmcli.workflows.evaluate import EvaluateReport

_STYLE = Path(__file__).with_name("report.css")
_NAMED = 5


def check_page(target: str | None) -> None:
    """Raise before any work is done if `--report TARGET` could not be written later."""
    if target is None:
        return
    if Path(target).suffix.lower() not in (".html", ".htm", ""):
        raise UsageError(
            "Not a kind of report",
            where=f"--report {target}",
            why=f"found {Path(target).suffix}, expected .html",
            next_step="For tables and figures as data there is --format.",
        )
    check_file(target)
    check_package("matplotlib", "--report")


def write_page(report: EvaluateReport, target: str | None) -> None:
    """Write the page, wholly or not at all; nothing where none is asked for."""
    if target is not None:
        write_file(Path(target), evaluation_page(report))


def evaluation_page(report: EvaluateReport) -> str:
    """Return the page as HTML."""
    names = ", ".join(map(str, report.models))
    body = [
        "<main>",
        _head(report, names),
        windows_section(report),
        trend_section(report),
        bands_section(report),
        chances_section(report),
        skill_section(report),
        _tables(report),
        _origin(report),
        _recipes(report),
        "</main>",
    ]
    style = _STYLE.read_text("utf-8")
    return parts.page(f"Evaluation of {names}", style, "\n".join(part for part in body if part))


def _head(report: EvaluateReport, names: str) -> str:
    several = len(report.models) > 1
    verdicts = [
        part
        for name, verdict in report.verdicts.items()
        for part in ([parts.heading(name)] if several else []) + [parts.text(verdict, "verdict")]
    ]
    return "\n".join(
        [
            "<header>",
            parts.title(f"Evaluation of {names}"),
            *verdicts,
            *(parts.text(each, "caveat") for each in caveats(report)),
            parts.text(_sample(report), "quiet"),
            "</header>",
        ]
    )


def _sample(report: EvaluateReport) -> str:
    """Say in one line what was evaluated."""
    scores = report.scores
    symbols = [each.symbol for each in report.series]
    named = ", ".join(symbols[:_NAMED])
    if len(symbols) > _NAMED:
        named += f" and {len(symbols) - _NAMED} more"
    return (
        f"{named}: {count(scores.n_windows, 'window')} of {count(report.horizon, 'step')} at "
        f"{count(scores.n_cutoffs, 'cutoff')} from {scores.first_cutoff} to {scores.last_cutoff}, "
        f"{count(report.step_size, 'row')} apart; {scores.n_independent} independent. "
        f"Forecast is {report.series[0].price}. The test span begins {report.test_start}."
    )


def _tables(report: EvaluateReport) -> str:
    """Return everything that the terminal shows, but for what stands at the head."""
    said = {*caveats(report), *(f"Verdict: {each}" for each in report.verdicts.values())}
    windows, *others = evaluate_view(report).tables()
    shown = [each for each in others if str(each) not in said]
    return parts.section("The figures", *map(parts.renderable, [*shown, windows]))


def _origin(report: EvaluateReport) -> str:
    evaluated = _spans(
        (each.symbol, len(each), str(each.dates[0]), str(each.dates[-1])) for each in report.series
    )
    found = [parts.heading("Prices evaluated"), parts.definitions(list(evaluated))]
    for model, metadata in zip(report.models, report.metadata, strict=True):
        found += [parts.heading(f"{model} was trained on"), _trained(metadata)]
    if report.failures:
        found.append(parts.heading("Not evaluated"))
        found += [parts.text(failure.reason) for failure in report.failures]
    return parts.section("Where it came from", *found)


def _trained(metadata: dict[str, Any]) -> str:
    data = metadata["data"]
    spans = _spans(
        (each["symbol"], each["rows"], each["first"], each["last"]) for each in data["symbols"]
    )
    return parts.definitions(
        [
            *spans,
            ("SHA-256 of the prices", data["fingerprint"], "hash"),
            ("Price", data["price"], ""),
            (
                "Made by",
                f"lstmcli {metadata['lstmcli_version']}, PyTorch {metadata['torch_version']}, "
                f"{metadata['device']}, seed {metadata['seed']}, {metadata['parameters']} weights",
                "",
            ),
        ]
    )


def _spans(symbols: Iterable[tuple[str, int, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Put symbols of the same rows and days together."""
    same = sorted(symbols, key=lambda each: each[1:])
    for (rows, first, last), group in groupby(same, key=lambda each: each[1:]):
        yield f"{count(rows, 'row')}, {first} to {last}", ", ".join(each[0] for each in group), ""


def _recipes(report: EvaluateReport) -> str:
    found = []
    for model, settings in zip(report.models, report.recipes, strict=True):
        found += [parts.heading(str(model)), parts.code(settings_toml(settings))]
    return parts.section("The recipe, complete", *found)
