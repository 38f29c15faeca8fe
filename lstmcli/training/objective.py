"""Training objectives: the loss of a network on a batch of cutoffs.

Losses ignore missing targets (a volume that was never recorded).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmcli.dataset.scaling import Scale, fit_batch_scale, make_frame, with_season
from lstmcli.dataset.volatility import LARGEST_LOG, volatility_frame
from lstmcli.dataset.windows import (
    Windows,
    context_extras,
    context_months,
    contexts,
    futures,
    with_extras,
)
from lstmcli.networks.build import body_and_head
from lstmcli.networks.heads import NextStep
from lstmcli.networks.recurrent import Recurrent, State
from lstmcli.training.group import ALONE, Group

Objective = Callable[[nn.Module, Any], Tensor]
"""(network, batch) -> scalar loss. A batch is flat cutoff rows (N,), or Lanes.

In a group of processes it is this process's part of the loss, from its share of the batch."""


@dataclass(frozen=True)
class Lanes:
    """The next chunk of each of N series, which continues the previous chunk.

    ends : (N,) flat row at which the chunk ends, if the series is long enough.
    lasts : (N,) flat row of the last bar of each series that may be read and labelled.
    first : whether this is the first chunk. Otherwise lane i continues lane i of the previous
        batch, which may have had more lanes after these.
    """

    ends: Tensor
    lasts: Tensor
    first: bool

    def __len__(self) -> int:
        return len(self.ends)


def next_step_objective(
    windows: Windows,
    *,
    context_length: int,
    inputs: Sequence[int],
    scaling: str,
    fitted: Scale | None,
    loss: str,
    group: Group = ALONE,
    burn_in: int | None = None,
) -> Objective:
    """Return the loss of predicting the row after the cutoff in the window's own scale.

    burn_in : in training, also predict the row after every later row of the window, in one pass.
        The scale must not depend on those rows, so it must be `relative`.
    """
    columns = list(inputs)
    device, labelled = windows.values.device, None
    if burn_in is not None:
        labelled = torch.arange(burn_in - context_length + 1, 1, device=device)

    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        # Train with the batch's own mean and deviation; score and forecast with the fitted ones.
        batch = None if scaling == "batch" and network.training else fitted
        if group.size > 1:
            if scaling == "batch" and batch is None:
                batch = fit_batch_scale(contexts(windows, cutoffs, context_length))
            cutoffs = group.share(cutoffs)
        frame = make_frame(contexts(windows, cutoffs, context_length), scaling, batch)
        target = frame.apply(futures(windows, cutoffs, 1)[:, 0])
        months = context_months(windows, cutoffs, context_length)
        x = with_season(frame.x[:, :, columns], months)
        x = with_extras(x, context_extras(windows, cutoffs, context_length))
        if labelled is None or not network.training:
            return point_loss(network(x), target.float(), loss, group)
        body, head = body_and_head(network)
        assert isinstance(head, NextStep)
        after = cutoffs[:, None] + labelled + 1  # (N, S)
        targets = frame.apply(windows.values[after]).float()
        return point_loss(head.at(body(x)[:, -len(labelled) :]), targets, loss, group)

    return objective


@dataclass(frozen=True)
class Floor:
    """The linear fan that a network corrects, for each of R flat rows; H steps, Q levels.

    design : (R, 1 + P) float32 regressors. coefficients : (H, 1 + P) of the log scale in units of
    sigma * sqrt(step). sigma : (R,) float64, NaN if unknown. location : (R,) mean move of one step
    divided by its scale. table : (H, Q) quantiles around the location.
    """

    design: Tensor
    coefficients: Tensor
    sigma: Tensor
    location: Tensor
    table: Tensor


def fan_objective(
    windows: Windows,
    floor: Floor,
    parts: Tensor,
    typical: Tensor,
    *,
    features: Sequence[str],
    levels: Sequence[float],
    chunk_length: int,
    burn_in: int,
    steps_per_batch: int,
    volatility_weight: float,
    precision: str,
    generator: torch.Generator,
    group: Group = ALONE,
) -> Objective:
    """Return the loss of chunks, given by the flat row of their last bar, (N,), or of Lanes.

    parts : (R,) the part of each flat row as a cutoff: 0 none, 1 train, 2 validate. Only bars in
        the same part as the last bar of their chunk are labelled.
    typical : (R,) the average volatility of each row's series.
    steps_per_batch : number of steps of the horizon that `generator`, on the device of the rows,
        samples for each training batch; validation uses all.
    volatility_weight : weight labels by (volatility / typical volatility) to this power. With 1
        errors count as in prices, with 0 as in units of volatility. All series have equal weight.
    """
    device, horizon = windows.values.device, len(floor.table)
    log_prices = windows.values[:, 0].log()
    targets = torch.tensor(levels, device=device, dtype=torch.float32)
    every_step = torch.arange(horizon, device=device)
    bars = torch.arange(1 - chunk_length, 1, device=device)
    last_row = len(log_prices) - 1

    kept: State = []  # state of the lanes between chunks; shuffled samples start at zero

    def objective(network: nn.Module, batch: Tensor | Lanes) -> Tensor:
        nonlocal kept
        before = None
        if isinstance(batch, Tensor):
            ends = lasts = group.share(batch)
        else:
            ends, lasts = group.share(batch.ends), group.share(batch.lasts)
            if not batch.first:
                before = [tuple(each[:, : len(ends)] for each in layer) for layer in kept]
        rows = ends[:, None] + bars
        inside = (rows <= lasts[:, None])[:, burn_in:]
        # Pad beyond the end of a series with its last bar, unlabelled.
        rows = rows.minimum(lasts[:, None])
        frame = volatility_frame(windows.values[rows], features)
        steps = every_step
        if network.training and steps_per_batch < horizon:
            drawn = torch.randperm(horizon, generator=generator, device=device)
            steps = drawn[:steps_per_batch]
        body, head = body_and_head(network)
        whole = with_extras(frame.x, None if windows.extras is None else windows.extras.at(rows))
        # The state of a lane already covers the burn-in. A row of x is a return: one row fewer.
        x = whole if before is None else whole[:, burn_in - 1 :]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            states, after = (
                body.read_on(x, before) if isinstance(body, Recurrent) else (body(x), [])
            )
        if isinstance(batch, Lanes):
            kept = [tuple(each.detach() for each in layer) for layer in after]
        cutoffs = rows[:, burn_in:]  # (N, S)
        correction = head(states[:, -cutoffs.shape[1] :].float(), steps)  # (N, S, n)
        logs = (floor.design[cutoffs] @ floor.coefficients[steps].T).clamp(
            -LARGEST_LOG, LARGEST_LOG
        )
        ahead = (cutoffs[..., None] + steps + 1).clamp(max=last_row)
        moves = log_prices[ahead] - log_prices[cutoffs][..., None]
        sigma, root = floor.sigma[cutoffs], (steps + 1).sqrt()
        scaled = (moves / (sigma[..., None] * root)).float().nan_to_num(0.0)
        labelled = inside & (parts[cutoffs] == parts[lasts][:, None]) & sigma.isfinite()
        unusual = (sigma / typical[lasts][:, None]).float().nan_to_num(0.0)
        weights = labelled * unusual**volatility_weight
        losses = fan_loss(
            correction + logs, floor.table[steps], floor.location[cutoffs], root, scaled, targets
        )
        return (losses.mean(dim=-1) * weights).sum() / group.add(weights.sum())

    return objective


class _FanLoss(torch.autograd.Function):
    """The pinball loss of a scaled table, with its derivative in closed form.

    It handles one step at a time, so that arrays over all levels stay in the processor's cache and
    need not be saved for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        log_scale, table, location, root, target, levels = given
        losses, slopes = torch.empty_like(log_scale), torch.empty_like(log_scale)
        for k in range(log_scale.shape[-1]):
            unscaled = table[k] + (location * root[k])[..., None]  # (..., Q)
            quantiles = log_scale[..., k, None].exp() * unscaled
            excess = quantiles - target[..., k, None]
            side = (excess > 0).to(excess.dtype).sub_(levels)
            losses[..., k] = excess.mul_(side).mean(dim=-1)
            slopes[..., k] = quantiles.mul_(side).mean(dim=-1)
        ctx.save_for_backward(slopes)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return gradients[0] * slopes, None, None, None, None, None


def fan_loss(
    log_scale: Tensor,
    table: Tensor,
    location: Tensor,
    root: Tensor,
    target: Tensor,
    levels: Tensor,
) -> Tensor:
    """Return the mean quantile loss over the levels (Koenker & Bassett 1978), (..., n).

    The quantiles are exp(log_scale) * (table + location * root).

    log_scale, target : (..., n). table : (n, Q). location : (...). root : (n,). levels : (Q,).
    """
    found: Tensor = _FanLoss.apply(log_scale, table, location, root, target, levels)  # type: ignore[no-untyped-call]
    return found


_LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def point_loss(
    predicted: Tensor, target: Tensor, name: str = "mse", group: Group = ALONE
) -> Tensor:
    """Return the mean loss over the finite targets, a scalar; predicted and target : (N, C).

    `huber` is quadratic up to 1 and linear beyond (Huber 1964). NaN targets are masked rather than
    removed, so that shapes do not depend on the data and nothing waits for a GPU.
    """
    known = target.isfinite()
    each = _LOSSES[name](predicted, target.where(known, predicted.detach()), reduction="none")
    return (each * known).sum() / group.add(known.sum()).clamp(min=1)
