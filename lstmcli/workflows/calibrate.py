"""The calibration of a new model's fan, from validation cutoffs alone."""

from dataclasses import replace
from functools import partial

import numpy as np

from lstmcli.evaluation.backtest import run_backtest
from lstmcli.forecasting.calibration import fit_calibration
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.workflows.plan import Plan

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
