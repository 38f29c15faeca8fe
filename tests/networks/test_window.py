"""A window laid out by hand, and dense layers over it."""

import torch

from lstmcli.networks.feedforward import Window


def test_without_layers_a_state_is_the_window_itself() -> None:
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


def test_dropout_follows_every_layer_in_training_and_none_in_use() -> None:
    body = Window(1, (60,), length=3, activation="sigmoid", dropout=0.5)
    x = torch.randn(2, 5, 1)
    assert 0.3 < (body(x) == 0).double().mean() < 0.7
    body.eval()
    assert not (body(x) == 0).any()
