"""The forecasts of a trained model from cutoffs of any number of series, a batch at a time."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lstmcli.dataset.scaling import Scale, last_known, make_frame, next_month, with_season
from lstmcli.dataset.series import Series
from lstmcli.dataset.volatility import volatility_frame
from lstmcli.dataset.windows import context_months, contexts, flat_cutoffs, join
from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting.calibration import Calibration, calibrate
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from lstmcli.forecasting.model import TrainedModel
from lstmcli.networks.build import body_and_head

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


def fan(
    members: Sequence[nn.Module],
    contexts: Tensor,
    *,
    features: Sequence[str],
    levels: Sequence[float],
    horizon: int,
    calibration: Calibration | None,
) -> Forecast:
    """Forecast `horizon` steps from contexts (N, L, C) of raw values, on the members' device."""
    with torch.inference_mode():
        frame = volatility_frame(contexts, features)
        steps = torch.arange(horizon, device=contexts.device)
        fans = torch.stack([_scaled_fan(member, frame.x, steps) for member in members])
        unit = frame.sigma[:, -1, None, None] * (steps + 1).sqrt()[:, None]
        quantiles = (fans.double().mean(dim=0) * unit).cpu().numpy()
        middle = list(levels).index(0.5)
        medians = fans[..., middle].double() * unit[..., 0]
        spread = medians.std(dim=0, correction=0).cpu().numpy() if len(members) > 1 else None
    if calibration is not None:
        quantiles = calibrate(quantiles, calibration)
    return Forecast(quantiles[..., middle], quantiles, tuple(levels), spread)


def _scaled_fan(member: nn.Module, x: Tensor, steps: Tensor) -> Tensor:
    """(N, L, F) -> (N, H, Q) in units of volatility times sqrt(step)."""
    member.eval()
    body, head = body_and_head(member)
    precision = next(member.parameters()).dtype
    scaled: Tensor = head(body(x[:, -body.reach :].to(precision))[:, -1], steps)
    return scaled


_FURTHEST_MOVE = 1e6


def recurse(
    network: nn.Module,
    contexts: Tensor,
    *,
    horizon: int,
    inputs: Sequence[int],
    scaling: str,
    fitted: Scale | None,
    rebase: bool,
    months: Tensor | None = None,
) -> Forecast:
    """Forecast from contexts (N, L, C) of raw values, on the network's device.

    A path moves at most a million-fold either way from the value at the cutoff, so that a log move
    always exists and every scaled value is a float32, however badly the network was trained.
    """
    network.eval()
    with torch.inference_mode():
        moves = _paths(network, contexts, horizon, list(inputs), scaling, fitted, rebase, months)
    return Forecast(median=np.asarray(moves.cpu().numpy(), dtype=np.float64))


def _paths(
    network: nn.Module,
    window: Tensor,
    horizon: int,
    inputs: list[int],
    scaling: str,
    fitted: Scale | None,
    rebase: bool,
    months: Tensor | None,
) -> Tensor:
    """(n, L, C) raw windows -> (n, H) log moves of column 0 from the cutoff."""
    last = last_known(window)
    low, high = last / _FURTHEST_MOVE, last * _FURTHEST_MOVE
    first = make_frame(window, scaling, fitted)
    precision = next(network.parameters()).dtype
    predicted = []
    for _ in range(horizon):
        if rebase:
            frame = make_frame(window, scaling, fitted)
            x = frame.x
        else:
            frame = first
            x = first.apply(window).nan_to_num(0.0)
        answer = network(with_season(x[:, :, inputs], months).to(precision)).double()
        row = torch.minimum(torch.maximum(frame.invert(answer), low), high)
        predicted.append(row[:, 0])
        window = torch.cat([window[:, 1:], row[:, None]], dim=1)
        if months is not None:
            months = torch.cat([months[:, 1:], next_month(months[:, -1:])], dim=1)
    return (torch.stack(predicted, dim=1) / last[:, :1]).log()
