"""A network from its settings: shapes, and the number of weights by the textbook's formula."""

import itertools

import pytest
import torch

from lstmcli.networks.build import build_next_step, count_parameters


@pytest.mark.parametrize("num_features", [1, 5])
@pytest.mark.parametrize("dense_sizes", [(), (7,)])
def test_a_network_has_the_shapes_and_weights_asked_for(
    num_features: int, dense_sizes: tuple[int, ...]
) -> None:
    network = build_next_step(
        num_features=num_features,
        num_outputs=2,
        hidden_sizes=(50, 100),
        dropout=0.2,
        dense_sizes=dense_sizes,
        activation="relu",
        forget_bias=1.0,
    )
    assert network(torch.randn(3, 9, num_features)).shape == (3, 2)
    expected = 0
    for before, after in [(num_features, 50), (50, 100)]:
        expected += 4 * (before * after + after * after + 2 * after)
    sizes = [100, *dense_sizes, 2]
    expected += sum(before * after + after for before, after in itertools.pairwise(sizes))
    assert count_parameters(network) == expected
