"""Networks that see a window of fixed length at every bar: linear and multi-layer perceptron.

Only bars with a whole window behind them get a state, so none is made of padding, and the states
stand for the last of the rows that come in. Without hidden layers the state is the window itself,
and with a linear head the network is a linear model of it.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from lstmcli.networks.heads import ACTIVATIONS, start_dense


class Window(nn.Module):
    """(N, L, F) -> (N, L - K + 1, D): the states after rows K, K + 1, ..., L.

    length : K, the rows that each state is made of. hidden_sizes : dense layers with an activation,
    dropout after each; with none D is K F.
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
