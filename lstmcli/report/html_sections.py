"""The charts of an evaluation's page and what they say: trend, bands, skill."""

import math
from collections.abc import Sequence

import numpy as np

from lstmcli.evaluation.direction_scores import DirectionScores
from lstmcli.evaluation.intervals import Interval
from lstmcli.evaluation.scores import ModelScores
from lstmcli.evaluation.trend import CLASSES, ThreeWay
from lstmcli.report import charts
from lstmcli.report.html_parts import (
    Key,
    figure,
    grid,
    heading,
    legend,
    section,
    tiles,
)
from lstmcli.report.numbers import count, percent
from lstmcli.report.picture import BLUE, GREY, INK, VERMILLION
from lstmcli.workflows.evaluate import EvaluateReport

CLIMATOLOGY = "scaled_climatology"
_CRPS_RIVALS = (CLIMATOLOGY, "gaussian_cone")


def trend_section(report: EvaluateReport) -> str:
    """Show for each model the predicted against the actual moves and trends at the last step."""
    parts = []
    unchanged = bool((report.backtest.actual[:, -1] == 0.0).any())
    for name in map(str, report.models):
        last = report.scores.models[name].direction[-1]
        figures = [_moves(report, name, last)]
        if last.three_way is not None:
            figures.append(_trend_tiles(last.three_way, last.step, report.scores.flat_band))
        parts += [_named(report, name), grid(figures)]
    return section(
        "Predicted against actual trend",
        legend(
            [
                Key("dot", BLUE, "direction right"),
                Key("dot", VERMILLION, "wrong"),
                *([Key("dot", GREY, "unchanged, neither")] if unchanged else []),
                Key("dashes", INK, "a perfect forecast"),
            ]
        ),
        *parts,
    )


def bands_section(report: EvaluateReport) -> str:
    """Show for each fan what its bands covered and where in it the outcomes fell."""
    rival = report.scores.models.get(CLIMATOLOGY)
    parts = []
    for name in map(str, report.models):
        own = report.scores.models[name]
        steps = sorted({band.step for band in own.bands})
        if steps:
            ends = dict.fromkeys((steps[-1], steps[0]))
            parts += [
                _named(report, name),
                grid(_calibration(own, rival, step) for step in ends),
                grid(_pit(own, step) for step in ends),
            ]
    if not parts:
        return ""
    keys = [Key("dot", BLUE, "the model, with two standard errors each way")]
    if rival is not None:
        keys.append(Key("ring", VERMILLION, f"{CLIMATOLOGY}, the hardest baseline"))
    return section("Do the bands hold what they promise?", legend(keys), *parts)


def skill_section(report: EvaluateReport) -> str:
    """Show how the error of every model compares with the baselines, step by step."""
    models = [report.scores.models[str(model)] for model in report.models]
    figures = []
    for other in report.scores.against:
        if other != "naive" or "drift" not in report.scores.against:
            skills = [model.steps.skill[other] for model in models]
            saved = [(m.model, m.path.skill[other], m.skill_intervals.get(other)) for m in models]
            figures.append(_skill(f"Error against {other}", "RMSE", skills, saved))
    for other in _CRPS_RIVALS:
        fans = [model for model in models if other in model.path.crps_skill]
        lines = [model.steps.crps_skill.get(other, []) for model in models]
        saved = [
            (m.model, m.path.crps_skill[other], m.crps_skill_intervals.get(other)) for m in fans
        ]
        if fans:
            figures.append(_skill(f"Fan against {other}", "CRPS", lines, saved))
    keys = [
        Key("line", charts.COLOURS[place % len(charts.COLOURS)], model.model)
        for place, model in enumerate(models)
    ]
    return section("Skill by step", legend(keys) if len(keys) > 1 else "", grid(figures))


def _moves(report: EvaluateReport, name: str, last: DirectionScores) -> str:
    two_way, column = last.two_way, last.step - 1
    result = report.backtest
    known = np.flatnonzero(~np.isnan(result.actual[:, column]))
    every = max(1, math.ceil(known.size / charts.MOST_POINTS))
    moves = [
        100 * np.expm1(x[known, column]) for x in (result.forecasts[name].median, result.actual)
    ]
    moved = moves[1] != 0
    up = moves[0][moved] > 0, moves[1][moved] > 0
    corners = [
        percent(float(np.mean((up[0] == called) & (up[1] == went))) if moved.any() else None, 0)
        for called, went in ((False, True), (True, True), (True, False), (False, False))
    ]
    title = f"Direction right in {percent(two_way.accuracy, 1)}"
    if two_way.always is not None:
        title += f", always {two_way.always} in {percent(two_way.always_accuracy, 1)}"
    if two_way.n_unchanged:
        title += f"; left out, since unchanged: {count(two_way.n_unchanged, 'window')}"
    dots = "one dot a window" if every == 1 else f"a dot for {every} windows"
    return figure(
        title,
        f"Moves over {last.step} steps, {dots}; the two scales differ, and what lies beyond "
        "them stands on the edge. In the corners the share of the windows there.",
        charts.moves_chart(
            moves[0][::every], moves[1][::every], corners, f"Predicted and actual moves of {name}"
        ),
    )


def _trend_tiles(found: ThreeWay, step: int, flat_band: float) -> str:
    names = CLASSES[::-1]
    return figure(
        f"Trend right in {percent(found.accuracy, 1)}, always {found.always} in "
        f"{percent(found.always_accuracy, 1)}",
        f"Windows by what was called and what came at step {step}; flat is a move within "
        f"{flat_band:g} deviations. Framed: right. Balanced over the three, "
        f"{percent(found.balanced_accuracy, 1)}.",
        tiles(
            [f"went {name}" for name in names],
            [f"called {name}" for name in names],
            [row[::-1] for row in found.confusion[::-1]],
            found.n_windows,
        ),
    )


def _calibration(own: ModelScores, rival: ModelScores | None, step: int) -> str:
    bands = [band for band in own.bands if band.step == step]
    theirs = [band for band in (rival.bands if rival else ()) if band.step == step]
    shown = min(bands, key=lambda band: abs(band.nominal - 0.8))
    error = shown.standard_error
    title = (
        f"Step {step}: the {percent(shown.nominal, 0)} band covered {percent(shown.coverage, 1)}"
    )
    if error is not None:
        title += f" ± {100 * error:.1f}"
    return figure(
        title,
        "Below the line the bands are too narrow, above it too wide.",
        charts.calibration_chart(bands, theirs, f"Coverage of {own.model} at step {step}"),
    )


def _pit(own: ModelScores, step: int) -> str:
    found = next((each for each in own.pit if each.step == step), None)
    if found is None:
        return ""
    return figure(
        f"Step {step}: where in the fan the outcomes fell",
        "Share of the outcomes in each tenth. A calibrated fan is flat at the line; one too narrow "
        "is high at both ends, one too wide in the middle, one that leans at one end.",
        charts.pit_chart(found.edges, found.shares, f"PIT histogram of {own.model} at step {step}"),
    )


def _skill(
    title: str,
    score: str,
    lines: Sequence[Sequence[float | None]],
    saved: Sequence[tuple[str, float | None, Interval | None]],
) -> str:
    told = [
        (f"{name}: " if len(saved) > 1 else "") + _with_interval(skill, interval)
        for name, skill, interval in saved
    ]
    return figure(
        title,
        f"{score} saved, in percent of the baseline's; above the line the model is better. Over "
        f"the whole path {'; '.join(told)}.",
        charts.skill_chart(lines, title),
    )


def _with_interval(skill: float | None, interval: Interval | None) -> str:
    words = percent(skill, 1, sign=True)
    if interval is None or interval.low is None or interval.high is None:
        return words
    low, high = (percent(end, 1, sign=True) for end in (interval.low, interval.high))
    return f"{words} (95 % interval {low} to {high})"


def _named(report: EvaluateReport, name: str) -> str:
    """Return the model's name where there are several."""
    return heading(name) if len(report.models) > 1 else ""
