"""A trained model as a value: the network with all that a forecast needs besides the prices."""

from dataclasses import dataclass

import torch
from torch import nn

from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale
from lstmcli.networks.build import build_network


@dataclass(frozen=True)
class TrainedModel:
    """A network on its device, with the settings and the scale it was fitted with.

    fitted : the scale of the training rows, None where each window scales itself.
    trained_on : the symbols of the training rows.
    """

    network: nn.Module
    settings: Settings
    fitted: Scale | None
    trained_on: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next(self.network.parameters()).device


def num_columns(settings: Settings) -> int:
    """Return C, the columns of a series: the forecast price and the features besides it."""
    return 1 + len(set(settings.window.features) - {"close"})


def new_network(settings: Settings) -> nn.Module:
    """Build the untrained network that the settings describe, on the CPU."""
    model = settings.model
    return build_network(
        num_features=len(settings.window.features),
        num_outputs=num_columns(settings),
        hidden_sizes=model.hidden_sizes,
        dropout=model.dropout,
        dense_sizes=model.dense_sizes,
        activation=model.activation,
        forget_bias=model.forget_bias,
    )
