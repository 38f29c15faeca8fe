"""The forecasts of a trained model from cutoffs of any number of series, a batch at a time."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import context_months, contexts, flat_cutoffs, join
from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting.direct import fan
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from lstmcli.forecasting.model import TrainedModel
from lstmcli.forecasting.recursive import recurse

_BATCH = 512  # more is no faster on a CPU, and takes memory


def forecast(
    model: TrainedModel,
    series: Sequence[Series],
    cutoffs: Sequence[NDArray[np.int64]],
    *,
    horizon: int | None = None,
) -> Forecast:
    """Forecast `horizon` steps (the trained number unless given) from each series' cutoff rows.

    The N forecasts stand in the order of the series, then of their cutoffs. Each is a function of
    the `context_length` rows up to and including its cutoff, and of nothing else. Raises DataError
    where a cutoff has too few rows behind it.
    """
    window = model.settings.window
    for each, rows in zip(series, cutoffs, strict=True):
        if rows.min(initial=window.context_length) < window.context_length - 1:
            raise DataError(
                f"needs {window.context_length} rows up to a cutoff, has {rows.min() + 1}",
                where=each.symbol,
                next_step="Give a longer series.",
            )
    windows = join(series, season="month" in window.features).to(model.device)
    index = flat_cutoffs(windows, cutoffs).to(model.device)
    steps = horizon or window.horizon
    batches = (
        _forecast(
            model,
            contexts(windows, batch, window.context_length),
            context_months(windows, batch, window.context_length),
            series[0].inputs,
            steps,
        )
        for batch in torch.split(index, _BATCH)
    )
    return join_forecasts(batches, len(index))


def forecast_alike(
    model: TrainedModel,
    series: Sequence[Series],
    cutoffs: Sequence[NDArray[np.int64]],
    *,
    horizon: int | None = None,
) -> Forecast:
    """The same to the last bit whichever other forecasts are made in the same call.

    A matrix product's last bits depend on how many rows it has and on where a row stands. So the
    network computes in float64, and what it says is rounded to the float32 that it was trained in.
    """
    exact = replace(model, network=deepcopy(model.network).double())
    made = forecast(exact, series, cutoffs, horizon=horizon)
    return replace(
        made,
        median=_rounded(made.median),
        quantiles=None if made.quantiles is None else _rounded(np.asarray(made.quantiles)),
        spread=None if made.spread is None else _rounded(made.spread),
    )


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(np.float32).astype(np.float64)


def _forecast(
    model: TrainedModel,
    raw: Tensor,
    months: Tensor | None,
    inputs: Sequence[int],
    horizon: int,
) -> Forecast:
    """Forecast from contexts (n, L, C), directly or by recursion as the model was trained."""
    window = model.settings.window
    if model.settings.model.head == "direct":
        if horizon > window.horizon:
            raise UsageError(
                "the horizon is too long",
                where=f"--horizon {horizon}",
                why=f"this model answers {window.horizon} steps at once and cannot go beyond",
                next_step="Train with --set window.horizon=N.",
            )
        return fan(
            model.members,
            raw,
            features=window.features,
            levels=model.levels,
            horizon=horizon,
            calibration=model.calibration,
        )
    return recurse(
        model.network,
        raw,
        horizon=horizon,
        inputs=inputs,
        scaling=window.scaling,
        fitted=model.fitted,
        rebase=window.rebase,
        months=months,
    )
