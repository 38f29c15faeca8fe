"""Predict: the next `horizon` sessions of every symbol, from its last bar or an earlier one."""

from dataclasses import dataclass, replace
from datetime import date
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError
from lstmcli.evaluation.direction import probability_below
from lstmcli.evaluation.scores import HEADLINE_STEPS
from lstmcli.forecasting.explain import Explanation, explain
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.intervals import unit_of
from lstmcli.market.prices import Prices
from lstmcli.market.sessions import future_dates, sessions_behind
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.ownership import tell_doubts
from lstmcli.runs.registry import ModelRef, doubtful_paths, find_model
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.failures import Failure, raise_if_all_failed
from lstmcli.workflows.prices import Source, load_prices, tell_untrained

STALE_SESSIONS = 3
EXPLAINED = 5  # symbols; a table each
HISTORY = 120  # closes kept beside a forecast, for its picture


@dataclass(frozen=True)
class SymbolForecast:
    """The forecast of one symbol from one cutoff.

    forecast : one row, N = 1. dates : (H,) the sessions forecast.
    actual : (H,) log moves, NaN where they have not happened.
    history_dates, history : (T,) the latest closes up to the cutoff.
    price : the column whose moves are forecast. trained_on : whether training saw this symbol.
    warnings : what to know before trusting it. explanation : what it was made of, where asked for.
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
    warnings: tuple[str, ...]
    explanation: Explanation | None = None

    def probability_of_rise(self, step: int) -> float:
        """Return the share of the fan above the last price; only for a fan."""
        assert self.forecast.quantiles is not None
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
class PredictReport:
    """What was forecast, by which model, and which symbols could not be."""

    model: ModelRef
    metadata: dict[str, Any]
    horizon: int
    forecasts: tuple[SymbolForecast, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def predict(
    source: Source,
    *,
    model: str | None = None,
    horizon: int | None = None,
    as_of: date | None = None,
    max_data_age: int = STALE_SESSIONS,
    device: str = "auto",
    number_of_threads: int = 1,
    explained: bool = False,
) -> PredictReport:
    """Forecast from the last bar, or from the last one up to `as_of`, all symbols in one batch.

    `max_data_age` is how many sessions the last bar may lie back before its forecast carries a
    warning. A symbol that cannot be forecast becomes a Failure; when none can, the error is raised.
    With `explained` the forecasts of the first symbols are explained too.
    """
    reference = find_model(source.data_dir, model)
    trained, metadata = load_bundle(reference.folder, choose_device(device))
    steps = horizon or trained.settings.window.horizon
    loaded, failures = load_prices(source, trained.settings.data)
    ready: list[tuple[Prices, Series, int]] = []
    for prices in loaded:
        try:
            ready.append((prices, *_at_cutoff(trained, prices, as_of)))
        except DataError as error:
            failures.append(Failure(prices.symbol, str(error), error.exit_code))
    raise_if_all_failed(len(ready), failures)
    with threads(number_of_threads):
        batch = forecast(
            trained,
            [series.until(np.array([row])) for _, series, row in ready],
            [np.array([row]) for _, _, row in ready],
            horizon=steps,
        )
        explanations = [
            explain(trained, series, row, steps=_explained_steps(steps))
            for _, series, row in ready[: EXPLAINED if explained else 0]
        ]
    today = min(as_of or source.today, source.today)
    return PredictReport(
        model=reference,
        metadata=metadata,
        horizon=steps,
        forecasts=tuple(
            _one(
                trained,
                prices,
                series,
                row,
                batch.rows(slice(index, index + 1)),
                today,
                max_data_age,
                explanation,
            )
            for index, ((prices, series, row), explanation) in enumerate(
                zip_longest(ready, explanations)
            )
        ),
        notes=(
            *tell_doubts(doubtful_paths(reference)),
            *tell_untrained([prices.symbol for prices, _, _ in ready], trained.trained_on),
            *(f"{each.symbol}: {note}" for each in loaded for note in each.notes),
            *_tell_unexplained(len(ready) if explained else 0),
        ),
        failures=tuple(failures),
    )


def _at_cutoff(model: TrainedModel, prices: Prices, as_of: date | None) -> tuple[Series, int]:
    """Return the series and the row of its cutoff; raises DataError where there are too few."""
    settings = model.settings
    series = series_for(settings, prices)
    row = len(series) - 1
    if as_of is not None:
        row = int(np.searchsorted(series.dates, np.datetime64(as_of), side="right")) - 1
    if row + 1 < settings.window.context_length:
        raise DataError(
            f"needs {settings.window.context_length} rows up to the cutoff, has {row + 1}",
            where=f"{prices.symbol} in {prices.source}",
            next_step="Give a longer series or a later --as-of.",
        )
    return series, row


def _one(
    model: TrainedModel,
    prices: Prices,
    series: Series,
    row: int,
    forecast: Forecast,
    today: date,
    max_data_age: int,
    explanation: Explanation | None,
) -> SymbolForecast:
    steps = forecast.median.shape[1]
    actual = np.full(steps, np.nan)
    known = series.log_prices[row + 1 : row + 1 + steps]
    actual[: len(known)] = known - series.log_prices[row]
    return SymbolForecast(
        symbol=series.symbol,
        cutoff=series.dates[row],
        last_close=float(series.last_close[row]),
        # From the rows up to the cutoff alone: the sessions ahead are not read off the data.
        dates=future_dates(replace(prices, frame=prices.frame.iloc[: row + 1]), steps),
        forecast=forecast,
        actual=actual,
        history_dates=series.dates[max(0, row + 1 - HISTORY) : row + 1],
        history=series.last_close[max(0, row + 1 - HISTORY) : row + 1],
        price=series.price,
        trained_on=series.symbol in model.trained_on,
        warnings=_age_warning(prices, row, today, max_data_age),
        explanation=explanation,
    )


def _explained_steps(horizon: int) -> tuple[int, ...]:
    """Return the steps that are explained: those of the tables, and the last."""
    return (*(step for step in HEADLINE_STEPS if step < horizon), horizon)


def _tell_unexplained(symbols: int) -> tuple[str, ...]:
    if symbols <= EXPLAINED:
        return ()
    return (f"explained the first {EXPLAINED} of {symbols} symbols; name the others to see them",)


def _age_warning(prices: Prices, row: int, today: date, max_data_age: int) -> tuple[str, ...]:
    last = prices.frame.index[row].date()
    behind = sessions_behind(last, prices.symbol, prices.interval, today)
    if behind <= max_data_age:
        return ()
    age = f"{behind} {unit_of(prices.interval)}s"
    return (f"{prices.symbol}: the last bar, {last}, is {age} old",)
