"""All about the direction of the move up to one step, for one model."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation import trend
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.direction import TwoWay, two_way
from lstmcli.evaluation.tails import Tails, TailWindows, tail_windows
from lstmcli.evaluation.trend import ThreeWay, Thresholds


@dataclass(frozen=True)
class DirectionScores:
    """The direction of the move up to one step.

    trend_from : what decides the three-way calls: the fan, thresholds, or the sign alone (then
        there is no three-way score, and crash and spike windows count calls of up and down).
    """

    step: int
    two_way: TwoWay
    three_way: ThreeWay | None
    trend_from: Literal["fan", "thresholds", "sign"]
    crash: TailWindows | None
    spike: TailWindows | None


def direction_scores(
    backtest: Backtest,
    name: str,
    step: int,
    *,
    flat_band: float,
    thresholds: Thresholds | None = None,
    tails: Tails | None = None,
    proves: NDArray[np.bool_] | None = None,
) -> DirectionScores:
    """Score the directions that model `name` called at a step, on what has happened.

    proves : (N,) which windows are evidence for a test, all unless given.
    """
    forecast = backtest.forecasts[name]
    column = forecast.column(step)
    actual = backtest.actual[:, column]
    known = ~np.isnan(actual)
    pool = backtest.pool(column).keep(known)
    called = trend.predicted_trend(forecast, backtest.sigma, step, flat_band, thresholds)
    calls = None if called is None else called[known]
    happened = trend.actual_trend(actual[known], backtest.sigma[known], step, flat_band)

    def windows(kind: Literal["crash", "spike"]) -> TailWindows | None:
        if tails is None:
            return None
        predicted = forecast.median[known, column]
        return tail_windows(
            kind,
            float((tails.crash if kind == "crash" else tails.spike)[column]),
            step=step,
            actual=actual[known],
            predicted=predicted,
            calls=(np.sign(predicted) + trend.FLAT).astype(np.int8) if calls is None else calls,
            sigma=backtest.sigma[known],
            pool=pool,
        )

    return DirectionScores(
        step=step,
        two_way=two_way(
            forecast.median[known, column],
            actual[known],
            pool,
            None if proves is None else proves[known],
        ),
        three_way=None if calls is None else trend.three_way(calls, happened, pool),
        trend_from="sign" if calls is None else "thresholds" if not forecast.levels else "fan",
        crash=windows("crash"),
        spike=windows("spike"),
    )
