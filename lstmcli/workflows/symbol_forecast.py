"""The forecast of one symbol, and what of its prices must be kept until it can be made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError
from lstmcli.evaluation.direction import probability_below
from lstmcli.forecasting.explain import Explanation
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.intervals import as_days, unit_of
from lstmcli.market.prices import Prices
from lstmcli.market.schedule import Schedule, schedule_of
from lstmcli.market.sessions import future_dates, sessions_behind, tell_unknown
from lstmcli.workflows.hindsight import hindsight
from lstmcli.workflows.stale import is_as_trained

MOST_BEHIND = 5  # bars between the last one and the day that a forecast is asked for
HISTORY = 120  # closes kept beside a forecast, for its picture


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff.

    forecast : one row, N = 1. dates : (H,) the sessions forecast.
    actual : (H,) log moves, NaN where they have not happened.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol;
    price_as_trained : whether it learned from that column.
    in_training : whether the model has learned from later rows.
    warnings : what to know before trusting it. interval : of the bars.
    behind : complete bars that the cutoff lacks. context_length : rows that the forecast rests on;
        fingerprint : of those; constant : whether their price is one and the same.
    explanation : what it was made of, where asked for.
    """

    symbol: str
    cutoff: np.datetime64
    last_close: float
    dates: NDArray[np.datetime64]
    forecast: Forecast
    actual: NDArray[np.float64]
    history_dates: NDArray[np.datetime64]
    history: NDArray[np.float64]
    price: str
    trained_on: bool
    price_as_trained: bool
    in_training: bool
    warnings: tuple[str, ...]
    interval: str
    behind: int
    context_length: int
    fingerprint: str
    constant: bool = False
    explanation: Explanation | None = None

    def probability_of_rise(self, step: int) -> float | None:
        """Return the share of the fan above the last price; only for a fan.

        None where no bar that the forecast rests on has moved: there is nothing to tell it from.
        """
        assert self.forecast.quantiles is not None
        if self.constant:
            return None
        fan = self.forecast.quantiles[:, step - 1]
        return float(1 - probability_below(fan, self.forecast.levels, np.zeros(1))[0])

    def band(self, step: int, nominal: float) -> tuple[float, float]:
        """Return the prices between which the central `nominal` of the fan lies."""
        assert self.forecast.quantiles is not None
        fan = self.forecast.quantiles[0, step - 1]
        ends = np.interp([(1 - nominal) / 2, (1 + nominal) / 2], self.forecast.levels, fan)
        low, high = self.last_close * np.exp(ends)
        return float(low), float(high)


@dataclass(frozen=True)
class Ready:
    """One symbol before the network has seen it.

    series : the rows up to the cutoff that the forecast rests on, and no others.
    finish : takes its forecast, one row, and makes the whole of it.
    """

    series: Series
    finish: Callable[[Forecast], SymbolForecast]


def make_ready(
    prices: Prices,
    *,
    model: TrainedModel,
    metadata: Mapping[str, Any],
    trained_prices: Mapping[str, str],
    as_of: date | None,
    today: date,
    max_data_age: int,
    steps: int,
) -> Ready:
    """Take out of a price table what its forecast needs.

    metadata : the model's. Raises DataError where there are too few rows, or none near `as_of`.
    """
    row = len(prices.frame) - 1
    if as_of is not None:
        row = int(prices.frame.index.searchsorted(np.datetime64(as_of), side="right")) - 1
    context_length = model.settings.window.context_length
    first = max(0, row + 1 - max(context_length, HISTORY))
    # A copy, since a part of a frame would keep the whole of it.
    rows = prices.frame.iloc[first : row + 1 + steps].copy()
    series = series_for(model.settings, replace(prices, frame=rows))
    if row + 1 < context_length:
        since = f" after the unusable one of {prices.cut}" if prices.cut else ""
        raise DataError(
            f"needs {context_length} rows up to the cutoff, has {row + 1}{since}",
            where=f"{prices.symbol} in {prices.source}",
            next_step="Correct that row, or train with a smaller window.context_length."
            if prices.cut
            else "Give a longer series or a later --as-of.",
        )
    end = row + 1 - first
    past, known = series.part(slice(end)), series.log_prices[end - 1 :]
    seen = past.part(slice(end - context_length, end))
    last = prices.frame.index[row].date()
    # From the rows up to the cutoff alone: the sessions ahead are not read off the data.
    past_prices = replace(prices, frame=prices.frame.iloc[: row + 1])
    schedule = schedule_of(
        as_days(pd.DatetimeIndex(past_prices.frame.index)),
        prices.symbol,
        from_feed=prices.from_feed,
    )
    behind = sessions_behind(last, schedule, prices.interval, today)
    dates = future_dates(past_prices, steps)
    warnings = []
    if as_of is not None:
        _check_near(prices, schedule, last, as_of)
        if last != as_of:
            warnings.append(f"no bar on {as_of}, forecast from the last one before it, {last}")
    if behind > max_data_age:
        warnings.append(f"the last bar, {last}, is {behind} {unit_of(prices.interval)}s old")
    warnings += tell_unknown(past_prices, dates)
    in_training = hindsight(metadata, past.dates[-1])
    if in_training is not None:
        warnings.append(in_training)
    finish = partial(
        SymbolForecast,
        symbol=series.symbol,
        cutoff=past.dates[-1],
        last_close=float(past.last_close[-1]),
        dates=dates,
        actual=np.append(known[1:] - known[0], np.full(steps + 1 - len(known), np.nan)),
        history_dates=past.dates[-HISTORY:],
        history=past.last_close[-HISTORY:],
        price=series.price,
        trained_on=series.symbol in model.trained_on,
        price_as_trained=is_as_trained(trained_prices, series.symbol, series.price),
        in_training=in_training is not None,
        warnings=tuple(f"{prices.symbol}: {each}" for each in warnings),
        interval=prices.interval,
        behind=behind,
        context_length=context_length,
        fingerprint=seen.fingerprint(),
        constant=not np.ptp(seen.log_prices),
    )
    return Ready(series=seen, finish=lambda made: finish(forecast=made))


def _check_near(prices: Prices, schedule: Schedule, last: date, as_of: date) -> None:
    """Raise DataError where the bars end, or have a hole, long before the day asked for."""
    behind = sessions_behind(last, schedule, prices.interval, as_of + timedelta(days=1))
    if behind > MOST_BEHIND:
        unit = unit_of(prices.interval)
        raise DataError(
            f"no bar near {as_of}",
            where=f"{prices.symbol} in {prices.source}",
            why=f"the last one before it, {last}, lies {behind} {unit}s back, expected at most "
            f"{MOST_BEHIND}",
            next_step="Pass another --as-of, or give the missing bars.",
        )
