"""Does the verdict fire as often as it says? Thousands of random walks, scored from end to end.

Two settings: step 50 on 49 windows that do not overlap, and step 1 on 500. Run with
`pytest -m slow -s tests/campaigns/test_size_and_power.py`; some two minutes on one core.
"""

import math

import numpy as np
import pytest
import torch

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.significance import bootstrap_skills
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.evaluation.verdict import verdict
from lstmcli.forecasting.forecast import Forecast

pytestmark = pytest.mark.slow

WALKS, RUNS = 1000, 10_000
VOLATILITY = 0.01
CONTEXT, TRAINING, CELLS, EPOCHS = 10, 250, 3, 30
SETTINGS = pytest.mark.parametrize(("horizon", "n_windows"), [(50, 49), (1, 500)])
# Of the variance of the move over the horizon, what the planted signal tells.
KNOWN = {50: 0.20, 1: 0.035}


@SETTINGS
def test_a_trained_network_seldom_beats_naive_on_driftless_walks(horizon, n_windows):
    """At most 7 % of 1,000 networks, each trained on its own walk, are said to beat naive."""
    generator = np.random.default_rng(horizon)
    length = CONTEXT + TRAINING + horizon + n_windows * horizon
    returns = generator.normal(0.0, VOLATILITY, (WALKS, length))
    forecasts = trained_forecasts(returns, horizon, n_windows)
    ahead = returns[:, -n_windows * horizon :].reshape(WALKS, n_windows, horizon)
    moving = np.abs(forecasts).mean() / VOLATILITY
    assert moving > 0.01, "the networks forecast something"
    fired = [
        says(backtest(walk, {"net": paths(own, horizon)}), "Better than naive")
        for walk, own in zip(ahead, forecasts, strict=True)
    ]
    print(f"\nstep {horizon}, {n_windows} windows: beats naive in {np.mean(fired):.1%} of walks")
    assert np.mean(fired) <= 0.07


@SETTINGS
def test_two_forecasts_of_equal_expected_loss_differ_in_one_case_of_twenty(horizon, n_windows):
    generator = np.random.default_rng(100 + horizon)
    rejected = []
    for _ in range(WALKS):
        walk = generator.normal(0.0, VOLATILITY, (n_windows, horizon))
        one, two = generator.normal(0.0, 0.3 * VOLATILITY * math.sqrt(horizon), (2, n_windows))
        found = backtest(walk, {"net": paths(one, horizon), "other": paths(two, horizon)})
        pair = score(found, "net", Yardsticks(), networks=("net", "other")).pairwise[0]
        assert pair.test.test.n == n_windows
        rejected.append(pair.test.test.p < 0.05)
    print(f"\nstep {horizon}, {n_windows} windows: equal losses differ in {np.mean(rejected):.1%}")
    assert 0.03 <= np.mean(rejected) <= 0.07


@SETTINGS
def test_a_planted_signal_is_found_as_often_as_an_independent_simulation_says(horizon, n_windows):
    generator = np.random.default_rng(200 + horizon)
    fired = []
    for _ in range(WALKS):
        walk = generator.normal(0.0, VOLATILITY, (n_windows, horizon))
        told = planted(walk, KNOWN[horizon], generator)
        fired.append(says(backtest(walk, {"net": paths(told, horizon)}), "Better than naive"))
    expected = simulated_power(n_windows, horizon, KNOWN[horizon], np.random.default_rng(1))
    error = math.sqrt(expected * (1.0 - expected) * (1.0 / WALKS + 1.0 / RUNS))
    print(
        f"\nstep {horizon}, {n_windows} windows: signal found in {np.mean(fired):.1%}, "
        f"simulation {expected:.1%} +- {error:.1%}"
    )
    assert 0.2 < expected < 0.9
    assert abs(np.mean(fired) - expected) < 3.0 * error


@pytest.mark.parametrize(("n", "reach"), [(20, 1), (49, 1), (500, 1), (1000, 50), (2450, 50)])
def test_the_interval_of_a_skill_covers_it_nearly_as_often_as_it_says(n, reach):
    """Losses that depend on their neighbours as those of overlapping windows do."""
    generator = np.random.default_rng(n)
    block = 1 if reach == 1 else 2 * reach
    truth, held = 1.0 - math.sqrt(0.68), []
    for _ in range(WALKS):
        kernel = np.full(reach, math.sqrt(1.0 / reach))
        move, noise = (
            np.convolve(each, kernel, mode="valid")
            for each in generator.standard_normal((2, n + reach - 1))
        )
        losses = {"net": (move - 0.2 * (move + noise)) ** 2, "naive": move**2}
        pair = ("net", "naive")
        found = bootstrap_skills(losses, [pair], block=block, generator=generator, root=True)[pair]
        held.append(found.low <= truth <= found.high)
    print(f"\n{n} cutoffs, {reach} in a window: the 95 % interval covers {np.mean(held):.1%}")
    assert 0.90 <= np.mean(held) <= 0.97


def paths(totals, horizon):
    """Forecasts that spread the total move evenly over the steps, (n_windows, horizon)."""
    return Forecast(totals[:, None] * np.arange(1, horizon + 1) / horizon)


def backtest(returns, forecasts):
    """Windows of one walk that follow one another, with naive beside the forecasts."""
    n, horizon = returns.shape
    moves = np.cumsum(returns, axis=1)
    cutoff = np.datetime64("2000-01-03") + horizon * np.arange(n)
    return Backtest(
        symbol=np.full(n, "W"),
        cutoff=cutoff,
        last_close=100.0 * np.exp(np.cumsum(moves[:, -1]) - moves[:, -1]),
        sigma=np.full(n, VOLATILITY),
        dates=cutoff[:, None] + np.arange(1, horizon + 1),
        actual=moves,
        forecasts={**forecasts, "naive": Forecast(np.zeros((n, horizon)))},
    )


def says(found, words):
    return words in str(verdict(score(found, "net", Yardsticks())))


def planted(returns, known, generator):
    """The best forecast of the total move from a noisy look at it, (n_windows,)."""
    total = returns.sum(axis=-1)
    noise = generator.normal(0.0, 1.0, total.shape) * VOLATILITY * math.sqrt(returns.shape[-1])
    return known * (total + noise * math.sqrt(1.0 / known - 1.0))


def simulated_power(n, horizon, known, generator, batch=500):
    """The same test by numpy alone: a t test of the mean difference of squared price errors."""
    critical = {49: 2.0106347576242314, 500: 1.9647293909876649}[n]  # t at 97.5 %, n - 1 degrees
    found = 0
    steps = np.arange(1, horizon + 1) / horizon
    for _ in range(RUNS // batch):
        returns = generator.standard_normal((batch, n, horizon)) * VOLATILITY
        forecast = planted(returns, known, generator)[..., None] * steps
        price = np.exp(returns.cumsum(axis=-1))
        gain = ((1.0 - price) ** 2 - (np.exp(forecast) - price) ** 2).mean(axis=-1)
        t = gain.mean(axis=1) / gain.std(axis=1, ddof=1) * math.sqrt(n)
        found += int((t > critical).sum())
    return found / RUNS


def trained_forecasts(returns, horizon, n_windows):
    """Train one LSTM a walk on its first rows, all walks at once, and forecast its windows.

    The sum of the walks' losses has separate parameters and Adam works on each alone, so that the
    networks are what they would be if trained one after the other.
    Returns the total moves forecast, (WALKS, n_windows).
    """
    torch.manual_seed(horizon)
    scaled = torch.tensor(returns / VOLATILITY, dtype=torch.float32)
    sums = torch.cat([torch.zeros(WALKS, 1), scaled.cumsum(1)], dim=1)
    ends = torch.arange(CONTEXT, CONTEXT + TRAINING)
    size = math.sqrt(horizon)
    target = (sums[:, ends + horizon] - sums[:, ends]) / size
    weights = [
        (0.5 * torch.randn(WALKS, *shape)).requires_grad_()
        for shape in ((1, 4 * CELLS), (CELLS, 4 * CELLS), (1, 4 * CELLS), (CELLS, 1), (1, 1))
    ]
    optimizer = torch.optim.Adam(weights, lr=0.02)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss = ((lstm(windows(scaled, ends), weights) - target) ** 2).mean(1).sum()
        loss.backward()
        optimizer.step()
    first = returns.shape[1] - n_windows * horizon
    cutoffs = first + horizon * torch.arange(n_windows)
    with torch.no_grad():
        forecast = lstm(windows(scaled, cutoffs), weights) * size * VOLATILITY
    return forecast.numpy().astype(np.float64)


def windows(scaled, ends):
    """The CONTEXT returns before each end: (WALKS, len(ends), CONTEXT)."""
    return scaled[:, ends[:, None] + torch.arange(-CONTEXT, 0)]


def lstm(context, weights):
    """One LSTM of a few cells a walk, and a linear head on its last state: (WALKS, N)."""
    inward, across, bias, head, level = weights
    hidden = context.new_zeros(*context.shape[:2], CELLS)
    cell = hidden
    for t in range(context.shape[2]):
        gates = context[:, :, t, None] @ inward + hidden @ across + bias
        enter, forget, out, value = gates.chunk(4, dim=2)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(value)
        hidden = torch.sigmoid(out) * torch.tanh(cell)
    return (hidden @ head + level)[..., 0]
