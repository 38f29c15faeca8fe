"""Losses against loops over the known targets."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.training.objective import point_loss
from tests.rows import for_each

LOSSES = {
    "mse": lambda error: error**2,
    "mae": abs,
    "huber": lambda error: error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5,
}
numbers = st.floats(-5, 5, width=32)


@pytest.mark.parametrize("name", LOSSES)
@given(pairs=st.lists(st.tuples(numbers, st.one_of(numbers, st.just(math.nan))), min_size=1))
def test_a_loss_is_the_mean_over_the_known_targets(
    name: str, pairs: list[tuple[float, float]]
) -> None:
    predicted = torch.tensor([[pair[0]] for pair in pairs], dtype=torch.float64)
    target = torch.tensor([[pair[1]] for pair in pairs], dtype=torch.float64)
    errors = [LOSSES[name](p - t) for p, t in pairs if not math.isnan(t)]
    expected = sum(errors) / len(errors) if errors else 0.0
    assert point_loss(predicted, target, name).item() == pytest.approx(expected, rel=1e-12)


@for_each("name", LOSSES)
def test_a_missing_target_gives_no_gradient(name: str) -> None:
    predicted = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    target = torch.tensor([[0.5, math.nan], [math.inf, -math.inf]])
    point_loss(predicted, target, name).backward()
    assert predicted.grad is not None
    assert predicted.grad[0, 0] != 0
    assert predicted.grad.flatten()[1:].tolist() == [0.0, 0.0, 0.0]


@for_each("name", LOSSES)
def test_a_batch_without_targets_has_zero_loss(name: str) -> None:
    predicted = torch.ones(2, 1, requires_grad=True)
    loss = point_loss(predicted, torch.full((2, 1), math.nan), name)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() == 0
