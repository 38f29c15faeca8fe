"""From price tables to all that training settles, with nothing kept on disk.

`train` keeps what comes out; the leak audit runs the same code on true and on rewritten prices.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.evaluation.backtest import choose_cutoffs, run_backtest
from lstmcli.evaluation.forecasters import Fitted, backtest, learn_trend, score_backtest
from lstmcli.evaluation.scores import Scores
from lstmcli.forecasting.calibration import fit_calibration
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.evidence import last_fitted_day
from lstmcli.learning.fit import UNWATCHED, Course, Fit, fit
from lstmcli.learning.plan import Plan
from lstmcli.learning.transfer import Donor
from lstmcli.networks.build import count_parameters
from lstmcli.runs.metadata import Metadata


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


def describe(
    fitted: Fit,
    plan: Plan,
    device: torch.device,
    number: int,
    seconds: float,
    donor: Metadata | None = None,
) -> dict[str, Any]:
    """Say where a version came from, as far as it does not stand in its settings.

    donor : the metadata of the model that it started from.
    """
    return {
        "lstmcli_version": __version__,
        "torch_version": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": fitted.model.settings.train.seed,
        "threads": number,
        "device": str(device),
        "duration_seconds": round(seconds, 3),
        "network": fitted.model.settings.model.network,
        "parameters": count_parameters(fitted.model.network),
        "data": {
            "fingerprint": plan.fingerprint(),
            "price": plan.series[0].price,
            "symbols": [
                {
                    "symbol": each.symbol,
                    "price": each.price,
                    "rows": len(each),
                    "first": str(each.dates[0]),
                    "last": str(each.dates[-1]),
                }
                for each in plan.series
            ],
        },
        "split": {
            "method": fitted.model.settings.split.method,
            "purge": fitted.model.settings.purge,
            "embargo": fitted.model.settings.split.embargo,
            "dates": plan.count_dates(),
            "validation_start": plan.validation_start and str(plan.validation_start),
            "trained_until": str(last_fitted_day(plan, donor)),
            "test_start": str(plan.test_start),
        },
        "windows": plan.counts(),
        "tuning": fitted.model.settings.tuning.model_dump(),
        "epochs": {"run": len(fitted.history), "best": fitted.best_epoch},
        "stopped": fitted.stopped,
        "validation_loss": fitted.best_loss,
    }


def summarize(scores: Scores | None) -> dict[str, Any] | None:
    """Keep of the validation scores what a forecast is later shown with."""
    if scores is None:
        return None
    return {
        "n_windows": scores.n_windows,
        "n_independent": scores.n_independent,
        "models": {
            name: {
                "rmse": each.path.rmse,
                "mae": each.path.mae,
                "skill": each.path.skill,
                "crps": each.path.crps,
                "p": {other: test.test.p for other, test in each.tests.items()},
                "direction_accuracy": asdict(each.direction[-1].two_way),
                "bands": [
                    {
                        "step": band.step,
                        "nominal": band.nominal,
                        "coverage": band.coverage,
                        "standard_error": band.standard_error,
                        "width": band.width,
                    }
                    for band in each.bands
                ],
            }
            for name, each in scores.models.items()
        },
    }
