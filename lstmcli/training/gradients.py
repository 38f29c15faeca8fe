"""The health of gradients: how large they are by layer, how often clipped, how far back they reach.

A recurrent network learns of early bars only as far as the gradient comes back to them (Bengio et
al. 1994; Pascanu et al. 2013).
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from lstmcli.networks.build import body_and_head
from lstmcli.training.objective import Objective


def members_of(layers: Iterable[nn.Module], weights: Sequence[nn.Parameter]) -> Tensor:
    """Say which weights belong to which layer: (B, P) of 0 and 1, on the device of the weights."""
    owned = [{id(weight) for weight in layer.parameters()} for layer in layers]
    table = [[float(id(weight) in ids) for weight in weights] for ids in owned]
    return torch.tensor(table, dtype=torch.float64, device=weights[0].device).view(-1, len(weights))


def clip_gradients(weights: Sequence[nn.Parameter], members: Tensor, clip_norm: float) -> Tensor:
    """Scale the gradients down to `clip_norm`, 0 for never; nothing waits for the device.

    weights : all that are trained. members : by layer, see `members_of`. Returns (B + 2,): the norm
    of each layer and of all together before, and 1 where it was clipped.
    """
    limit = clip_norm or math.inf
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    whole = torch.linalg.vector_norm(norms)
    nn.utils.clip_grads_with_norm_(weights, limit, whole, foreach=True)
    by_layer = (members @ norms.double().square()).sqrt()
    return torch.cat([by_layer, torch.stack([whole.double(), (whole > limit).double()])])


def gradient_kept(network: nn.Module, objective: Objective, cutoffs: Tensor) -> float:
    """Return what is left of the gradient at the first quarter of a window.

    The norm of d loss / d input over the first quarter of the rows, divided by that over the last
    quarter, for windows with one label at their end. Near 0 it vanishes on the way back, above 1 it
    grows; 0 also where there is none.
    """
    body, _ = body_and_head(network)
    seen: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(given[0].detach().requires_grad_())  # (L, N, F)
        return (*seen, *given[1:])

    network.eval()
    body.layers.train()  # cuDNN has no backward pass otherwise; dropout lies outside them
    with body.layers[0].register_forward_pre_hook(keep):
        (gradient,) = torch.autograd.grad(objective(network, cutoffs), seen)
    quarter = max(1, len(gradient) // 4)
    first, last = (part.double().norm() for part in (gradient[:quarter], gradient[-quarter:]))
    return float((first / last).nan_to_num(0.0))
