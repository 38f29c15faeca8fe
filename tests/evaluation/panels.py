"""Pools and backtests for tests of scores."""

from typing import Any

import numpy as np
from scipy import stats

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.pooling import Pool
from lstmcli.forecasting.forecast import Forecast

DAY = np.datetime64("2015-01-05")
LEVELS = (0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975)


def daily(n: int, reach: int = 1, symbols: int = 1, step: int = 1) -> Pool:
    """Return windows of n dates, `step` days apart and `reach` days long, of each symbol."""
    cutoff = np.tile(DAY + step * np.arange(n), symbols)
    return Pool(cutoff, cutoff + reach, np.repeat(np.arange(symbols), n))


def backtest_of(
    actual: Any, forecasts: Any, *, symbols: int = 1, step: int = 1, last_close: Any = 100.0
) -> Backtest:
    """Return a backtest of moves (N, H) and forecasts, from dates `step` days apart."""
    rows, horizon = np.shape(actual)
    cutoff = np.tile(DAY + step * np.arange(rows // symbols), symbols)
    return Backtest(
        symbol=np.repeat([f"S{k}" for k in range(symbols)], rows // symbols),
        cutoff=cutoff,
        last_close=np.broadcast_to(last_close, rows).astype(np.float64),
        sigma=np.full(rows, 0.01),
        dates=cutoff[:, None] + np.arange(1, horizon + 1),
        actual=np.asarray(actual, np.float64),
        forecasts=forecasts,
    )


def panel(
    n_symbols: int = 3,
    n_cutoffs: int = 40,
    horizon: int = 5,
    step_size: int = 5,
    quantiles: bool = True,
) -> Any:
    """Return random walks, a model with a little skill, and the baselines."""
    generator, rows = np.random.default_rng(0), n_symbols * n_cutoffs
    actual = np.cumsum(generator.normal(0, 0.01, (rows, horizon)), axis=1)
    median = 0.2 * actual + generator.normal(0, 0.002, actual.shape)
    cone = 0.01 * np.sqrt(np.arange(1, horizon + 1))[None, :, None] * stats.norm.ppf(LEVELS)
    fan = median[:, :, None] + cone
    forecasts = {
        "net": Forecast(median, fan, LEVELS) if quantiles else Forecast(median),
        "naive": Forecast(np.zeros_like(actual)),
        "drift": Forecast(np.full_like(actual, 1e-4)),
        "gaussian_cone": Forecast(np.zeros_like(actual), np.broadcast_to(cone, fan.shape), LEVELS),
    }
    last = generator.uniform(10, 1000, rows)
    return backtest_of(actual, forecasts, symbols=n_symbols, step=step_size, last_close=last)
