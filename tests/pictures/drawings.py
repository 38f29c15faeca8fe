"""Sample forecasts for the tests of pictures and terminal plots."""

import numpy as np

from lstmcli.pictures.fans import Fan, Walk, Window, bands_of

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
Z = np.array([-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96])


def business_days():
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)]


def make_fan(
    symbol="AAPL",
    *,
    horizon=20,
    rows=60,
    known=0,
    point=False,
    scale=1.0,
    width=0.01,
    history=None,
    currency="",
):
    days = business_days()
    if history is None:
        history = 100.0 * np.exp(np.random.default_rng(1).normal(0, 0.01, rows).cumsum())
    last = history[-1]
    steps = np.sqrt(np.arange(1, horizon + 1))
    quantiles = scale * last * np.exp(width * steps[:, None] * Z)
    actual = np.full(horizon, np.nan)
    actual[:known] = scale * last * 1.01
    return Fan(
        f"{symbol}: next {horizon} sessions",
        f"by lab/1, after {days[rows - 1]}",
        currency,
        days[:rows],
        scale * history,
        days[rows : rows + horizon],
        quantiles[:, 3],
        () if point else bands_of(LEVELS, quantiles),
        actual,
    )


def make_walk(symbol="AAPL", *, windows=3, horizon=10, point=False, rows=60):
    days = business_days()[:rows]
    prices = 100.0 * np.exp(np.random.default_rng(1).normal(0, 0.01, rows).cumsum())
    made = []
    for start in range(horizon, horizon * (windows + 1), horizon):
        median = prices[start] * np.exp(0.001 * np.arange(horizon + 1))
        band = None if point else (0.8, 0.97 * median, 1.03 * median)
        actual = prices[start + horizon]
        hit = bool(actual > prices[start])
        made.append(Window(days[start : start + horizon + 1], median, band, actual, hit))
    return Walk(f"{symbol}: {windows} forecasts", "by lab/1", "", days, prices, tuple(made))
