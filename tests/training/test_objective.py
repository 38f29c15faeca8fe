"""The loss of a batch of cutoffs against one window at a time."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.dataset.scaling import Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.windows import Windows, contexts, join
from lstmcli.networks.heads import NextStep
from lstmcli.networks.recurrent import Recurrent
from lstmcli.training.objective import Objective, next_step_objective
from tests.rows import for_each
from tests.synthetic import random_walk, series_of

LENGTH = 6
PRICES = random_walk(40)
VOLUMES = 1000 * random_walk(40, seed=1, volatility=0.3)
WINDOWS = join([series_of(PRICES, VOLUMES)])
INDEX = torch.tensor([7, 20, 33])


def a_network(features: int = 2) -> nn.Module:
    return nn.Sequential(Recurrent(features, (3,)), NextStep(3, 2))


def a_scale(scaling: str) -> Scale | None:
    if scaling == "log_return":
        return fit_return_scale(WINDOWS.values, [range(30)])
    if scaling == "batch":
        return fit_batch_scale(contexts(WINDOWS, torch.arange(LENGTH - 1, 30), LENGTH))
    return None


def objective(windows: Windows = WINDOWS, **changes: Any) -> Objective:
    """The objective of a network that reads prices and volumes."""
    options: dict[str, Any] = {
        "context_length": LENGTH,
        "inputs": (0, 1),
        "scaling": "relative",
        "fitted": None,
        "loss": "mse",
    }
    return next_step_objective(windows, **{**options, **changes})


@for_each("burn_in", [0, 2, LENGTH - 1])
@for_each("loss", ["mse", "huber"])
def test_the_loss_of_a_sequence_is_the_mean_over_its_windows_one_at_a_time(
    burn_in: int, loss: str
) -> None:
    """The window up to each bar is a shorter one that starts at the same bar."""

    def loss_of(length: int, cutoffs: torch.Tensor, burn_in: int | None = None) -> float:
        own = objective(context_length=length, loss=loss, burn_in=burn_in)
        return float(own(network, cutoffs).detach())

    network = a_network()
    single = [loss_of(bar + 1, INDEX - LENGTH + 1 + bar) for bar in range(burn_in, LENGTH)]
    assert loss_of(LENGTH, INDEX, burn_in) == pytest.approx(np.mean(single), rel=1e-5)
    network.eval()  # validation asks for the bar after the window, as a forecast does
    assert loss_of(LENGTH, INDEX, burn_in) == pytest.approx(single[-1], rel=1e-6)


@for_each("inputs", [(0, 1), (1,)])
@for_each("scaling", ["relative", "zscore", "batch", "log_return"])
def test_the_loss_is_the_mean_over_windows_scaled_one_at_a_time(
    scaling: str, inputs: tuple[int, ...]
) -> None:
    fitted = a_scale(scaling)
    network = a_network(len(inputs)).eval()
    table = WINDOWS.values.numpy()
    errors = []
    for cutoff in INDEX.tolist():
        rows, label = table[cutoff - LENGTH + 1 : cutoff + 1], table[cutoff + 1]
        if scaling == "log_return":
            x, y = np.diff(np.log(rows), axis=0), np.log(label / rows[-1])
        else:
            x, y = rows / rows[0] - 1, label / rows[0] - 1
        if scaling == "zscore":
            loc, size = x.mean(0), x.std(0)
            x, y = (x - loc) / size, (y - loc) / size
        if fitted is not None:
            loc, size = fitted.loc.numpy(), fitted.scale.numpy()
            x, y = (x - loc) / size, (y - loc) / size
        window = torch.tensor(x[None][:, :, list(inputs)], dtype=torch.float32)
        errors.append((network(window)[0].detach().numpy() - y) ** 2)
    found = objective(inputs=inputs, scaling=scaling, fitted=fitted)(network, INDEX).item()
    assert found == pytest.approx(np.mean(errors), rel=1e-5)


def test_the_loss_of_months_is_relative_to_the_year_before() -> None:
    windows = join([series_of(PRICES, VOLUMES)], season=True)
    fitted = fit_return_scale(windows.values, [range(30)], lag=12)
    loc, size = fitted.loc.numpy(), fitted.scale.numpy()
    network = a_network(4).eval()
    table, days = windows.values.numpy(), series_of(PRICES).dates
    errors = []
    for cutoff in (15, 20, 33):
        x = np.array(
            [np.log(table[row] / table[row - 12]) for row in range(cutoff - 3, cutoff + 1)]
        )
        angles = [
            math.tau * (int(str(days[row])[5:7]) - 1) / 12 for row in range(cutoff - 3, cutoff + 1)
        ]
        x = np.column_stack([(x - loc) / size, np.sin(angles), np.cos(angles)])
        y = (np.log(table[cutoff + 1] / table[cutoff - 11]) - loc) / size
        answer = network(torch.tensor(x[None], dtype=torch.float32))[0].detach().numpy()
        errors.append((answer - y) ** 2)
    own = objective(windows, context_length=16, scaling="seasonal", fitted=fitted)
    found = own(network, torch.tensor([15, 20, 33])).item()
    assert found == pytest.approx(np.mean(errors), rel=1e-5)


def test_batch_scaling_trains_with_the_batch_scale_and_scores_with_the_fitted_one() -> None:
    def loss(fitted: Scale | None, *, training: bool) -> float:
        own = objective(scaling="batch", fitted=fitted)
        return own(network.train(training), INDEX).item()

    network = a_network()
    own = fit_batch_scale(contexts(WINDOWS, INDEX, LENGTH))
    other = a_scale("batch")
    assert loss(other, training=True) == loss(own, training=True) == loss(own, training=False)
    assert loss(other, training=False) != loss(own, training=False)


@for_each("scaling", ["relative", "zscore", "batch", "log_return"])
@for_each("hole", [math.nan, 0.0])
def test_a_missing_volume_is_ignored_in_the_loss(scaling: str, hole: float) -> None:
    windows = join([series_of(PRICES, np.where(np.arange(40) % 3 == 0, hole, VOLUMES))])
    own = objective(windows, scaling=scaling, fitted=a_scale(scaling), loss="huber")
    network = a_network()
    loss = own(network, torch.arange(LENGTH - 1, 39))
    loss.backward()
    assert loss.isfinite()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())
