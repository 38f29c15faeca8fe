"""Recursion for all windows at once against one window at a time, and whatever the weights are."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lstmcli.dataset.scaling import Scale, fit_batch_scale, fit_return_scale
from lstmcli.forecasting.forecaster import recurse
from lstmcli.forecasting.model import TrainedModel
from tests.rows import for_each
from tests.synthetic import random_walk, tiny_settings, untrained

HORIZON = 6
CASES = [
    ("relative", True),
    ("relative", False),
    ("zscore", True),
    ("zscore", False),
    ("batch", True),
    ("batch", False),
    ("log_return", True),
]


def some_contexts() -> torch.Tensor:
    """Return 3 windows of 8 rows of price and volume."""
    prices, volumes = random_walk(60), 1e6 * random_walk(60, seed=1, volatility=0.2)
    table = np.column_stack([prices, volumes])
    return torch.from_numpy(np.stack([table[start : start + 8] for start in (0, 20, 45)]))


def a_scale(scaling: str) -> Scale | None:
    contexts = some_contexts()
    if scaling == "log_return":
        return fit_return_scale(contexts.flatten(0, 1), [range(8)])
    return fit_batch_scale(contexts) if scaling == "batch" else None


def a_model(scaling: str, seed: int = 0) -> TrainedModel:
    settings = tiny_settings(window={"scaling": scaling, "features": ["close", "volume"]})
    return untrained(settings, a_scale(scaling), seed)


def forecast(
    model: TrainedModel, contexts: torch.Tensor, horizon: int = HORIZON, *, rebase: bool = True
) -> NDArray[np.float64]:
    result = recurse(
        model.network,
        contexts,
        horizon=horizon,
        inputs=(0, 1),
        scaling=model.settings.window.scaling,
        fitted=model.fitted,
        rebase=rebase,
    )
    assert result.quantiles is None
    assert result.median.dtype == np.float64
    return result.median


def twin(
    model: TrainedModel, window: NDArray[np.float64], scaling: str, *, rebase: bool
) -> list[float]:
    """Forecast from one window (L, C), one step at a time."""
    rows = [row for row in window]
    loc = scale = base = np.ones(2)
    moves = []
    for step in range(HORIZON):
        seen = np.array(rows[-len(window) :])
        if step == 0 or rebase:
            base = seen[-1] if scaling == "log_return" else seen[0]
            loc, scale = np.zeros(2), np.ones(2)
            if scaling == "zscore":
                loc, scale = (seen / base - 1).mean(0), (seen / base - 1).std(0)
            if model.fitted is not None:
                loc, scale = model.fitted.loc.numpy(), model.fitted.scale.numpy()
        moved = np.log(seen[1:] / seen[:-1]) if scaling == "log_return" else seen / base - 1
        x = torch.tensor(((moved - loc) / scale)[None], dtype=torch.float32)
        answer = model.network(x)[0].detach().double().numpy() * scale + loc
        rows.append(base * np.exp(answer) if scaling == "log_return" else base * (1 + answer))
        moves.append(math.log(rows[-1][0] / window[-1, 0]))
    return moves


@for_each(("scaling", "rebase"), CASES)
def test_recursion_is_what_a_loop_over_windows_and_steps_gives(scaling: str, rebase: bool) -> None:
    model = a_model(scaling)
    contexts = some_contexts()
    expected = [twin(model, each, scaling, rebase=rebase) for each in contexts.numpy()]
    got = forecast(model, contexts, rebase=rebase)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-7)


PRICES = {
    "constant": [5.0] * 8,
    "a huge outlier": [5.0, 5.1, 5.2e6, 5.0, 4.9, 5.0, 5.1, 5.0],
    "a huge last value": [5.0, 5.1, 5.2, 5.0, 4.9, 5.0, 5.1, 5.0e6],
    "tiny": [1e-6, 1.1e-6, 1e-6, 0.9e-6, 1e-6, 1e-6, 1.2e-6, 1e-6],
    "large": [1e6, 1.1e6, 1e6, 0.9e6, 1e6, 1e6, 1.2e6, 1e6],
}
VOLUMES = {
    "none": [math.nan] * 8,
    "zero": [0.0] * 8,
    "zero at last": [9.0, 1, 2, 3, 2, 1, 3, 0],
    "one alone": [math.nan, math.nan, 7, math.nan, math.nan, math.nan, math.nan, math.nan],
}


@for_each(("scaling", "rebase"), CASES)
def test_a_forecast_is_never_missing(scaling: str, rebase: bool) -> None:
    pairs = list(product(PRICES, VOLUMES))
    windows = [[PRICES[price], VOLUMES[volume]] for price, volume in pairs]
    contexts = torch.tensor(windows, dtype=torch.float64).transpose(1, 2)
    moves = forecast(a_model(scaling), contexts, horizon=30, rebase=rebase)
    assert [
        pair for pair, row in zip(pairs, moves, strict=True) if not np.isfinite(row).all()
    ] == []


@for_each(("scaling", "rebase"), CASES)
@for_each("bias", [-1e30, -20.0, 20.0, 1e30])
def test_a_network_gone_wild_still_gives_log_moves_within_a_millionfold(
    scaling: str, rebase: bool, bias: float
) -> None:
    model = a_model(scaling)
    with torch.no_grad():
        list(model.network.parameters())[-1].fill_(bias)
    moves = forecast(model, some_contexts(), horizon=120, rebase=rebase)
    assert np.isfinite(moves).all()
    assert np.abs(moves).max() <= math.log(1e6) * (1 + 1e-12)


def seasonal_model(*features: str) -> tuple[TrainedModel, torch.Tensor, torch.Tensor]:
    """Return a model of year-on-year moves, 3 windows of 20 rows, and the months of these."""
    prices, volumes = random_walk(60), 1e6 * random_walk(60, seed=1, volatility=0.2)
    table = np.column_stack([prices, volumes])
    windows = torch.from_numpy(np.stack([table[start : start + 20] for start in (0, 15, 31)]))
    months = (torch.tensor([[0], [3], [7]]) + torch.arange(20)) % 12
    settings = tiny_settings(
        window={"scaling": "seasonal", "context_length": 20, "features": [*features]}
    )
    fitted = fit_return_scale(torch.from_numpy(table), [range(60)], lag=12)
    return untrained(settings, fitted), windows, months


@pytest.mark.parametrize("season", [True, False])
def test_recursion_from_year_to_year_is_what_a_loop_over_windows_and_steps_gives(
    season: bool,
) -> None:
    model, windows, months = seasonal_model("close", "volume", *(["month"] if season else []))
    assert model.fitted is not None
    loc, scale = model.fitted.loc.numpy(), model.fitted.scale.numpy()
    expected = []
    for window, first in zip(windows.numpy(), months[:, 0].tolist(), strict=True):
        rows, moves = list(window), []
        for step in range(15):
            seen = np.array(rows[-20:])
            x = (np.log(seen[12:] / seen[:-12]) - loc) / scale
            if season:
                angles = [math.tau * (first + step + row) / 12 for row in range(12, 20)]
                x = np.column_stack([x, np.sin(angles), np.cos(angles)])
            answer = model.network(torch.tensor(x[None], dtype=torch.float32))[0].detach().double()
            rows.append(rows[-12] * np.exp(answer.numpy() * scale + loc))
            moves.append(math.log(rows[-1][0] / window[-1, 0]))
        expected.append(moves)
    found = recurse(
        model.network,
        windows,
        horizon=15,
        inputs=(0, 1),
        scaling="seasonal",
        fitted=model.fitted,
        rebase=True,
        months=months if season else None,
    )
    np.testing.assert_allclose(found.median, expected, rtol=1e-4, atol=1e-7)


def test_dropout_is_off_and_contexts_are_not_changed() -> None:
    settings = tiny_settings(
        window={"scaling": "relative", "features": ["close", "volume"]}, model={"dropout": 0.5}
    )
    model = untrained(settings)
    model.network.train()
    contexts = some_contexts()
    before = contexts.clone()
    first = forecast(model, contexts)
    np.testing.assert_array_equal(first, forecast(model, contexts))
    assert torch.equal(contexts, before)
