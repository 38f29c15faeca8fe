"""Networks without memory: linear, multi-layer perceptron and causal convolutions.

They see a window of fixed length at every bar. Only bars with a whole window behind them get a
state, so nothing is padded, and the states belong to the last of the rows that come in.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from lstmcli.networks.heads import ACTIVATIONS, start_dense


class Window(nn.Module):
    """(N, L, F) -> (N, L - K + 1, D): the states after rows K, K + 1, ..., L.

    length : K, the rows that each state is made of. hidden_sizes : dense layers with an activation,
    dropout after each. With none the state is the window itself, D is K F, and with a linear head
    the network is a linear model of the window.
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
    """(N, L, F) -> (N, L - R + 1, D), R the rows that a state is made of, at most `length`.

    Causal and dilated (van den Oord et al. 2016; Bai et al. 2018): each stack doubles its dilation
    from layer to layer, so that a few short kernels cover a long window.

    hidden_sizes : the channels of each stack, which has as many layers as its share of the length
    takes; dropout after each stack.
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
    """Return 1, 2, 4, ... and a remainder, so that `stacks` stacks of them cover `length` rows.

    Up to a remainder shorter than one layer in each stack; empty where even that does not fit.
    """
    left = (length - 1) // (stacks * (kernel_size - 1))
    found: list[int] = []
    while left:
        found.append(min(2 ** len(found), left))
        left -= found[-1]
    return found
