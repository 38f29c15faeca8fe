"""Past forecasts on an evaluation's page: four windows chosen by rule, and those of one symbol."""

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
    return section(
        "Forecasts and what happened",
        text(
            f"The latest of {count(chosen[0].of, 'window')}, and the best, the middle and the "
            f"worst by the {score} of {report.models[0]}, chosen by rule."
        )
        if chosen
        else "",
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
    names = [str(each) for each in report.models]
    fans = {name: fan_of(report, name, index) for name in names}
    about = [model] if len(names) > 1 else []
    if model == names[0]:
        place = f"place {chosen.place} of {chosen.of}"
        about.append(f"{score} {percent(chosen.score)} of the last price, {place}")
    return figure(
        f"{chosen.why.capitalize()}: {result.symbol[index]} from {result.cutoff[index]}",
        ": ".join(about),
        charts.fan_chart(fans[model], list(fans.values())),
    )
