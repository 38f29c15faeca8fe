"""Losses that pass over missing targets."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def point_loss(predicted: Tensor, target: Tensor, name: str = "mse") -> Tensor:
    """Mean loss over the targets that are finite, both (N, C); a scalar.

    `huber` is quadratic up to 1 and linear beyond (Huber 1964). Targets that are NaN (a volume
    that was never recorded) count for nothing, without a data-dependent shape.
    """
    known = target.isfinite()
    each = _LOSSES[name](predicted, target.where(known, predicted.detach()), reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def pinball_loss(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean quantile loss over the levels (Koenker & Bassett 1978), (..., Q) and (...) -> (...)."""
    over = target[..., None] - quantiles
    return torch.maximum(levels * over, (levels - 1) * over).mean(dim=-1)
