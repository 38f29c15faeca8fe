"""Run a complete training from price tables, without writing to disk.

`train` saves the result; the leak audit runs the same code on true and on changed prices.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import Backtest, Rows, choose_cutoffs, run_backtest
from lstmcli.evaluation.forecasters import Fitted, backtest, learn_trend, yardsticks
from lstmcli.evaluation.scores import Scores, score
from lstmcli.forecasting.calibration import fit_calibration
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.har import Har
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import UNWATCHED, Course, Fit, Fitting, fit
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import choose_batch_size
from lstmcli.learning.transfer import Donor, describe_donor
from lstmcli.networks.build import count_parameters


@dataclass(frozen=True)
class Learned:
    """The result of training.

    model : the fitted network, calibrated if it has a fan. trend : thresholds and bounds by step.
    scores : of the validation windows; None if there are none, or if they overlap training.
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
    fitting: Fitting = fit,
) -> Learned:
    """Fit, calibrate and score one network; raises TrainingError like `fit`.

    Without validation windows, calibration and trends are taken from the donor if they fit.
    """
    fitted = fitting(plan, settings, device, course, donor)
    model, trend = calibrated(fitted.model, plan), None
    if donor is not None and not plan.validates:
        model = replace(model, calibration=donor.calibration(settings))
        trend = donor.trend(settings.window.horizon)
    if trend is None:
        trend = learn_trend(model, plan.series, plan.splits)
    start = None if donor is None else donor.linear(settings)
    return Learned(fitted, model, trend, _score_validation(model, plan, trend, interval, start))


def _score_validation(
    model: TrainedModel,
    plan: Plan,
    trend: dict[str, list[float]],
    interval: str,
    start: Har | None,
) -> Scores | None:
    """Score the model on non-overlapping validation cutoffs, next to the baselines.

    Baselines are fitted on training rows. start : the fan that `har` is shrunk towards, like the
    linear fan below the network.
    """
    if plan.validation_start is None or not plan.validates:
        return None
    window = model.settings.window
    every = zip(plan.series, plan.splits, plan.validation, strict=True)
    known = [(each, split, each.dates[rows[0]]) for each, split, rows in every if len(rows)]
    parts = [(each, split) for each, split, _ in known]
    before = [each.part(slice(split.fit_rows)) for each, split in parts]
    cutoffs = choose_cutoffs(
        before,
        first=min(first for *_, first in known),
        step_size=window.horizon,
        context_length=window.context_length,
        horizon=window.horizon,
    )
    rows = {each.symbol: range(split.train_rows) for each, split in parts}
    fitted = [Fitted(models={"network": model}, trend={"network": trend}, rows=rows, start=start)]
    result = backtest(
        fitted,
        {"network": before},
        before,
        cutoffs,
        horizon=window.horizon,
        context_length=window.context_length,
        interval=interval,
    )
    flat_band = model.settings.evaluate.flat_band
    by = yardsticks(result, "network", before, fitted, flat_band)
    return score(result, "network", by, networks=("network",))


_EVERY = 5  # neighbouring cutoffs give nearly the same forecasts


def forecast_all(
    model: TrainedModel, series: Sequence[Series], cutoffs: Sequence[Rows]
) -> tuple[Backtest, Forecast]:
    """Return a backtest of the model only, from cutoff rows of each series; its forecasts."""
    window = model.settings.window
    result = run_backtest(
        series,
        cutoffs,
        {"network": partial(forecast, model)},
        horizon=window.horizon,
        context_length=window.context_length,
    )
    return result, result.forecasts["network"]


def calibrated(model: TrainedModel, plan: Plan) -> TrainedModel:
    """Return the model with a conformal calibration; unchanged if it has no fan."""
    if not (model.levels and model.settings.forecast.calibrate and plan.validates):
        return model
    result, fan = forecast_all(model, plan.series, [rows[::_EVERY] for rows in plan.validation])
    assert fan.quantiles is not None
    # Independent windows share no day: at step h, one per h validation days.
    days = len(np.unique(result.cutoff)) * _EVERY
    calibration = fit_calibration(
        np.asarray(fan.quantiles),
        fan.levels,
        result.actual,
        n_independent=days / np.arange(1, model.settings.window.horizon + 1),
    )
    return replace(model, calibration=calibration)


def describe_series(each: Series) -> dict[str, Any]:
    """Return the facts of a series for the metadata."""
    return {
        "symbol": each.symbol,
        "price": each.price,
        "rows": len(each),
        "first": str(each.dates[0]),
        "last": str(each.dates[-1]),
    }


def describe(
    learned: Learned,
    plan: Plan,
    device: torch.device,
    *,
    number: int = 1,
    seconds: float = 0.0,
    donor: Donor | None = None,
    **run: Any,
) -> dict[str, Any]:
    """Return the metadata of a version: its origin, apart from its settings.

    number : of threads. donor : the model that it started from. run : additional facts.
    """
    fitted = learned.fit
    settings = fitted.model.settings
    last_days = [
        each.dates[part.fit_rows - 1]
        for each, part in zip(plan.series, plan.splits, strict=True)
        if part.fit_rows
    ]
    trained_until = max([*last_days, *([] if donor is None else [donor.metadata.trained_until])])
    inherited = None if donor is None else donor.metadata.ready_made
    seen = inherited and {"model": inherited.model, "until": str(inherited.until)}
    return {
        "lstmcli_version": __version__,
        "torch_version": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": settings.train.seed,
        "threads": number,
        "device": str(device),
        "duration_seconds": round(seconds, 3),
        "network": settings.model.network,
        "har": fitted.model.har is not None,
        "parameters": count_parameters(fitted.model.network),
        "data": {
            "fingerprint": plan.fingerprint(),
            "price": plan.series[0].price,
            "symbols": [describe_series(each) for each in plan.series],
        },
        "split": {
            "method": settings.split.method,
            "purge": settings.purge,
            "embargo": settings.split.embargo,
            "dates": plan.count_dates(),
            "validation_start": plan.validation_start and str(plan.validation_start),
            "trained_until": str(trained_until),
            "test_start": str(plan.test_start),
        },
        "windows": plan.counts(),
        "batch_size": choose_batch_size(plan, settings) if fitted.history else None,
        "tuning": settings.tuning.model_dump(),
        "epochs": {"run": len(fitted.history), "best": fitted.best_epoch},
        "stopped": fitted.stopped,
        "validation_loss": fitted.best_loss,
        **run,
        "from": donor and describe_donor(donor, settings, plan),
        **({"ready_made": seen} if seen else {}),
        "trend": learned.trend,
        "validation": _summarize(learned.scores),
    }


_OF_A_BAND = ("step", "nominal", "coverage", "standard_error", "width")


def _summarize(scores: Scores | None) -> dict[str, Any] | None:
    """Return the validation scores that are shown next to later forecasts."""
    if scores is None:
        return None
    return {
        "n_windows": scores.n_windows,
        "n_independent": scores.n_independent,
        "models": {
            name: {
                **{key: getattr(each.path, key) for key in ("rmse", "mae", "skill", "crps")},
                "p": {other: test.test.p for other, test in each.tests.items()},
                "direction_accuracy": asdict(each.direction[-1].two_way),
                "bands": [{key: getattr(band, key) for key in _OF_A_BAND} for band in each.bands],
            }
            for name, each in scores.models.items()
        },
    }
