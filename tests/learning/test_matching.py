"""Weights from one network to another: the body with its inputs by number, the head or not."""

from typing import get_args

import torch
from torch import nn

from lstmcli.learning.transfer import take_over
from lstmcli.networks.build import Network, body_and_head, build_body
from lstmcli.networks.heads import QuantileFan
from tests.rows import for_each

LENGTH = 6


def a_network(kind: Network, num_features: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    body = build_body(
        kind,
        num_features,
        hidden_sizes=[4, 3],
        dropout=0.0,
        activation="tanh",
        kernel_size=2,
        forget_bias=1.0,
        length=LENGTH,
    )
    network = nn.Sequential(
        body, QuantileFan(body.num_outputs, levels=[0.1, 0.5, 0.9], horizon=5, basis_size=2)
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape))
    return network


@for_each("kind", get_args(Network))
def test_all_that_is_taken_over_answers_as_the_donor_does(kind: Network) -> None:
    network, donor = a_network(kind, 3, 0), a_network(kind, 3, 1)
    x = torch.randn(2, LENGTH + 2, 3)
    assert not torch.equal(network(x), donor(x))
    take_over(network, donor, [0, 1, 2], head=True)
    assert torch.equal(network(x), donor(x))


@for_each("kind", [each for each in get_args(Network) if each != "linear"])
def test_inputs_in_another_order_and_number_are_matched_one_by_one(kind: Network) -> None:
    network, donor = a_network(kind, 3, 0), a_network(kind, 4, 1)
    drawn = [weight.clone() for weight in body_and_head(network)[1].parameters()]
    take_over(network, donor, [2, None, 0], head=False)
    x = torch.randn(2, LENGTH + 2, 4)
    x[..., [1, 3]] = 0.0
    seen = torch.stack([x[..., 2], x[..., 1], x[..., 0]], dim=-1)
    own, theirs = (body_and_head(each)[0] for each in (network, donor))
    torch.testing.assert_close(own(seen), theirs(x))
    assert all(map(torch.equal, drawn, body_and_head(network)[1].parameters()))


def test_the_weights_of_a_new_input_stay_as_they_were_drawn() -> None:
    network, donor = a_network("lstm", 3, 0), a_network("lstm", 2, 1)
    before = next(network.parameters()).clone()
    take_over(network, donor, [None, 1, None], head=False)
    after = next(network.parameters())
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    assert torch.equal(after[:, 1], next(donor.parameters())[:, 1])
    take_over(network, donor, [None] * 3, head=False)
    assert torch.equal(next(network.parameters()), after)
