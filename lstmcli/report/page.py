"""An evaluation as one HTML page in one file: no script, no address, nothing loaded.

templates/ (Jinja2) holds the words and their order; numbers and drawings come from here. The same
evaluation always makes the same bytes.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from lstmcli.errors import UsageError
from lstmcli.evaluation.scores import ModelScores
from lstmcli.printable import count_of, printable
from lstmcli.report import picture
from lstmcli.report.evaluate import caveats, detail_tables
from lstmcli.report.fans import choose_windows, walks, window_fan
from lstmcli.report.numbers import BASE_RATE_UNKNOWN, percent
from lstmcli.report.output import check_file, write_file
from lstmcli.runs.bundle import settings_toml
from lstmcli.workflows.evaluate import EvaluateReport

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).with_name("templates")
_MOST_POINTS = 1000
_WIDTH = 340  # pixels, as a telephone, so that no text is smaller than it is meant
_POINTS = 72  # of SVG, to an inch
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


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
    picture.check_package("matplotlib", "--report")


def write_page(report: EvaluateReport, target: str | None) -> None:
    """Write the page, wholly or not at all; no page if `target` is None."""
    if target is None:
        return
    names = [str(model) for model in report.models]
    models = [report.scores.models[name] for name in names]
    said = caveats(report)
    first, *others = detail_tables(report)
    page = _template("page.html").render(
        report=report,
        scores=report.scores,
        models=models,
        caveats=said,
        windows=[
            (
                chosen,
                report.backtest.cutoff[chosen.index],
                [window_fan(report, name, chosen.index) for name in names],
            )
            for chosen in choose_windows(report)
        ],
        walk=next(walks(report)),
        unchanged=(report.backtest.actual[:, -1] == 0.0).any(),
        moves={model.model: _moves(report, model) for model in models},
        skills=list(_skills(report, models)),
        tables=[*others, first],
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
    write_file(Path(target), page)


def _template(name: str) -> "Template":
    """Load a template. All text in it is made printable and escaped."""
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
    environment.filters |= {"dated": _dated, "unbroken": _unbroken}
    environment.globals |= {
        "base_rate_unknown": BASE_RATE_UNKNOWN,
        "colours": picture.COLOURS,
        "count_of": count_of,
        "inline": inline,
        "nearest_band": lambda bands, nominal: min(bands, key=lambda b: abs(b.nominal - nominal)),
        "percent": percent,
        "picture": picture,
        "width": _WIDTH,
        "zip": zip,
    }
    return environment.get_template(name)


def inline(draw: Callable[..., None], height: int, *data: object, **options: object) -> Markup:
    """Return the content of a drawing's <svg> element for use inside HTML.

    draw : draws the data onto axes. height : in pixels.
    """
    size = (_WIDTH / _POINTS, height / _POINTS)
    made = picture.render(
        lambda figure: draw(figure.add_subplot(), *data, **options), size, "svg", _STYLE
    )
    # matplotlib writes a whole document. Its namespaces, the ids of its groups (the same in every
    # drawing) and its style sheet (which would apply to the whole page) have no place in HTML. The
    # other ids are hashes of what they name, so that two drawings may share one.
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.fromstring(made)
    for element in root.iter():
        element.tag = _local(element.tag)
        kept = {_local(name): value for name, value in element.attrib.items()}
        element.attrib = {k: v for k, v in kept.items() if (element.tag, k) != ("g", "id")}
    drawn = [each for each in root if each.find("style") is None]
    return Markup("".join(ElementTree.tostring(each, "unicode") for each in drawn))


def _moves(report: EvaluateReport, model: ModelScores) -> dict[str, Any]:
    """Return the moves in percent up to the last step, (N,), of every so many windows.

    corners : shares of all windows by predicted and actual sign, from the upper left clockwise.
    """
    column = model.direction[-1].step - 1
    actual = report.backtest.actual[:, column]
    known = ~np.isnan(actual)
    predicted = report.backtest.forecasts[model.model].median[known, column]
    actual = actual[known]
    moved = actual != 0
    called, went = predicted[moved] > 0, actual[moved] > 0
    signs = ((False, True), (True, True), (True, False), (False, False))
    shares = [np.mean((called == up) & (went == rose)) for up, rose in signs] if moved.any() else []
    every = max(1, math.ceil(actual.size / _MOST_POINTS))
    return {
        "predicted": 100 * np.expm1(predicted[::every]),
        "actual": 100 * np.expm1(actual[::every]),
        "corners": [percent(float(share), 0) for share in shares] or ["-"] * len(signs),
        "every": every,
    }


def _skills(report: EvaluateReport, models: Sequence[ModelScores]) -> Iterator[dict[str, Any]]:
    """Yield how much error the models save against one baseline after the other.

    lines : for each model, by step. saved : model, over the whole path, and its interval.
    """
    against = report.scores.against
    for other in against:
        if other != "naive" or "drift" not in against:
            yield {
                "title": f"Error against {other}",
                "score": "RMSE",
                "lines": [m.steps.skill[other] for m in models],
                "saved": [
                    (m.model, m.path.skill[other], m.skill_intervals.get(other)) for m in models
                ],
            }
    for other in ("scaled_climatology", "gaussian_cone"):
        saved = [
            (m.model, m.path.crps_skill[other], m.crps_skill_intervals.get(other))
            for m in models
            if other in m.path.crps_skill
        ]
        if saved:
            lines = [m.steps.crps_skill.get(other, []) for m in models]
            title = f"Fan against {other}"
            yield {"title": title, "score": "CRPS", "lines": lines, "saved": saved}


def _spans(symbols: Iterable[tuple[str, int, str, str]]) -> list[tuple[str, str]]:
    """Put symbols of the same rows and days together: the rows and days, and the symbols."""
    same = groupby(sorted(symbols, key=lambda each: each[1:]), key=lambda each: each[1:])
    return [
        (f"{count_of(rows, 'row')}, {first} to {last}", ", ".join(each[0] for each in group))
        for (rows, first, last), group in same
    ]


def _shown(value: object) -> object:
    """Make a value printable before it is escaped, so that it cannot reorder the text."""
    return value if isinstance(value, Markup) else printable(str(value), keep="\n")


def _dated(words: str) -> Markup:
    """Keep a date on one line."""
    escaped = str(escape(_shown(words)))  # a plain string, since Markup escapes what joins it
    return Markup(re.sub(r"\b\d{4}-\d\d-\d\d\b", r"<time>\g<0></time>", escaped))


def _unbroken(words: str) -> Markup:
    """Keep a date, and a number and its sign of percent, on one line."""
    return Markup(str(_dated(words)).replace(" %", "&nbsp;%").replace(" ± ", "&nbsp;±&nbsp;"))


def _local(name: str) -> str:
    """Return the name of an element or attribute without its namespace."""
    return name.rpartition("}")[2]
