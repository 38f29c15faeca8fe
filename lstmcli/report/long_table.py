"""The long table of forecasts: one row a symbol, cutoff and step, prices in the input's units."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest
from lstmcli.forecasting.forecast import Forecast


def forecast_rows(
    symbol: str,
    cutoff: np.datetime64,
    last_close: float,
    dates: NDArray[np.datetime64],
    actual: NDArray[np.float64],
    forecast: Forecast,
    index: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield the H rows of one forecast; `actual` is None where it has not happened."""
    medians = last_close * np.exp(forecast.median[index])
    truths = last_close * np.exp(actual)
    fans = None if forecast.quantiles is None else last_close * np.exp(forecast.quantiles[index])
    columns = [f"q{level:g}" for level in forecast.levels]
    values = zip(forecast.steps, dates, medians, truths, strict=True)
    for at, (step, day, median, truth) in enumerate(values):
        row = {
            "symbol": symbol,
            "cutoff": str(cutoff),
            "step": step,
            "date": str(day),
            "last_close": last_close,
            "actual": None if math.isnan(truth) else float(truth),
            "median": float(median),
        }
        if fans is not None:
            row.update(zip(columns, fans[at].tolist(), strict=True))
        yield row


def backtest_rows(
    backtest: Backtest, models: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of every model of a backtest, or of some, with a `model` column in front.

    Models without a fan leave the quantile columns of the others empty.
    """
    levels = sorted({level for each in backtest.forecasts.values() for level in each.levels})
    empty = {f"q{level:g}": None for level in levels}
    for name in backtest.forecasts if models is None else models:
        forecast = backtest.forecasts[name]
        for index in range(len(backtest.cutoff)):
            for row in forecast_rows(
                str(backtest.symbol[index]),
                backtest.cutoff[index],
                float(backtest.last_close[index]),
                backtest.dates[index],
                backtest.actual[index],
                forecast,
                index,
            ):
                yield {"model": name, **row, **{key: row.get(key) for key in empty}}
