"""Up, flat or down: the three-way trend, its thresholds, and its confusion table.

A move is flat if it is smaller than `flat_band` times the window's own volatility times sqrt(step).
Moves divided by that volatility and sqrt(step) are called scaled. A fan calls its most probable
class; the call of a point forecast follows from thresholds fitted on training rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Floats, Mask
from lstmcli.errors import DataError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.direction import TwoWay, probability_below, two_way
from lstmcli.evaluation.pooling import Pool, chunks
from lstmcli.forecasting.forecast import Forecast

DOWN, FLAT, UP = 0, 1, 2
CLASSES: tuple[Literal["down"], Literal["flat"], Literal["up"]] = ("down", "flat", "up")
FLAT_BAND = 0.25
TAILS: tuple[Literal["crash"], Literal["spike"]] = ("crash", "spike")
_EQUAL = 1e-9  # chances closer than this count as equal

Trend = Literal["down", "flat", "up"]
Classes = NDArray[np.int8]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of scaled predicted moves: below `low` is down, above `high` is up.

    low, high : (H,), or (N, H) if they differ by window.
    """

    low: Floats
    high: Floats


Tails = dict[Literal["crash", "spike"], Floats]
"""Scaled moves beyond which a window is a crash or a spike, (H,) each."""


@dataclass(frozen=True)
class Yardsticks:
    """Figures from training rows that scores need.

    mase_scales : by symbol, `metrics.mase_scale` of its training prices; None or missing: no MASE.
    thresholds : by model, of its calls; a point forecast without thresholds has no three-way score.
    tails : crash and spike bounds; None: no crash and spike scores.
    base_rates : by step, the share of rises; empty if unknown.
    flat_band : smaller moves count as flat; in deviations of the context.
    beyond : changes whose chances are scored. past : by symbol, log prices of training rows, whose
        moves give the base rates of these changes.
    """

    mase_scales: Mapping[str, float | None] = field(default_factory=dict)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    base_rates: Sequence[float] = ()
    flat_band: float = FLAT_BAND
    tails: Tails | None = None
    beyond: tuple[float, ...] = ()
    past: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Shares:
    """Shares of the three classes among calls or outcomes; they sum to 1."""

    down: float
    flat: float
    up: float


@dataclass(frozen=True)
class ThreeWay:
    """Three-way score of one step.

    confusion : counts of windows, with a row per outcome and a column per call, each in the order
        down, flat, up.
    actual, predicted : shares of the outcomes and of the calls.
    accuracy : pooled. balanced_accuracy : mean hit rate of the classes that occurred.
    always, always_accuracy : the best constant answer.
    """

    accuracy: float
    balanced_accuracy: float
    always: Trend
    always_accuracy: float
    confusion: tuple[tuple[int, int, int], ...]
    actual: Shares
    predicted: Shares
    n_windows: int
    n_independent: int


def scaled_moves(moves: Floats, sigma: Floats) -> Floats:
    """Divide log moves by each window's volatility times sqrt(step).

    moves : (N, H). sigma : (N,). Returns (N, H), NaN if the volatility is zero.
    """
    spread = sigma[:, None] * np.sqrt(np.arange(1, moves.shape[1] + 1))
    scaled = np.full(moves.shape, np.nan)
    np.divide(moves, spread, out=scaled, where=spread > 0.0)
    return scaled


def fit_thresholds(
    predicted_scaled: Floats, actual_scaled: Floats, flat_band: float = FLAT_BAND
) -> Thresholds:
    """Choose thresholds so that calls are as frequent as outcomes on the training rows.

    A point forecast is an average and moves far less than prices do; with the band of the actual
    moves it would nearly always be flat. Therefore the lowest predictions of each step, as many as
    there were falls, are called down, and the highest, as many as there were rises, are called up.
    The thresholds match the shares instead of maximising accuracy, because the most accurate
    thresholds of a weak model give a constant answer.

    predicted_scaled, actual_scaled : (M, H) training windows; a step skips windows with NaN in
        either. Raises DataError if a step has no window.
    """
    known = ~(np.isnan(predicted_scaled) | np.isnan(actual_scaled))
    if not known.any(axis=0).all():
        raise DataError("No training window to fit the trend thresholds on")
    low, high = np.empty(known.shape[1]), np.empty(known.shape[1])
    for h in range(known.shape[1]):
        actual, predicted = actual_scaled[known[:, h], h], predicted_scaled[known[:, h], h]
        low[h] = np.quantile(predicted, np.mean(actual <= -flat_band))
        high[h] = np.quantile(predicted, 1.0 - np.mean(actual >= flat_band))
    return Thresholds(low, high)


def actual_trend(actual: Floats, sigma: Floats, step: int, flat_band: float) -> Classes:
    """Return the class of each move, (N,): flat if |move| < flat_band * sigma * sqrt(step)."""
    moved = np.abs(actual) >= flat_band * sigma * np.sqrt(step)  # False for NaN
    return FLAT + np.sign(actual, out=np.zeros_like(actual), where=moved).astype(np.int8)


def predicted_trend(
    forecast: Forecast, sigma: Floats, step: int, flat_band: float, thresholds: Thresholds | None
) -> Classes | None:
    """Return the class that a forecast calls at a step, (N,), or None.

    A fan calls its most likely class, and flat if up is as likely as down. None for a point
    forecast without thresholds.
    """
    spread, column = sigma * np.sqrt(step), forecast.column(step)
    if forecast.quantiles is not None:
        likely = np.empty(len(spread), np.int8)
        for rows in chunks(len(spread)):
            fan, band = forecast.quantiles[rows, column, :], flat_band * spread[rows]
            down = probability_below(fan, forecast.levels, -band)
            up = 1.0 - probability_below(fan, forecast.levels, band)
            likely[rows] = np.argmax(np.column_stack([down, 1.0 - down - up, up]), axis=1)
            # A symmetric cone has no direction; rounding must not decide.
            likely[rows][np.abs(up - down) < _EQUAL] = FLAT
        return likely
    if thresholds is None:
        return None
    move = forecast.median[:, column]
    called_up = move > thresholds.high[..., column] * spread
    called_down = move < thresholds.low[..., column] * spread
    return np.where(called_up, UP, np.where(called_down, DOWN, FLAT)).astype(np.int8)


def three_way(predicted: Classes, actual: Classes, pool: Pool) -> ThreeWay | None:
    """Score called against actual trends, (N,) each; None if there is no window."""
    if not actual.size:
        return None
    confusion = np.bincount(3 * actual + predicted, minlength=9).reshape(3, 3)
    happened = confusion.sum(axis=1)
    recall = np.diag(confusion)[happened > 0] / happened[happened > 0]
    constant = [pool.mean(actual == kind) for kind in range(3)]
    best = int(np.argmax(constant))
    return ThreeWay(
        accuracy=pool.mean(predicted == actual),
        balanced_accuracy=float(recall.mean()),
        always=CLASSES[best],
        always_accuracy=constant[best],
        confusion=tuple((int(row[0]), int(row[1]), int(row[2])) for row in confusion),
        actual=shares(actual),
        predicted=shares(predicted),
        n_windows=actual.size,
        n_independent=pool.n_independent,
    )


def shares(classes: Classes) -> Shares:
    """Return the share of each class in at least one window."""
    down, flat, up = (float(np.mean(classes == kind)) for kind in (DOWN, FLAT, UP))
    return Shares(down, flat, up)


@dataclass(frozen=True)
class TailWindows:
    """Crash or spike windows at one step, and the predictions for them.

    bound : the scaled move beyond which a window is of this kind.
    n_windows : their number. n_independent : number of their cutoff dates that do not overlap.
    calls : shares of the calls in these windows; `calls_always` over all windows, to compare.
    predicted, actual : mean log moves in these windows; `predicted_always` over all windows.
    Each is None if there is no such window.
    """

    kind: Literal["crash", "spike"]
    bound: float
    n_windows: int
    n_independent: int
    calls: Shares | None
    calls_always: Shares | None
    predicted: float | None
    predicted_always: float | None
    actual: float | None


def fit_tails(actual_scaled: Floats, tail: float = 0.10) -> Tails:
    """Return the `tail` and `1 - tail` quantiles of scaled training moves, by step.

    actual_scaled : (M, H); NaN is skipped. Raises DataError if a step has no window.
    """
    if not (~np.isnan(actual_scaled)).any(axis=0).all():
        raise DataError("No training window to fit the crash and spike bounds on")
    crash, spike = np.nanquantile(actual_scaled, [tail, 1.0 - tail], axis=0)
    return {"crash": crash, "spike": spike}


@dataclass(frozen=True)
class DirectionScores:
    """Direction scores of the move up to one step.

    trend_from : the source of the three-way calls: the fan, thresholds, or the sign alone (then
        there is no three-way score, and crash and spike windows count calls of up and down).
    """

    step: int
    two_way: TwoWay
    three_way: ThreeWay | None
    trend_from: Literal["fan", "thresholds", "sign"]
    crash: TailWindows | None
    spike: TailWindows | None


def direction_scores(
    backtest: Backtest, name: str, step: int, known: Yardsticks, proves: Mask | None = None
) -> DirectionScores:
    """Score the directions that model `name` called at a step, on the known outcomes.

    proves : (N,) mask of the windows that are evidence in tests, all by default.
    """
    forecast = backtest.forecasts[name]
    column = forecast.column(step)
    rows = ~np.isnan(backtest.actual[:, column])
    pool = backtest.pool(column).keep(rows)
    called_ways = two_way(  # first, since it takes the most memory
        forecast.median[rows, column],
        backtest.actual[rows, column],
        pool,
        None if proves is None else proves[rows],
    )
    actual, predicted = backtest.actual[rows, column], forecast.median[rows, column]
    sigma = backtest.sigma[rows]
    limits = known.thresholds.get(name)
    called = predicted_trend(forecast, backtest.sigma, step, known.flat_band, limits)
    happened = actual_trend(actual, sigma, step, known.flat_band)
    # A point forecast without thresholds calls only the sign.
    calls = (np.sign(predicted) + FLAT).astype(np.int8) if called is None else called[rows]

    def tail_windows(kind: Literal["crash", "spike"]) -> TailWindows | None:
        if known.tails is None:
            return None
        bound = float(known.tails[kind][column])
        limit = bound * sigma * np.sqrt(step)
        beyond = actual < limit if kind == "crash" else actual > limit
        some = bool(beyond.any())
        return TailWindows(
            kind=kind,
            bound=bound,
            n_windows=int(beyond.sum()),
            n_independent=pool.keep(beyond).n_independent,
            calls=shares(calls[beyond]) if some else None,
            calls_always=shares(calls) if calls.size else None,
            predicted=float(predicted[beyond].mean()) if some else None,
            predicted_always=float(predicted.mean()) if predicted.size else None,
            actual=float(actual[beyond].mean()) if some else None,
        )

    return DirectionScores(
        step=step,
        two_way=called_ways,
        three_way=None if called is None else three_way(calls, happened, pool),
        trend_from="sign" if called is None else "fan" if forecast.levels else "thresholds",
        crash=tail_windows("crash"),
        spike=tail_windows("spike"),
    )
