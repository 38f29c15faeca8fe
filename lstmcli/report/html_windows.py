"""Past forecasts on an evaluation's page: four windows chosen by rule, and those of one symbol."""

import numpy as np

from lstmcli.report import charts
from lstmcli.report.evaluate_plot import Chosen, choose_windows, fan_of, walks_of
from lstmcli.report.html_parts import Key, figure, grid, legend, section, text
from lstmcli.report.numbers import count, percent
from lstmcli.report.picture import BLUE, INK, TINTS, VERMILLION
from lstmcli.workflows.evaluate import EvaluateReport


def windows_section(report: EvaluateReport) -> str:
    """Show the latest, the best, the middle and the worst window, and all of one symbol."""
    chosen = choose_windows(report)
    fans = report.scores.models[report.scores.model].path.crps is not None
    score = "CRPS" if fans else "path RMSE"
    figures = [
        _window(report, each, str(model), score) for each in chosen for model in report.models
    ]
    walk = next(iter(walks_of(report)))
    known = int((~np.isnan(report.backtest.actual).any(axis=1)).sum())
    return section(
        "Forecasts and what happened",
        text(
            f"The latest of {count(known, 'window')}, and the best, the middle and the worst by "
            f"the {score} of {report.models[0]}, so that none is picked for its looks."
        ),
        legend(
            [
                *(
                    Key("area", TINTS[share], f"{100 * share:.0f} % band")
                    for share in TINTS
                    if fans
                ),
                Key("line", BLUE, "median" if fans else "forecast"),
                Key("dashes", VERMILLION, "no change (naive)"),
                Key("thin", INK, "price before the cutoff"),
                Key("dots", INK, "what happened"),
            ]
        ),
        grid(
            [
                *figures,
                figure(
                    f"{walk.symbol}: window after window",
                    walk.title + (", with the 80 % band" if fans else ""),
                    charts.walk_chart(walk),
                ),
            ]
        ),
    )


def _window(report: EvaluateReport, chosen: Chosen, model: str, score: str) -> str:
    result, index = report.backtest, chosen.index
    fans = [fan_of(report, str(each), index) for each in report.models]
    fan = fans[[str(each) for each in report.models].index(model)]
    of_all = f"place {chosen.place} of {len(result.cutoff)}"
    words = f"{score} {percent(chosen.score)} of the last price, {of_all}"
    return figure(
        f"{chosen.why.capitalize()}: {fan.symbol} from {result.cutoff[index]}",
        words
        if len(fans) == 1
        else model
        if model != str(report.models[0])
        else f"{model}: {words}",
        charts.fan_chart(fan, fans),
    )
