"""From price tables to all that training settles, with nothing kept on disk.

`train` keeps what comes out; the leak audit runs the same code on true and on rewritten prices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lstmcli.config import Settings
from lstmcli.dataset.series import known_features
from lstmcli.errors import DataError
from lstmcli.evaluation.cutoffs import choose_cutoffs
from lstmcli.evaluation.scores import Scores
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.prices import Prices
from lstmcli.workflows.calibrate import calibrated
from lstmcli.workflows.donor import Donor
from lstmcli.workflows.failures import Failure
from lstmcli.workflows.fit import UNWATCHED, Course, Fit, fit
from lstmcli.workflows.plan import Plan, plan_suitable
from lstmcli.workflows.scoring import Fitted, backtest, learn_trend, score_backtest


@dataclass(frozen=True)
class Learned:
    """What training settles.

    model : the fitted network, calibrated where it has a fan. trend : thresholds and bounds by
    step. scores : of the validation windows; None where there are none, or they overlap training.
    """

    fit: Fit
    model: TrainedModel
    trend: dict[str, list[float]]
    scores: Scores | None


def plan_prices(
    loaded: Sequence[Prices],
    settings: Settings,
    failures: Sequence[Failure],
    *,
    validates: bool = True,
) -> tuple[Plan, list[Failure]]:
    """Split all series but those that are unsuitable, which become failures too."""
    failed, series = list(failures), []
    for each in loaded:
        try:
            series.append(series_for(settings, each))
        except DataError as error:
            failed.append(Failure.of(each.symbol, error))
    return plan_suitable(series, settings, failed, validates=validates)


def with_known_features(settings: Settings, loaded: Sequence[Prices]) -> Settings:
    """Leave out features that no series has: the network would never learn what they say."""
    if settings.window.scaling != "volatility":
        return settings
    known = {name for each in loaded for name in known_features(each)}
    if not {"high", "low"} <= known:
        known -= {"high", "low"}
    features = tuple(name for name in settings.window.features if name in known)
    window = settings.window.model_copy(update={"features": features})
    return settings.model_copy(update={"window": window})


def learn(
    plan: Plan,
    settings: Settings,
    device: torch.device,
    interval: str,
    course: Course = UNWATCHED,
    donor: Donor | None = None,
) -> Learned:
    """Fit, calibrate and score one network; raises TrainingError as `fit` does.

    Where no window validates, calibration and trends are the donor's, as far as they fit.
    """
    fitted = fit(plan, settings, device, course, donor)
    model, trend = calibrated(fitted.model, plan), None
    if donor is not None and not plan.validates:
        model = replace(model, calibration=donor.calibration(settings))
        trend = donor.trend(settings.window.horizon)
    if trend is None:
        trend = learn_trend(model, plan.series, plan.splits)
    return Learned(fitted, model, trend, _score_validation(model, plan, trend, interval))


def _score_validation(
    model: TrainedModel, plan: Plan, trend: dict[str, list[float]], interval: str
) -> Scores | None:
    """Score the model on non-overlapping validation cutoffs, with baselines of training rows."""
    if model.settings.split.method == "shuffled" or not plan.validates:
        return None
    window = model.settings.window
    before = [
        each.until(np.array([split.fit_rows - 1]))
        for each, split in zip(plan.series, plan.splits, strict=True)
    ]
    cutoffs = choose_cutoffs(
        before,
        first=min(
            each.dates[rows[0]] for each, rows in zip(plan.series, plan.validation, strict=True)
        ),
        step_size=window.horizon,
        context_length=window.context_length,
        horizon=window.horizon,
    )
    fitted = Fitted(
        models={"network": model},
        trend={"network": trend},
        rows={
            each.symbol: range(split.train_rows)
            for each, split in zip(plan.series, plan.splits, strict=True)
        },
    )
    result = backtest(
        [fitted],
        {"network": before},
        before,
        cutoffs,
        horizon=window.horizon,
        context_length=window.context_length,
        interval=interval,
    )
    return score_backtest(
        result,
        "network",
        before,
        [fitted],
        flat_band=model.settings.evaluate.flat_band,
    )
