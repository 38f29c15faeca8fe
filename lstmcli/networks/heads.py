"""Heads, which turn the states of a body into the next row or quantiles."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}


class NextStep(nn.Module):
    """(N, L, D) -> (N, C): the next scaled row, from the state after the last row.

    Optional dense layers with an activation come before the linear output.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        dense_sizes: Sequence[int] = (),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers, num_inputs = dense_layers(num_inputs, dense_sizes, activation)
        self.layers = nn.Sequential(*layers, nn.Linear(num_inputs, num_outputs))

    def forward(self, states: Tensor) -> Tensor:
        return self.at(states[:, -1])

    def at(self, states: Tensor) -> Tensor:
        """Predict the row after each state, (..., D) -> (..., C)."""
        answer: Tensor = self.layers(states)
        return answer


def dense_layers(
    num_inputs: int, sizes: Sequence[int], activation: str
) -> tuple[list[nn.Module], int]:
    """Return linear layers with an activation after each, and the size of the last."""
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Linear(num_inputs, size), ACTIVATIONS[activation]()]
        num_inputs = size
    return layers, num_inputs


def start_dense(layer: nn.Module) -> None:
    """Initialise a linear or convolutional layer as He et al. 2015; biases are zero."""
    nn.init.kaiming_uniform_(layer.get_parameter("weight"), nonlinearity="relu")
    nn.init.zeros_(layer.get_parameter("bias"))


_FURTHEST = 3.0  # bound: a scale of 20 or 1/20, a location of three deviations


class ScaleCorrection(nn.Module):
    """(..., D) -> (..., n): a correction to the log scale of n steps; 0 before training.

    basis_size : number of polynomials over the horizon. dense_sizes : dense layers with an
    activation between the state and the output.
    """

    def __init__(
        self,
        num_inputs: int,
        *,
        horizon: int,
        basis_size: int = 4,
        dense_sizes: Sequence[int] = (),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.register_buffer("basis", step_basis(horizon, basis_size), persistent=False)
        layers, num_inputs = dense_layers(num_inputs, dense_sizes, activation)
        self.layers = nn.Sequential(*layers)
        self.outputs = nn.Linear(num_inputs, self.get_buffer("basis").shape[1])
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(self, states: Tensor, steps: Tensor | None = None) -> Tensor:
        """Return the corrections for some steps, (n,) counted from 0; all steps if None."""
        basis = self.get_buffer("basis")
        basis = basis if steps is None else basis[steps]
        return _bounded(self.outputs(self.layers(states)) @ basis.T)


class QuantileFan(ScaleCorrection):
    """(..., D) -> (..., n, Q): quantiles of the log move over each of n steps, divided by
    volatility times sqrt(step). The head of models of version 0.2 and before, kept to load them.

    levels : the Q probability levels, ascending. rest : as for `ScaleCorrection`.
    """

    def __init__(self, num_inputs: int, *, levels: Sequence[float], **rest: Any) -> None:
        super().__init__(num_inputs, **rest)
        self.size = self.outputs.out_features
        normal = [NormalDist().inv_cdf(level) for level in levels]
        # Compute on the CPU even if the network is on the meta device, where this arithmetic would
        # import PyTorch's compiler, which takes seconds.
        gaps = torch.tensor(normal, device="cpu").diff().log()
        self.register_buffer("normal_gaps", gaps, persistent=False)
        self.middle = min(range(len(levels)), key=lambda index: abs(levels[index] - 0.5))
        self.offset = normal[self.middle]
        self.gaps = nn.Parameter(torch.zeros(self.size, len(levels) - 1))
        self.location = nn.Parameter(torch.zeros(self.size))

    def forward(self, states: Tensor, steps: Tensor | None = None) -> Tensor:
        """Return quantiles for some steps, (n,) counted from 0; the whole horizon if None."""
        basis = self.get_buffer("basis")
        basis = basis if steps is None else basis[steps]
        location = _bounded(basis @ self.location)
        scale = super().forward(states, steps).exp()
        return location[..., None] + scale[..., None] * self.shape(basis)

    def shape(self, basis: Tensor) -> Tensor:
        """Return the distance of each level from the middle one at a scale of 1, (n, Q)."""
        gaps = (self.get_buffer("normal_gaps") + _bounded(basis @ self.gaps)).exp()
        distance = torch.cat([torch.zeros_like(gaps[:, :1]), gaps.cumsum(dim=1)], dim=1)
        return distance - distance[:, self.middle, None] + self.offset


def step_basis(horizon: int, size: int) -> Tensor:
    """Return orthogonal polynomials of the log of the step, (H, K); the first is constant 1."""
    logs = torch.arange(1, horizon + 1, dtype=torch.float64, device="cpu").log()
    powers = torch.stack([(logs - logs.mean()) ** k for k in range(min(size, horizon))], dim=1)
    orthogonal, _ = torch.linalg.qr(powers)
    signs = torch.where(orthogonal[-1] < 0, -1.0, 1.0)
    basis: Tensor = orthogonal * signs * math.sqrt(horizon)
    return basis.float()


def _bounded(values: Tensor) -> Tensor:
    """Bound values to +-3, nearly unchanged within +-1; unlike a clamp, this has a gradient."""
    bounded: Tensor = _FURTHEST * torch.tanh(values / _FURTHEST)
    return bounded
