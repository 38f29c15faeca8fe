"""One model's errors on a backtest, reduced to what the scores need and no larger.

The (N, H) errors live only while one model is reduced, so that memory does not grow with the number
of models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.evaluation import metrics
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.levels import FanSteps, reduce_fan
from lstmcli.evaluation.pooling import mean_known
from lstmcli.forecasting.forecast import Forecast

Floats = NDArray[np.float64]

# exp of a log move beyond this overflows when squared; no price has ever moved so far.
LARGEST_MOVE = 300.0


@dataclass(frozen=True)
class Losses:
    """Mean losses of one model; NaN where nothing has happened yet.

    squared, absolute, scaled, crps : (N,) of each window, the mean over its steps.
    step_squared, step_absolute, step_scaled, step_crps : (H,) of each step, pooled.
    `scaled` is the absolute error in price units over the symbol's MASE scale; `crps` is None for
    point forecasts. fan : its levels, pooled; None for point forecasts.
    """

    squared: Floats
    absolute: Floats
    scaled: Floats
    crps: Floats | None
    step_squared: Floats
    step_absolute: Floats
    step_scaled: Floats
    step_crps: Floats | None
    fan: FanSteps | None


def losses(backtest: Backtest, name: str, scale: Floats) -> Losses:
    """Reduce the errors of model `name`.

    scale : (N,) MASE scale over last price of each window, NaN where unknown.
    Raises DataError when a forecast of something that happened is no usable number.
    """
    forecast, actual, pool = backtest.forecasts[name], backtest.actual, backtest.pool()
    check_forecast(name, forecast, actual)
    absolute = metrics.absolute_error(forecast.median, actual)  # (N, H)
    squared, scaled = absolute**2, absolute / scale[:, None]
    crps, fan = None, None
    if forecast.quantiles is not None:
        crps, fan = reduce_fan(forecast.quantiles, forecast.levels, actual, pool)
    return Losses(
        squared=mean_known(squared, axis=1),
        absolute=mean_known(absolute, axis=1),
        scaled=mean_known(scaled, axis=1),
        crps=None if crps is None else mean_known(crps, axis=1),
        step_squared=pool.mean(squared),
        step_absolute=pool.mean(absolute),
        step_scaled=pool.mean(scaled),
        step_crps=None if crps is None else pool.mean(crps),
        fan=fan,
    )


def check_forecast(name: str, forecast: Forecast, actual: Floats) -> None:
    """Raise DataError when a forecast has another shape than what happened, or is no usable number.

    A NaN forecast would otherwise pass for something that has not happened yet.
    """
    if forecast.median.shape != actual.shape:
        raise DataError(
            "Forecasts and actual moves do not line up",
            where=name,
            why=f"found {forecast.median.shape}, expected {actual.shape}",
        )
    happened = ~np.isnan(actual)
    usable = np.abs(forecast.median) <= LARGEST_MOVE  # False for NaN
    if forecast.quantiles is not None:
        for q in range(len(forecast.levels)):  # a level at a time, so that memory stays flat
            usable &= np.abs(forecast.quantiles[..., q]) <= LARGEST_MOVE
    wrong = int(np.count_nonzero(happened & ~usable))
    if wrong:
        raise DataError(
            "A forecast is not a usable number",
            where=name,
            why=f"found {wrong} of {int(happened.sum())} missing, infinite or absurdly large",
            next_step="Train again with a lower learning rate or gradient clipping.",
        )
