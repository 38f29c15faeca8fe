"""Gates and the peephole layer against PyTorch's own and against their equations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lstmcli.networks.recurrent import PeepholeLSTM, gates, layer_gates
from tests.rows import for_each


def drawn(layer: nn.Module) -> nn.Module:
    """Return the layer with weights of some size, in float64."""
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    return layer.double()


def rows(n: int = 2, length: int = 9, inputs: int = 3) -> Tensor:
    return torch.randn(n, length, inputs, dtype=torch.float64)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def twin(layer: nn.Module, window: Tensor) -> list[dict[str, list[float]]]:
    """Return the gates and states of an LSTM at each row of one window, unit by unit."""
    table = {name: weight.tolist() for name, weight in layer.named_parameters()}
    size = len(table["weight_hh_l0"][0])
    second = table.get("bias_hh_l0", [0.0] * 4 * size)
    p_i, p_f, p_o = table.get("peepholes_l0", [[0.0] * size] * 3)
    h, c = [0.0] * size, [0.0] * size
    found = []
    for x in window.tolist():
        sums = [
            sum(w * value for w, value in zip(table["weight_ih_l0"][row], x, strict=True))
            + sum(w * value for w, value in zip(table["weight_hh_l0"][row], h, strict=True))
            + table["bias_ih_l0"][row]
            + second[row]
            for row in range(4 * size)
        ]
        of_row: dict[str, list[float]] = {"input": [], "forget": [], "output": []}
        h = [0.0] * size
        for unit in range(size):
            i = sigmoid(sums[unit] + p_i[unit] * c[unit])
            f = sigmoid(sums[size + unit] + p_f[unit] * c[unit])
            c[unit] = f * c[unit] + i * math.tanh(sums[2 * size + unit])
            o = sigmoid(sums[3 * size + unit] + p_o[unit] * c[unit])
            h[unit] = o * math.tanh(c[unit])
            for name, value in (("input", i), ("forget", f), ("output", o)):
                of_row[name].append(value)
        found.append({**of_row, "h": h})
    return found


@pytest.mark.parametrize("kind", [nn.LSTM, PeepholeLSTM])
def test_gates_of_an_lstm_follow_its_equations(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    layer = drawn(kind(3, 4))
    x = rows()
    opened, states = layer_gates(layer, x)
    torch.testing.assert_close(layer(x.transpose(0, 1))[0].transpose(0, 1), states)
    for window in range(len(x)):
        for row, expected in enumerate(twin(layer, x[window])):
            for name, each in {**opened, "h": states}.items():
                np.testing.assert_allclose(
                    each[window, row].detach().numpy(), expected[name], atol=1e-12
                )


@given(
    inputs=st.integers(1, 6), size=st.integers(1, 9), length=st.integers(1, 30), seed=st.integers(0)
)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_intermediate_states_equal_those_of_pytorch(
    kind: type[nn.Module], inputs: int, size: int, length: int, seed: int
) -> None:
    torch.manual_seed(seed % 2**32)
    layer = drawn(kind(inputs, size))
    x = rows(3, length, inputs)
    for precise, tolerance in ((True, 1e-12), (False, 1e-5)):
        layer, x = (layer, x) if precise else (layer.float(), x.float())
        expected = layer(x.transpose(0, 1))[0].transpose(0, 1)
        opened, states = layer_gates(layer, x)
        torch.testing.assert_close(states, expected, rtol=0, atol=tolerance)
        assert all(each.min() >= 0 and each.max() <= 1 for each in opened.values())


def test_the_gates_of_a_gru_follow_its_equations() -> None:
    torch.manual_seed(0)
    layer, x = drawn(nn.GRU(3, 4)), rows()
    opened, states = layer_gates(layer, x)
    weights = dict(layer.named_parameters())
    w_r, w_z, w_n = weights["weight_ih_l0"].chunk(3)
    u_r, u_z, u_n = weights["weight_hh_l0"].chunk(3)
    b_r, b_z, b_n = weights["bias_ih_l0"].chunk(3)
    d_r, d_z, d_n = weights["bias_hh_l0"].chunk(3)
    for row in range(1, x.shape[1]):
        x_t, h = x[:, row], states[:, row - 1]
        r = torch.sigmoid(x_t @ w_r.T + b_r + h @ u_r.T + d_r)
        z = torch.sigmoid(x_t @ w_z.T + b_z + h @ u_z.T + d_z)
        n = torch.tanh(x_t @ w_n.T + b_n + r * (h @ u_n.T + d_n))
        torch.testing.assert_close(opened["reset"][:, row], r)
        torch.testing.assert_close(opened["update"][:, row], z)
        torch.testing.assert_close(states[:, row], (1 - z) * n + z * h)


def test_each_layer_reads_the_states_of_the_previous_layer() -> None:
    below, above = drawn(nn.LSTM(3, 4)), drawn(nn.LSTM(4, 5))
    body = nn.Module()
    body.layers = nn.ModuleList([below, above])
    x = rows()
    first, second = gates(body, x)
    assert (first["forget"].shape, second["forget"].shape) == ((2, 9, 4), (2, 9, 5))
    states = below(x.transpose(0, 1))[0].transpose(0, 1)
    expected, _ = layer_gates(above, states)
    for name, each in expected.items():
        torch.testing.assert_close(second[name], each)


@for_each("layer", [nn.RNN(3, 4), nn.Linear(3, 4), nn.Conv1d(3, 4, 2)])
def test_a_body_without_gates_returns_none(layer: nn.Module) -> None:
    body = nn.Module()
    body.layers = nn.ModuleList([layer])
    assert gates(body, rows()) == []
    body.layers = nn.ModuleList()
    assert gates(body, rows()) == []


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


def test_no_state_equals_a_zero_state_and_needs_no_gradient() -> None:
    layer, (x, *_) = a_layer(2, 3), inputs(5, 2, 2, 3)
    zeros = torch.zeros(1, 2, 3, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(layer(x)[0], layer(x, (zeros, zeros))[0])
    assert torch.equal(layer(x)[0].detach(), layer(x.detach())[0].detach())


@for_each("shape", SHAPES)
def test_zero_peepholes_give_pytorchs_lstm_forward_and_backward(
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
