"""Networks and baselines over the same cutoffs: what train and evaluate have in common."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.config import DEFAULT_LEVELS
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import Split
from lstmcli.evaluation.backtest import Backtest, Forecaster, Rows, one_by_one, run_backtest
from lstmcli.evaluation.metrics import mase_scale
from lstmcli.evaluation.scores import Scores, score
from lstmcli.evaluation.tails import Tails, fit_tails
from lstmcli.evaluation.trend import Thresholds, fit_thresholds, scaled_moves
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.garch import gjr_garch
from lstmcli.forecasting.model import TrainedModel

EXTRA_BASELINES = ("gjr_garch",)
_SEASON = {"1mo": 12}
_TREND_WINDOWS = 512
# Fixed, so that the same forecasts give the same intervals.
_BLOCKS_SEED = 0


def backtest(
    models: Mapping[str, tuple[TrainedModel, Sequence[Series]]],
    series: Sequence[Series],
    cutoffs: Sequence[NDArray[np.int64]],
    *,
    fit_rows: Sequence[int],
    horizon: int,
    context_length: int,
    interval: str = "1d",
    extra: Sequence[str] = (),
) -> Backtest:
    """Forecast from every cutoff with every model, and with the baselines fitted on `fit_rows`.

    Each model brings the same series with its own features. `extra` may name `gjr_garch`, which
    takes some 25 ms a cutoff.
    """
    rows = {each.symbol: number for each, number in zip(series, fit_rows, strict=True)}

    forecasters: dict[str, Forecaster] = {
        name: _network(model, own, horizon) for name, (model, own) in models.items()
    }
    forecasters["naive"] = one_by_one(
        lambda each, at: baselines.naive(each.log_prices, at, horizon)
    )
    forecasters["drift"] = one_by_one(
        lambda each, at: baselines.drift(each.log_prices, at, horizon, fit_rows=rows[each.symbol])
    )
    if interval in _SEASON:
        forecasters["seasonal_naive"] = one_by_one(
            lambda each, at: baselines.seasonal_naive(
                each.log_prices, at, horizon, period=_SEASON[interval]
            )
        )
    levels = next((model.levels for model, _ in models.values() if model.levels), ())
    if levels:
        forecasters |= _cones(horizon, levels)
    if all(
        baselines.climatology_fits(each.log_prices, horizon, fit_rows=rows[each.symbol])
        for each in series
    ):
        # Beside point models too: no point forecast from past prices alone is harder to beat than
        # its median.
        forecasters["scaled_climatology"] = one_by_one(
            lambda each, at: baselines.scaled_climatology(
                each.log_prices,
                at,
                horizon,
                levels=levels or DEFAULT_LEVELS,
                fit_rows=rows[each.symbol],
            )
        )
    if "gjr_garch" in extra:
        forecasters["gjr_garch"] = one_by_one(
            lambda each, at: gjr_garch(
                each.log_prices, at, horizon, levels=levels or DEFAULT_LEVELS
            )
        )
    forecasters["always_up"] = one_by_one(
        lambda each, at: baselines.always_up(each.log_prices, at, horizon)
    )
    return run_backtest(
        series, cutoffs, forecasters, horizon=horizon, context_length=context_length
    )


def score_backtest(
    result: Backtest,
    model: str,
    series: Sequence[Series],
    fit_rows: Sequence[int],
    *,
    flat_band: float,
    trend: Mapping[str, Mapping[str, Any]],
) -> Scores:
    """Score a backtest with what was learned of trends on training rows, by model name."""
    horizon = result.actual.shape[1]
    known = trend.get(model)
    return score(
        result,
        model=model,
        mase_scales={
            each.symbol: mase_scale(np.exp(each.log_prices[:rows]))
            for each, rows in zip(series, fit_rows, strict=True)
        },
        networks=tuple(trend),
        flat_band=flat_band,
        thresholds={
            name: Thresholds(_first(table["low"], horizon), _first(table["high"], horizon))
            for name, table in trend.items()
            if len(table["low"]) >= horizon
        },
        tails=None
        if known is None or len(known["crash"]) < horizon
        else Tails(_first(known["crash"], horizon), _first(known["spike"], horizon)),
        generator=np.random.default_rng(_BLOCKS_SEED),
    )


def learn_trend(
    model: TrainedModel, series: Sequence[Series], splits: Sequence[Split]
) -> dict[str, list[float]]:
    """Fit, by step, the thresholds of a call and the bounds of a crash and a spike.

    Training cutoffs alone are used, evenly thinned, and only those whose whole horizon lies in
    training rows.
    """
    window = model.settings.window
    whole = [
        np.arange(split.train.start, min(split.train.stop, split.train_rows - window.horizon))
        for split in splits
    ]
    every = max(1, sum(map(len, whole)) // _TREND_WINDOWS)
    thinned = [rows[::every] for rows in whole]
    known = run_backtest(
        series,
        thinned,
        {"model": partial(forecast, model)},
        horizon=window.horizon,
        context_length=window.context_length,
    )
    actual = scaled_moves(known.actual, known.sigma)
    predicted = scaled_moves(known.forecasts["model"].median, known.sigma)
    thresholds = fit_thresholds(predicted, actual, model.settings.evaluate.flat_band)
    tails = fit_tails(actual)
    return {
        "low": thresholds.low.tolist(),
        "high": thresholds.high.tolist(),
        "crash": tails.crash.tolist(),
        "spike": tails.spike.tolist(),
    }


def _cones(horizon: int, levels: Sequence[float]) -> dict[str, Forecaster]:
    return {
        "gaussian_cone": one_by_one(
            lambda each, at: baselines.gaussian_cone(each.log_prices, at, horizon, levels=levels)
        ),
        "ewma_cone": one_by_one(
            lambda each, at: baselines.ewma_cone(each.log_prices, at, horizon, levels=levels)
        ),
    }


def _network(model: TrainedModel, own: Sequence[Series], horizon: int) -> Forecaster:
    def forecaster(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Forecast:
        seen = [each.until(rows) for each, rows in zip(own, cutoffs, strict=True)]
        return forecast(model, seen, cutoffs, horizon=horizon)

    return forecaster


def _first(values: Sequence[float], horizon: int) -> NDArray[np.float64]:
    return np.asarray(values[:horizon], dtype=np.float64)
