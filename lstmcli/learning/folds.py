"""Walk-forward validation folds: consecutive spans, each fitted on the rows before it.

Every span is as long as the recipe's validation part, which is the last fold; a purge separates
training and validation as in any split. First the rows of the test span are cut off, and before
each fit the rows after the fold. Fold 2 of 3:

    rows      |---- training ----|- fold 1 -|- fold 2 -|- fold 3 -|- test -|
    cutoffs       |== train =====·····purge |validate·p|   cut off
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import Borders
from lstmcli.errors import DataError, UsageError
from lstmcli.evaluation import metrics
from lstmcli.evaluation.backtest import choose_cutoffs
from lstmcli.evaluation.losses import check_forecast, window_crps
from lstmcli.evaluation.verdict import percent
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.learning.learn import forecast_all
from lstmcli.learning.plan import Plan, plan_between, why_unsuitable, with_known_features
from lstmcli.market.prices import Prices
from lstmcli.printable import count_of

Objective = Literal["crps", "rmse"]
_EVERY = 5  # neighbouring cutoffs give nearly the same forecasts


@dataclass(frozen=True)
class Fold:
    """One validation span. symbols : those with both training and validation windows."""

    borders: Borders
    symbols: tuple[str, ...]

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last validation day."""
        return str(self.borders.validation_start), str(self.borders.train_end)


def known_prices(loaded: Sequence[Prices], plan: Plan) -> list[Prices]:
    """Return the prices of the plan's series up to the last row used for fitting."""
    rows = {
        each.symbol: split.fit_rows for each, split in zip(plan.series, plan.splits, strict=True)
    }
    return [
        replace(each, frame=each.frame.iloc[: rows[each.symbol]])
        for each in loaded
        if each.symbol in rows
    ]


def make_folds(known: Sequence[Prices], settings: Settings, number: int) -> tuple[Fold, ...]:
    """Return `number` folds, the earliest first.

    Raises UsageError if the split is not chronological, DataError if a fold has no series.
    """
    if settings.split.method != "chronological":
        raise UsageError(
            "no folds of this recipe",
            where=f"split.method {settings.split.method}",
            why="its windows are not spans of time",
            next_step="Use split.method chronological.",
        )
    series = fold_series(known, settings)
    dates = np.unique(np.concatenate([each.dates for each in series]))
    length = round(settings.split.validation_fraction * len(dates))
    folds = []
    for left in range(number, 0, -1):
        start, stop = len(dates) - left * length, len(dates) - (left - 1) * length
        if start <= 0:
            raise _too_few(number, number - left + 1, "there are no rows before its span")
        borders = Borders(dates[start], dates[stop - 1], dates[stop - 1] + np.timedelta64(1, "D"))
        known_then = [each.between(dates[0], borders.train_end) for each in series]
        plan = plan_between(known_then, borders, settings)
        symbols = tuple(
            each.symbol
            for each in known_then
            if why_unsuitable(each, plan, borders, settings) is None
        )
        if not symbols:
            why = (
                f"no series has training windows before {dates[start]} and validation windows after"
            )
            raise _too_few(number, number - left + 1, why)
        folds.append(Fold(borders, symbols))
    return tuple(folds)


def fold_series(known: Sequence[Prices], settings: Settings) -> list[Series]:
    """Return the series as a network with these settings reads them."""
    settings = with_known_features(settings, known)
    return [series_for(settings, each) for each in known]


def plan_fold(known: Sequence[Prices], settings: Settings, fold: Fold) -> tuple[Settings, Plan]:
    """Return the settings, limited by the data, and the plan of one fold, without later rows."""
    settings = with_known_features(settings, known)
    series = [series_for(settings, each) for each in known if each.symbol in fold.symbols]
    end = fold.borders.train_end
    taking_part = [each.between(each.dates[0], end) for each in series]
    return settings, plan_between(taking_part, fold.borders, settings)


def objective_of(settings: Settings) -> Objective:
    """Return the score to compare trials by: CRPS of a fan, path RMSE of a point forecast."""
    return "crps" if settings.model.head == "direct" else "rmse"


def score_fold(model: TrainedModel, plan: Plan) -> float:
    """Score a model on every fifth validation cutoff of a fold, in units of the last price.

    The score is the one that `evaluate` shows, independent of the training loss: the pooled CRPS or
    path RMSE over all steps. Raises DataError if a forecast is not usable.
    """
    assert plan.validation_start is not None
    window = model.settings.window
    cutoffs = choose_cutoffs(
        plan.series,
        first=plan.validation_start,
        step_size=_EVERY,
        context_length=window.context_length,
        horizon=window.horizon,
    )
    result, found = forecast_all(model, plan.series, cutoffs)
    check_forecast("network", found, result.actual)
    if found.quantiles is None:
        squared = metrics.squared_error(found.median, result.actual)
        return float(np.sqrt(result.pool().mean(squared.mean(axis=1))))
    crps = window_crps(found.quantiles, found.levels, result.actual)
    return float(result.pool().mean(crps))


def _too_few(number: int, fold: int, why: str) -> DataError:
    return DataError(
        "too few rows for the folds",
        where=f"fold {fold} of {number}",
        why=why,
        next_step="Pass a smaller --folds, or give longer series.",
    )


@dataclass(frozen=True)
class Gain:
    """The improvement of the chosen trial's mean score, paired by fold.

    standard_error : of the mean improvement, None for a single fold.
    """

    mean: float
    standard_error: float | None

    @property
    def clear(self) -> bool:
        """Whether the gain is larger than one standard error."""
        return self.standard_error is not None and self.mean > self.standard_error


def standard_error(scores: Sequence[float]) -> float | None:
    """Return the standard error of the mean of independent scores; None for one score."""
    if len(scores) < 2:
        return None
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores)))


def paired_gain(chosen: Sequence[float], recipe: Sequence[float]) -> Gain:
    """Compare the scores of two trials on the same folds; lower is better."""
    gains = np.subtract(recipe, chosen)
    return Gain(float(gains.mean()), standard_error(gains.tolist()))


def tried(trials: int) -> tuple[str, ...]:
    """Return a sentence on how many settings were tried; empty without a search."""
    if not trials:
        return ()
    return (f"Its settings were chosen among {trials} tried on validation folds.",)


def choice_verdict(best: int, trials: int, folds: int, gain: Gain | None) -> str:
    """Explain how reliable the choice of trial `best` among `trials` is.

    gain : over trial 0, the recipe itself; None if that was not completed.
    """
    others = trials - 1
    if best == 0 and others:
        return f"The recipe itself was best; the other {count_of(others, 'trial')} did not beat it."
    if best == 0:
        return "The recipe itself is the only trial."
    found = f"Trial {best} was best of {trials}"
    lucky = (
        f"{count_of(folds, 'fold')} can prove little, and the best of many is lucky too: let "
        "evaluate judge it."
    )
    if gain is None:
        why = "the recipe itself was not completed, so it is unknown whether it is better"
        return f"{found}; {why}. {lucky}"
    proof = "without a standard error on a single fold"
    if gain.standard_error is not None:
        error = f"one standard error ({percent(gain.standard_error)})"
        proof = (
            f"more than {error}" if gain.clear else f"not more than {error}, so it may be chance"
        )
    lower = f"its error is lower than the recipe's by {percent(gain.mean)} of the price"
    return f"{found}: {lower}, {proof}. {lucky}"
