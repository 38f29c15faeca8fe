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
from lstmcli.evaluation.pooling import by_group, by_symbol, mean_known, pooled
from lstmcli.forecasting.forecast import Forecast

Floats = NDArray[np.float64]

# exp of a log move beyond this overflows when squared; no price has ever moved so far.
LARGEST_MOVE = 300.0


@dataclass(frozen=True)
class Losses:
    """Mean losses of one model; NaN where nothing has happened yet.

    squared, crps : (N,) of each window, the mean over its steps.
    path, symbols : (4,) and (S, 4) the means of `squared`, absolute and scaled errors and `crps`,
    pooled by date and of each symbol.
    step_squared, step_absolute, step_scaled, step_crps : (H,) of each step, pooled by date.
    A scaled error is one in price units over the symbol's MASE scale; `crps` is None for point
    forecasts. fan : its levels, pooled by date; None for point forecasts.
    """

    squared: Floats
    crps: Floats | None
    path: Floats
    symbols: Floats
    step_squared: Floats
    step_absolute: Floats
    step_scaled: Floats
    step_crps: Floats | None
    fan: FanSteps | None


def losses(
    backtest: Backtest, name: str, scale: Floats, group: NDArray[np.intp] | None = None
) -> Losses:
    """Reduce the errors of model `name`, whose forecasts `check_forecast` has found usable.

    scale : (N,) MASE scale over last price of each window, NaN where unknown. group : (N,) which
    symbol each window is of, looked up unless given.
    """
    forecast, actual, cutoff = backtest.forecasts[name], backtest.actual, backtest.cutoff
    some = np.any(~np.isnan(actual), axis=1)
    each: list[Floats] = []  # of every window: squared, absolute, scaled, CRPS
    steps: list[Floats] = []
    crps, fan = None, None

    def reduce(errors: Floats) -> None:
        each.append(mean_known(errors, axis=1))
        steps.append(pooled(errors, cutoff))

    errors = metrics.absolute_error(forecast.median, actual)  # (N, H), in place from here
    reduce(errors)
    reduce(errors / scale[:, None])
    np.square(errors, out=errors)
    reduce(errors)
    if forecast.quantiles is not None:
        crps, fan = reduce_fan(forecast.quantiles, forecast.levels, actual, cutoff)
        reduce(crps)
    absolute, scaled, squared = each[:3]
    last = np.full(len(some), np.nan) if crps is None else each[3]
    rows = np.column_stack([squared, absolute, scaled, last])
    group = by_symbol(backtest.symbol)[1] if group is None else group
    return Losses(
        squared=squared,
        crps=None if crps is None else each[3],
        path=pooled(rows[some], cutoff[some]),
        symbols=by_group(rows, group, int(group.max(initial=-1)) + 1),
        step_squared=steps[2],
        step_absolute=steps[0],
        step_scaled=steps[1],
        step_crps=None if crps is None else steps[3],
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
    usable: NDArray[np.bool_] = np.abs(forecast.median) <= LARGEST_MOVE  # False for NaN
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
