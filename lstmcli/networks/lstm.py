"""A stack of LSTM layers of any sizes (Hochreiter & Schmidhuber 1997).

Layers of different widths cannot share one `nn.LSTM`, so each is its own; they run time-major,
which is the faster layout on a CPU.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]
"""Of every layer the hidden and the cell state after the last row, (1, N, D) each."""


class LSTM(nn.Module):
    """(N, L, F) -> (N, L, D), D the size of the last layer; dropout after every layer.

    Recurrent weights start orthogonal (Saxe et al. 2014), input weights Glorot-uniform, and the
    forget gate's bias at `forget_bias` (Gers et al. 2000; Jozefowicz et al. 2015).
    """

    def __init__(
        self,
        num_features: int,
        hidden_sizes: Sequence[int] = (50, 100),
        *,
        dropout: float = 0.0,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [num_features, *hidden_sizes]
        self.layers = nn.ModuleList(
            nn.LSTM(before, after) for before, after in itertools.pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)
        self.num_outputs = sizes[-1]
        for layer in self.layers:
            _start_layer(layer, forget_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.read_on(x, None)[0]

    def read_on(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Go on from the state that an earlier call returned, None for zero; return the new one."""
        x = x.transpose(0, 1)
        after: State = []
        for number, layer in enumerate(self.layers):
            x, kept = layer(x, None if state is None else state[number])
            after.append(kept)
            x = self.dropout(x)
        return x.transpose(0, 1), after


def _start_layer(layer: nn.Module, forget_bias: float) -> None:
    """Set the weights of one `nn.LSTM`; its rows are the gates input, forget, cell, output."""
    assert isinstance(layer, nn.LSTM)
    size = layer.hidden_size
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.chunk(weight, 4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in torch.chunk(weight, 4):
                    nn.init.xavier_uniform_(gate)
            else:
                weight.zero_()
        # PyTorch adds two biases; the forget gate's start is kept in one of them.
        layer.get_parameter("bias_ih_l0")[size : 2 * size] = forget_bias
