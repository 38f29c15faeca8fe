"""Forecasts as pictures need them: fans, past forecasts over the prices, moves and skills.

Nothing is drawn here. `picture` and `terminal_plot` draw what these functions return.
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

    title, words : a headline and a quieter line. currency : of the prices, "" where not known.
    history_dates, history : (T,) sessions up to the cutoff, and their closes; the last is the last
        close. At least one.
    dates : (H,) session of each step.
    median : (H,).
    bands : central bands, as `bands_of` returns them; () for a point forecast.
    actual : (H,) what happened; NaN where it has not.
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
        """Return the last close, where the forecast starts."""
        return float(self.history[-1])

    @property
    def forecast_name(self) -> str:
        """Return the word for its line: the median of a fan, or the forecast."""
        return "median" if self.bands else "forecast"

    @property
    def band(self) -> Band | None:
        """Return the band to name, the 80 % one or the nearest to it; None for a point forecast."""
        return min(self.bands, key=lambda each: abs(each[0] - WALK_NOMINAL), default=None)

    @property
    def drawn(self) -> Floats:
        """Return all prices that a drawing shows, in one array; NaN among them."""
        ends = [end for _, *both in self.bands for end in both]
        return np.concatenate([self.history, self.median, self.actual, *ends])

    def ends(self) -> list[tuple[float, str]]:
        """Return the last price of the median and of its band, each with its label, lowest first.

        A label gives the price and how far it is from the last close.
        """
        paths = [self.median, *(self.band[1:] if self.band else ())]
        return sorted((float(path[-1]), with_change(path[-1], self.last)) for path in paths)

    def steps(self) -> list[str]:
        """Describe each step in a line: its date, the prices forecast, and what happened."""
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

    dates : (H + 1,) the cutoff and the session of each step. median : (H + 1,) from the last price.
    band : of the same length; None for a point forecast.
    actual : the last price that came of it, NaN where it has not come. hit : whether its direction
    was called right; None where the price is unchanged or not known.
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
    """One symbol's prices, (T,), and the windows over them, which do not overlap.

    title, words, currency : as of a fan.
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
    """Moves up to the last step in percent, (N,), of every so many windows.

    names : of the N windows, with their moves. corners : shares of all windows by predicted and
        actual sign, from the upper left clockwise.
    """

    predicted: Floats
    actual: Floats
    names: tuple[str, ...]
    corners: tuple[str, ...]
    every: int


@dataclass(frozen=True)
class Skills:
    """How much of the error of each baseline a model saves, by the baseline's name in words.

    lines : at the steps 1..H, shares of 1, None where undefined. saved : over the whole path, in
        words, with its 95 % interval.
    """

    title: str
    lines: dict[str, Sequence[float | None]]
    saved: dict[str, str]


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


def with_change(value: float, last: float) -> str:
    """Return a price with its distance from the last close: "130.77 (+4.1 %)"."""
    return f"{price(float(value))} ({percent(float(value) / last - 1.0, 1, sign=True)})"


def bands_of(levels: Sequence[float], quantiles: Floats) -> tuple[Band, ...]:
    """Return those of the central 50, 80 and 95 % bands whose two levels are there.

    levels : Q probability levels. quantiles : (H, Q) of anything. Narrowest band first.
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
    """Return one window of a backtest as a fan, in prices on the last close."""
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
    """Yield each symbol's prices and the latest windows of the first model that do not overlap."""
    return (walk_of(report, series) for series in report.series)


def walk_of(report: EvaluateReport, series: Series) -> Walk:
    """Return the walk over one of the series that were evaluated."""
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
    """Return the moves that a model predicted and the actual ones."""
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
    """Return the skills of a model's medians and, where it has one, of its fan."""
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
