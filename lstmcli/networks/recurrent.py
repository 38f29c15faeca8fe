"""A stack of recurrent layers of any sizes: simple RNN, GRU, LSTM, LSTM with peepholes.

One `nn.LSTM` cannot have layers of different widths, so each layer is a module of its own. Layers
run time-major, the faster layout on a CPU. `gates` returns the gate values of such a stack.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

Cell = Literal["rnn", "gru", "lstm", "peephole"]
State = list[tuple[Tensor, ...]]
"""The hidden state of each layer after the last row, and the cell state of an LSTM, (1, N, D)."""
Gates = dict[str, Tensor]
"""Gates by name (forget, input, output; reset, update), (N, L, D) each, 0 closed, 1 open."""


class Recurrent(nn.Module):
    """(N, L, F) -> (N, L, D), D the size of the last layer; dropout after every layer.

    Initial weights: recurrent ones orthogonal (Saxe et al. 2014), input ones Glorot-uniform. The
    bias of the gate that keeps the state, the forget gate of an LSTM or the update gate of a GRU,
    starts at `forget_bias` (Gers et al. 2000; Jozefowicz et al. 2015).
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
            _initialise(layer, size, forget_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.read_on(x, None)[0]

    def read_on(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Continue from the state of an earlier call, None for zero; also return the new state."""
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


class PeepholeLSTM(nn.Module):
    """An LSTM layer whose gates see the cell (Gers & Schmidhuber 2000); PyTorch has none.

    (L, N, F) -> (L, N, D) and the last hidden and cell state, (1, N, D) each, as in `nn.LSTM`.

        i_t = sigmoid(W_i x_t + U_i h_(t-1) + p_i * c_(t-1) + b_i)
        f_t = sigmoid(W_f x_t + U_f h_(t-1) + p_f * c_(t-1) + b_f)
        g_t = tanh(W_g x_t + U_g h_(t-1) + b_g)
        c_t = f_t * c_(t-1) + i_t * g_t
        o_t = sigmoid(W_o x_t + U_o h_(t-1) + p_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    The peepholes p, one weight per unit, start at zero, which makes the layer a plain LSTM. It
    loops over the rows in Python: forward and backward take 2 to 4 times as long as those of
    `nn.LSTM` on a CPU.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        # Names and order as in nn.LSTM: the gates i, f, g, o; the peepholes of i, f, o.
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size, input_size))
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.peepholes_l0 = nn.Parameter(torch.zeros(3, hidden_size))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Continue from `state`, None for zero."""
        zeros = x.new_zeros(1, x.shape[1], self.hidden_size)
        (h,), (c,) = state or (zeros, zeros)
        rows = _lstm_rows(dict(self.named_parameters()), x, h, c)
        # Keep only c and h, so that without a gradient the gates of a row are freed at once.
        cells, hidden = zip(*(row[-2:] for row in rows), strict=True)
        return torch.stack(hidden), (hidden[-1][None], cells[-1][None])


# Sources: Elman 1990 (simple RNN); Cho et al. 2014 (GRU); Hochreiter & Schmidhuber 1997 (LSTM).
_LAYERS: dict[Cell, type[nn.Module]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "peephole": PeepholeLSTM,
}


def gates(body: nn.Module, x: Tensor) -> list[Gates]:
    """Return the gates of each layer over rows (N, L, F); empty for a body without gates.

    `nn.LSTM` and `nn.GRU` do not return their gates, so they are recomputed from the weights, row
    by row.
    """
    found = []
    for layer in body.get_submodule("layers").children():
        if isinstance(layer, nn.LSTM | nn.GRU | PeepholeLSTM):
            opened, x = layer_gates(layer, x)
            found.append(opened)
    return found


def layer_gates(layer: nn.Module, x: Tensor) -> tuple[Gates, Tensor]:
    """Return the gates and the hidden states (N, L, D) of an LSTM or GRU over rows (N, L, F)."""
    weights = {name: weight.detach().to(x) for name, weight in layer.named_parameters()}
    zeros = x.new_zeros(len(x), weights["weight_hh_l0"].shape[1])
    x = x.transpose(0, 1)
    if isinstance(layer, nn.GRU):
        names, rows = ["reset", "update"], _gru_rows(weights, x, zeros)
    else:
        names, rows = ["forget", "input", "output"], _lstm_rows(weights, x, zeros, zeros)
    *opened, states = (torch.stack(each, dim=1) for each in zip(*rows, strict=True))
    return dict(zip(names, opened, strict=False)), states  # an LSTM's cell state is left out


def _lstm_rows(
    weights: Mapping[str, Tensor], x: Tensor, h: Tensor, c: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """Yield the forget, input and output gate, c and h, (N, D) each, for each row of (L, N, F)."""
    p_i, p_f, p_o = weights.get("peepholes_l0", x.new_zeros(3, h.shape[1]))
    bias = weights["bias_ih_l0"] + weights.get("bias_hh_l0", 0.0)
    for row in linear(x, weights["weight_ih_l0"], bias).unbind():
        i, f, g, o = torch.addmm(row, h, weights["weight_hh_l0"].T).chunk(4, dim=1)
        i, f = (i + p_i * c).sigmoid(), (f + p_f * c).sigmoid()
        c = f * c + i * g.tanh()
        o = (o + p_o * c).sigmoid()
        h = o * c.tanh()
        yield f, i, o, c, h


def _gru_rows(weights: Mapping[str, Tensor], x: Tensor, h: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the reset and update gate and h; as in PyTorch, the reset gate follows the product."""
    for row in linear(x, weights["weight_ih_l0"], weights["bias_ih_l0"]).unbind():
        r, z, n = row.chunk(3, dim=1)
        h_r, h_z, h_n = linear(h, weights["weight_hh_l0"], weights["bias_hh_l0"]).chunk(3, dim=1)
        r, z = (r + h_r).sigmoid(), (z + h_z).sigmoid()
        h = (1 - z) * (n + r * h_n).tanh() + z * h
        yield r, z, h


def _initialise(layer: nn.Module, size: int, forget_bias: float) -> None:
    """Initialise one layer, gate by gate; the gate that keeps the state is the second one."""
    number = layer.get_parameter("weight_hh_l0").shape[0] // size
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.chunk(weight, number):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in torch.chunk(weight, number):
                    nn.init.xavier_uniform_(gate)
            else:
                weight.zero_()
        if number > 1:
            # PyTorch adds two biases, so only one of them gets the gate's initial value.
            layer.get_parameter("bias_ih_l0")[size : 2 * size] = forget_bias
