"""Every network through both heads; every scaling and way of training with one of them."""

from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import ModelError, UsageError
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import Fit, fit
from lstmcli.networks.build import Network, named_layers
from lstmcli.runs.bundle import load_bundle, save_bundle
from tests.rows import for_each
from tests.synthetic import (
    CPU,
    fit_on,
    make_plan,
    random_walk,
    rewritten_after,
    series_of,
    tiny_settings,
    untrained,
    version_facts,
    weights_of,
)

NETWORKS = get_args(Network)
RECURRENT = ("lstm", "rnn", "gru", "peephole")
POINT = ("relative", "zscore", "batch", "log_return")
FAN: dict[str, dict[str, Any]] = {
    "sequence": {},
    "window": {"labels": "window"},
    "stateful": {"stateful": True, "batch_size": 2},
    "bf16": {"precision": "bf16"},
}
SENSIBLE = [
    *((network, "log_return") for network in NETWORKS),
    *(("lstm", "relative"), ("gru", "zscore"), ("cnn", "batch")),
    *(("lstm", "sequence"), ("peephole", "stateful"), ("rnn", "window"), ("gru", "bf16")),
    *(("cnn", "window"), ("mlp", "sequence"), ("linear", "bf16")),
]
SERIES = [
    series_of(random_walk(230), 1e6 * random_walk(230, seed=1)),
    series_of(random_walk(200, seed=2), 1e6 * random_walk(200, seed=3), symbol="BBB"),
]


def settings_of(network: str, mode: str, **model: Any) -> Settings:
    features = ["close", "volume"]
    chosen = {"network": network, "hidden_sizes": [5, 4], "dropout": 0.1, **model}
    if mode in POINT:
        window = {"context_length": 12, "scaling": mode, "features": features}
        return tiny_settings(window=window, model=chosen)
    return tiny_settings(
        window={"context_length": 44, "scaling": "volatility", "features": features},
        model={"head": "direct", **chosen},
        train={"chunk_length": 40, "burn_in": 30, **FAN[mode]},
    )


@cache
def fitted(network: str, mode: str) -> Fit:
    return fit_on(SERIES, settings_of(network, mode))


def ahead(model: TrainedModel, series: list[Series], *rows: int) -> Forecast:
    return forecast(model, series, [np.array(rows)] * len(series))


def same(one: Forecast, other: Forecast) -> bool:
    fans = one.quantiles is None or np.array_equal(one.quantiles, other.quantiles)
    return np.array_equal(one.median, other.median) and fans


@pytest.mark.parametrize(("network", "mode"), SENSIBLE)
def test_it_learns_forecasts_and_comes_back_from_disk(
    network: str, mode: str, tmp_path: Path
) -> None:
    done = fitted(network, mode)
    assert done.error is None
    assert len(done.history) == 2
    assert all(np.isfinite([each.loss, each.validation_loss]).all() for each in done.history)
    found = ahead(done.model, SERIES, 60, 150, 199)
    assert found.median.shape == (6, 4)
    assert np.isfinite(found.median).all()
    if mode in FAN:
        assert found.quantiles is not None
        assert (np.diff(found.quantiles, axis=-1) > 0).all()

    folders, facts = [tmp_path / name for name in ("v0001", "v0002")], version_facts()
    save_bundle(folders[0], done.model, facts, done.history)
    loaded, _ = load_bundle(folders[0], CPU)
    assert same(found, ahead(loaded, SERIES, 60, 150, 199))
    save_bundle(folders[1], loaded, facts, done.history)
    first, second = ((each / "model.safetensors").read_bytes() for each in folders)
    assert first == second


@for_each(("network", "mode"), SENSIBLE)
def test_the_same_seed_gives_the_same_bytes_whatever_the_later_bars(
    network: str, mode: str
) -> None:
    settings = settings_of(network, mode)
    plan = make_plan(SERIES, settings)
    border = [split.fit_rows for split in plan.splits]
    other = rewritten_after(SERIES, border)
    before, after = fitted(network, mode), fit(make_plan(other, settings), settings, CPU)
    assert weights_of(before.model) == weights_of(after.model)
    assert [each.loss for each in before.history] == [each.loss for each in after.history]
    last = min(border) - 1
    assert same(ahead(before.model, SERIES, 70, last), ahead(after.model, other, 70, last))


@for_each(("network", "mode"), SENSIBLE)
def test_a_batch_of_forecasts_is_each_of_them_alone(network: str, mode: str) -> None:
    model = fitted(network, mode).model
    together = ahead(model, SERIES[:1], 60, 61, 150, 199)
    alone = [ahead(model, SERIES[:1], row) for row in (60, 61, 150, 199)]
    np.testing.assert_allclose(
        together.median, np.concatenate([each.median for each in alone]), rtol=1e-4, atol=1e-7
    )


@for_each(("network", "mode"), SENSIBLE)
def test_history_tells_gradients_by_layer_and_how_far_they_reach(network: str, mode: str) -> None:
    done = fitted(network, mode)
    for epoch in done.history:
        assert list(epoch.gradient_norms) == list(named_layers(done.model.network))
        assert np.isclose(
            np.linalg.norm(list(epoch.gradient_norms.values())), epoch.gradient_norm, rtol=0.2
        )
        assert (epoch.gradient_kept is not None) == (network in RECURRENT)
        assert epoch.clipped >= 0
    if network in RECURRENT:
        assert (done.history[-1].gradient_kept or 0) > 0


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_of_another_network_are_refused(network: str, tmp_path: Path) -> None:
    """The settings say `network`, the weights are the next one's."""
    other = NETWORKS[(NETWORKS.index(network) + 1) % len(NETWORKS)]
    mine, others = (untrained(settings_of(name, "relative")) for name in (network, other))
    mixed = TrainedModel(others.network, mine.settings, mine.fitted, mine.trained_on)
    save_bundle(tmp_path / "v0001", mixed, version_facts(), [])
    with pytest.raises(ModelError, match=r"model.safetensors: .*(lacks|unexpected|settings need)"):
        load_bundle(tmp_path / "v0001", CPU)


@for_each(
    ("network", "mode"),
    [*((network, "log_return") for network in NETWORKS), ("lstm", "sequence"), ("mlp", "sequence")],
)
@for_each(
    "change",
    [
        {"dense_sizes": [6], "activation": "gelu"},
        {"activation": "sigmoid", "dropout": 0.4, "kernel_size": 2, "forget_bias": 2.0},
        {"hidden_sizes": [3]},
    ],
    ids=["dense", "others", "one layer"],
)
def test_every_setting_of_a_network_changes_what_is_learnt_or_is_told(
    network: str, change: dict[str, Any], mode: str
) -> None:
    if network == "linear" and "dense_sizes" in change:
        return  # which are refused
    settings = settings_of(network, mode, **change)
    moved = weights_of(fit_on(SERIES, settings).model) != weights_of(fitted(network, mode).model)
    used = set(change) - set(settings.model.unused) - {"activation"}
    assert moved == bool(used or network in ("cnn", "mlp"))


def test_two_networks_of_the_same_seed_are_different_networks() -> None:
    losses = {fitted(network, "log_return").history[-1].loss for network in NETWORKS}
    assert len(losses) == len(NETWORKS)


@for_each("network", ["lstm", "cnn", "mlp"])
def test_it_learns_each_month_against_the_year_before(network: str) -> None:
    settings = tiny_settings(
        window={"context_length": 16, "scaling": "seasonal"},
        model={"network": network, "hidden_sizes": [4], "kernel_size": 2},
    )
    series = [series_of(random_walk(150))]
    done = fit_on(series, settings)
    made = forecast(done.model, series, [np.array([149])])
    assert np.isfinite(made.median).all()


def test_har_is_a_model_without_a_network(tmp_path: Path) -> None:
    settings = settings_of("har", "sequence")
    done = fit_on(SERIES, settings)
    assert (done.history, done.stopped, done.best_epoch) == ([], "epochs", 0)
    assert done.model.har is not None
    rows = [np.array([199]), np.array([150, 199])]
    made = forecast(done.model, SERIES, rows)
    assert made.quantiles is not None
    assert (np.diff(np.asarray(made.quantiles), axis=-1) > 0).all()
    trained = fit_on(SERIES, settings_of("lstm", "sequence")).model
    assert trained.har is not None
    np.testing.assert_array_equal(done.model.har.table, trained.har.table)
    save_bundle(tmp_path / "v0001", done.model, version_facts(4), [])
    again, _ = load_bundle(tmp_path / "v0001", CPU)
    np.testing.assert_array_equal(forecast(again, SERIES, rows).median, made.median)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"model": {"head": "recursive"}, "window": {"scaling": "log_return"}}, "head direct"),
        ({"train": {"members": 2}}, "train.members"),
        ({"train": {"stateful": True}}, "stateful"),
    ],
)
def test_har_has_no_use_for_a_way_of_training(sections: dict[str, Any], told: str) -> None:
    fan: dict[str, Any] = {
        "window": {"context_length": 44, "scaling": "volatility"},
        "model": {"head": "direct", "network": "har"},
        "train": {"chunk_length": 40, "burn_in": 30},
    }
    tree = {name: {**fan.get(name, {}), **sections.get(name, {})} for name in {**fan, **sections}}
    with pytest.raises(UsageError, match=told):
        tiny_settings(**tree)
