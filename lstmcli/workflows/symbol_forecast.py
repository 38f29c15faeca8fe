"""The forecast of one symbol, and what of its prices must be kept until it can be made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError
from lstmcli.evaluation.direction import probability_below
from lstmcli.forecasting.explain import Explanation
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.intervals import unit_of
from lstmcli.market.prices import Prices
from lstmcli.market.sessions import future_dates, sessions_behind
from lstmcli.workflows.stale import is_as_trained

HISTORY = 120  # closes kept beside a forecast, for its picture


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff.

    forecast : one row, N = 1. dates : (H,) the sessions forecast.
    actual : (H,) log moves, NaN where they have not happened.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol;
    price_as_trained : whether it learned from that column.
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
    trained_prices: Mapping[str, str],
    as_of: date | None,
    today: date,
    max_data_age: int,
    steps: int,
) -> Ready:
    """Take out of a price table what its forecast needs; DataError where there are too few rows."""
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
    behind = sessions_behind(last, prices.symbol, prices.interval, today)
    old = f"{prices.symbol}: the last bar, {last}, is {behind} {unit_of(prices.interval)}s old"
    finish = partial(
        SymbolForecast,
        symbol=series.symbol,
        cutoff=past.dates[-1],
        last_close=float(past.last_close[-1]),
        # From the rows up to the cutoff alone: the sessions ahead are not read off the data.
        dates=future_dates(replace(prices, frame=prices.frame.iloc[: row + 1]), steps),
        actual=np.append(known[1:] - known[0], np.full(steps + 1 - len(known), np.nan)),
        history_dates=past.dates[-HISTORY:],
        history=past.last_close[-HISTORY:],
        price=series.price,
        trained_on=series.symbol in model.trained_on,
        price_as_trained=is_as_trained(trained_prices, series.symbol, series.price),
        warnings=(old,) if behind > max_data_age else (),
        interval=prices.interval,
        behind=behind,
        context_length=context_length,
        fingerprint=seen.fingerprint(),
        constant=not np.ptp(seen.log_prices),
    )
    return Ready(series=seen, finish=lambda made: finish(forecast=made))
