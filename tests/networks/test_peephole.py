"""The peephole layer against its equations unit by unit, and PyTorch's layer without peepholes."""

import torch
from torch import Tensor, nn

from lstmcli.networks.recurrent import PeepholeLSTM
from tests.rows import for_each

SHAPES = [(1, 1, 1, 1), (7, 3, 2, 4), (40, 2, 1, 3), (16, 2, 3, 2)]  # L, N, F, D


def a_layer(num_features: int, size: int) -> PeepholeLSTM:
    layer = PeepholeLSTM(num_features, size).double()
    for weight in layer.parameters():
        nn.init.normal_(weight, std=0.5)
    return layer


def inputs(length: int, n: int, num_features: int, size: int) -> list[Tensor]:
    """x and the state before, in float64, with gradients."""
    shapes = (length, n, num_features), (1, n, size), (1, n, size)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def twin(layer: PeepholeLSTM, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run the equations one step, one window and one unit after the other."""
    size = layer.hidden_size
    w, u = layer.weight_ih_l0.split(size), layer.weight_hh_l0.split(size)
    bias, peepholes = layer.bias_ih_l0.split(size), layer.peepholes_l0
    answers = []
    h_now = [list(row.unbind()) for row in h[0]]
    c_now = [list(row.unbind()) for row in c[0]]
    for rows in x:
        for window, row in enumerate(rows):
            h_before, c_before = torch.stack(h_now[window]), c_now[window][:]
            for unit in range(size):
                sums = [
                    w[gate][unit] @ row + u[gate][unit] @ h_before + bias[gate][unit]
                    for gate in range(4)
                ]
                i = sigmoid(sums[0] + peepholes[0, unit] * c_before[unit])
                f = sigmoid(sums[1] + peepholes[1, unit] * c_before[unit])
                cell = f * c_before[unit] + i * torch.tanh(sums[2])
                o = sigmoid(sums[3] + peepholes[2, unit] * cell)
                c_now[window][unit], h_now[window][unit] = cell, o * torch.tanh(cell)
        answers.append(torch.stack([torch.stack(row) for row in h_now]))
    last = torch.stack([torch.stack(row) for row in c_now])
    return torch.stack(answers), answers[-1][None], last[None]


def test_no_state_is_a_state_of_zero_and_no_gradient_is_needed() -> None:
    layer, (x, *_) = a_layer(2, 3), inputs(5, 2, 2, 3)
    zeros = torch.zeros(1, 2, 3, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(layer(x)[0], layer(x, (zeros, zeros))[0])
    assert torch.equal(layer(x)[0].detach(), layer(x.detach())[0].detach())


@for_each("shape", SHAPES)
def test_it_is_its_equations(shape: tuple[int, int, int, int]) -> None:
    layer, given = a_layer(*shape[2:]), inputs(*shape)
    answer, (h, c) = layer(given[0], (given[1], given[2]))
    for ours, theirs in zip((answer, h, c), twin(layer, *given), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@for_each("shape", SHAPES)
def test_without_peepholes_it_is_pytorchs_lstm_forward_and_backward(
    shape: tuple[int, int, int, int],
) -> None:
    layer, given = a_layer(*shape[2:]), inputs(*shape)
    nn.init.zeros_(layer.peepholes_l0)
    theirs = nn.LSTM(*shape[2:]).double()
    weights = dict(layer.named_parameters())
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.copy_(weights.get(name, torch.zeros_like(weight)))
    x, h, c = given
    outputs = [(answer, *state) for answer, state in (layer(x, (h, c)), theirs(x, (h, c)))]
    slopes = [
        torch.autograd.grad(found[0].square().sum(), [*given, net.get_parameter("weight_hh_l0")])
        for found, net in zip(outputs, (layer, theirs), strict=True)
    ]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-10, atol=1e-10)
