"""Made-up prices, series and settings, small enough to train on within a second."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from numpy.typing import NDArray

from lstmcli.config import Settings, check_settings
from lstmcli.dataset.series import Series
from lstmcli.errors import AllFailedError, DataError
from lstmcli.forecasting.baselines import gaussian_quantiles
from lstmcli.forecasting.har import Har, har_of, har_shapes
from lstmcli.forecasting.model import TrainedModel, new_network
from lstmcli.learning.fit import Fit, fit
from lstmcli.learning.plan import Plan, plan_suitable
from lstmcli.market.prices import Prices
from lstmcli.training.device import seeded
from lstmcli.training.loop import Epoch

CPU = torch.device("cpu")


def random_walk(rows: int, seed: int = 0, volatility: float = 0.01) -> NDArray[np.float64]:
    """Return prices that start near 100 and move by independent normal log returns."""
    moves = np.random.default_rng(seed).normal(0, volatility, rows)
    return np.asarray(100 * np.exp(np.cumsum(moves)))


def make_prices(symbol: str = "AAA", **columns: NDArray[np.float64]) -> Prices:
    """Return a price table on business days from 2000-01-03; underscores stand for blanks."""
    frame = pd.DataFrame({name.replace("_", " "): values for name, values in columns.items()})
    frame.index = pd.bdate_range("2000-01-03", periods=len(frame), name="Date")
    return Prices(symbol, frame, "1d", f"{symbol}.csv")


def series_of(
    *columns: NDArray[np.float64],
    symbol: str = "AAA",
    first: str = "2000-01-03",
    inputs: tuple[int, ...] | None = None,
) -> Series:
    """Return a series whose columns are given, the forecast price first."""
    start = np.busday_offset(np.datetime64(first, "D"), 0, roll="forward")
    return Series(
        symbol=symbol,
        dates=np.busday_offset(start, np.arange(len(columns[0]))),
        values=np.column_stack(columns),
        last_close=columns[0],
        inputs=tuple(range(len(columns))) if inputs is None else inputs,
        price="Close",
    )


def tiny_settings(**sections: dict[str, Any]) -> Settings:
    """Return settings of a very small recursive network, changed section by section."""
    tree: dict[str, dict[str, Any]] = {
        "window": {
            "context_length": 8,
            "horizon": 4,
            "features": ["close"],
            "scaling": "log_return",
        },
        "model": {"head": "recursive", "hidden_sizes": [4, 3]},
        "train": {"epochs": 2, "batch_size": 32, "device": "cpu"},
    }
    for section, table in sections.items():
        tree.setdefault(section, {}).update(table)
    return check_settings(tree, where="test")


def untrained(settings: Settings, fitted: Any = None, seed: int = 0) -> TrainedModel:
    """Return a model whose weights were only drawn."""
    with seeded(seed, CPU):
        har = cone(settings) if settings.model.head == "direct" else None
        return TrainedModel(new_network(settings), settings, fitted, ("AAA",), har=har)


def cone(settings: Settings) -> Har:
    """Return a linear fan that knows nothing: normal, as wide as the volatility of the day."""
    horizon, levels = settings.window.horizon, settings.forecast.quantile_levels
    arrays = {name: np.zeros(shape) for name, shape in har_shapes(horizon, len(levels)).items()}
    arrays["spread"] += 1.0
    arrays["knots"] = np.linspace(1, horizon, len(arrays["knots"]))
    arrays["table"] += gaussian_quantiles(levels)
    arrays["numbers"][[2, 4]] = 1e15, 252.0  # so many years without growth leave no prior
    return har_of(arrays, levels)


def make_plan(series: Sequence[Series], settings: Settings) -> Plan:
    """Split every series as the settings say; raises DataError where one is unsuitable."""
    try:
        plan, failures = plan_suitable(series, settings)
    except AllFailedError as error:
        raise DataError(error.failures[0].reason) from error
    if failures:
        raise DataError(failures[0].reason)
    return plan


def fit_on(series: list[Series], settings: Settings) -> Fit:
    """Plan and fit on the CPU."""
    return fit(make_plan(series, settings), settings, CPU)


def weights_of(model: TrainedModel) -> bytes:
    """Return a model's weights, and its scale where training fitted one, as bytes."""
    tensors = {name: each.contiguous() for name, each in model.network.state_dict().items()}
    if model.fitted is not None:
        tensors |= {"loc": model.fitted.loc, "scale": model.fitted.scale}
    return safetensors.torch.save(tensors)


def losses_of(done: Fit) -> list[tuple[float, float | None]]:
    """Return the training and validation loss of each epoch."""
    return [(epoch.loss, epoch.validation_loss) for epoch in done.history]


def rewritten_after(series: Sequence[Series], rows: Sequence[int]) -> list[Series]:
    """Return series whose values from a row on are others."""
    found = []
    for each, first in zip(series, rows, strict=True):
        values = each.values.copy()
        values[first:] *= 1 + 0.1 * np.random.default_rng(first).random(values[first:].shape)
        found.append(replace(each, values=values, last_close=values[:, 0].copy()))
    return found


def version_facts(horizon: int = 4, **changes: Any) -> dict[str, Any]:
    """Return what the metadata of a version must hold besides what `save_bundle` adds."""
    symbol = {"symbol": "AAA", "rows": 160, "first": "2020-01-01", "last": "2020-08-11"}
    return {
        "seed": 0,
        "interval": "1d",
        "created": "2026-01-05T22:10:03+00:00",
        "lstmcli_version": "0.1.0",
        "torch_version": "2.13.0",
        "data": {"fingerprint": "9f86d081", "price": "Close", "symbols": [symbol]},
        "split": {"test_start": "2020-06-01"},
        "windows": {"train": 100, "validation": 10},
        "epochs": {"run": 1, "best": 1},
        "trend": dict.fromkeys(("low", "high", "crash", "spike"), [0.1] * horizon),
        "validation": None,
        **changes,
    }


def stop_after(number: int) -> Callable[[Epoch], None]:
    """Return what stops a training, as Ctrl-C does, once an epoch is done."""

    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise KeyboardInterrupt

    return on_epoch
