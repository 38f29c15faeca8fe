"""Networks from settings: shapes, and the number of weights by the textbook's formula."""

import itertools
from typing import Any, get_args

import torch
from torch import nn

from lstmcli.config import Model
from lstmcli.networks.build import (
    Body,
    Network,
    body_and_head,
    build_body,
    count_parameters,
    named_layers,
)
from lstmcli.networks.heads import NextStep
from tests.rows import for_each

NETWORKS = get_args(Network)


def a_body(network: Network, num_features: int = 3, **changes: Any) -> Body:
    options: dict[str, Any] = {
        "hidden_sizes": (5, 4),
        "dropout": 0.0,
        "activation": "relu",
        "kernel_size": 3,
        "forget_bias": 1.0,
        "length": 9,
    }
    return build_body(network, num_features, **(options | changes))


def expected_weights(network: Network, num_features: int, sizes: tuple[int, ...]) -> int:
    """Weights and biases of a body of these sizes over windows of 9 rows."""
    pairs = list(itertools.pairwise((num_features, *sizes)))
    gates = {"rnn": 1, "gru": 3, "lstm": 4}
    if network in gates:
        return sum(gates[network] * (a * b + b * b + 2 * b) for a, b in pairs)
    if network == "peephole":
        return sum(4 * (a * b + b * b + b) + 3 * b for a, b in pairs)
    if network == "mlp":
        return sum(a * b + b for a, b in itertools.pairwise((9 * num_features, *sizes)))
    if network == "cnn":  # two stacks of dilations 1 and 1: 1 + 2 x 2 x 2 = 9 rows
        return sum(3 * a * b + b + 3 * b * b + b for a, b in pairs)
    return 0


@for_each("network", NETWORKS)
@for_each("num_features", [1, 5])
@for_each("dense_sizes", [(), (7,)])
def test_a_network_has_the_requested_shapes_and_weights(
    network: Network, num_features: int, dense_sizes: tuple[int, ...]
) -> None:
    body = a_body(network, num_features)
    whole = nn.Sequential(body, NextStep(body.num_outputs, 2, dense_sizes=dense_sizes))
    assert whole(torch.randn(3, 9, num_features)).shape == (3, 2)
    states = body(torch.randn(2, 12, num_features))
    assert states.shape == (2, 12 if body.reach == 0 else 4, body.num_outputs)
    expected = expected_weights(network, num_features, (5, 4))
    sizes = [9 * num_features if network == "linear" else 4, *dense_sizes, 2]
    expected += sum(before * after + after for before, after in itertools.pairwise(sizes))
    assert count_parameters(whole) == expected


@for_each("network", NETWORKS)
def test_the_layers_of_a_network_hold_each_weight_once(network: Network) -> None:
    body = a_body(network)
    whole = nn.Sequential(body, NextStep(body.num_outputs, 2, dense_sizes=(3,), activation="tanh"))
    layers = named_layers(whole)
    body_layers = [] if network == "linear" else ["layer1", "layer2"]
    assert list(layers) == [*body_layers, "head"]
    assert sum(map(count_parameters, layers.values())) == count_parameters(whole)
    assert body_and_head(whole)[1] is layers["head"]


def test_the_settings_accept_exactly_the_existing_networks() -> None:
    assert get_args(Model.model_fields["network"].annotation) == (*NETWORKS, "har")


@for_each("network", NETWORKS)
def test_a_later_row_changes_no_earlier_state(network: Network) -> None:
    torch.manual_seed(0)
    body = a_body(network)
    x = torch.randn(2, 14, 3)
    changed = x.clone()
    changed[:, 11:] = 9.0
    before, after = body(x), body(changed)
    assert torch.equal(before[:, :-3], after[:, :-3])
    assert not torch.equal(before[:, -3], after[:, -3])


@for_each("network", [name for name in NETWORKS if a_body(name).reach])
def test_a_state_depends_only_on_the_rows_in_reach(network: Network) -> None:
    body = a_body(network, activation="tanh")
    assert body.reach == 9
    x = torch.randn(1, 14, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(body(x)[:, -1].square().sum(), x)
    used = (gradient[0] != 0).any(dim=1)
    assert used.tolist() == [False] * 5 + [True] * 9
    torch.testing.assert_close(body(x[:, -9:])[:, -1], body(x)[:, -1])


@for_each("network", NETWORKS)
def test_windows_in_a_batch_do_not_see_each_other(network: Network) -> None:
    body = a_body(network)
    x = torch.randn(4, 11, 3)
    alone = torch.cat([body(x[index : index + 1]) for index in range(4)])
    torch.testing.assert_close(body(x), alone)
