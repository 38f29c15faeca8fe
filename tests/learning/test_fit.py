"""Fitting from end to end: no leak, no waste, the same bytes for the same seed."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lstmcli.config import Settings
from lstmcli.dataset import windows
from lstmcli.dataset.scaling import fit_batch_scale, fit_return_scale
from lstmcli.dataset.series import Series
from lstmcli.errors import TrainingError, UsageError
from lstmcli.forecasting.forecaster import forecast
from lstmcli.learning import fit as fit_module
from lstmcli.learning import samples as samples_module
from lstmcli.learning.fit import fit
from lstmcli.learning.samples import choose_batch_size
from lstmcli.training import objective as objective_module
from tests.rows import for_each
from tests.synthetic import (
    CPU,
    fit_on,
    losses_of,
    make_plan,
    random_walk,
    rewritten_after,
    series_of,
    tiny_settings,
    weights_of,
)

SCALINGS = ("relative", "zscore", "batch", "log_return")
SERIES = series_of(random_walk(200), random_walk(200, seed=1) * 1e6)


def settings_with(scaling: str = "log_return", **sections: dict[str, Any]) -> Settings:
    window = {"scaling": scaling, "features": ["close", "volume"], **sections.pop("window", {})}
    return tiny_settings(window=window, **sections)


def test_fitting_neither_reads_nor_moves_any_global_random_state() -> None:
    settings = settings_with(model={"dropout": 0.3})
    torch.manual_seed(1)
    first = fit_on([SERIES], settings)
    torch.manual_seed(2)
    numbers = np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    states = torch.get_rng_state(), random.getstate(), numbers
    second = fit_on([SERIES], settings)
    assert weights_of(first.model) == weights_of(second.model)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == states[2]  # noqa: NPY002


@for_each("scaling", SCALINGS)
def test_validation_rows_choose_the_epoch_and_touch_no_weight_or_scale(scaling: str) -> None:
    settings = settings_with(scaling, train={"epochs": 1})
    start = make_plan([SERIES], settings).splits[0].train_rows
    before, after = (
        fit_on(series, settings) for series in ([SERIES], rewritten_after([SERIES], [start]))
    )
    assert weights_of(before.model) == weights_of(after.model)
    assert before.history[0].loss == after.history[0].loss
    assert before.history[0].validation_loss != after.history[0].validation_loss


def test_the_fitted_scale_is_that_of_training_rows() -> None:
    plan = make_plan([SERIES], settings_with())
    expected = fit_return_scale(torch.from_numpy(SERIES.values), [range(plan.splits[0].train_rows)])
    got = fit_on([SERIES], settings_with()).model.fitted
    assert got is not None
    assert torch.equal(got.loc, expected.loc)
    assert torch.equal(got.scale, expected.scale)

    index = torch.from_numpy(plan.train[0])
    expected = fit_batch_scale(windows.contexts(windows.join([SERIES]), index, 8))
    got = fit_on([SERIES], settings_with("batch")).model.fitted
    assert got is not None
    assert torch.equal(got.scale, expected.scale)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_windows_are_gathered_a_batch_at_a_time_never_all_at_once(
    scaling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def spy(rows: windows.Windows, cutoffs: Tensor, length: int) -> Tensor:
        sizes.append(len(cutoffs))
        return windows.contexts(rows, cutoffs, length)

    monkeypatch.setattr(objective_module, "contexts", spy)
    monkeypatch.setattr(fit_module, "contexts", spy)
    monkeypatch.setattr(fit_module, "_SCALE_ROWS", 1000)
    series = series_of(random_walk(10_000), random_walk(10_000, seed=1))
    done = fit_on([series], settings_with(scaling, train={"epochs": 1, "batch_size": 256}))
    assert done.history
    assert max(sizes) <= 1024
    assert sum(sizes) > 8000


def test_the_shuffled_split_takes_one_series() -> None:
    settings = settings_with(split={"method": "shuffled"})
    with pytest.raises(UsageError, match="takes one series: found 2"):
        make_plan([SERIES, SERIES], settings)


def test_the_fingerprint_knows_every_value_date_and_name() -> None:
    def fingerprint(series: Series) -> str:
        return make_plan([series], settings_with()).fingerprint()

    first = fingerprint(SERIES)
    assert first == fingerprint(replace(SERIES, values=SERIES.values.copy()))
    later = series_of(random_walk(200), random_walk(200, seed=1) * 1e6, first="2000-01-04")
    renamed = series_of(random_walk(200), random_walk(200, seed=1) * 1e6, symbol="BBB")
    others = [fingerprint(each) for each in (*rewritten_after([SERIES], [199]), later, renamed)]
    assert len({first, *others}) == 4


@for_each("scaling", SCALINGS)
@for_each(
    "columns",
    [
        (np.full(200, 5.0), np.full(200, 1e6)),
        (np.full(200, 5.0), np.full(200, np.nan)),
        (random_walk(200), np.zeros(200)),
        (random_walk(200), np.where(np.arange(200) % 2 == 0, 0.0, 1e9)),
        (random_walk(200) * 1e-8, random_walk(200)),
        (random_walk(200) * 1e4, random_walk(200)),
        (np.where(np.arange(200) == 60, 1e8, random_walk(200)), random_walk(200)),
    ],
    ids=["constant", "no volume", "zero volume", "some volume", "tiny", "large", "outlier"],
)
def test_odd_prices_are_fitted_and_forecast_without_a_missing_number(
    columns: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], scaling: str
) -> None:
    series = series_of(*columns)
    done = fit_on([series], settings_with(scaling))
    assert done.error is None
    assert np.isfinite(losses_of(done)).all()
    assert all(weight.isfinite().all() for weight in done.model.network.parameters())
    rows = [np.array([60, 64, 150, 199])]
    assert np.isfinite(forecast(done.model, [series], rows).median).all()


@for_each("scaling", SCALINGS)
def test_what_repeats_itself_is_learnt(scaling: str) -> None:
    wave = 100 * np.exp(0.05 * np.sin(np.arange(400) * 2 * np.pi / 12))
    settings = tiny_settings(
        window={"scaling": scaling, "context_length": 12},
        model={"hidden_sizes": [16]},
        train={"epochs": 15, "learning_rate": 0.02, "patience": 15},
    )
    series = series_of(wave)
    done = fit_on([series], settings)
    rows = np.arange(380, 392)
    moves = series.log_prices[rows[:, None] + np.arange(1, 5)] - series.log_prices[rows][:, None]
    error = forecast(done.model, [series], [rows]).median - moves
    assert np.sqrt((error**2).mean()) < 0.4 * np.sqrt((moves**2).mean())


def breaking(epoch: int, batches: int) -> Callable[..., Callable[[nn.Module, Tensor], Tensor]]:
    """Return a maker of objectives whose training loss is NaN from the given epoch on."""
    make, calls = objective_module.next_step_objective, iter(range(10**6))

    def made(*args: Any, **options: Any) -> Callable[[nn.Module, Tensor], Tensor]:
        inner = make(*args, **options)

        def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
            broken = network.training and next(calls) >= (epoch - 1) * batches
            return inner(network, cutoffs) * (float("nan") if broken else 1.0)

        return objective

    return made


def test_training_that_breaks_down_keeps_the_good_epochs_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_with(train={"epochs": 4})
    plan = make_plan([SERIES], settings)
    batches = -(-len(plan.train[0]) // choose_batch_size(plan, settings))
    monkeypatch.setattr(samples_module, "next_step_objective", breaking(3, batches))
    done = fit(plan, settings, CPU)
    assert isinstance(done.error, TrainingError)
    assert len(done.history) == 2
    monkeypatch.undo()
    shorter = fit(plan, settings_with(train={"epochs": 2}), CPU)
    assert weights_of(done.model) == weights_of(shorter.model)


def test_training_that_breaks_down_at_once_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with()
    monkeypatch.setattr(samples_module, "next_step_objective", breaking(1, 1))
    with pytest.raises(TrainingError, match=r"training diverged \(epoch 1\)"):
        fit(make_plan([SERIES], settings), settings, CPU)
