"""A stack of recurrent layers of any sizes: simple RNN, GRU, LSTM, LSTM with peepholes.

Layers of different widths cannot share one `nn.LSTM`, so each is its own; they run time-major,
which is the faster layout on a CPU.
"""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lstmcli.networks.peephole import PeepholeLSTM

Cell = Literal["rnn", "gru", "lstm", "peephole"]
State = list[tuple[Tensor, ...]]
"""Of every layer the hidden and, of an LSTM, the cell state after the last row, (1, N, D) each."""

# A simple RNN (Elman 1990) with tanh; Cho et al. 2014; Hochreiter & Schmidhuber 1997.
_LAYERS: dict[Cell, type[nn.Module]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "peephole": PeepholeLSTM,
}


class Recurrent(nn.Module):
    """(N, L, F) -> (N, L, D), D the size of the last layer; dropout after every layer.

    Recurrent weights start orthogonal (Saxe et al. 2014), input weights Glorot-uniform, and the
    bias of the gate that keeps the state at `forget_bias` (Gers et al. 2000; Jozefowicz et al.
    2015): the forget gate of an LSTM, the update gate of a GRU.
    """

    reach = 0  # states depend on all rows before them

    def __init__(
        self,
        num_features: int,
        hidden_sizes: Sequence[int] = (50, 100),
        *,
        cell: Cell = "lstm",
        dropout: float = 0.0,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [num_features, *hidden_sizes]
        self.layers = nn.ModuleList(
            _LAYERS[cell](before, after) for before, after in itertools.pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)
        self.num_outputs = sizes[-1]
        for layer, size in zip(self.layers, hidden_sizes, strict=True):
            _start_layer(layer, size, forget_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.read_on(x, None)[0]

    def read_on(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Go on from the state that an earlier call returned, None for zero; return the new one."""
        x = x.transpose(0, 1)
        after: State = []
        for number, layer in enumerate(self.layers):
            before = None if state is None else state[number]
            if isinstance(layer, nn.RNN | nn.GRU):
                x, hidden = layer(x, before and before[0])
                after.append((hidden,))
            else:
                x, kept = layer(x, before)
                after.append(kept)
            x = self.dropout(x)
        return x.transpose(0, 1), after


def _start_layer(layer: nn.Module, size: int, forget_bias: float) -> None:
    """Set the weights of one layer, gate by gate; the gate that keeps the state is its second."""
    gates = layer.get_parameter("weight_hh_l0").shape[0] // size
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.chunk(weight, gates):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in torch.chunk(weight, gates):
                    nn.init.xavier_uniform_(gate)
            else:
                weight.zero_()
        if gates > 1:
            # PyTorch adds two biases; the gate's start is kept in one of them.
            layer.get_parameter("bias_ih_l0")[size : 2 * size] = forget_bias
