"""The baselines as forecasters of many series, each fitted on the rows that it may know."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from lstmcli.config import DEFAULT_LEVELS
from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import Forecaster, Rows, in_turn, one_by_one
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.garch import gjr_garch

EXTRA_BASELINES = ("gjr_garch",)
_SEASON = {"1mo": 12}


def baseline_forecasters(
    series: Sequence[Series],
    fitted: Sequence[Mapping[str, range]],
    since: Sequence[np.datetime64],
    *,
    horizon: int,
    levels: Sequence[float],
    interval: str = "1d",
    extra: Sequence[str] = (),
    steps: Sequence[int] | None = None,
) -> dict[str, Forecaster]:
    """Return the baselines by name, those of point models where there are no levels.

    fitted, since : by symbol, the rows that baselines are fitted on, and from which cutoff date on
    each such choice serves. `extra` may name `gjr_garch`, which takes some 25 ms a cutoff.
    steps : those of 1..horizon that are kept, all unless given.
    """
    forecasters = {
        "naive": one_by_one(lambda each, at: baselines.naive(each.log_prices, at, horizon)),
        "drift": in_turn([_on_rows(baselines.drift, rows, horizon) for rows in fitted], since),
    }
    if interval in _SEASON:
        forecasters["seasonal_naive"] = one_by_one(
            lambda each, at: baselines.seasonal_naive(
                each.log_prices, at, horizon, period=_SEASON[interval]
            )
        )
    if levels:
        forecasters |= _cones(horizon, levels)
    if all(_long_enough(rows, series, horizon) for rows in fitted):
        # For point models too: no point forecast from past prices alone is harder to beat than
        # its median.
        climatology = partial(
            baselines.scaled_climatology, levels=levels or DEFAULT_LEVELS, steps=steps
        )
        forecasters["scaled_climatology"] = in_turn(
            [_on_rows(climatology, rows, horizon) for rows in fitted], since
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
    if steps is None:
        return forecasters
    return {name: _at_steps(each, steps) for name, each in forecasters.items()}


def _at_steps(forecaster: Forecaster, steps: Sequence[int]) -> Forecaster:
    """Forecast one symbol at a time, so that the steps between are never held for all of them."""
    return one_by_one(lambda each, at: forecaster([each], [at]).at(steps))


def _cones(horizon: int, levels: Sequence[float]) -> dict[str, Forecaster]:
    return {
        "gaussian_cone": one_by_one(
            lambda each, at: baselines.gaussian_cone(each.log_prices, at, horizon, levels=levels)
        ),
        "ewma_cone": one_by_one(
            lambda each, at: baselines.ewma_cone(each.log_prices, at, horizon, levels=levels)
        ),
    }


def _long_enough(fitted: Mapping[str, range], series: Sequence[Series], horizon: int) -> bool:
    """Whether the rows fitted on allow a climatology of every symbol."""
    spans = [(each.log_prices, fitted[each.symbol]) for each in series]
    return all(
        baselines.climatology_fits(prices[rows.start :], horizon, fit_rows=len(rows))
        for prices, rows in spans
    )


def _on_rows(
    baseline: Callable[..., Forecast], rows: Mapping[str, range], horizon: int
) -> Forecaster:
    """Fit a baseline on some rows of each symbol; it sees none before them."""

    def forecast_one(each: Series, at: Rows) -> Forecast:
        first, stop = rows[each.symbol].start, rows[each.symbol].stop
        return baseline(each.log_prices[first:], at - first, horizon, fit_rows=stop - first)

    return one_by_one(forecast_one)
