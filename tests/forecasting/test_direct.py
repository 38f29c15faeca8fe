from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.dataset.series import Series
from lstmcli.errors import UsageError
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, new_network
from tests.rows import for_each
from tests.synthetic import cone, random_walk, series_of, tiny_settings, untrained

DIRECT: dict[str, Any] = {
    "window": {"context_length": 60, "horizon": 7, "scaling": "volatility", "features": ["close"]},
    "model": {"head": "direct", "hidden_sizes": [6]},
    "train": {"burn_in": 30, "chunk_length": 50},
}


def model(members: int = 1, seed: int = 0) -> TrainedModel:
    sections = {**DIRECT, "train": {**DIRECT["train"], "members": members}}
    settings = tiny_settings(**sections)
    torch.manual_seed(seed)
    network = new_network(settings)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3)
    return TrainedModel(network, settings, None, ("AAA",), har=cone(settings))


def scaled(series: Series, factor: float) -> Series:
    return replace(series, values=series.values * factor, last_close=series.last_close * factor)


def test_untrained_network_is_a_volatility_cone() -> None:
    settings = tiny_settings(**DIRECT)
    plain = untrained(settings)
    series = series_of(random_walk(80))
    fan = forecast(plain, [series], [np.array([79])])
    assert fan.quantiles is not None
    widths = fan.quantiles[0, :, -1] - fan.quantiles[0, :, 0]
    assert widths == pytest.approx(widths[0] * np.sqrt(np.arange(1, 8)), rel=1e-5)
    assert fan.median == pytest.approx(np.zeros((1, 7)), abs=1e-7)


def test_quantiles_of_members_are_averaged_and_their_spread_told() -> None:
    both = model(members=2)
    series, rows = [series_of(random_walk(90))], [np.array([70, 89])]
    singles = []
    for member in both.members:
        alone = replace(both, network=member)
        singles.append(forecast(alone, series, rows))
    fan = forecast(both, series, rows)
    assert fan.quantiles is not None
    assert fan.quantiles == pytest.approx(
        np.mean([each.quantiles for each in singles if each.quantiles is not None], axis=0),
        rel=1e-5,
    )
    assert fan.spread == pytest.approx(np.std([each.median for each in singles], axis=0), rel=1e-3)
    assert singles[0].spread is None


def test_shorter_horizon_is_the_first_steps_and_a_longer_one_is_refused() -> None:
    series, rows = [series_of(random_walk(90))], [np.array([89])]
    whole = forecast(model(), series, rows)
    cut = forecast(model(), series, rows, horizon=3)
    assert whole.quantiles is not None
    assert cut.quantiles is not None
    assert cut.quantiles == pytest.approx(whole.quantiles[:, :3], rel=1e-5, abs=1e-7)
    with pytest.raises(UsageError, match="answers 7 steps at once"):
        forecast(model(), series, rows, horizon=8)


@for_each("kind", ["constant", "one outlier", "tiny", "huge"])
def test_quantiles_are_finite_and_never_cross(kind: str) -> None:
    prices = {
        "constant": np.full(90, 5.0),
        "one outlier": np.where(np.arange(90) == 60, 1e6, 100.0),
        "tiny": np.full(90, 1e-6) * np.exp(np.sin(np.arange(90))),
        "huge": np.full(90, 1e6) * np.exp(np.sin(np.arange(90))),
    }[kind]
    fan = forecast(model(), [series_of(prices)], [np.arange(59, 90)])
    assert fan.quantiles is not None
    assert np.isfinite(fan.quantiles).all()
    assert (np.diff(fan.quantiles, axis=-1) >= 0).all()


def test_rows_after_a_cutoff_change_no_bit_of_its_fan() -> None:
    series, rows = series_of(random_walk(120)), [np.array([80])]
    later = scaled(series, 1.0)
    later.values[81:] *= 2.0
    first, second = forecast(model(), [series], rows), forecast(model(), [later], rows)
    assert first.quantiles is not None
    assert second.quantiles is not None
    assert np.array_equal(first.quantiles, second.quantiles)
