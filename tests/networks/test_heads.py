"""The head reads only the last state, and its output is linear."""

import torch
from torch import nn

from lstmcli.networks.heads import ACTIVATIONS, NextStep
from tests.rows import for_each


def test_without_dense_layers_the_head_is_one_linear_map_of_the_last_state() -> None:
    head = NextStep(3, 2)
    (linear,) = head.layers
    assert isinstance(linear, nn.Linear)
    states = torch.randn(4, 5, 3)
    torch.testing.assert_close(head(states), states[:, -1] @ linear.weight.T + linear.bias)


@for_each("activation", ACTIVATIONS)
def test_dense_layers_have_an_activation_and_the_output_has_none(activation: str) -> None:
    head = NextStep(3, 2, dense_sizes=(6, 5), activation=activation)
    kinds = [type(layer) for layer in head.layers]
    nonlinear = ACTIVATIONS[activation]
    assert kinds == [nn.Linear, nonlinear, nn.Linear, nonlinear, nn.Linear]
    states = torch.randn(4, 5, 3)
    changed = states.clone()
    changed[:, :-1] = 0.0
    assert head(states).shape == (4, 2)
    assert torch.equal(head(states), head(changed))
