"""From a backtest to what pictures of it need: chosen windows as fans, and the walk over prices."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.losses import losses
from lstmcli.forecasting.forecast import Forecast
from lstmcli.report.console import print_drawing
from lstmcli.report.numbers import count
from lstmcli.report.plot import Fan, bands_of
from lstmcli.report.terminal_plot import text_walks
from lstmcli.report.walk import NOMINAL, Walk, Window, draw_walks
from lstmcli.workflows.evaluate import EvaluateReport

_FEWEST_BEFORE = 20
_MOST_WINDOWS = 40


@dataclass(frozen=True)
class Chosen:
    """A window to show, and why.

    index : in the backtest. score : its CRPS, or the root mean square error of its path for a point
        forecast, in units of the last price. place, of : its rank from 1 for the best, among how
        many windows.
    """

    why: str
    index: int
    score: float
    place: int
    of: int


def plot_backtest(report: EvaluateReport, target: str | None) -> None:
    """Draw the first model's windows over the prices to a file, or below the table with `-`.

    Nothing where no plot is asked for.
    """
    if target is None:
        return
    walks = list(walks_of(report))
    if target == "-":
        print_drawing(text_walks(walks, shutil.get_terminal_size((100, 30)).columns))
    else:
        draw_walks(walks, Path(target))


def walks_of(report: EvaluateReport) -> Iterator[Walk]:
    """Yield each symbol's prices and the latest windows of the first model that do not overlap."""
    forecast = report.backtest.forecasts[str(report.models[0])]
    for series in report.series:
        chosen = _apart(report, series)
        shown = chosen[-_MOST_WINDOWS:]
        prices = np.exp(series.log_prices)
        rows = slice(max(0, shown[0][1] - report.horizon), shown[-1][1] + report.horizon + 1)
        yield Walk(
            symbol=series.symbol,
            title=f"{report.models[0]}, {_told(len(shown), len(chosen))} of {report.horizon} "
            f"steps, {series.price}",
            dates=series.dates[rows],
            prices=prices[rows],
            windows=tuple(
                _window(report.backtest, forecast, index, prices[row]) for index, row in shown
            ),
        )


def choose_windows(report: EvaluateReport) -> tuple[Chosen, ...]:
    """Choose the latest, the best, the middle and the worst window of the first model, each once.

    By CRPS, or by the error of the path for a point forecast; of all symbols together, of windows
    whose outcome is known.
    """
    result, name = report.backtest, str(report.models[0])
    found = losses(result, name, np.ones(len(result.cutoff)))
    score = np.sqrt(found.squared) if found.crps is None else found.crps
    known = np.flatnonzero(~np.isnan(result.actual).any(axis=1))
    order = known[np.argsort(score[known], kind="stable")]
    if not order.size:
        return ()
    wanted = {
        "latest": known[np.argmax(result.cutoff[known])],
        "best": order[0],
        "middle": order[(order.size - 1) // 2],
        "worst": order[-1],
    }
    whys: dict[int, list[str]] = {}
    for why, index in wanted.items():
        whys.setdefault(int(index), []).append(why)
    return tuple(
        Chosen(
            ", ".join(words),
            at,
            float(score[at]),
            place=1 + order.tolist().index(at),
            of=order.size,
        )
        for at, words in whys.items()
    )


def fan_of(report: EvaluateReport, model: str, index: int) -> Fan:
    """Return one window of the backtest as a picture needs it, in prices on the last close."""
    result = report.backtest
    symbol, last = str(result.symbol[index]), float(result.last_close[index])
    series = next(each for each in report.series if each.symbol == symbol)
    row = int(np.searchsorted(series.dates, result.cutoff[index]))
    rows = slice(max(0, row + 1 - max(_FEWEST_BEFORE, 2 * report.horizon)), row + 1)
    past = series.log_prices[rows]
    forecast = result.forecasts[model]
    return Fan(
        symbol=symbol,
        title=f"{model}, cutoff {result.cutoff[index]}",
        history_dates=series.dates[rows],
        # The moves that are scored, so that an adjusted price meets its own past.
        history=last * np.exp(past - past[-1]),
        dates=result.dates[index],
        median=last * np.exp(forecast.median[index]),
        bands=()
        if forecast.quantiles is None
        else bands_of(forecast.levels, last * np.exp(forecast.quantiles[index])),
        actual=last * np.exp(result.actual[index]),
    )


def _apart(report: EvaluateReport, series: Series) -> list[tuple[int, int]]:
    """Choose windows of a symbol that do not overlap, the latest first to be taken.

    Returns their place in the backtest and the row of their cutoff, in the order of time.
    """
    (places,) = np.nonzero(report.backtest.symbol == series.symbol)
    rows = np.searchsorted(series.dates, report.backtest.cutoff[places])
    chosen: list[tuple[int, int]] = []
    for place, row in zip(places[::-1].tolist(), rows[::-1].tolist(), strict=True):
        if not chosen or row + report.horizon <= chosen[-1][1]:
            chosen.append((place, row))
    return chosen[::-1]


def _window(result: Backtest, forecast: Forecast, index: int, price: float) -> Window:
    """Lay one past forecast over the price of its cutoff."""
    quantiles = forecast.quantiles
    bands = (
        ()
        if quantiles is None
        else bands_of(forecast.levels, price * np.exp(_from_zero(quantiles[index])))
    )
    return Window(
        dates=np.r_[result.cutoff[index], result.dates[index]],
        median=price * np.exp(_from_zero(forecast.median[index])),
        band=next((band for band in bands if band[0] == NOMINAL), None),
    )


def _from_zero(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the cutoff, from which nothing has moved, in front of the steps: (H + 1, ...)."""
    return np.concatenate([np.zeros_like(moves[:1]), moves])


def _told(shown: int, found: int) -> str:
    return count(found, "window") if shown == found else f"the last {shown} of {found} windows"
