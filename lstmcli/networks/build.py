"""A whole network from its settings: a body, then a head."""

from collections.abc import Sequence

from torch import nn

from lstmcli.networks.fan import QuantileFan
from lstmcli.networks.heads import NextStep
from lstmcli.networks.lstm import LSTM


def build_next_step(
    *,
    num_features: int,
    num_outputs: int,
    hidden_sizes: Sequence[int],
    dropout: float,
    dense_sizes: Sequence[int],
    activation: str,
    forget_bias: float,
) -> nn.Sequential:
    """Return a network for recursion, (N, L, F) -> (N, C), with freshly drawn weights."""
    body = LSTM(num_features, hidden_sizes, dropout=dropout, forget_bias=forget_bias)
    head = NextStep(body.num_outputs, num_outputs, dense_sizes=dense_sizes, activation=activation)
    return nn.Sequential(body, head)


def build_fan(
    *,
    num_features: int,
    hidden_sizes: Sequence[int],
    dropout: float,
    forget_bias: float,
    levels: Sequence[float],
    horizon: int,
    basis_size: int,
) -> nn.Sequential:
    """Return a network for quantiles at every bar, (N, L, F) -> (N, L, H, Q)."""
    body = LSTM(num_features, hidden_sizes, dropout=dropout, forget_bias=forget_bias)
    head = QuantileFan(body.num_outputs, levels=levels, horizon=horizon, basis_size=basis_size)
    return nn.Sequential(body, head)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(weight.numel() for weight in network.parameters())
