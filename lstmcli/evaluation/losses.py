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
from lstmcli.evaluation.pooling import by_group, by_symbol, mean_known
from lstmcli.forecasting.forecast import Forecast

Floats = NDArray[np.float64]

# exp of a log move beyond this overflows when squared; no price has ever moved so far.
LARGEST_MOVE = 300.0
_CHUNK = 4096


@dataclass(frozen=True)
class Losses:
    """Mean losses of one model; NaN where nothing has happened yet.

    squared, crps : (N,) of each window, the mean over its steps.
    path, symbols : (4,) and (S, 4) the means of `squared`, absolute and scaled errors and `crps`,
    pooled and of each symbol.
    step_squared, step_absolute, step_scaled, step_crps : (H,) of each step, pooled.
    A scaled error is one in price units over the symbol's MASE scale; `crps` is None for point
    forecasts. fan : its levels, pooled; None for point forecasts.
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
    forecast, actual, pool = backtest.forecasts[name], backtest.actual, backtest.pool()
    group = by_symbol(backtest.symbol)[1] if group is None else group
    count = int(group.max(initial=-1)) + 1
    chunks = [slice(first, first + _CHUNK) for first in range(0, len(actual), _CHUNK)]
    found: dict[str, tuple[Floats, Floats]] = {}  # of each window and of each step
    fan = None

    def reduce(name: str, errors: Floats) -> None:
        windows = np.empty(len(errors))
        for rows in chunks:
            windows[rows] = mean_known(errors[rows], axis=1)
        found[name] = windows, pool.mean(errors)

    # One (N, H) array for one loss after the other, so that memory stays flat.
    errors = np.empty(actual.shape)
    for rows in chunks:
        errors[rows] = metrics.absolute_error(forecast.median[rows], actual[rows])
    reduce("absolute", errors)
    reduce("squared", np.square(errors, out=errors))
    np.sqrt(errors, out=errors)  # gives back the same numbers
    reduce("scaled", np.divide(errors, scale[:, None], out=errors))
    del errors
    if forecast.quantiles is not None:
        crps, fan = reduce_fan(forecast.quantiles, forecast.levels, actual, pool)
        reduce("crps", crps)
        del crps
    unknown = np.full(len(actual), np.nan), None
    names = ("squared", "absolute", "scaled", "crps")
    means = [found.get(each, unknown)[0] for each in names]
    return Losses(
        squared=found["squared"][0],
        crps=None if fan is None else found["crps"][0],
        path=np.array([float(pool.mean(each)) for each in means]),
        symbols=np.column_stack([by_group(each, group, count) for each in means]),
        step_squared=found["squared"][1],
        step_absolute=found["absolute"][1],
        step_scaled=found["scaled"][1],
        step_crps=None if fan is None else found["crps"][1],
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
