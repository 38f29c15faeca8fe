"""The forecast of one symbol, and what of its prices must be kept until it can be made."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError
from lstmcli.evaluation.backtest import Backtest, context_sigma
from lstmcli.evaluation.metrics import mase_scale
from lstmcli.forecasting.explain import Explanation
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.learning.evidence import Span, hindsight
from lstmcli.market.calendars import Schedule
from lstmcli.market.prices import Prices, unit_of
from lstmcli.market.sessions import future_dates, note_unknown, schedule_for, sessions_behind
from lstmcli.runs.looks import sketch
from lstmcli.runs.metadata import Metadata
from lstmcli.workflows.stale import is_as_trained

MOST_BEHIND = 5  # bars between the last one and the day that a forecast is asked for
HISTORY = 120  # closes kept next to a forecast, for its picture


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff.

    forecast : one row, N = 1. dates : (H,) the sessions forecast.
    actual : (H,) log moves, NaN where they have not happened.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol;
    price_as_trained : whether it learned from that column.
    in_training : whether the model has learned from later rows.
    sigma : standard deviation of the context's one-step log returns. mase_scale : mean change of
        the price from one training row to the next; None where there are none.
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
    sigma: float
    mase_scale: float | None
    warnings: tuple[str, ...]
    interval: str
    behind: int
    context_length: int
    fingerprint: str
    constant: bool = False
    explanation: Explanation | None = None

    def as_backtest(self, name: str) -> Backtest:
        """Return it as a backtest of one window, by the model's name."""
        return Backtest(
            symbol=np.array([self.symbol]),
            cutoff=np.array([self.cutoff]),
            last_close=np.array([self.last_close]),
            sigma=np.array([self.sigma]),
            dates=self.dates[None],
            actual=self.actual[None],
            forecasts={name: self.forecast},
        )

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
    scored : the days of the test span whose outcome is shown next to it, None without any.
    """

    series: Series
    finish: Callable[[Forecast], SymbolForecast]
    scored: Span | None = None


def make_ready(
    prices: Prices,
    *,
    model: TrainedModel,
    metadata: Metadata,
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
    past_prices = prices
    if row + 1 < len(prices.frame):
        past_prices = replace(prices, frame=prices.frame.iloc[: row + 1])
    schedule = schedule_for(past_prices)
    behind = sessions_behind(last, schedule, prices.interval, today)
    dates = future_dates(past_prices, steps, schedule)
    warnings = []
    if as_of is not None:
        _check_near(prices, schedule, last, as_of)
        if last != as_of:
            warnings.append(f"no bar on {as_of}, forecast from the last one before it, {last}")
    if behind > max_data_age:
        warnings.append(f"the last bar, {last}, is {behind} {unit_of(prices.interval)}s old")
    warnings += note_unknown(past_prices, dates, schedule)
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
        price_as_trained=is_as_trained(metadata.trained_prices, series.symbol, series.price),
        in_training=in_training is not None,
        sigma=float(context_sigma(seen, np.array([context_length - 1]), context_length)[0]),
        mase_scale=_mase_scale(past_prices, series.price, model, metadata),
        warnings=tuple(f"{prices.symbol}: {each}" for each in warnings),
        interval=prices.interval,
        behind=behind,
        context_length=context_length,
        fingerprint=seen.fingerprint(),
        constant=not np.ptp(seen.log_prices),
    )
    unseen = max(past.dates[-1], metadata.span_start)
    scored = None
    if series.dates[-1] > unseen:
        days = prices.frame.index.to_numpy().astype("datetime64[D]")
        whole = sketch(series.symbol, days, np.log(prices.frame[series.price].to_numpy(np.float64)))
        scored = Span(whole, unseen, series.dates[-1])
    return Ready(seen, lambda made: finish(forecast=made), scored)


def _mase_scale(past: Prices, price: str, model: TrainedModel, metadata: Metadata) -> float | None:
    """Return the scale that evaluate divides this symbol's errors by: that of the training rows.

    past : the bars up to the cutoff, and none after it.
    """
    before = int(past.frame.index.searchsorted(metadata.test_start))
    stop = max(0, before - model.settings.split.embargo)
    return mase_scale(past.frame[price].to_numpy(np.float64)[:stop])


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
