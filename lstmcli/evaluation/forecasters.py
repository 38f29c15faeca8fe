"""Run networks and baselines on the same cutoffs, for `train` and `evaluate`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.arrays import Ints
from lstmcli.config import DEFAULT_LEVELS, PRIOR_YEARS
from lstmcli.dataset.series import Series
from lstmcli.dataset.volatility import EWMA_START
from lstmcli.errors import DataError, UsageError
from lstmcli.evaluation import trend
from lstmcli.evaluation.backtest import (
    Backtest,
    Forecaster,
    Rows,
    in_turn,
    one_by_one,
    run_backtest,
    turn_of,
)
from lstmcli.evaluation.direction import rise_counts
from lstmcli.evaluation.metrics import mase_scale
from lstmcli.forecasting import baselines
from lstmcli.forecasting.baselines import gjr_garch
from lstmcli.forecasting.forecast import Forecast, compact
from lstmcli.forecasting.har import (
    FEWEST_ROWS,
    Har,
    bars_per_year,
    fit_har,
    har_inputs,
    prior_sharpe,
)

if TYPE_CHECKING:  # grading the ledger needs no PyTorch, which takes a second to import
    from lstmcli.dataset.split import Split
    from lstmcli.forecasting.model import TrainedModel

ALWAYS = np.datetime64("0001-01-01")
_TREND_WINDOWS = 512


@dataclass(frozen=True)
class Fitted:
    """Models and baselines as fitted by a date, used until the next refit.

    models, trend : the networks, and the trend figures of each, by name.
    rows : by symbol, the rows on which baselines are fitted.
    since : the first cutoff date of this fit.
    start : a linear fan towards which the baseline `har` is shrunk if rows are few.
    """

    models: "Mapping[str, TrainedModel]"
    trend: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, range]
    since: np.datetime64 = ALWAYS
    start: Har | None = None
    _hars: dict[tuple[int, tuple[float, ...]], Har] = field(
        default_factory=dict, init=False, compare=False
    )

    def starts_at(self, series: Sequence[Series], levels: Sequence[float]) -> bool:
        """Return whether `har` can start from a fan at these levels and every series can use it."""
        few = any(len(self.rows[each.symbol]) < FEWEST_ROWS for each in series)
        return not few and self.start is not None and self.start.at_levels(levels) is not None

    def har(self, series: Sequence[Series], horizon: int, levels: Sequence[float]) -> Har:
        """Return the linear fan of all series; it is fitted only once."""
        key = horizon, tuple(levels)
        if key not in self._hars:
            spans = [self.rows[each.symbol] for each in series]
            parts = [x.part(slice(s.start, s.stop)) for x, s in zip(series, spans, strict=True)]
            self._hars[key] = fit_har(
                [each.log_prices for each in parts],
                horizon=horizon,
                levels=levels,
                bars_per_year=bars_per_year(max(parts, key=len).dates),
                priors=[prior_sharpe(each.symbol) for each in parts],
                start=self.start and self.start.at_levels(key[1]),
            )
        return self._hars[key]


def check_baselines(asked: Sequence[str]) -> None:
    """Raise UsageError for an unknown extra baseline."""
    unknown = set(asked) - set(EXTRA_BASELINES)
    if unknown:
        raise UsageError(
            "no such baseline",
            where=", ".join(sorted(unknown)),
            why=f"expected {', '.join(EXTRA_BASELINES)}",
            next_step="All other baselines are always shown.",
        )


def check_moves(series: Series, fit_rows: int, horizon: int) -> None:
    """Raise DataError if the price moves too little in the first `fit_rows` rows to fit a fan.

    Rows before the first price change carry no information on the size of moves. The later rows
    must number at least min(`fit_rows`, rows that `scaled_climatology` needs) - EWMA_START.
    """
    needed = min(fit_rows, baselines.fewest_climatology_rows(horizon)) - EWMA_START
    changes = np.flatnonzero(np.diff(series.log_prices[:fit_rows]))
    still = int(changes[0]) + 1 if len(changes) else fit_rows
    if fit_rows - still < needed:
        raise DataError(
            "no variation",
            where=series.symbol,
            why=f"{series.price} does not change from {series.dates[0]} to "
            f"{series.dates[still - 1]}, found {fit_rows - still} rows after that, expected at "
            f"least {needed}",
            next_step="Leave it out.",
        )


def backtest(
    fitted: Sequence[Fitted],
    own: Mapping[str, Sequence[Series]],
    series: Sequence[Series],
    cutoffs: Sequence[Ints],
    *,
    horizon: int,
    context_length: int,
    interval: str = "1d",
    extra: Sequence[str] = (),
) -> Backtest:
    """Forecast from every cutoff with the latest fit of every model and baseline at that date.

    own : by model, the same series with the features that it reads. extra : extra baselines.
    """
    since = [each.since for each in fitted]
    forecasters: dict[str, Forecaster] = {
        name: in_turn([_network(each.models[name], seen, horizon) for each in fitted], since)
        for name, seen in own.items()
    }
    forecasters |= baseline_forecasters(
        series,
        fitted,
        horizon=horizon,
        levels=next((model.levels for model in fitted[0].models.values() if model.levels), ()),
        interval=interval,
        extra=extra,
    )
    return run_backtest(
        series, cutoffs, forecasters, horizon=horizon, context_length=context_length
    )


def yardsticks(
    result: Backtest,
    model: str,
    series: Sequence[Series],
    fitted: Sequence[Fitted],
    flat_band: float,
    beyond: Sequence[float] = (),
) -> trend.Yardsticks:
    """Return the figures of the training rows that the scores of a backtest need.

    beyond : changes whose chances are scored.

    A refit has its own thresholds. The crash and spike bounds and base rates of `model`, and the
    MASE scales, are always those of the first fit, so that a score has one meaning throughout.
    """
    horizon, own = result.actual.shape[1], fitted[0].trend.get(model, {})
    tails: trend.Tails = {kind: np.array(own.get(kind, ())[:horizon]) for kind in trend.TAILS}
    past = {each.symbol: each.log_prices[: fitted[0].rows[each.symbol].stop] for each in series}
    return trend.Yardsticks(
        mase_scales={symbol: mase_scale(np.exp(prices)) for symbol, prices in past.items()},
        thresholds=thresholds_by_window(result, fitted),
        base_rates=own.get("rise", ())[:horizon],
        flat_band=flat_band,
        tails=tails if len(tails["crash"]) == horizon else None,
        beyond=tuple(beyond),
        past=past if beyond else {},
    )


def thresholds_by_window(result: Backtest, fitted: Sequence[Fitted]) -> dict[str, trend.Thresholds]:
    """Return the thresholds of each model's calls: (H,), or (N, H) if there were refits."""
    horizon = result.actual.shape[1]
    turns = turn_of(result.cutoff, [each.since for each in fitted]) if len(fitted) > 1 else 0
    return {
        name: trend.Thresholds(
            *(
                np.array([each.trend[name][side][:horizon] for each in fitted])[turns]
                for side in ("low", "high")
            )
        )
        for name, table in fitted[0].trend.items()
        if len(table["low"]) >= horizon
    }


def learn_trend(
    model: "TrainedModel", series: Sequence[Series], splits: "Sequence[Split]"
) -> dict[str, list[float]]:
    """Fit trend thresholds, crash and spike bounds and the share of rises, by step.

    Thresholds and bounds use evenly thinned training cutoffs whose whole horizon lies in training
    rows; the share of rises uses all moves within training rows.
    """
    from lstmcli.forecasting.forecaster import forecast

    window = model.settings.window
    whole = [
        np.arange(split.train.start, min(split.train.stop, split.train_rows - window.horizon))
        for split in splits
    ]
    every = max(1, sum(map(len, whole)) // _TREND_WINDOWS)
    thinned = [rows[::every] for rows in whole]
    known = run_backtest(
        series,
        thinned,
        {"model": partial(forecast, model)},
        horizon=window.horizon,
        context_length=window.context_length,
    )
    actual = trend.scaled_moves(known.actual, known.sigma)
    predicted = trend.scaled_moves(known.forecasts["model"].median, known.sigma)
    thresholds = trend.fit_thresholds(predicted, actual, model.settings.evaluate.flat_band)
    counts = [
        rise_counts(each.log_prices[: split.train_rows], window.horizon)
        for each, split in zip(series, splits, strict=True)
    ]
    rises, moves = np.sum(counts, axis=0)
    found = vars(thresholds) | trend.fit_tails(actual) | {"rise": rises / np.maximum(moves, 1.0)}
    return {name: values.tolist() for name, values in found.items()}


def _network(model: "TrainedModel", own: Sequence[Series], horizon: int) -> Forecaster:
    from lstmcli.forecasting.forecaster import forecast

    features = {each.symbol: each for each in own}

    def forecaster(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Forecast:
        pairs = zip(series, cutoffs, strict=True)
        seen = [features[each.symbol].until(rows) for each, rows in pairs]
        return forecast(model, seen, cutoffs, horizon=horizon)

    return forecaster


def one_step(fitted: Sequence[Fitted], name: str, series: Series, cutoffs: Rows) -> Forecast:
    """Forecast one step from some rows, each with the latest fit of a model at that date."""
    turns = [_network(each.models[name], [series], 1) for each in fitted]
    return in_turn(turns, [each.since for each in fitted])([series.until(cutoffs)], [cutoffs])


EXTRA_BASELINES = ("gjr_garch",)
_SEASON = {"1mo": 12}


def baseline_forecasters(
    series: Sequence[Series],
    fitted: Sequence[Fitted],
    *,
    horizon: int,
    levels: Sequence[float],
    interval: str = "1d",
    extra: Sequence[str] = (),
    steps: Sequence[int] | None = None,
) -> dict[str, Forecaster]:
    """Return the baselines by name; without levels, those of point models.

    `extra` may name `gjr_garch`, which takes about 25 ms per cutoff. steps : the steps of
    1..horizon to keep, all by default.
    """
    since = [each.since for each in fitted]
    # Point models need these fans too: the median of past moves is the hardest point forecast to
    # beat among those from past prices alone.
    wanted = levels or DEFAULT_LEVELS

    def plain(baseline: Callable[..., Forecast], **options: Any) -> Forecaster:
        return one_by_one(lambda each, at: baseline(each.log_prices, at, horizon, **options))

    def on_rows(baseline: Callable[..., Forecast], **options: Any) -> Forecaster:
        each = partial(baseline, **options)
        return in_turn([_on_rows(each, known.rows, horizon) for known in fitted], since)

    forecasters = {"naive": plain(baselines.naive), "drift": on_rows(baselines.drift)}
    if interval in _SEASON:
        period = _SEASON[interval]
        forecasters["seasonal_naive"] = plain(baselines.seasonal_naive, period=period)
        if all(len(rows) >= 2 * period for each in fitted for rows in each.rows.values()):
            forecasters["seasonal_drift"] = on_rows(baselines.seasonal_drift, period=period)
    if levels:
        forecasters["gaussian_cone"] = plain(baselines.gaussian_cone, levels=levels)
        forecasters["ewma_cone"] = plain(baselines.ewma_cone, levels=levels)
    enough = all(
        baselines.climatology_fits(
            each.log_prices[rows[each.symbol].start :], horizon, fit_rows=len(rows[each.symbol])
        )
        for rows in (known.rows for known in fitted)
        for each in series
    )
    if enough:
        forecasters["scaled_climatology"] = on_rows(
            baselines.scaled_climatology, levels=wanted, steps=steps
        )
    if enough or all(known.starts_at(series, wanted) for known in fitted):
        forecasters["har"] = in_turn(
            [_har(partial(known.har, series, horizon, wanted)) for known in fitted], since
        )
    if "gjr_garch" in extra:
        forecasters["gjr_garch"] = plain(gjr_garch, levels=wanted)
    forecasters["always_up"] = plain(baselines.always_up)
    if steps is None:
        return forecasters
    return {name: _at_steps(each, steps) for name, each in forecasters.items()}


def _har(fit: Callable[[], Har]) -> Forecaster:
    """Return a forecaster of the linear fan, which uses all rows up to each cutoff."""

    def forecast_one(each: Series, at: Rows) -> Forecast:
        har, (inputs, sigma) = fit(), har_inputs(each.log_prices, rows=at)
        location = har.location(prior_sharpe(each.symbol), PRIOR_YEARS)
        return har.forecast(har.scale(inputs, sigma), np.full(len(at), location))

    return one_by_one(forecast_one)


def _at_steps(forecaster: Forecaster, steps: Sequence[int]) -> Forecaster:
    """Forecast one symbol at a time, so that memory never holds the dropped steps of all."""
    return one_by_one(lambda each, at: compact(forecaster([each], [at])).at(steps))


def _on_rows(
    baseline: Callable[..., Forecast], rows: Mapping[str, range], horizon: int
) -> Forecaster:
    """Return a forecaster that fits a baseline on some rows and sees no earlier rows."""

    def forecast_one(each: Series, at: Rows) -> Forecast:
        first, stop = rows[each.symbol].start, rows[each.symbol].stop
        return baseline(each.log_prices[first:], at - first, horizon, fit_rows=stop - first)

    return one_by_one(forecast_one)
