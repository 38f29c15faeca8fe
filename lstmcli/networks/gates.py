"""How open the gates of a recurrent body are at every row: its cells once more, row by row.

`nn.LSTM` and `nn.GRU` do not tell their gates, so a plain loop over the rows computes them from the
same weights. Whatever keeps its weights as these do is read alike, with peepholes where it has
them; a body without gates gives none.
"""

import torch
from torch import Tensor, nn

Gates = dict[str, Tensor]
"""By name (forget, input, output; reset, update), (N, L, D) each, 0 shut and 1 open."""


def gates(body: nn.Module, x: Tensor) -> list[Gates]:
    """Return the gates of each layer that has some, from the first, over rows (N, L, F)."""
    found = []
    for layer in body.get_submodule("layers").children():
        of_layer = layer_gates(layer, x)
        if of_layer is None:
            break
        each, x = of_layer
        found.append(each)
    return found


def layer_gates(layer: nn.Module, x: Tensor) -> tuple[Gates, Tensor] | None:
    """Return the gates and the hidden states (N, L, D) of one layer; None where it has none."""
    weights = {name: weight.detach().to(x) for name, weight in layer.named_parameters()}
    if "weight_hh_l0" not in weights:
        return None
    four_or_three = weights["weight_hh_l0"].shape[0] // weights["weight_hh_l0"].shape[1]
    if four_or_three == 4:
        return _lstm(weights, x)
    return _gru(weights, x) if four_or_three == 3 else None


def _lstm(weights: dict[str, Tensor], x: Tensor) -> tuple[Gates, Tensor]:
    """Gers, Schmidhuber & Cummins (2000); with peepholes Gers & Schmidhuber (2000)."""
    size = weights["weight_hh_l0"].shape[1]
    h = c = x.new_zeros(len(x), size)
    none = x.new_zeros(3, size)
    p_input, p_forget, p_output = weights.get("peepholes_l0", none)
    rows = []
    for x_t in x.unbind(dim=1):
        i, f, g, o = (_of_input(weights, x_t) + _of_state(weights, h)).chunk(4, dim=1)
        i, f = (i + p_input * c).sigmoid(), (f + p_forget * c).sigmoid()
        c = f * c + i * g.tanh()
        o = (o + p_output * c).sigmoid()
        h = o * c.tanh()
        rows.append(torch.stack([f, i, o, h]))
    forget, into, output, states = torch.stack(rows, dim=2)
    return {"forget": forget, "input": into, "output": output}, states


def _gru(weights: dict[str, Tensor], x: Tensor) -> tuple[Gates, Tensor]:
    """Cho et al. (2014), with the reset gate after the product, as PyTorch has it."""
    h = x.new_zeros(len(x), weights["weight_hh_l0"].shape[1])
    rows = []
    for x_t in x.unbind(dim=1):
        of_input, of_state = _of_input(weights, x_t).chunk(3, dim=1), _of_state(weights, h)
        r, z, n = of_state.chunk(3, dim=1)
        r, z = (of_input[0] + r).sigmoid(), (of_input[1] + z).sigmoid()
        h = (1 - z) * (of_input[2] + r * n).tanh() + z * h
        rows.append(torch.stack([r, z, h]))
    reset, update, states = torch.stack(rows, dim=2)
    return {"reset": reset, "update": update}, states


def _of_input(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    return x @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]


def _of_state(weights: dict[str, Tensor], h: Tensor) -> Tensor:
    return h @ weights["weight_hh_l0"].T + weights.get("bias_hh_l0", 0.0)
