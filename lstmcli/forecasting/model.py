"""A trained model: the network and everything else that a forecast needs, except prices."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from lstmcli.arrays import Floats
from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale, check_months
from lstmcli.dataset.series import Series, make_series
from lstmcli.dataset.volatility import input_names
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.har import FEWEST_ROWS, Har, prior_sharpe
from lstmcli.market.prices import Prices
from lstmcli.networks.build import build_body
from lstmcli.networks.heads import NextStep, QuantileFan, ScaleCorrection


@dataclass(frozen=True)
class TrainedModel:
    """A network on its device, with its settings and fitted scales.

    fitted : the scale of the training rows, None if each window is scaled by itself.
    trained_on : the symbols of the training rows.
    calibration : the conformal adjustment of the fan, or None.
    inputs : the scale of the own inputs, fitted on the training rows; None without own inputs.
    har : the linear fan that the network corrects; None for point forecasts, and for the fans of
        version 0.2 and earlier.
    """

    network: nn.Module
    settings: Settings
    fitted: Scale | None
    trained_on: tuple[str, ...]
    calibration: Calibration | None = None
    har: Har | None = None
    inputs: Scale | None = None

    @property
    def members(self) -> tuple[nn.Module, ...]:
        """The networks of an ensemble, or the one network."""
        several = isinstance(self.network, nn.ModuleList)
        return tuple(self.network.children()) if several else (self.network,)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantile levels; empty for a point forecast."""
        return self.settings.levels

    @property
    def fewest_rows(self) -> int:
        """The minimum number of rows that a forecast needs."""
        length = self.settings.window.context_length
        return length if self.har is None else min(length, FEWEST_ROWS)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters(), torch.empty(0)).device

    def to(self, device: torch.device) -> "TrainedModel":
        """Return the model on a device; this moves its network."""
        fitted = None if self.fitted is None else self.fitted.to(device)
        return replace(self, network=self.network.to(device), fitted=fitted)


def series_for(settings: Settings, prices: Prices) -> Series:
    """Return the series that a model with these settings reads from a price table.

    The probabilistic recipe skips features that are missing; the other recipes require them.
    """
    series = make_series(
        prices,
        features=settings.window.bars,
        inputs=settings.window.inputs,
        price=settings.data.price,
        optional=settings.window.scaling == "volatility",
    )
    if settings.window.scaling == "seasonal" or "month" in settings.window.features:
        check_months(series.dates, series.symbol)
    return series


def log_ranges(series: Series, settings: Settings) -> Floats | None:
    """Return log(high / low) of each bar, (T,); None if the model does not read both."""
    columns = ["close", *(name for name in settings.window.bars if name != "close")]
    if not {"high", "low"} <= set(columns):
        return None
    high, low = (series.values[:, columns.index(name)] for name in ("high", "low"))
    return np.asarray(np.log(high / low))


def location_of(har: Har, symbol: str, settings: Settings) -> float:
    """Return the one-step Sharpe ratio used to forecast a symbol."""
    own = settings.forecast
    prior = prior_sharpe(symbol, own.prior_sharpe, own.prior_by_symbol)
    return har.location(prior, own.prior_years)


def num_columns(settings: Settings) -> int:
    """Return C, the number of columns of a series: the forecast price and its features."""
    return 1 + len(set(settings.window.bars) - {"close", "month"})


def network_inputs(settings: Settings) -> tuple[str, ...]:
    """Return the names of the F values that the network reads from each bar, in order."""
    features, own = settings.window.bars, [each.text for each in settings.window.inputs]
    if settings.model.head == "direct":
        return (*input_names(features), *own)
    season = ("sine of the month", "cosine of the month") if "month" in features else ()
    return (*(name for name in features if name != "month"), *season, *own)


def new_network(settings: Settings, *, corrects: bool = True) -> nn.Module:
    """Build the untrained network of the settings on the CPU, with one network per member.

    corrects : whether a direct head corrects a linear fan, as all heads do since version 0.3.
    """
    if settings.model.network == "har":
        return nn.Identity()  # the linear fan alone
    members = [new_member(settings, corrects=corrects) for _ in range(settings.train.members)]
    return members[0] if len(members) == 1 else nn.ModuleList(members)


def new_member(settings: Settings, *, corrects: bool = True) -> nn.Module:
    """Build one untrained network: a body, then a head."""
    model, window = settings.model, settings.window
    direct = model.head == "direct"
    assert model.network != "har", "it has no network"
    body = build_body(
        model.network,
        len(network_inputs(settings)),
        hidden_sizes=model.hidden_sizes,
        dropout=model.dropout,
        activation=model.activation,
        kernel_size=model.kernel_size,
        forget_bias=model.forget_bias,
        length=settings.reach,
    )
    dense: Any = {"dense_sizes": model.dense_sizes, "activation": model.activation}
    if not direct:
        return nn.Sequential(body, NextStep(body.num_outputs, num_columns(settings), **dense))
    fan: Any = {"horizon": window.horizon, "basis_size": model.basis_size, **dense}
    if corrects:
        return nn.Sequential(body, ScaleCorrection(body.num_outputs, **fan))
    levels = settings.forecast.quantile_levels
    return nn.Sequential(body, QuantileFan(body.num_outputs, levels=levels, **fan))
