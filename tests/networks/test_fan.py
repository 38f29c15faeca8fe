"""Heads of fans: the correction is 0 before training; fans of version 0.2 stay ordered."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
def test_untrained_it_is_the_normal_cone_for_any_state(
    levels: tuple[float, ...], horizon: int
) -> None:
    fan = a_fan(levels=levels, horizon=horizon)
    found = fan(states(4, 3, size=100.0))
    assert found.shape == (4, 3, horizon, len(levels))
    normal = torch.tensor([NormalDist().inv_cdf(level) for level in levels])
    torch.testing.assert_close(found, normal.expand_as(found), atol=2e-5, rtol=0.0)


@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.1, 1.0, 10.0, 1e4]),
    size=st.sampled_from([0.0, 1.0, 1e3, 1e30]),
    levels=st.sampled_from(EVERY_LEVELS),
    horizon=st.integers(1, 60),
)
def test_quantiles_never_cross_and_are_always_finite(
    seed: int, spread: float, size: float, levels: tuple[float, ...], horizon: int
) -> None:
    fan = a_fan(spread, levels=levels, horizon=horizon, seed=seed)
    with torch.no_grad():
        found = fan(states(3, size=size, seed=seed))
    assert found.isfinite().all()
    assert (found.diff(dim=-1) >= 0).all()
    if len(levels) < 99:
        assert (found.diff(dim=-1) > 0).all()


def test_the_fan_is_smooth_in_the_step() -> None:
    fan = a_fan(0.5)
    with torch.no_grad():
        found = fan(states(8)).double()
    # The log of every gap is the sum of two softly bounded cubics of the log of the step.
    spread = found.diff(dim=-1).log()
    powers = np.log(np.arange(1, HORIZON + 1))[:, None] ** np.arange(4)
    with torch.no_grad():
        scale = fan.outputs(states(8))[:, : fan.size] @ fan.get_buffer("basis").T
        gap = fan.get_buffer("basis") @ fan.gaps
    logs = 3 * torch.tanh(scale / 3)[..., None] + 3 * torch.tanh(gap / 3)
    logs = logs + fan.get_buffer("normal_gaps")
    torch.testing.assert_close(spread, logs.double(), atol=1e-4, rtol=1e-4)
    for curve in (*scale.double().numpy(), *gap.T.double().numpy()):
        fitted = powers @ np.linalg.lstsq(powers, curve, rcond=None)[0]
        np.testing.assert_allclose(curve, fitted, atol=1e-5)


def test_the_state_moves_the_scale_and_never_the_median() -> None:
    fan = a_fan(0.5)
    found = fan(states(8, size=10.0))
    median = found[..., LEVELS.index(0.5)]
    torch.testing.assert_close(median, median[:1].expand_as(median))
    width = found[..., -1] - found[..., 0]
    assert (width.std(dim=0) > 0).all()


@for_each("chosen", [[0], [49], [3, 1, 20], list(range(50))])
def test_a_choice_of_steps_gives_the_same_rows_as_all(chosen: list[int]) -> None:
    fan = a_fan(0.5)
    x = states(2, 5)
    found = fan(x, torch.tensor(chosen))
    assert found.shape == (2, 5, len(chosen), len(LEVELS))
    torch.testing.assert_close(found, fan(x)[..., chosen, :])


def test_the_answer_at_a_bar_depends_on_its_state_alone() -> None:
    fan = a_fan(0.5)
    x = states(2, 5)
    torch.testing.assert_close(fan(x)[:, 3], fan(x[:, 3]))


def test_an_extreme_scale_still_has_a_gradient() -> None:
    fan = a_fan()
    with torch.no_grad():
        fan.outputs.bias[0] = 10.0
    fan(states(2)).square().mean().backward()
    assert fan.outputs.bias.grad is not None
    assert fan.outputs.bias.grad[0] != 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_scale_and_location_stay_within_their_bounds(sign: int) -> None:
    fan = a_fan()
    with torch.no_grad():
        fan.outputs.bias[0] = fan.location[0] = sign * 1e9
    found = fan(states(1))[0]
    middle = LEVELS.index(0.5)
    torch.testing.assert_close(found[:, middle], torch.full((HORIZON,), 3.0 * sign))
    width = found[:, -1] - found[:, 0]
    expected = math.exp(3.0 * sign) * 2 * NormalDist().inv_cdf(0.975)
    torch.testing.assert_close(width, torch.full((HORIZON,), expected), atol=0.0, rtol=1e-4)


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
