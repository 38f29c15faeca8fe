"""The parts of a network: a body and a head, the two children of an `nn.Sequential`.

A body turns rows into states, (N, L, F) -> (N, M, D), those after the last M of the L rows: after
all of them where it is recurrent, after those with a whole window behind them where it is not.
`reach` is the number of rows that a state is made of, 0 for all before it; `num_outputs` is D.
"""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from lstmcli.networks.feedforward import Convolutions, Window
from lstmcli.networks.recurrent import Recurrent

Network = Literal["lstm", "rnn", "gru", "peephole", "cnn", "mlp", "linear"]
Body = Recurrent | Convolutions | Window


def build_body(
    network: Network,
    num_features: int,
    *,
    hidden_sizes: Sequence[int],
    dropout: float,
    activation: str,
    kernel_size: int,
    forget_bias: float,
    length: int,
) -> Body:
    """Return a body with random weights; `length` is the rows that one without memory may see."""
    if network == "linear":
        return Window(num_features, length=length)
    if network == "mlp":
        return Window(
            num_features, hidden_sizes, length=length, activation=activation, dropout=dropout
        )
    if network == "cnn":
        return Convolutions(
            num_features,
            hidden_sizes,
            length=length,
            kernel_size=kernel_size,
            activation=activation,
            dropout=dropout,
        )
    return Recurrent(
        num_features, hidden_sizes, cell=network, dropout=dropout, forget_bias=forget_bias
    )


def body_and_head(network: nn.Module) -> tuple[Body, nn.Module]:
    """Return the two parts of one network."""
    body, head = network.children()
    assert isinstance(body, Recurrent | Convolutions | Window)
    return body, head


def named_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the parts of one network by name: layer1, layer2, ... of the body, and the head."""
    body, head = body_and_head(network)
    return {f"layer{number}": layer for number, layer in enumerate(body.layers, 1)} | {"head": head}


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(weight.numel() for weight in network.parameters())
