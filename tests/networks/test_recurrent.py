"""The recurrent stack against its layers one by one, and its initial weights."""

from typing import get_args

import torch
from torch import nn

from lstmcli.networks.recurrent import Cell, Recurrent
from tests.rows import for_each

CELLS = get_args(Cell)


@for_each("sizes", [(5,), (5, 3), (2, 6, 4)])
def test_the_stack_runs_its_layers_in_sequence(sizes: tuple[int, ...]) -> None:
    body, x = Recurrent(2, sizes), torch.randn(3, 7, 2)
    rows = x.transpose(0, 1)
    for layer, size in zip(body.layers, sizes, strict=True):
        rows, _ = layer(rows)
        assert rows.shape == (7, 3, size)
    torch.testing.assert_close(body(x), rows.transpose(0, 1))


def test_the_update_gate_of_a_gru_starts_at_the_forget_bias() -> None:
    (layer,) = Recurrent(2, (4,), cell="gru", forget_bias=0.75).layers
    assert layer.get_parameter("bias_ih_l0").tolist() == [0.0] * 4 + [0.75] * 4 + [0.0] * 4


def test_the_forget_bias_is_applied_once_and_only_to_the_forget_gate() -> None:
    for layer in Recurrent(1, (3, 2), forget_bias=0.75).layers:
        assert isinstance(layer, nn.LSTM)
        size = layer.hidden_size
        both = layer.get_parameter("bias_ih_l0") + layer.get_parameter("bias_hh_l0")
        assert both.tolist() == [0.0] * size + [0.75] * size + [0.0] * 2 * size


def test_input_weights_start_within_glorots_bounds() -> None:
    (layer,) = Recurrent(3, (20,)).layers
    for gate in torch.chunk(layer.get_parameter("weight_ih_l0"), 4):
        bound = (6 / (3 + 20)) ** 0.5
        assert bound / 2 < gate.abs().max() <= bound


def test_dropout_follows_every_layer_in_training_and_is_off_in_evaluation() -> None:
    body = Recurrent(1, (40, 40), dropout=0.5)
    x = torch.randn(2, 5, 1)
    share = (body(x) == 0).double().mean()
    assert 0.3 < share < 0.7
    body.eval()
    assert not (body(x) == 0).any()
    assert torch.equal(body(x), body(x))


@for_each("cell", CELLS)
@for_each("sizes", [(5,), (5, 3)])
def test_continuing_from_a_state_equals_one_pass_over_all_rows(
    cell: Cell, sizes: tuple[int, ...]
) -> None:
    body = Recurrent(2, sizes, cell=cell)
    for weight in body.parameters():
        nn.init.normal_(weight, std=0.5)
    x = torch.randn(3, 11, 2)
    answers, state = [], None
    for part in x.split([4, 1, 6], dim=1):
        answer, state = body.read_on(part, state)
        answers.append(answer)
    torch.testing.assert_close(torch.cat(answers, dim=1), body(x))
    assert state is not None
    kept = 1 if cell in ("rnn", "gru") else 2
    assert [tuple(part.shape) for layer in state for part in layer] == [
        (1, 3, size) for size in sizes for _ in range(kept)
    ]


def test_a_simple_rnn_follows_its_equation() -> None:
    body = Recurrent(2, (4,), cell="rnn")
    weights = {name: value.detach() for name, value in body.layers[0].named_parameters()}
    x, h = torch.randn(3, 6, 2), torch.zeros(3, 4)
    for row in x.unbind(dim=1):
        h = torch.tanh(row @ weights["weight_ih_l0"].T + h @ weights["weight_hh_l0"].T)
    torch.testing.assert_close(body(x)[:, -1], h)


@for_each("cell", CELLS)
def test_every_cell_starts_with_orthogonal_recurrent_weights(cell: Cell) -> None:
    for layer, gates in zip(Recurrent(1, (6, 4), cell=cell).layers, (6, 4), strict=True):
        for gate in layer.get_parameter("weight_hh_l0").split(gates):
            torch.testing.assert_close(gate @ gate.T, torch.eye(gates))
        assert not layer.get_parameter("bias_ih_l0")[:gates].any()
