"""Build a network: a body and a head, the two children of an `nn.Sequential`.

A body turns rows into states, (N, L, F) -> (N, M, D), one after each of the last M of L rows. A
recurrent body has a state after every row. The bodies without memory, defined here, are linear,
multi-layer perceptron and causal convolutions. They read a window of fixed length, without padding,
so only rows that complete a window have a state.

`reach` is the number of rows that a state depends on, 0 for all before it; `num_outputs` is D.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from lstmcli.networks.heads import ACTIVATIONS, start_dense
from lstmcli.networks.recurrent import Recurrent


class Window(nn.Module):
    """(N, L, F) -> (N, L - K + 1, D): the states after rows K, K + 1, ..., L.

    length : K, the number of rows that each state depends on. hidden_sizes : dense layers with an
    activation, dropout after each. Without any, the state is the window itself, D = K F, and with a
    linear head the network is a linear model of the window.
    """

    def __init__(
        self,
        num_features: int,
        hidden_sizes: Sequence[int] = (),
        *,
        length: int,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.reach = length
        sizes = [num_features * length, *hidden_sizes]
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(sizes)
        )
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.num_outputs = sizes[-1]
        for layer in self.layers:
            start_dense(layer)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unfold(1, self.reach, 1).flatten(2)  # (N, M, K F)
        for layer in self.layers:
            x = self.dropout(self.activation(layer(x)))
        return x


class Convolutions(nn.Module):
    """(N, L, F) -> (N, L - R + 1, D), R the rows that a state depends on, at most `length`.

    Causal and dilated (van den Oord et al. 2016; Bai et al. 2018): each stack doubles its dilation
    from layer to layer, so that a few short kernels cover a long window.

    hidden_sizes : channels of each stack; dropout after each stack. A stack has as many layers as
    it needs to cover its share of the length.
    """

    def __init__(
        self,
        num_features: int,
        hidden_sizes: Sequence[int],
        *,
        length: int,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        spacing = dilations(length, kernel_size, len(hidden_sizes))
        sizes = [num_features, *hidden_sizes]
        self.layers = nn.ModuleList(
            _Stack(before, after, kernel_size, spacing, activation)
            for before, after in itertools.pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)
        self.num_outputs = sizes[-1]
        self.reach = 1 + len(hidden_sizes) * (kernel_size - 1) * sum(spacing)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = self.dropout(layer(x))
        return x.transpose(1, 2)


class _Stack(nn.Module):
    """(N, F, L) -> (N, D, M): dilated layers, each but the first added to its input."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        kernel_size: int,
        spacing: Sequence[int],
        activation: str,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(num_outputs if number else num_inputs, num_outputs, kernel_size, dilation=gap)
            for number, gap in enumerate(spacing)
        )
        self.activation = ACTIVATIONS[activation]()
        for layer in self.convolutions:
            start_dense(layer)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.convolutions
        x = self.activation(first(x))
        for layer in others:
            change = self.activation(layer(x))
            x = x[:, :, -change.shape[2] :] + change
        return x


def dilations(length: int, kernel_size: int, stacks: int) -> list[int]:
    """Return the dilations 1, 2, 4, ... of one stack, such that all stacks cover `length` rows.

    The last dilation may be smaller, to fit. A few rows may be left over, too few for another layer
    in each stack. Empty if `length` is too short for one layer.
    """
    left = (length - 1) // (stacks * (kernel_size - 1))
    found: list[int] = []
    while left:
        found.append(min(2 ** len(found), left))
        left -= found[-1]
    return found


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
    """Return a body with random weights; `length` : rows that a body without memory may read."""
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
