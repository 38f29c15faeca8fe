"""The backtest for a reader: every window, the scores, the verdict; and the leak audit."""

import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType

from lstmcli.evaluation.direction import direction_hits
from lstmcli.evaluation.leaks import Comparison
from lstmcli.evaluation.trend import CLASSES, actual_trend, predicted_trend
from lstmcli.learning.evidence import describe_looks
from lstmcli.printable import count_of
from lstmcli.report import View, make_document
from lstmcli.report.numbers import BASE_RATE_UNKNOWN, ahead, price, price_basis
from lstmcli.report.score_tables import score_tables
from lstmcli.report.tables import Column, list_table
from lstmcli.workflows.evaluate import EvaluateReport

if TYPE_CHECKING:
    from lstmcli.workflows.audit import AuditReport

_MOST_REFITS = 12
_MOST_ROWS = 60
_HITS = {None: "-", True: "hit", False: "miss"}
_WINDOWS: list[Column] = [
    ("Symbol", lambda row: row["symbol"]),
    ("Cutoff", lambda row: row["cutoff"]),
    ("Ahead", lambda row: row["date"]),
    ("Predicted trend", lambda row: row["predicted_trend"]),
    ("Actual trend", lambda row: row["actual_trend"]),
    ("Trend", lambda row: _HITS[row["trend_hit"]]),
    ("Direction", lambda row: "unchanged" if row["unchanged"] else _HITS[row["direction_hit"]]),
    ("Last close", lambda row: price(row["last_close"])),
    ("Predicted", lambda row: price(row["predicted"])),
    ("Actual", lambda row: price(row["actual"])),
]
_REFITS: list[Column] = [
    *(("Model", "model"), ("First cutoff", "since"), ("Rows from", "first"), ("to", "last")),
    *(("Symbols", "symbols"), ("Rows", "rows"), ("Training", "train")),
    *(("Validation", "validation"), ("Best epoch", "epoch")),
]


def evaluate_view(report: EvaluateReport) -> View:
    """Show the windows, the scores and the verdict; the rows are the windows of every network."""

    def document() -> dict[str, Any]:
        windows = report.metadata[0].windows
        counts = {key: windows.get(key) for key in ("rows", "train", "validation", "test")}
        return make_document(
            "evaluate",
            summary=report.summaries[0],
            models=list(map(str, report.models)),
            price=report.series[0].price,
            horizon=report.horizon,
            step_size=report.step_size,
            test_start=str(report.test_start),
            trained_until=str(report.trained_until),
            fitted_cutoffs=report.fitted_cutoffs,
            refits=report.refits,
            looks=report.looks,
            split_method=report.recipes[0].split.method,
            windows=counts | {"evaluated": report.scores.n_windows},
            verdicts={name: str(each) for name, each in report.verdicts.items()},
            tuning={
                name: recipe.tuning.model_dump()
                for name, recipe in zip(report.verdicts, report.recipes, strict=True)
            },
            scores=report.scores,
            forecasts=window_rows(report),
            notes=report.notes,
            failures=report.failures,
        )

    return View(lambda: _tables(report), document, lambda: window_rows(report))


def caveats(report: EvaluateReport) -> list[str]:
    """Return the reasons not to believe the figures."""
    found = []
    if report.recipes[0].split.method == "shuffled":
        found.append(
            "This recipe repeats the published lab with its flaws: windows overlap between "
            "training, validation and test, without a purge; the scores below are honest."
        )
    return [*found, *describe_looks(report.looks)]


def window_rows(report: EvaluateReport) -> list[dict[str, Any]]:
    """Return one record for each network and window, at the last step."""
    result, last, band = report.backtest, report.horizon - 1, report.scores.flat_band
    moves, sigma, horizon = result.actual[:, last], result.sigma, report.horizon
    happened = actual_trend(moves, sigma, horizon, band)
    actual = result.last_close * np.exp(moves)
    rows = []
    for model in map(str, report.models):
        forecast, limits = result.forecasts[model], report.thresholds.get(model)
        calls = predicted_trend(forecast, sigma, horizon, band, limits)
        predicted = result.last_close * np.exp(forecast.median[:, last])
        hits = direction_hits(forecast.median[:, last], moves)
        for index in range(len(result.cutoff)):
            rows.append(
                {
                    "model": model,
                    "symbol": str(result.symbol[index]),
                    "cutoff": str(result.cutoff[index]),
                    "date": str(result.dates[index, last]),
                    "last_close": float(result.last_close[index]),
                    "predicted": float(predicted[index]),
                    "actual": float(actual[index]),
                    "predicted_trend": None if calls is None else CLASSES[calls[index]],
                    "actual_trend": CLASSES[happened[index]],
                    "trend_hit": None if calls is None else bool(calls[index] == happened[index]),
                    "direction_hit": None if np.isnan(hits[index]) else bool(hits[index]),
                    "unchanged": bool(moves[index] == 0.0),
                    "in_training": bool(report.in_training[index]),
                }
            )
    return rows


def _tables(report: EvaluateReport) -> list[RenderableType]:
    scores, windows = report.scores, report.metadata[0].windows
    chances = scores.models[scores.model].chances
    no_rates = chances and chances[0].base_rate is None
    return [
        _windows_table(report),
        f"{windows['rows']} rows; {windows['train']} training, {windows['test']} test windows; "
        f"{scores.n_windows} evaluated, {count_of(report.step_size, 'row')} apart "
        f"({scores.n_independent} independent).",
        price_basis(each.price for each in report.series),
        *score_tables(scores, f"1 to {report.horizon}"),
        *([f"Chance of a rise: {BASE_RATE_UNKNOWN}."] if no_rates else []),
        *([_refits_table(report)] if report.refits else []),
        *caveats(report),
        *(f"Verdict: {text}" for text in report.verdicts.values()),
    ]


def _windows_table(report: EvaluateReport) -> RenderableType:
    """Show the first network's windows, the latest ones where there are many."""
    rows = [row for row in window_rows(report) if row["model"] == str(report.models[0])]
    distance = ahead(report.horizon, report.metadata[0].interval)
    title = f"{report.models[0]}, {distance}, {report.series[0].price}"
    if len(rows) > _MOST_ROWS:
        title += f" (the last {_MOST_ROWS} of {len(rows)} windows; all with --format csv)"
    return list_table(title, _WINDOWS, rows[-_MOST_ROWS:], left=7)


def _refits_table(report: EvaluateReport) -> RenderableType:
    """Show when each model was fitted again, the latest times where there are many."""
    times = len(report.refits)
    title = f"Fitted again {count_of(times, 'time')} on the rows known at the first cutoff"
    if times > _MOST_REFITS:
        title += f" (the last {_MOST_REFITS}; all with --format json)"
    return list_table(title, _REFITS, report.refits[-_MOST_REFITS:], left=4)


def audit_view(report: "AuditReport") -> View:
    """Show every comparison; the rows are the comparisons too."""
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
        shown: list[RenderableType] = [
            list_table(title, _COMPARISONS, report.comparisons, left=4),
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
        failed = sum(each.difference is not None for each in report.comparisons)
        outcome = f"not clean. {failed} of {len(report.comparisons)} comparisons failed."
        if report.is_clean:
            outcome = "clean. Every number is the same to the last bit, whatever the later bars."
        return [*shown, f"What this cannot see: {'; '.join(UNSEEN)}.", f"Audit: {outcome}"]

    return View(tables, document, lambda: map(_comparison, report.comparisons))


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
