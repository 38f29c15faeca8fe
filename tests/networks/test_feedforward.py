"""Windows and dilated convolutions against sums by hand, and the rows they depend on."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lstmcli.networks.build import Convolutions, Window, dilations
from tests.rows import for_each


@for_each(
    ("length", "kernel_size", "stacks", "expected"),
    [
        (64, 3, 1, [1, 2, 4, 8, 16]),  # 63 rows
        (50, 3, 1, [1, 2, 4, 8, 9]),  # 49
        (50, 3, 2, [1, 2, 4, 5]),  # 49
        (249, 3, 1, [1, 2, 4, 8, 16, 32, 61]),  # 249
        (3, 2, 1, [1, 1]),
        (3, 4, 1, []),
    ],
)
def test_dilations_double_and_end_with_the_window(
    length: int, kernel_size: int, stacks: int, expected: list[int]
) -> None:
    assert dilations(length, kernel_size, stacks) == expected


@given(length=st.integers(1, 600), kernel_size=st.integers(2, 9), stacks=st.integers(1, 4))
def test_stacks_read_every_row_of_the_window_and_none_beyond(
    length: int, kernel_size: int, stacks: int
) -> None:
    spacing = dilations(length, kernel_size, stacks)
    seen = {0}
    for gap in spacing * stacks:
        seen = {row + gap * tap for row in seen for tap in range(kernel_size)}
    assert seen == set(range(len(seen)))
    assert length - stacks * (kernel_size - 1) < len(seen) <= length


def test_a_layer_sums_over_its_taps_and_later_layers_are_residual() -> None:
    body = Convolutions(2, (3,), length=9, kernel_size=3, activation="tanh")
    (stack,) = body.layers
    first, second, third = stack.convolutions  # type: ignore[misc]
    assert [layer.dilation[0] for layer in (first, second, third)] == [1, 2, 1]

    def layer_by_hand(layer: nn.Conv1d, rows: torch.Tensor, bar: int) -> torch.Tensor:
        taps = [
            layer.weight[:, :, tap] @ rows[bar - (2 - tap) * layer.dilation[0]] for tap in range(3)
        ]
        return torch.tanh(torch.stack(taps).sum(dim=0) + layer.bias)

    x = torch.randn(1, 9, 2)
    rows, start = x[0], 0
    for number, layer in enumerate((first, second, third)):
        start += 2 * layer.dilation[0]
        new = torch.zeros(9, 3)
        for bar in range(start, 9):
            new[bar] = layer_by_hand(layer, rows, bar) + (rows[bar] if number else 0)
        rows = new
    torch.testing.assert_close(body(x)[0, -1], rows[8])
    assert body(x).shape == (1, 1, 3)


def test_dropout_follows_every_stack_in_training_and_is_off_in_evaluation() -> None:
    body = Convolutions(1, (60,), length=5, activation="sigmoid", dropout=0.5)
    x = torch.randn(2, 9, 1)
    assert 0.3 < (body(x) == 0).double().mean() < 0.7
    body.eval()
    assert not (body(x) == 0).any()


def test_without_hidden_layers_a_state_is_the_window_itself() -> None:
    body = Window(2, length=3)
    x = torch.arange(10.0).reshape(1, 5, 2)
    states = body(x)
    assert states.shape == (1, 3, 6)
    for number in range(3):
        assert states[0, number].tolist() == x[0, number : number + 3].T.flatten().tolist()
    assert list(body.parameters()) == []


def test_layers_are_dense_layers_over_every_window() -> None:
    body = Window(2, (4, 3), length=3, activation="tanh")
    x = torch.randn(2, 6, 2)
    first, second = body.layers
    for number in range(4):
        flat = x[:, number : number + 3].transpose(1, 2).flatten(1)
        expected = torch.tanh(second(torch.tanh(first(flat))))
        torch.testing.assert_close(body(x)[:, number], expected)


def test_dropout_follows_every_layer_in_training_and_is_off_in_evaluation() -> None:
    body = Window(1, (60,), length=3, activation="sigmoid", dropout=0.5)
    x = torch.randn(2, 5, 1)
    assert 0.3 < (body(x) == 0).double().mean() < 0.7
    body.eval()
    assert not (body(x) == 0).any()
