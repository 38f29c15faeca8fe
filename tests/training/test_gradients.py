"""Gradient norms against sums by hand, and a gradient that fades at a known rate."""

import math

import pytest
import torch
from torch import Tensor, nn

from lstmcli.networks.build import named_layers
from lstmcli.networks.heads import NextStep
from lstmcli.networks.recurrent import Recurrent
from lstmcli.training.loop import clip_gradients, gradient_kept, members_of
from tests.rows import for_each


def a_network() -> nn.Module:
    return nn.Sequential(Recurrent(2, (4, 3)), NextStep(3, 1, dense_sizes=(5,), activation="tanh"))


def with_gradients(network: nn.Module, scale: float = 1.0) -> list[nn.Parameter]:
    weights = list(network.parameters())
    for weight in weights:
        weight.grad = scale * torch.randn(weight.shape)
    return weights


@for_each("clip_norm", [0.0, 0.5, 1e6])
def test_the_norm_of_a_layer_covers_all_its_weights_before_clipping(clip_norm: float) -> None:
    network = a_network()
    weights, layers = with_gradients(network), named_layers(network)
    before = {id(weight): weight.grad.clone() for weight in weights if weight.grad is not None}
    expected = [
        math.sqrt(sum(before[id(each)].double().square().sum() for each in layer.parameters()))
        for layer in layers.values()
    ]
    whole = math.hypot(*expected)
    *norms, norm, clipped = clip_gradients(
        weights, members_of(layers.values(), weights), clip_norm
    ).tolist()
    assert norms == pytest.approx(expected)
    assert norm == pytest.approx(whole)
    assert clipped == (clip_norm == 0.5)
    for weight in weights:
        factor = clip_norm / whole if clipped else 1.0
        torch.testing.assert_close(weight.grad, before[id(weight)] * factor)


def fading(factor: float) -> nn.Module:
    """A simple RNN of one unit that keeps `factor` of its state, small enough to be linear."""
    body = Recurrent(1, (1,), cell="rnn")
    with torch.no_grad():
        body.layers[0].get_parameter("weight_ih_l0").fill_(1e-4)
        body.layers[0].get_parameter("weight_hh_l0").fill_(factor)
    return nn.Sequential(body, NextStep(body.num_outputs, 1))


def last_answer(network: nn.Module, windows: Tensor) -> Tensor:
    answer: Tensor = network(windows).sum()
    return answer


@for_each("factor", [0.5, 0.9, 1.1])
def test_the_kept_gradient_is_the_product_of_the_factors_of_the_bars_between(factor: float) -> None:
    """Row t of 40 holds factor^(39 - t): first and last quarter lie 30 rows apart."""
    found = gradient_kept(fading(factor), last_answer, torch.randn(3, 40, 1))
    assert found == pytest.approx(factor**30, rel=1e-3)


def test_the_kept_gradient_is_zero_without_a_gradient() -> None:
    assert gradient_kept(fading(0.0), last_answer, torch.randn(3, 40, 1)) == 0.0
    network = fading(0.9)
    nn.init.zeros_(network[1].layers[0].weight)  # type: ignore[index]
    assert gradient_kept(network, last_answer, torch.randn(3, 40, 1)) == 0.0


def test_measuring_changes_no_weight_no_gradient_and_no_random_state() -> None:
    body = Recurrent(1, (4, 3), dropout=0.5)
    network = nn.Sequential(body, NextStep(body.num_outputs, 1))
    windows = torch.randn(3, 20, 1)
    state = torch.get_rng_state()
    first = gradient_kept(network, last_answer, windows)
    assert gradient_kept(network, last_answer, windows) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in network.parameters())
    assert not body.layers[0]._forward_pre_hooks
