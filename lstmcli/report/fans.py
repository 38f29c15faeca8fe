"""Forecasts as pictures need them: fans ahead of a cutoff, and past forecasts over the prices.

Nothing is drawn here. `picture` and `terminal_plot` draw what these functions return.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.losses import losses
from lstmcli.forecasting.forecast import Forecast, central_bands
from lstmcli.printable import count_of
from lstmcli.workflows.evaluate import EvaluateReport
from lstmcli.workflows.predict import PredictReport

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Band = tuple[float, Floats, Floats]  # nominal share, low (H,), high (H,)

NOMINALS = (0.5, 0.8, 0.95)
WALK_NOMINAL = 0.8
_TICK_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2500, 5000, 10000)
_FEWEST_BEFORE = 20
_MOST_WINDOWS = 40


@dataclass(frozen=True)
class Fan:
    """One symbol's forecast, in prices.

    title : the model and the cutoff, in words.
    history_dates, history : (T,) sessions up to the cutoff, and their closes; the last is the last
        close. At least one.
    dates : (H,) session of each step.
    median : (H,).
    bands : central bands, as `bands_of` returns them; () for a point forecast.
    actual : (H,) what happened; NaN where it has not.
    """

    symbol: str
    title: str
    history_dates: Dates
    history: Floats
    dates: Dates
    median: Floats
    bands: tuple[Band, ...]
    actual: Floats

    @property
    def drawn(self) -> Floats:
        """Return all prices that a drawing shows, in one array; NaN among them."""
        ends = [end for _, *both in self.bands for end in both]
        return np.concatenate([self.history, self.median, self.actual, *ends])

    def ticks(self, most: int) -> tuple[list[int], list[str]]:
        """Choose at most `most` sessions to label, counted from the cutoff; return their dates."""
        before = self.history.size - 1
        places = tick_sessions(before, self.median.size, most)
        sessions = np.r_[self.history_dates, self.dates]
        return places, [str(sessions[before + place]) for place in places]


@dataclass(frozen=True)
class Window:
    """One past forecast, in prices.

    dates : (H + 1,) the cutoff and the session of each step. median : (H + 1,) from the last price.
    band : of the same length; None for a point forecast.
    """

    dates: Dates
    median: Floats
    band: Band | None


@dataclass(frozen=True)
class Walk:
    """One symbol's prices, (T,), and the windows over them, which do not overlap."""

    symbol: str
    title: str
    dates: Dates
    prices: Floats
    windows: tuple[Window, ...]


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


def bands_of(levels: Sequence[float], quantiles: Floats) -> tuple[Band, ...]:
    """Return those of the central 50, 80 and 95 % bands whose two levels are there.

    levels : Q probability levels. quantiles : (H, Q) of anything. Narrowest band first.
    """
    return tuple(
        (nominal, quantiles[:, low], quantiles[:, high])
        for nominal, low, high in reversed(central_bands(levels))
        if nominal in NOMINALS
    )


def tick_sessions(history: int, horizon: int, most: int) -> list[int]:
    """Choose evenly spaced sessions to label, at most `most` of them, and always the cutoff, 0.

    history : sessions before the cutoff. Negative numbers lie before it, positive ones are steps.
    """
    for step in _TICK_STEPS:
        if history // step + horizon // step + 1 <= most:
            return [step * k for k in range(-(history // step), horizon // step + 1)]
    return [0]


def forecast_fans(report: PredictReport) -> Iterator[Fan]:
    """Yield the fan of each symbol that was forecast."""
    for each in report.forecasts:
        yield Fan(
            symbol=each.symbol,
            title=f"{each.by.reference}, cutoff {each.cutoff}",
            history_dates=each.history_dates,
            history=each.history,
            dates=each.dates,
            median=each.last_close * np.exp(each.forecast.median[0]),
            bands=_bands(each.forecast, 0, each.last_close),
            actual=each.last_close * np.exp(each.actual),
        )


def window_fan(report: EvaluateReport, model: str, index: int) -> Fan:
    """Return one window of a backtest as a fan, in prices on the last close."""
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
        bands=_bands(forecast, index, last),
        actual=last * np.exp(result.actual[index]),
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
    order = known[np.argsort(score[known], kind="stable")].tolist()
    if not order:
        return ()
    wanted = {
        "latest": int(known[np.argmax(result.cutoff[known])]),
        "best": order[0],
        "middle": order[(len(order) - 1) // 2],
        "worst": order[-1],
    }
    whys: dict[int, list[str]] = {}
    for why, index in wanted.items():
        whys.setdefault(index, []).append(why)
    return tuple(
        Chosen(", ".join(words), at, float(score[at]), 1 + order.index(at), len(order))
        for at, words in whys.items()
    )


def walks(report: EvaluateReport) -> Iterator[Walk]:
    """Yield each symbol's prices and the latest windows of the first model that do not overlap."""
    result = report.backtest
    forecast = result.forecasts[str(report.models[0])]
    for series in report.series:
        places = np.flatnonzero(result.symbol == series.symbol)
        starts = np.searchsorted(series.dates, result.cutoff[places])
        apart = _apart(list(zip(places.tolist(), starts.tolist(), strict=True)), report.horizon)
        shown = apart[-_MOST_WINDOWS:]
        windows = count_of(len(apart), "window")
        if len(shown) < len(apart):
            windows = f"the last {len(shown)} of {windows}"
        prices = np.exp(series.log_prices)
        rows = slice(max(0, shown[0][1] - report.horizon), shown[-1][1] + report.horizon + 1)
        yield Walk(
            symbol=series.symbol,
            title=f"{report.models[0]}, {windows} of {report.horizon} steps, {series.price}",
            dates=series.dates[rows],
            prices=prices[rows],
            windows=tuple(
                Window(
                    dates=np.r_[result.cutoff[index], result.dates[index]],
                    median=np.r_[prices[row], prices[row] * np.exp(forecast.median[index])],
                    band=_walk_band(forecast, index, float(prices[row])),
                )
                for index, row in shown
            ),
        )


def _apart(windows: Sequence[tuple[int, int]], horizon: int) -> list[tuple[int, int]]:
    """Choose windows (index, row of the cutoff) that do not overlap, counted from the latest."""
    chosen: list[tuple[int, int]] = []
    for index, row in reversed(windows):
        if not chosen or row + horizon <= chosen[-1][1]:
            chosen.append((index, row))
    return chosen[::-1]


def _walk_band(forecast: Forecast, index: int, price: float) -> Band | None:
    for nominal, low, high in _bands(forecast, index, price):
        if nominal == WALK_NOMINAL:
            return nominal, np.r_[price, low], np.r_[price, high]
    return None


def _bands(forecast: Forecast, index: int, last: float) -> tuple[Band, ...]:
    """Return the bands of one window in prices; () for a point forecast."""
    if forecast.quantiles is None:
        return ()
    return bands_of(forecast.levels, last * np.exp(forecast.quantiles[index]))
