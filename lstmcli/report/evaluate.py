"""Screens of `evaluate`: one page with windows, scores and verdict, or every table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from lstmcli.evaluation.direction import direction_hits, most_common
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.trend import CLASSES, actual_trend, predicted_trend
from lstmcli.learning.walk import Answer
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.report import View, make_document, score_tables
from lstmcli.report.risk import beyond_table, loss_table
from lstmcli.report.tables import (
    BAD,
    BASE_RATE_UNKNOWN,
    DIM,
    GOOD,
    Column,
    FittedTable,
    Prose,
    in_prose,
    list_table,
    percent,
    price,
    price_basis,
    price_columns,
    record_table,
    styled,
)
from lstmcli.runs.evidence import describe_looks
from lstmcli.workflows.evaluate import EvaluateReport

_MOST_WINDOWS, _LATEST = 14, 10
_MOST_SYMBOLS, _BEST = 15, 5
_MOST_REPORTS = 30
_MORE = "More: --details   --plot FILE   --report FILE.html   --format json"
_MORE_OF_SEVERAL = "More: name one symbol for its windows   --details   --format json"
_HITS = {None: "-", True: "hit", False: "miss"}
_WINDOWS: list[Column] = [
    ("Symbol", lambda row: row["symbol"]),
    ("From", lambda row: row["cutoff"]),
    ("To", lambda row: row["date"]),
    ("Price", lambda row: price(row["last_close"])),
    ("Forecast", lambda row: price(row["predicted"])),
    ("Actual", lambda row: price(row["actual"])),
    ("Direction", lambda row: "unchanged" if row["unchanged"] else _HITS[row["direction_hit"]]),
    ("Called", lambda row: row["predicted_trend"]),
    ("Was", lambda row: row["actual_trend"]),
    ("Up, flat, down", lambda row: _HITS[row["trend_hit"]]),
]
_REFITS: list[Column] = [
    *(("Model", "model"), ("First forecast", "since"), ("Fitted on", "first"), ("to", "last")),
    *(("Symbols", "symbols"), ("Rows", "rows"), ("Training", "train")),
    *(("Validation", "validation"), ("Best epoch", "epoch")),
]


def evaluate_views(
    reports: Sequence[EvaluateReport], command: str, *, details: bool = False, beyond: bool = False
) -> View:
    """Show each report on one screen or in full, or several reports as one row each.

    The rows are the windows of every network. The document of several reports lists them under
    `evaluations`.

    command : the command line that evaluates the same models on the same data. details : show
    every table. beyond : show the scores of large moves on the one-screen view too.
    """
    views = [_view(each, command, details, beyond) for each in reports]
    if len(reports) == 1:
        return views[0]

    def tables() -> list[RenderableType]:
        if details:
            return [each for view in views for each in (*view.tables(), "")]
        without = [
            Prose(f"{first_few(each.symbol for each in report.series)}: {report.without}")
            for report in reports
            if report.without is not None
        ]
        return [_reports_table(reports), *without, _MORE_OF_SEVERAL]

    def document() -> dict[str, Any]:
        each = [view.document() for view in views]
        return make_document("evaluate", summary=[one["summary"] for one in each], evaluations=each)

    return View(tables, document, lambda: (row for view in views for row in view.rows()))


def _view(report: EvaluateReport, command: str, details: bool, beyond: bool) -> View:
    """Show one backtest."""

    def document() -> dict[str, Any]:
        windows = report.metadata[0].windows
        counts = {key: windows.get(key) for key in ("rows", "train", "validation", "test")}
        return make_document(
            "evaluate",
            summary=report.summaries[0],
            models=list(map(str, report.models)),
            price=price_columns(each.price for each in report.series),
            horizon=report.horizon,
            step_size=report.step_size,
            test_start=str(report.test_start),
            trained_until=str(report.trained_until),
            fitted_cutoffs=report.fitted_cutoffs,
            refits=report.refits,
            **({"by_recipe": True} if report.by_recipe else {}),
            **({"without": contribution_document(report)} if report.without else {}),
            looks=report.looks,
            split_method=report.recipes[0].split.method,
            windows=counts | {"evaluated": report.scores.n_windows},
            verdicts={name: str(each) for name, each in report.verdicts.items()},
            tuning={
                name: recipe.tuning.model_dump()
                for name, recipe in zip(report.verdicts, report.recipes, strict=True)
            },
            scores=report.scores,
            **({"losses": report.losses} if report.losses else {}),
            forecasts=window_rows(report),
            notes=report.notes,
            failures=report.failures,
        )

    tables = _details(report) if details else _screen(report, command, beyond)
    return View(lambda: list(tables), document, lambda: window_rows(report))


def contribution_document(report: EvaluateReport) -> dict[str, Any]:
    """Return the test of whether a feature helps, in figures and in words."""
    assert report.without is not None, "requested by --without"
    return asdict(report.without) | {"sentence": str(report.without)}


def _reports_table(reports: Sequence[EvaluateReport]) -> RenderableType:
    """Show one row per backtest."""

    rows = [
        {
            "Symbol": _whose(report),
            "Model": _own_name(report),
            "Verdict": score_tables.verdict_word(found, report.verdicts[found.model]),
            "Windows": found.n_independent,
            "Direction right": f"{found.direction_right} of {found.direction_windows}",
            "Always": f"{found.always_right} of {found.direction_windows}",
            "Error": percent(found.rmse),
            "Naive": percent(found.naive_rmse),
        }
        for report in reports[:_MOST_REPORTS]
        for found in report.summaries[:1]
    ]
    drop = ["Windows", "Model"]
    table = record_table("Each symbol by its own model", rows, left=3, drop=drop)
    if len(reports) > _MOST_REPORTS:
        table.note = f"... {len(reports) - _MOST_REPORTS} more, --details"
    return table


def caveats(report: EvaluateReport) -> list[str]:
    """Return the reasons to distrust the figures."""
    found = []
    if report.recipes[0].split.method == "shuffled":
        found.append(
            "This recipe repeats the published lab with its flaws: windows overlap between "
            "training, validation and test, without a purge; the scores below are honest."
        )
    return [*found, *describe_looks(report.looks)]


def window_rows(report: EvaluateReport) -> list[dict[str, Any]]:
    """Return one record per network and window, at the last step."""
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


def _rows_of_first(report: EvaluateReport) -> list[dict[str, Any]]:
    """Return the windows of only the first model."""
    return [row for row in window_rows(report) if row["model"] == str(report.models[0])]


def _screen(report: EvaluateReport, command: str, beyond: bool) -> Iterator[RenderableType]:
    """Yield the one-screen view of the first model."""
    summary, scores = report.summaries[0], report.scores
    unit = unit_of(report.metadata[0].interval)
    several = scores.n_symbols > 1
    yield from _title(report, unit)
    yield _symbols_table(report) if several else _windows_table(report)
    yield from score_tables.directions(summary, scores, report.backtest.actual[:, -1])
    over = f"all {count_of(report.horizon, unit)}"
    yield from score_tables.errors(summary, scores, over, _own_name(report), in_line=several)
    if beyond and scores.models[scores.model].beyond:
        yield beyond_table(scores)
    if len(report.models) > 1:
        yield _models_table(report)
    for caveat in caveats(report):
        yield Prose(caveat)
        yield ""
    yield from score_tables.verdict_lines(summary, report.verdicts[summary.model])
    if report.without is not None:
        yield ""
        yield Prose(str(report.without))
    yield ""
    yield _MORE
    if report.answer is not None:
        yield _how_to_answer(report.answer, command)


def _how_to_answer(answer: Answer, command: str) -> str:
    """Return the command that evaluates enough windows for a test, and its duration."""
    if answer.windows < MIN_WINDOWS:
        windows = count_of(answer.windows, "window")
        return f"For an answer: longer series. These allow {windows}; a test needs {MIN_WINDOWS}."
    seconds = answer.seconds
    time = "" if seconds is None else f"   (about {_duration(seconds)})"
    return f"For an answer: {command} --refits {answer.windows}{time}"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1.0, seconds):.0f} s"


def _title(report: EvaluateReport, unit: str) -> Iterator[RenderableType]:
    """Yield the title: the symbols, the model, and the windows evaluated."""
    scores, ahead = report.scores, count_of(report.horizon, unit)
    yield styled(f"{_whose(report)}, {ahead} ahead, by {made_by(report)}", "bold")
    days = f"{scores.first_cutoff} to {report.backtest.dates[:, -1].max()}"
    columns = price_columns(each.price for each in report.series)
    windows = f"{count_of(scores.n_windows, 'test window')} of {columns}"
    on, apart = "", "; they do not overlap"
    if len(report.series) > 1:
        on, apart = f" on {count_of(scores.n_cutoffs, 'date')}", ""
    if scores.n_independent < scores.n_cutoffs:
        apart = f"; {scores.n_independent} do not overlap"
    yield f"{windows}{on}, {days}{apart}"
    yield ""


def _whose(report: EvaluateReport) -> str:
    many = f"{len(report.series)} symbols"
    return report.series[0].symbol if len(report.series) == 1 else many


def _own_name(report: EvaluateReport) -> str:
    return "the recipe, refitted" if report.by_recipe else str(report.models[0])


def made_by(report: EvaluateReport) -> str:
    """Describe the forecaster: a model, perhaps refitted, or a recipe refitted several times."""
    name, times = str(report.models[0]), len({each.since for each in report.refits})
    if report.by_recipe:
        return f"the recipe, refitted {count_of(times, 'time')}, not {name}"
    return f"{name}, refitted {count_of(times, 'time')}" if times else name


def _windows_table(report: EvaluateReport) -> RenderableType:
    """Show the first model's latest windows, with the moves and the correctness of each call."""
    rows = _rows_of_first(report)
    shown = rows if len(rows) <= _MOST_WINDOWS else rows[-_LATEST:]
    width = {key: max(len(_move(row, key)) for row in shown) for key in ("predicted", "actual")}

    def moved(row: dict[str, Any], key: str) -> str:
        return f"{price(row[key])}  {_move(row, key):>{width[key]}}"

    records = (
        {
            "From": row["cutoff"],
            "To": row["date"],
            "Price": price(row["last_close"]),
            "Forecast": moved(row, "predicted"),
            "Actual": moved(row, "actual"),
            "Direction": _called(row),
        }
        for row in shown
    )
    table = record_table("", records, left=2, drop=["To", "Price", "Actual"])
    table.columns[-1].justify = "left"
    if len(shown) < len(rows):
        table.note = f"... {len(rows) - len(shown)} more, --details"
    return table


def _move(row: dict[str, Any], key: str) -> str:
    return percent(row[key] / row["last_close"] - 1.0, 1, sign=True)


def _called(row: dict[str, Any]) -> Text:
    """Return the predicted direction, marked as right or wrong."""
    change = row["predicted"] - row["last_close"]
    call = "up" if change > 0.0 else "down" if change < 0.0 else "none"
    if row["direction_hit"] is None:
        return styled("unchanged" if row["unchanged"] else call, DIM)
    return styled(f"✓ {call}", GOOD) if row["direction_hit"] else styled(f"✗ {call}", BAD)


def _symbols_table(report: EvaluateReport) -> RenderableType:
    """Show one row per symbol, by skill against naive; of many symbols, the best and the worst."""
    result, scores = report.backtest, report.scores
    own, naive = scores.models[scores.model], scores.models["naive"]
    moves, symbol = result.actual[:, -1], result.symbol
    always = most_common(moves)
    hits = direction_hits(result.forecasts[scores.model].median[:, -1], moves)
    names = sorted(own.symbols, key=lambda name: -(own.symbols[name].skill["naive"] or 0.0))
    unchanged = bool((moves == 0.0).any())

    def cells(name: str) -> dict[str, object]:
        some = (symbol == name) & ~np.isnan(hits)
        moved = int(some.sum())
        went = moves[some] > 0.0 if always == "up" else moves[some] < 0.0
        still = int((moves[symbol == name] == 0.0).sum())
        return {
            "Symbol": name,
            "Windows": moved + still,
            **({"Unchanged": still} if unchanged else {}),
            "Direction right": score_tables.share_of(int(hits[some].sum()), moved),
            f'Always "{always}"': score_tables.share_of(int(went.sum()), moved),
            "Error": percent(own.symbols[name].rmse),
            "Naive": percent(naive.symbols[name].rmse),
        }

    shown = names if len(names) <= _MOST_SYMBOLS else [*names[:_BEST], *names[-_BEST:]]
    rows = [cells(name) for name in shown]
    if hidden := len(names) - len(shown):
        gap = zip(rows[0], ("...", f"{hidden} more", "--details"), strict=False)
        rows.insert(_BEST, {**dict.fromkeys(rows[0], ""), **dict(gap)})
    return record_table("", rows, drop=["Windows"])


def _models_table(report: EvaluateReport) -> RenderableType:
    """Show one row per model."""
    rows = (
        {
            "Model": each.model,
            "Error": percent(each.rmse),
            "Naive": percent(each.naive_rmse),
            "Direction right": score_tables.share_of(each.direction_right, each.direction_windows),
            "Verdict": score_tables.verdict_word(each, report.verdicts[each.model]),
        }
        for each in report.summaries
    )
    return record_table("", rows)


def detail_tables(report: EvaluateReport) -> list[RenderableType]:
    """Return the windows of the first model and every table, without the verdict."""
    scores, windows = report.scores, report.metadata[0].windows
    chances = scores.models[scores.model].chances
    no_rates = chances and chances[0].base_rate is None
    overlap = f"{scores.n_independent} of them do not overlap"
    if scores.n_independent == scores.n_windows:
        overlap = "they do not overlap"
    refits = f"Refitted {count_of(len(report.refits), 'time')} on the rows known by then"
    return [
        list_table(
            *(f"Windows of {report.models[0]}", _WINDOWS, _rows_of_first(report)),
            left=3,
            drop=["Up, flat, down", "Was", "Called", "To"],
        ),
        f"Trained on {windows['train']:,} windows of {windows['rows']:,} rows; "
        f"tested on {scores.n_windows:,}, {count_of(report.step_size, 'row')} apart: {overlap}.",
        price_basis(each.price for each in report.series),
        *score_tables.every_table(scores, f"steps 1 to {report.horizon}"),
        *([beyond_table(scores)] if scores.models[scores.model].beyond else []),
        *([loss_table(report.losses, len(report.series))] if report.losses else []),
        *([f"Chance of a rise: {BASE_RATE_UNKNOWN}."] if no_rates else []),
        *(
            [list_table(refits, _REFITS, report.refits, left=4, drop=["Validation", "Training"])]
            if report.refits
            else []
        ),
    ]


def _details(report: EvaluateReport) -> Iterator[RenderableType]:
    """Yield the full view, with every table."""
    yield from _title(report, unit_of(report.metadata[0].interval))
    parts = detail_tables(report)
    for part, after in zip_longest(parts, parts[1:]):
        yield from in_prose([part])
        if isinstance(part, str) and isinstance(after, FittedTable):
            yield ""
    yield from in_prose(caveats(report))
    for summary in report.summaries:
        yield ""
        yield f"{summary.model}:"
        yield from score_tables.verdict_lines(summary, report.verdicts[summary.model])
    if report.without is not None:
        yield ""
        yield Prose(str(report.without))
