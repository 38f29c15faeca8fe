"""From price tables to all that training settles, with nothing kept on disk.

`train` keeps what comes out; the leak audit runs the same code on true and on rewritten prices.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from lstmcli.config import Settings
from lstmcli.evaluation.backtest import choose_cutoffs, run_backtest
from lstmcli.evaluation.forecasters import Fitted, backtest, learn_trend, score_backtest
from lstmcli.evaluation.scores import Scores
from lstmcli.forecasting.calibration import fit_calibration
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import UNWATCHED, Course, Fit, fit
from lstmcli.learning.plan import Plan
from lstmcli.learning.transfer import Donor


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


_EVERY = 5  # neighbouring cutoffs say nearly the same


def calibrated(model: TrainedModel, plan: Plan) -> TrainedModel:
    """Return the model with a conformal adjustment; unchanged where it has no fan to adjust."""
    if not (model.levels and model.settings.forecast.calibrate and plan.validates):
        return model
    window = model.settings.window
    result = run_backtest(
        plan.series,
        [rows[::_EVERY] for rows in plan.validation],
        {"network": partial(forecast, model)},
        horizon=window.horizon,
        context_length=window.context_length,
    )
    fan = result.forecasts["network"]
    assert fan.quantiles is not None
    # Windows that share no day: one in `step` of the days that validate.
    days = len(np.unique(result.cutoff)) * _EVERY
    calibration = fit_calibration(
        np.asarray(fan.quantiles),
        fan.levels,
        result.actual,
        n_independent=days / np.arange(1, window.horizon + 1),
    )
    return replace(model, calibration=calibration)
