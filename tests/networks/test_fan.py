"""Heads of fans: the correction is 0 before training; fans of version 0.2 stay ordered."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch

from lstmcli.networks.heads import QuantileFan, ScaleCorrection, step_basis
from tests.rows import for_each

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
HORIZON = 50
EVERY_LEVELS = (
    LEVELS,
    (0.5,) + LEVELS[4:],
    (0.05, 0.5, 0.6, 0.9),
    (0.1, 0.3, 0.9),
    (0.7, 0.8),
    tuple(k / 100 for k in range(1, 100)),
)


def a_fan(
    spread: float = 0.0, *, levels: Sequence[float] = LEVELS, horizon: int = HORIZON, seed: int = 0
) -> QuantileFan:
    """Return a head with normal weights of that deviation; 0 is untrained."""
    fan = QuantileFan(6, levels=levels, horizon=horizon)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in fan.parameters():
            weight.add_(spread * torch.randn(weight.shape, generator=generator))
    return fan


def states(*shape: int, size: float = 1.0, seed: int = 1) -> torch.Tensor:
    return size * torch.randn(*shape, 6, generator=torch.Generator().manual_seed(seed))


@for_each("levels", EVERY_LEVELS)
@for_each("horizon", [1, 2, 50])
@for_each("spread", [0.0, 0.5, 1e4])
@for_each("size", [1.0, 1e30])
def test_a_fan_follows_its_formula_and_is_ordered_and_finite(
    levels: tuple[float, ...], horizon: int, spread: float, size: float
) -> None:
    """The gaps between normal quantiles are scaled, and those from the middle level moved."""
    fan, x = a_fan(spread, levels=levels, horizon=horizon), states(4, 3, size=size)
    with torch.no_grad():
        found = fan(x)
        basis = fan.get_buffer("basis")
        scale, location, gaps = (
            (3 * torch.tanh(each / 3)).double()
            for each in (fan.outputs(x) @ basis.T, basis @ fan.location, basis @ fan.gaps)
        )
    normal = [NormalDist().inv_cdf(level) for level in levels]
    middle = min(range(len(levels)), key=lambda k: abs(levels[k] - 0.5))
    widths = torch.tensor(normal, dtype=torch.float64).diff() * gaps.exp()  # (H, Q - 1)
    columns = [
        normal[middle] + (widths[:, middle:k].sum(1) if k > middle else -widths[:, k:middle].sum(1))
        for k in range(len(levels))
    ]
    shape = torch.stack(columns, dim=1)
    expected = location[:, None] + scale.exp()[..., None] * shape
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    assert (found.diff(dim=-1) >= 0).all()


@for_each("chosen", [[0], [49], [3, 1, 20], list(range(50))])
def test_selected_steps_give_the_same_rows_as_all_steps(chosen: list[int]) -> None:
    fan = a_fan(0.5)
    x = states(2, 5)
    found = fan(x, torch.tensor(chosen))
    assert found.shape == (2, 5, len(chosen), len(LEVELS))
    torch.testing.assert_close(found, fan(x)[..., chosen, :])


def test_a_correction_is_zero_before_training_and_then_smooth_and_bounded() -> None:
    torch.manual_seed(0)
    head, steps = ScaleCorrection(6, horizon=HORIZON), torch.arange(HORIZON)
    assert not head(states(4), steps).any()
    (slope,) = torch.autograd.grad(head(states(4), steps).sum(), [head.outputs.weight])
    assert slope.any()  # so that training can begin
    torch.nn.init.normal_(head.outputs.weight, std=100.0)
    found = head(states(4), steps)
    assert found.abs().max() <= 3.0
    few = torch.tensor([0, 7, 49])
    torch.testing.assert_close(head(states(4), few), found[:, few])


def test_only_weights_are_stored() -> None:
    fan = a_fan()
    assert set(fan.state_dict()) == {name for name, _ in fan.named_parameters()}


@for_each(("horizon", "size"), [(1, 4), (2, 4), (3, 2), (5, 5), (50, 4), (1000, 16)])
def test_the_basis_is_orthonormal_and_begins_with_a_constant(horizon: int, size: int) -> None:
    basis = step_basis(horizon, size)
    assert basis.shape == (horizon, min(size, horizon))
    assert basis.dtype == torch.float32
    products = basis.double().T @ basis.double() / horizon
    torch.testing.assert_close(
        products, torch.eye(min(size, horizon), dtype=torch.float64), atol=1e-5, rtol=0.0
    )
    torch.testing.assert_close(basis[:, 0], torch.ones(horizon), atol=1e-5, rtol=0.0)
    assert (basis[-1] > 0).all()


def test_the_basis_spans_the_polynomials_of_the_log_of_the_step() -> None:
    basis = step_basis(HORIZON, 3).double().numpy()
    logs = np.log(np.arange(1, HORIZON + 1))
    for power in range(3):
        found = np.linalg.lstsq(basis, logs**power, rcond=None)[0]
        np.testing.assert_allclose(basis @ found, logs**power, atol=1e-5)
