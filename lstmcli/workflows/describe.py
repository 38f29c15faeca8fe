"""What a version says of itself: where it came from and how it did, as its metadata keep it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from lstmcli import __version__
from lstmcli.evaluation.scores import Scores
from lstmcli.networks.build import count_parameters
from lstmcli.workflows.fit import Fit
from lstmcli.workflows.hindsight import last_fitted_day
from lstmcli.workflows.plan import Plan


def describe(
    fitted: Fit,
    plan: Plan,
    device: torch.device,
    number: int,
    seconds: float,
    donor: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Say where a version came from, as far as it does not stand in its settings.

    donor : the metadata of the model that it started from.
    """
    best = max((epoch for epoch in fitted.history if epoch.best), key=lambda epoch: epoch.epoch)
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
        "epochs": {"run": len(fitted.history), "best": best.epoch},
        "stopped": fitted.stopped,
        "validation_loss": best.validation_loss,
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
