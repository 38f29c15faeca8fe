"""Prepare data for drawing: fans, past forecasts over the prices, moves and skills.

Nothing is drawn here. `drawing` and `terminal_plot` draw the results.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.evaluation.direction import direction_hits
from lstmcli.evaluation.losses import losses
from lstmcli.evaluation.scores import PAST_MOVES, ModelScores
from lstmcli.evaluation.significance import Interval
from lstmcli.evaluation.verdict import shown_name
from lstmcli.forecasting.forecast import Forecast, central_bands
from lstmcli.market.prices import unit_of
from lstmcli.printable import count_of
from lstmcli.report.evaluate import made_by
from lstmcli.report.tables import percent, price, span
from lstmcli.workflows.batches import SymbolForecast
from lstmcli.workflows.evaluate import EvaluateReport

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Band = tuple[float, Floats, Floats]  # nominal share, low (H,), high (H,)

NOMINALS = (0.5, 0.8, 0.95)
WALK_NOMINAL = 0.8
_FEWEST_BEFORE = 20
_MOST_WINDOWS = 40
_MOST_MOVES = 500


@dataclass(frozen=True)
class Fan:
    """One symbol's forecast, in prices.

    title, words : a headline and a subtitle. currency : of the prices, "" if unknown.
    history_dates, history : (T,), T >= 1, sessions up to the cutoff and their closes; the last
        value is the last close.
    dates : (H,) session of each step.
    median : (H,).
    bands : central bands, as `bands_of` returns them; () for a point forecast.
    actual : (H,) actual prices; NaN if not known yet.
    """

    title: str
    words: str
    currency: str
    history_dates: Dates
    history: Floats
    dates: Dates
    median: Floats
    bands: tuple[Band, ...]
    actual: Floats

    @property
    def last(self) -> float:
        """Return the last close, at which the forecast starts."""
        return float(self.history[-1])

    @property
    def forecast_name(self) -> str:
        """Return the legend of the line: "median" for a fan, "forecast" for a point forecast."""
        return "median" if self.bands else "forecast"

    @property
    def band(self) -> Band | None:
        """Return the 80 % band or the nearest to it; None for a point forecast."""
        return min(self.bands, key=lambda each: abs(each[0] - WALK_NOMINAL), default=None)

    @property
    def drawn(self) -> Floats:
        """Return all prices that a drawing shows, in one array; NaN among them."""
        ends = [end for _, *both in self.bands for end in both]
        return np.concatenate([self.history, self.median, self.actual, *ends])

    def ends(self) -> list[tuple[float, str]]:
        """Return the last prices of the median and its band with their labels, lowest first.

        A label holds the price and its change from the last close.
        """
        paths = [self.median, *(self.band[1:] if self.band else ())]
        return sorted((float(path[-1]), with_change(path[-1], self.last)) for path in paths)

    def steps(self) -> list[str]:
        """Describe each step in one line: its date, forecast prices and actual price."""
        found = []
        for at, day in enumerate(self.dates):
            words = [f"{day}, step {at + 1}: {with_change(self.median[at], self.last)}"]
            if self.band is not None:
                share, low, high = self.band
                words.append(f"{percent(share, 0)} range {price(low[at])} to {price(high[at])}")
            if np.isfinite(self.actual[at]):
                words.append(f"actual {with_change(self.actual[at], self.last)}")
            found.append(", ".join(words))
        return found


@dataclass(frozen=True)
class Window:
    """One past forecast, in prices.

    dates : (H + 1,) the cutoff and the session of each step. median : (H + 1,) starts at the last
    price. band : arrays of the same length; None for a point forecast.
    actual : the price at the last step, NaN if not known yet. hit : whether the predicted direction
    was right; None if the price is unchanged or unknown.
    """

    dates: Dates
    median: Floats
    band: Band | None
    actual: float
    hit: bool | None

    def __str__(self) -> str:
        last = float(self.median[0])
        words = [
            f"{self.dates[0]} to {self.dates[-1]}: {price(last)}",
            f"forecast {with_change(float(self.median[-1]), last)}",
        ]
        if np.isfinite(self.actual):
            words.append(f"actual {with_change(self.actual, last)}")
            words.append({None: "unchanged", True: "right", False: "wrong"}[self.hit])
        return ", ".join(words)


@dataclass(frozen=True)
class Walk:
    """One symbol's prices, (T,), and past forecasts that do not overlap.

    title, words, currency : as in `Fan`.
    """

    title: str
    words: str
    currency: str
    dates: Dates
    prices: Floats
    windows: tuple[Window, ...]

    @property
    def drawn(self) -> Floats:
        """Return all prices that a drawing shows, in one array."""
        bands = [end for each in self.windows if each.band for end in each.band[1:]]
        return np.concatenate([self.prices, *(each.median for each in self.windows), *bands])


@dataclass(frozen=True)
class Moves:
    """Predicted and actual moves up to the last step in percent, (N,).

    names : descriptions of the N windows. corners : shares of all windows by predicted and actual
        sign, clockwise from the upper left. every : only each `every`-th window is included.
    """

    predicted: Floats
    actual: Floats
    names: tuple[str, ...]
    corners: tuple[str, ...]
    every: int


@dataclass(frozen=True)
class Skills:
    """Skills of a model: the shares of each baseline's error that it saves, by shown name.

    lines : at steps 1 to H, shares of 1, None if undefined. saved : over the whole path, as text
        with the 95 % interval.
    """

    title: str
    lines: dict[str, Sequence[float | None]]
    saved: dict[str, str]


@dataclass(frozen=True)
class Chosen:
    """A window to show, and the reason.

    index : in the backtest. score : its CRPS, or for a point forecast the root mean square error of
        its path, in units of the last price. place, of : its rank, 1 for the best, and the number
        of ranked windows.
    """

    why: str
    index: int
    score: float
    place: int
    of: int


def with_change(value: float, last: float) -> str:
    """Format a price with its change from the last close: "130.77 (+4.1 %)"."""
    return f"{price(float(value))} ({percent(float(value) / last - 1.0, 1, sign=True)})"


def bands_of(levels: Sequence[float], quantiles: Floats) -> tuple[Band, ...]:
    """Return the central 50, 80 and 95 % bands that the levels contain, narrowest first.

    levels : Q probability levels. quantiles : (H, Q), in any unit.
    """
    return tuple(
        (nominal, quantiles[:, low], quantiles[:, high])
        for nominal, low, high in reversed(central_bands(levels))
        if nominal in NOMINALS
    )


def forecast_fan(each: SymbolForecast) -> Fan:
    """Return the forecast of one symbol as a fan."""
    return Fan(
        title=f"{each.symbol}: next {count_of(each.by.horizon, unit_of(each.interval))}",
        words=f"by {each.by.reference}, from {price(each.last_close)} on {each.cutoff} "
        f"to {each.dates[-1]}",
        currency=each.currency,
        history_dates=each.history_dates,
        history=each.history,
        dates=each.dates,
        median=each.last_close * np.exp(each.forecast.median[0]),
        bands=_bands(each.forecast, 0, each.last_close),
        actual=each.last_close * np.exp(each.actual),
    )


def window_fan(report: EvaluateReport, model: str, index: int) -> Fan:
    """Return one window of a backtest as a fan, in prices relative to the last close."""
    result = report.backtest
    symbol, last = str(result.symbol[index]), float(result.last_close[index])
    series = next(each for each in report.series if each.symbol == symbol)
    row = int(np.searchsorted(series.dates, result.cutoff[index]))
    rows = slice(max(0, row + 1 - max(_FEWEST_BEFORE, 2 * report.horizon)), row + 1)
    past = series.log_prices[rows]
    forecast = result.forecasts[model]
    return Fan(
        title=f"{symbol} from {result.cutoff[index]}",
        words=f"by {model}",
        currency=series.currency,
        history_dates=series.dates[rows],
        # Rebuild the past from the scored moves, so that adjusted prices join the last close.
        history=last * np.exp(past - past[-1]),
        dates=result.dates[index],
        median=last * np.exp(forecast.median[index]),
        bands=_bands(forecast, index, last),
        actual=last * np.exp(result.actual[index]),
    )


def choose_windows(report: EvaluateReport) -> tuple[Chosen, ...]:
    """Choose the latest, best, middle and worst window of the first model, without duplicates.

    Ranks the windows of all symbols with a known outcome by CRPS, or for a point forecast by the
    error of the path.
    """
    result, name = report.backtest, str(report.models[0])
    found = losses(result, name, np.ones(len(result.cutoff))).windows
    score = found["crps"] if "crps" in found else np.sqrt(found["squared"])
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
    """Yield each symbol's prices with the first model's latest non-overlapping windows."""
    return (walk_of(report, series) for series in report.series)


def walk_of(report: EvaluateReport, series: Series) -> Walk:
    """Return the walk over one of the evaluated series."""
    result, horizon = report.backtest, report.horizon
    forecast = result.forecasts[str(report.models[0])]
    hits = direction_hits(forecast.median[:, -1], result.actual[:, -1])
    prices = np.exp(series.log_prices)
    places = np.flatnonzero(result.symbol == series.symbol)
    starts = np.searchsorted(series.dates, result.cutoff[places])
    apart = _apart(list(zip(places.tolist(), starts.tolist(), strict=True)), horizon)
    shown = apart[-_MOST_WINDOWS:]
    rows = slice(max(0, shown[0][1] - horizon), shown[-1][1] + horizon + 1)
    known = hits[[index for index, _ in shown]]
    last = f"the last {len(shown)} of " * (len(shown) < len(apart))
    windows = f"{last}{count_of(len(apart), 'forecast')}"
    ahead = count_of(horizon, unit_of(report.metadata[0].interval))
    right = f"{np.nansum(known):.0f} of {np.isfinite(known).sum()}"
    words = [f"by {made_by(report)}", f"direction right in {right}"]
    words += ["80 % ranges shaded"] * (forecast.quantiles is not None)
    words += [series.price] * (series.price != "Close")
    return Walk(
        title=f"{series.symbol}: {windows} of {ahead}",
        words="; ".join(words),
        currency=series.currency,
        dates=series.dates[rows],
        prices=prices[rows],
        windows=tuple(
            Window(
                dates=np.r_[result.cutoff[index], result.dates[index]],
                median=np.r_[prices[row], prices[row] * np.exp(forecast.median[index])],
                band=_walk_band(forecast, index, float(prices[row])),
                actual=float(prices[row] * np.exp(result.actual[index, -1])),
                hit=None if np.isnan(hits[index]) else bool(hits[index]),
            )
            for index, row in shown
        ),
    )


def moves_of(report: EvaluateReport, model: str) -> Moves:
    """Return the predicted moves of a model and the actual ones."""
    result = report.backtest
    known = ~np.isnan(result.actual[:, -1])
    actual = result.actual[known, -1]
    predicted = result.forecasts[model].median[known, -1]
    moved = actual != 0
    called, went = predicted[moved] > 0, actual[moved] > 0
    signs = ((False, True), (True, True), (True, False), (False, False))
    shares = [np.mean((called == up) & (went == rose)) for up, rose in signs] if moved.any() else []
    every = max(1, -(-actual.size // _MOST_MOVES))
    some = slice(None, None, every)
    shown = np.expm1(predicted[some]), np.expm1(actual[some])
    named = zip(result.symbol[known][some], result.cutoff[known][some], *shown, strict=True)
    return Moves(
        predicted=100 * shown[0],
        actual=100 * shown[1],
        names=tuple(
            f"{symbol} {cutoff}: predicted {percent(one, 1, sign=True)}, "
            f"actual {percent(other, 1, sign=True)}"
            for symbol, cutoff, one, other in named
        ),
        corners=tuple(percent(float(share), 0) for share in shares) or ("-",) * len(signs),
        every=every,
    )


def skills_of(report: EvaluateReport, model: ModelScores) -> list[Skills]:
    """Return the skills of a model's medians and, if it has one, of its fan."""
    path, steps = model.path, model.steps
    medians = [name for name in report.scores.against if name != model.model]
    fans = [name for name in (PAST_MOVES, "har", "gaussian_cone") if name in path.crps_skill]
    found = []
    for title, names, lines, whole, intervals in (
        ("Error of the forecast (RMSE)", medians, steps.skill, path.skill, model.skill_intervals),
        (
            *("Error of the whole fan (CRPS)", fans, steps.crps_skill, path.crps_skill),
            model.crps_skill_intervals,
        ),
    ):
        words = {name: shown_name(name) for name in names}
        saved = {words[name]: _saved(whole[name], intervals.get(name)) for name in names}
        found.append(Skills(title, {words[name]: lines[name] for name in names}, saved))
    return [each for each in found if each.lines]


def _saved(skill: float | None, interval: Interval | None) -> str:
    words, ends = percent(skill, 1, sign=True), span(interval, sign=True)
    return words if ends == "-" else f"{words} ({ends})"


def _apart(windows: Sequence[tuple[int, int]], horizon: int) -> list[tuple[int, int]]:
    """Choose windows (index, row of the cutoff) that do not overlap, starting with the latest."""
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
