"""Write an evaluation or a forecast as a self-contained HTML page, without scripts.

templates/ (Jinja2) holds the text and its order; this module supplies numbers and drawings. The
same result always produces the same bytes.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from rich.table import Column

from lstmcli.evaluation.direction import most_common
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.verdict import Summary, difference, judged_band, shown_name
from lstmcli.market.prices import unit_of
from lstmcli.pictures import drawing, fans
from lstmcli.pictures.picture import MAX_PANELS, render
from lstmcli.pictures.terminal_plot import draw_plot
from lstmcli.printable import count_of, printable
from lstmcli.report.evaluate import caveats, detail_tables, made_by
from lstmcli.report.long_table import forecast_rows
from lstmcli.report.output import write_file
from lstmcli.report.score_tables import share_of, verdict_word
from lstmcli.report.tables import (
    BASE_RATE_UNKNOWN,
    FittedTable,
    number,
    percent,
    price,
    price_basis,
    price_columns,
    record_table,
)
from lstmcli.runs.bundle import settings_toml
from lstmcli.sources.predictors import Predictor
from lstmcli.workflows.batches import SymbolForecast
from lstmcli.workflows.evaluate import EvaluateReport
from lstmcli.workflows.predict import PredictReport

if TYPE_CHECKING:
    from jinja2 import Template

Tile = tuple[str, str, str]  # name, value, and text for comparison

_TEMPLATES = Path(__file__).with_name("templates")
_MOST_NAMED = 3
_POINTS = 72  # SVG points per inch
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def write_page(report: EvaluateReport, target: str | None) -> None:
    """Write the page of an evaluation atomically; no page if `target` is None."""
    if target is None:
        return
    names = [str(model) for model in report.models]
    scores = report.scores
    models = [scores.models[name] for name in names]
    windows, *others = detail_tables(report)
    unit = unit_of(report.metadata[0].interval)
    ahead = count_of(report.horizon, unit)
    subject = f"{_subject([each.symbol for each in report.series])}, {ahead} ahead"
    heads = [_head(report, found) for found in report.summaries]
    by = f"by {made_by(report) if len(names) == 1 else ' and '.join(names)}"
    answer = heads[0]["title"] if len(models) == 1 else f"{len(models)} models compared"
    page = _template("evaluation.html").render(
        title=f"{subject}: {answer}",
        words=f"{by}; {count_of(scores.n_windows, 'test window')}, a forecast every "
        f"{count_of(report.step_size, unit)} from {scores.first_cutoff} to {scores.last_cutoff}; "
        f"the test span begins {report.test_start}; forecast is "
        f"{price_columns(each.price for each in report.series)}",
        heads=heads,
        report=report,
        scores=scores,
        models=models,
        caveats=caveats(report),
        walks=list(_walks(report)),
        windows=[
            (chosen, [fans.window_fan(report, name, chosen.index) for name in names])
            for chosen in fans.choose_windows(report)
        ],
        unchanged=(report.backtest.actual[:, -1] == 0.0).any(),
        moves={model.model: fans.moves_of(report, model.model) for model in models},
        skills={model.model: fans.skills_of(report, model) for model in models},
        tables=[*others, windows],
        evaluated=_spans(
            (each.symbol, len(each), str(each.dates[0]), str(each.dates[-1]))
            for each in report.series
        ),
        trained=[
            _spans((each.symbol, each.rows, each.first, each.last) for each in metadata.symbols)
            for metadata in report.metadata
        ],
        recipes=[settings_toml(settings) for settings in report.recipes],
    )
    write_file(Path(target), _unbroken(page))


def draw_forecasts(report: PredictReport, page: str | None, plot: str | None) -> None:
    """Write the page and the picture of forecasts, each only if it has a target."""
    write_forecast_page(report, page)
    draw_plot(map(fans.forecast_fan, report.forecasts), plot)


def write_forecast_page(report: PredictReport, target: str | None) -> None:
    """Write the page of forecasts atomically; no page if `target` is None.

    It draws the fans of the first 30 symbols; the table at the top lists all symbols.
    """
    if target is None:
        return
    forecasts = list(report.forecasts)
    cells, shown = [], list[dict[str, Any]]()
    for each in forecasts:
        fan = fans.forecast_fan(each)
        ahead = count_of(each.by.horizon, unit_of(each.interval))
        of_steps = [_cells(fan, row) for row in forecast_rows(each)]
        first = {"Symbol": each.symbol, "From": each.cutoff, "Last close": price(fan.last)}
        cells.append(first | {key: of_steps[-1][key] for key in of_steps[-1] if key != "Step"})
        if len(cells) <= MAX_PANELS:
            move = fans.with_change(fan.median[-1], fan.last)
            shown.append(
                {
                    "title": f"{each.symbol}: {move} in {ahead}",
                    "tiles": _forecast_tiles(each, fan, of_steps[-1]),
                    "warnings": each.warnings,
                    "fan": fan,
                    "happened": bool(np.isfinite(fan.actual).any()),
                    "shares": [f"{100 * nominal:.0f}" for nominal, *_ in fan.bands],
                    "steps": record_table("Step by step", of_steps),
                }
            )
    several, overview = len(forecasts) > 1, "At the last step"
    parts = {"forecast-1": "The forecast", "steps-1": "Step by step"}
    if several:
        names = enumerate(report.symbols[: len(shown)], start=1)
        parts = {f"forecast-{at}": name for at, name in names}
    if len(shown) < len(forecasts):
        overview += (
            f" (drawn below: {len(shown)} of {len(forecasts)}; name other symbols to draw them)"
        )
    page = _template("forecast.html").render(
        title=f"{_subject(report.symbols)}, next {ahead}" if several else shown[0]["title"],
        words="; ".join(
            f"by {by.reference}, trained until {by.metadata.trained_until}" for by in report.models
        ),
        basis=price_basis(each.price for each in forecasts),
        parts=parts | {"trust": "How far to trust it", "origin": "Origin"},
        overview=record_table(overview, cells) if several else None,
        forecasts=shown,
        trust=[table for by in report.models if (table := _trust(by))],
        notes=[*report.notes, *(failure.reason for failure in report.failures)],
        records=[by.metadata.record for by in report.models],
    )
    write_file(Path(target), _unbroken(page))


def _subject(symbols: Sequence[str]) -> str:
    few = len(symbols) <= _MOST_NAMED
    return ", ".join(symbols) if few else f"{len(symbols)} symbols"


def _head(report: EvaluateReport, found: Summary) -> dict[str, Any]:
    """Return the headline, tiles and verdict lines of one model."""
    judged = report.verdicts[found.model]
    word = verdict_word(found, judged).plain
    title = {"not proven": "not proven better than naive"}.get(word, word)
    return {
        "title": title if len(report.models) == 1 else f"{found.model}: {title}",
        "tiles": _tiles(report, found),
        "lines": [*judged.lines, *([str(report.without)] if report.without else [])],
    }


def _tiles(report: EvaluateReport, found: Summary) -> list[Tile]:
    own, skill = report.scores.models[found.model], found.skill_naive
    known, band = found.direction_windows, judged_band(own)
    always = f'always "{most_common(report.backtest.actual[:, -1])}"'
    apart = f"{count_of(found.n_independent, 'date')} that do not overlap"
    if found.symbols > 1:
        apart = f"{found.symbols} symbols, {apart}"
    few = f"; a test needs {MIN_WINDOWS}" * (found.n_independent < MIN_WINDOWS)
    tiles = [
        (
            "Against naive",
            "-" if skill is None else difference(skill),
            f"{percent(found.rmse)} against {percent(found.naive_rmse)} over all steps",
        ),
        (
            "Direction right",
            share_of(found.direction_right, known),
            f"{always}: {share_of(found.always_right, known)}" if known else "no price changed",
        ),
        ("Windows", str(found.windows), apart + few),
    ]
    if band is None:
        words = "correlation of predicted and actual moves"
        return [*tiles, ("Moves followed", number(own.movement.of_moves, 2), words)]
    good = {None: "too few windows to judge", True: "calibrated", False: "not calibrated"}
    error = "" if band.standard_error is None else f"± {100 * band.standard_error:.1f} "
    words = f"{error}at step {band.step}, {good[band.good]}"
    return [*tiles, (f"{percent(band.nominal, 0)} range held", percent(band.coverage, 1), words)]


def _walks(report: EvaluateReport) -> Iterator[tuple[str, fans.Walk]]:
    """Yield the walk of the only symbol, or those of the best and worst against naive."""
    name = str(report.models[0])
    skills = {
        symbol: found.skill.get("naive") or 0.0
        for symbol, found in report.scores.models[name].symbols.items()
    }
    series = {each.symbol: each for each in report.series}
    if len(series) < 2 or not skills:
        yield "", fans.walk_of(report, report.series[0])
        return
    for why, choose in (("The best against naive, ", max), ("The worst against naive, ", min)):
        yield why, fans.walk_of(report, series[choose(skills, key=skills.__getitem__)])


def _forecast_tiles(each: SymbolForecast, fan: fans.Fan, end: dict[str, Any]) -> list[Tile]:
    """Return the last close, the forecast and, for a fan, its range and the chance of a rise.

    end : the cells of the last step.
    """
    ahead = count_of(each.by.horizon, unit_of(each.interval))
    tiles = [
        ("Last close", price(fan.last), f"{fan.currency} on {each.cutoff}".strip()),
        (f"In {ahead}", fans.with_change(fan.median[-1], fan.last), f"by {each.dates[-1]}"),
    ]
    if fan.band is not None:
        share, low, high = fan.band
        moves = (percent(end[-1] / fan.last - 1, 1, sign=True) for end in (low, high))
        name = f"{percent(share, 0)} range"
        past = end["In the past"]
        words = BASE_RATE_UNKNOWN if past == "-" else f"in the past {past}"
        words += "; no view on direction" * each.by.metadata.har
        tiles.append((name, end[name], " to ".join(moves)))
        tiles.append(("Chance of a rise", end["Chance of a rise"], words))
    return tiles


def _cells(fan: fans.Fan, row: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of one step by heading; row : a row of the long table."""
    at, median = row["step"] - 1, row["median"]
    cells = {"Date": row["date"], "Step": row["step"]}
    cells[fan.forecast_name.capitalize()] = price(median)
    cells["Change"] = percent(median / fan.last - 1.0, 1, sign=True)
    if fan.band is not None:
        share, low, high = fan.band
        cells[f"{percent(share, 0)} range"] = f"{price(low[at])} to {price(high[at])}"
        cells["Chance of a rise"] = percent(row["probability_of_rise"], 0)
        cells["In the past"] = percent(row["base_rate_of_rise"], 0)
    if np.isfinite(fan.actual).any():
        cells["Actual"] = None if row["actual"] is None else price(row["actual"])
    return cells


def _trust(by: Predictor) -> FittedTable | None:
    """Return a table of validation errors of model and baselines; None without validation."""
    found = by.metadata.validation
    if found is None:
        return None
    few = found.n_independent < MIN_WINDOWS
    title = f"Typical error{by.other_span} on "
    title += count_of(found.n_independent, "validation window")
    tested = found.models["network"].p
    rows = (
        {
            "Model": str(by.reference) if name == "network" else shown_name(name),
            "Error (RMSE)": percent(each.rmse),
            "p against it": number(None if few else tested.get(name)),
        }
        for name, each in found.models.items()
    )
    return record_table(title + ", too few for a test" * few, rows)


def _template(name: str) -> "Template":
    """Load a template, which makes all text printable and escapes it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["dated"] = _dated
    environment.globals |= {
        "base_rate_unknown": BASE_RATE_UNKNOWN,
        "colours": drawing.COLOURS,
        "colours_of_lines": list(drawing.LINE_COLOURS),
        "count_of": count_of,
        "inline": inline,
        "is_numeric": _is_numeric,
        "nearest_band": lambda bands, nominal: min(bands, key=lambda b: abs(b.nominal - nominal)),
        "percent": percent,
        "drawing": drawing,
        "zip": zip,
    }
    return environment.get_template(name)


def inline(
    draw: Callable[..., None], size: tuple[int, int], *data: object, **options: object
) -> Markup:
    """Return the content of a drawing's <svg> element, to embed in HTML.

    draw : function that draws the data onto axes. size : width and height in pixels.
    """
    inches = (size[0] / _POINTS, size[1] / _POINTS)
    made = render(
        lambda figure: draw(figure.add_subplot(), *data, **options), inches, "svg", _STYLE
    )
    # matplotlib writes a whole document. Remove its namespaces, the ids of its groups (the same in
    # every drawing) and its style sheet (which would apply to the whole page). The other ids are
    # hashes of their content, so two drawings may share one.
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.fromstring(made)
    for element in root.iter():
        element.tag = _local(element.tag)
        kept = {_local(name): value for name, value in element.attrib.items()}
        if element.tag == "g" and (texts := kept.pop("id", "")).startswith("["):
            _show(element, json.loads(texts))
        element.attrib = kept
    drawn = [each for each in root if each.find("style") is None]
    return Markup("".join(ElementTree.tostring(each, "unicode") for each in drawn))


def _show(group: Any, texts: Sequence[str]) -> None:
    """Give each mark of a group its tooltip text."""
    import xml.etree.ElementTree as ElementTree

    hidden = {mark for defs in group.iter() if _local(defs.tag) == "defs" for mark in defs.iter()}
    marks = [each for each in group.iter() if _local(each.tag) in ("path", "use")]
    for mark, text in zip((each for each in marks if each not in hidden), texts, strict=True):
        mark.set("class", "value")
        ElementTree.SubElement(mark, "title").text = text


def _spans(symbols: Iterable[tuple[str, int, str, str]]) -> list[tuple[str, str]]:
    """Group symbols by rows and days; return pairs of the span and its symbols as text."""
    same = groupby(sorted(symbols, key=lambda each: each[1:]), key=lambda each: each[1:])
    return [
        (f"{count_of(rows, 'row')}, {first} to {last}", ", ".join(each[0] for each in group))
        for (rows, first, last), group in same
    ]


def _shown(value: object) -> object:
    """Make a value printable, so that control characters cannot reorder the text."""
    return value if isinstance(value, Markup) else printable(str(value), keep="\n")


def _dated(words: str) -> Markup:
    """Mark up dates, so that each stays on one line."""
    escaped = str(
        escape(_shown(words))
    )  # a plain string, because Markup escapes text that is added
    return Markup(re.sub(r"\b\d{4}-\d\d-\d\d\b", r"<time>\g<0></time>", escaped))


def _unbroken(page: str) -> str:
    """Keep numbers on one line with their % and ± signs, and `p` with its value."""
    page = re.sub(r"\bp (=|&lt;) (?=\d)", r"p&nbsp;\1&nbsp;", page.replace(" +- ", " ± "))
    return re.sub(r"(?<=\d) (?=%)|(?<=[\d%]) (?=±)|(?<=±) (?=\d)", "&nbsp;", page)


def _is_numeric(column: Column) -> bool:
    """Return whether a column holds numbers, which are right-aligned."""
    words = any(str(cell)[:1].isalpha() for cell in column.cells)
    return column.justify == "right" and not words


def _local(name: str) -> str:
    """Return the name of an element or attribute without its namespace."""
    return name.rpartition("}")[2]
