"""The LSTM stack against PyTorch's layers by hand, against the equations, and its first weights."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lstmcli.networks.lstm import LSTM


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def one_layer(layer: nn.LSTM, window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Run one window (L, F) through the equations of the LSTM, step by step."""
    weights = {name: value.detach().double().numpy() for name, value in layer.named_parameters()}
    h = c = np.zeros(layer.hidden_size)
    states = []
    for row in window:
        gates = weights["weight_ih_l0"] @ row + weights["bias_ih_l0"]
        gates = gates + weights["weight_hh_l0"] @ h + weights["bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


@pytest.mark.parametrize("sizes", [(5,), (5, 3), (2, 6, 4)])
def test_the_stack_is_the_equations_layer_by_layer(sizes: tuple[int, ...]) -> None:
    body = LSTM(2, sizes)
    x = torch.randn(3, 7, 2)
    answers = []
    for window in x.double().numpy():
        for layer in body.layers:
            assert isinstance(layer, nn.LSTM)
            window = one_layer(layer, window)
        answers.append(window)
    got = body(x)
    assert got.shape == (3, 7, sizes[-1])
    np.testing.assert_allclose(got.detach().numpy(), np.stack(answers), atol=1e-6)


def test_the_stack_is_pytorchs_own_where_the_widths_are_equal() -> None:
    body = LSTM(2, (4, 4))
    theirs = nn.LSTM(2, 4, num_layers=2, batch_first=True)
    with torch.no_grad():
        for depth, layer in enumerate(body.layers):
            for name, weight in layer.named_parameters():
                theirs.get_parameter(name.replace("l0", f"l{depth}")).copy_(weight)
    x = torch.randn(3, 7, 2)
    torch.testing.assert_close(body(x), theirs(x)[0])


def test_the_forget_bias_lies_on_the_forget_gate_alone_and_counts_once() -> None:
    for layer in LSTM(1, (3, 2), forget_bias=0.75).layers:
        assert isinstance(layer, nn.LSTM)
        size = layer.hidden_size
        both = layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0")
        assert both.tolist() == [0.0] * size + [0.75] * size + [0.0] * 2 * size


def test_recurrent_weights_start_orthogonal_gate_by_gate() -> None:
    for layer in LSTM(1, (6, 4)).layers:
        for gate in torch.chunk(layer.get_parameter("weight_hh_l0"), 4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(len(gate)))


def test_input_weights_start_within_glorots_bounds() -> None:
    (layer,) = LSTM(3, (20,)).layers
    for gate in torch.chunk(layer.get_parameter("weight_ih_l0"), 4):
        bound = (6 / (3 + 20)) ** 0.5
        assert bound / 2 < gate.abs().max() <= bound


def test_dropout_follows_every_layer_in_training_and_none_in_use() -> None:
    body = LSTM(1, (40, 40), dropout=0.5)
    x = torch.randn(2, 5, 1)
    share = (body(x) == 0).double().mean()
    assert 0.3 < share < 0.7
    body.eval()
    assert not (body(x) == 0).any()
    assert torch.equal(body(x), body(x))


@pytest.mark.parametrize("sizes", [(5,), (5, 3)])
def test_reading_on_from_a_kept_state_is_reading_all_in_one_go(sizes: tuple[int, ...]) -> None:
    body = LSTM(2, sizes)
    x = torch.randn(3, 11, 2)
    answers, state = [], None
    for part in x.split([4, 1, 6], dim=1):
        answer, state = body.read_on(part, state)
        answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), body(x))
    assert state is not None
    assert [tuple(kept.shape) for layer in state for kept in layer] == [
        (1, 3, size) for size in sizes for _ in range(2)
    ]


def test_a_later_row_changes_no_earlier_state() -> None:
    body = LSTM(1, (4, 3))
    x = torch.randn(2, 6, 1)
    changed = x.clone()
    changed[:, 4:] = 9.0
    assert torch.equal(body(x)[:, :4], body(changed)[:, :4])
