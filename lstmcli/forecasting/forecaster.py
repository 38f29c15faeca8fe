"""Forecasts of a trained model from the cutoffs of any number of series, in batches.

`_har_fan` forecasts all steps at once; `_recurse` predicts the next row and appends it to the
window, step by step.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lstmcli.arrays import Floats, Ints
from lstmcli.dataset.scaling import last_known, make_frame, next_month, with_season
from lstmcli.dataset.series import Series
from lstmcli.dataset.volatility import volatility_frame
from lstmcli.dataset.windows import (
    context_extras,
    context_months,
    contexts,
    flat_cutoffs,
    join,
    with_extras,
)
from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting.calibration import calibrate
from lstmcli.forecasting.forecast import Forecast, join_forecasts
from lstmcli.forecasting.har import Har, har_inputs
from lstmcli.forecasting.model import TrainedModel, location_of, log_ranges
from lstmcli.networks.build import body_and_head

# Windows per batch. On a CPU more are no faster, and 512 took up to 150 MB more, because the memory
# blocks that one step of a path frees do not fit the next step.
_BATCH = {"cpu": 64, "cuda": 512}
_FURTHEST_MOVE = 1e6


def forecast(
    model: TrainedModel,
    series: Sequence[Series],
    cutoffs: Sequence[Ints],
    *,
    horizon: int | None = None,
    batch_size: int | None = None,
) -> Forecast:
    """Forecast `horizon` steps (default: the trained horizon) from each series' cutoff rows.

    The N forecasts are in the order of the series, then of their cutoffs. Each depends only on rows
    up to and including its cutoff: the network reads the last `context_length` rows, the linear fan
    all of them. If a cutoff has fewer rows than the network needs, the linear fan is used alone.
    batch_size : windows per batch, by default chosen for the device.

    Raises DataError if a cutoff has too few rows before it, UsageError if the horizon exceeds that
    of the fan.
    """
    window = model.settings.window
    for each, rows in zip(series, cutoffs, strict=True):
        if rows.min(initial=model.fewest_rows) < model.fewest_rows - 1:
            raise DataError(
                f"needs {model.fewest_rows} rows up to a cutoff, has {rows.min() + 1}",
                where=each.symbol,
                next_step="Give a longer series.",
            )
    steps, direct = horizon or window.horizon, model.settings.model.head == "direct"
    if direct and steps > window.horizon:
        raise UsageError(
            "the horizon is too long",
            where=f"--horizon {steps}",
            why=f"this model forecasts at most {window.horizon} steps",
            next_step="Train with --set window.horizon=N.",
        )
    batch_size = batch_size or _BATCH[model.device.type]
    if model.har is not None:
        return _har_fan(model, model.har, series, cutoffs, steps, batch_size)
    windows = join(
        series, season="month" in window.features, inputs=window.inputs, fitted=model.inputs
    ).to(model.device)
    index = flat_cutoffs(windows, cutoffs).to(model.device)

    def forecast_batch(batch: Tensor) -> Forecast:
        raw = contexts(windows, batch, window.context_length)
        if direct:
            return _fan(model, raw, steps)
        months = context_months(windows, batch, window.context_length)
        extras = context_extras(windows, batch, window.context_length, ahead=steps)
        return _recurse(model, raw, months, extras, inputs=series[0].inputs, horizon=steps)

    return join_forecasts(map(forecast_batch, torch.split(index, batch_size)), len(index))


def forecast_alike(
    model: TrainedModel,
    series: Sequence[Series],
    cutoffs: Sequence[Ints],
    *,
    horizon: int | None = None,
) -> Forecast:
    """Forecast with results that are bit-identical whatever other cutoffs are in the call.

    The last bits of a matrix product depend on the number of rows and on the position of a row.
    Therefore the network computes in float64 and the results are rounded to float32, the precision
    of its weights.
    """

    def rounded(values: Floats) -> Floats:
        return values.astype(np.float32).astype(np.float64)

    exact = replace(model, network=deepcopy(model.network).double())
    made = forecast(exact, series, cutoffs, horizon=horizon)
    return replace(
        made,
        median=rounded(made.median),
        quantiles=None if made.quantiles is None else rounded(np.asarray(made.quantiles)),
        spread=None if made.spread is None else rounded(made.spread),
    )


def _har_fan(
    model: TrainedModel,
    har: Har,
    series: Sequence[Series],
    cutoffs: Sequence[Ints],
    horizon: int,
    batch_size: int,
) -> Forecast:
    """Forecast from the linear fan and the network's correction of its scale."""
    settings, window = model.settings, model.settings.window
    length = window.context_length
    scales, locations = [], []
    for each, rows in zip(series, cutoffs, strict=True):
        inputs, sigma = har_inputs(each.log_prices, log_ranges(each, settings), rows)
        scales.append(har.scale(inputs, sigma)[:, :horizon])
        locations.append(np.full(len(rows), location_of(har, each.symbol, settings)))
    scale, spread = np.concatenate(scales), None
    if settings.model.network != "har":
        # Each member's factor on the scale of each cutoff and step, (members, N, n). It stays 1 for
        # cutoffs with fewer rows than the network reads.
        factors = np.ones((len(model.members), *scale.shape))
        known = np.concatenate([rows >= length - 1 for rows in cutoffs])
        windows = join(series, inputs=window.inputs, fitted=model.inputs).to(model.device)
        index = flat_cutoffs(windows, cutoffs)[torch.from_numpy(known)].to(model.device)
        found = []
        with torch.inference_mode():
            for batch in torch.split(index, batch_size):
                raw = contexts(windows, batch, length)
                extras = context_extras(windows, batch, length)
                read = with_extras(volatility_frame(raw, window.bars).x, extras)
                found.append(_answers(model, read, horizon).double().exp().cpu().numpy())
        factors[:, known] = np.concatenate(found, axis=1)
        mean = factors.mean(axis=0)
        scale *= mean
        spread = factors.std(axis=0) / mean if len(factors) > 1 else None
    made = har.forecast(scale, np.concatenate(locations))
    if spread is not None:
        made = replace(made, spread=spread * np.abs(made.median))
    if model.calibration is None:
        return made
    return replace(made, quantiles=calibrate(np.asarray(made.quantiles), model.calibration))


def _answers(model: TrainedModel, read: Tensor, horizon: int) -> Tensor:
    """Return the output of each member's head for rows (N, M, F): (members, N, n, ...)."""
    found, steps = [], torch.arange(horizon, device=read.device)
    for member in model.members:
        member.eval()
        body, head = body_and_head(member)
        x = read[:, -body.reach :].to(next(member.parameters()).dtype)
        found.append(head(body(x)[:, -1], steps))
    return torch.stack(found)


def _fan(model: TrainedModel, contexts: Tensor, horizon: int) -> Forecast:
    """Forecast `horizon` steps with a version 0.2 fan, from contexts (N, L, C) of raw values."""
    with torch.inference_mode():
        frame = volatility_frame(contexts, model.settings.window.features)
        fans = _answers(model, frame.x, horizon)  # (members, N, H, Q), see `unit`
        steps = torch.arange(1, horizon + 1, device=contexts.device)
        unit = frame.sigma[:, -1, None, None] * steps.sqrt()[:, None]
        quantiles = (fans.double().mean(dim=0) * unit).cpu().numpy()
        middle = model.levels.index(0.5)
        medians = fans[..., middle].double() * unit[..., 0]
        spread = medians.std(dim=0, correction=0).cpu().numpy() if len(fans) > 1 else None
    if model.calibration is not None:
        quantiles = calibrate(quantiles, model.calibration)
    return Forecast(quantiles[..., middle], quantiles, model.levels, spread)


def _recurse(
    model: TrainedModel,
    contexts: Tensor,
    months: Tensor | None,
    extras: Tensor | None,
    *,
    inputs: Sequence[int],
    horizon: int,
) -> Forecast:
    """Forecast step by step from contexts (N, L, C) of raw values, on the network's device.

    months : (N, L) of their rows; None if the network does not read them. extras : (N, L + horizon,
    E) own inputs, for future bars as known at the cutoff. inputs : the columns the network reads.

    A path moves at most by a factor of a million from the value at the cutoff. So log moves are
    finite and scaled values fit into float32, however badly the network was trained.
    """
    network, settings = model.network, model.settings.window
    network.eval()
    precision = next(network.parameters()).dtype
    window, predicted = contexts, []
    with torch.inference_mode():
        last = last_known(contexts)
        low, high = last / _FURTHEST_MOVE, last * _FURTHEST_MOVE
        frame = make_frame(contexts, settings.scaling, model.fitted)
        for moved in range(horizon):
            if settings.rebase:
                frame = make_frame(window, settings.scaling, model.fitted)
            x = frame.x if settings.rebase else frame.apply(window).nan_to_num(0.0)
            x = with_season(x[:, :, list(inputs)], months)
            if extras is not None:
                x = with_extras(x, extras[:, : contexts.shape[1] + moved])
            answer = network(x.to(precision)).double()
            row = torch.minimum(torch.maximum(frame.invert(answer), low), high)
            predicted.append(row[:, 0])
            window = torch.cat([window[:, 1:], row[:, None]], dim=1)
            if months is not None:
                months = torch.cat([months[:, 1:], next_month(months[:, -1:])], dim=1)
        moves = (torch.stack(predicted, dim=1) / last[:, :1]).log()
    return Forecast(median=np.asarray(moves.cpu().numpy(), dtype=np.float64))
