"""How often does a screen claim something false? Every sentence of a verdict counted together.

A claim of less expected loss is false where the baseline is the true process: naive on driftless
walks, drift at its true rate on drifting ones, the true cone for fans. Each data set is a walk, or
five correlated ones, with a model that was fitted on the rows before. Run with
`pytest -m slow -s -n 0 tests/campaigns/test_claims.py`; the table goes into README.md here.
"""

import json
import math
import re
import zlib
from functools import cache

import numpy as np
import pytest

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.comparisons import reduce_grid
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.evaluation.verdict import verdict
from lstmcli.forecasting.forecast import Forecast
from tests.command_line import in_process, succeed

pytestmark = pytest.mark.slow

SETS = 2000
HORIZON, PHASES = 5, 5
WINDOWS, TRAINING = 30, 250
VOLATILITY, DRIFT = 0.01, 0.001
SYMBOLS, CORRELATION = 5, 0.5
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
STEPS = np.arange(1, HORIZON + 1)
GARCH = (0.05, 0.08, 0.87)  # omega, alpha, beta of a variance of 1
MODELS = ("mean", "momentum", "noise")


@pytest.mark.parametrize("drift", [0.0, DRIFT], ids=["driftless", "drifting"])
@pytest.mark.parametrize("shape", ["single", "panel"])
@pytest.mark.parametrize("process", ["gaussian", "t3", "garch"])
def test_a_screen_claims_something_false_in_at_most_one_case_of_twenty(process, shape, drift):
    for kind in ("point", "fan"):
        seed = zlib.crc32(f"{process} {shape} {drift} {kind}".encode())
        generator = np.random.default_rng(seed)
        false = [
            false_claim(process, 1 if shape == "single" else SYMBOLS, drift, kind, k, generator)
            for k in range(SETS)
        ]
        rate = float(np.mean(false))
        error = math.sqrt(rate * (1.0 - rate) / SETS)
        print(f"\n{process:8} {shape:6} drift {drift:g} {kind:5}: {rate:.2%} +- {error:.2%}")
        assert rate <= 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / SETS)


def false_claim(process, symbols, drift, kind, number, generator):
    """Whether the verdict on one data set claims what is not so."""
    rows = TRAINING + WINDOWS * HORIZON + HORIZON
    returns, variance = draw(process, symbols, rows, generator)
    returns = returns + drift
    at = TRAINING + np.arange(WINDOWS * PHASES)  # every cutoff, (N,)
    model = fitted(MODELS[number % len(MODELS)], returns, at, generator)  # (S, N)
    sums = np.concatenate([np.zeros((symbols, 1)), returns.cumsum(axis=1)], axis=1)
    moves = sums[:, at[:, None] + STEPS] - sums[:, at, None]  # (S, N, H)
    wrong = math.exp(generator.normal(0.0, 0.05)) if kind == "fan" else 1.0
    parts = []
    for phase in range(PHASES):
        chosen = np.arange(phase, at.size, PHASES)
        parts.append(backtest(process, moves, variance, at, model, drift, kind, wrong, chosen))
    found = score(
        parts[0],
        "net",
        Yardsticks(),
        further=[reduce_grid(each, (1, HORIZON)) for each in parts[1:]],
    )
    text = str(verdict(found))
    claims = [r"Better ranges", r"Symbol by symbol, better than past moves"]
    if drift:
        claims += [r"less error than drift \(p", r"Better than drift"]
    else:
        claims += [r"Better than naive", r"Symbol by symbol, better than naive"]
    return any(re.search(each, text) for each in claims)


def draw(process, symbols, rows, generator):
    """Returns without drift, (S, T), and the variance of each next one over its mean, (S, T)."""
    mixing = np.full((symbols, symbols), CORRELATION) + (1.0 - CORRELATION) * np.eye(symbols)
    noise = np.linalg.cholesky(mixing) @ generator.standard_normal((symbols, rows))
    if process == "gaussian":
        return VOLATILITY * noise, np.ones(noise.shape)
    if process == "t3":
        return VOLATILITY * noise / np.sqrt(generator.chisquare(3, rows)), np.ones(noise.shape)
    omega, alpha, beta = GARCH
    found, ahead = np.empty(noise.shape), np.empty(noise.shape)
    variance = np.ones(symbols)
    for t in range(rows):
        found[:, t] = np.sqrt(variance) * noise[:, t]
        variance = omega + alpha * found[:, t] ** 2 + beta * variance
        ahead[:, t] = variance
    return VOLATILITY * found, ahead


def fitted(kind, returns, at, generator):
    """A forecast of each day's move, fitted on the training rows, (S, N)."""
    known = returns[:, :TRAINING]
    mean = np.broadcast_to(known.mean(axis=1)[:, None], (len(returns), at.size))
    if kind == "mean":
        return mean
    if kind == "noise":
        return mean + generator.normal(0.0, 0.1 * VOLATILITY, mean.shape)
    x, y = known[:, :-1], known[:, 1:]
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return mean + slope * (returns[:, at - 1] - mean) / HORIZON


def backtest(process, moves, variance, at, model, drift, kind, wrong, chosen):
    symbols, n = len(moves), chosen.size
    cutoff = np.datetime64("2000-01-03") + chosen
    actual = moves[:, chosen].reshape(-1, HORIZON)
    median = (model[:, chosen, None] * STEPS).reshape(-1, HORIZON)
    truth = np.broadcast_to(drift * STEPS, median.shape)
    forecasts = {"net": Forecast(median), "naive": Forecast(np.zeros(median.shape))}
    forecasts["drift"] = Forecast(truth)
    if kind == "fan":
        cone = true_cone(process, variance[:, at[chosen] - 1].reshape(-1))
        forecasts["net"] = Forecast(median, median[..., None] + wrong * cone, LEVELS)
        forecasts["scaled_climatology"] = Forecast(truth, truth[..., None] + cone, LEVELS)
    return Backtest(
        symbol=np.repeat([f"S{s}" for s in range(symbols)], n),
        cutoff=np.tile(cutoff, symbols),
        last_close=np.full(symbols * n, 100.0),
        sigma=np.full(symbols * n, VOLATILITY),
        dates=np.tile(cutoff[:, None] + STEPS, (symbols, 1)),
        actual=actual,
        forecasts=forecasts,
    )


def true_cone(process, variance):
    """The quantiles of the moves of each step without drift, (N, H, Q), from what is known."""
    grid, table = quantile_table(process)
    at = np.interp(np.log(variance), grid, np.arange(grid.size))
    low = np.minimum(at.astype(int), grid.size - 2) if grid.size > 1 else np.zeros(at.size, int)
    part = (at - low)[:, None, None]
    high = np.minimum(low + 1, grid.size - 1)
    return VOLATILITY * ((1.0 - part) * table[low] + part * table[high])


@cache
def quantile_table(process):
    """Simulated quantiles of h-step sums, (G, H, Q), for G variances of the first step."""
    generator = np.random.default_rng(1)
    draws = 400_000
    if process != "garch":
        noise = generator.standard_normal((draws, HORIZON))
        if process == "t3":
            noise /= np.sqrt(generator.chisquare(3, (draws, HORIZON)))
        noise = np.concatenate([noise, -noise])
        return np.zeros(1), np.quantile(noise.cumsum(axis=1), LEVELS, axis=0).T[None]
    grid, (omega, alpha, beta) = np.linspace(-1.5, 3.0, 19), GARCH
    tables = []
    for start in np.exp(grid):
        variance, total, found = np.full(draws, start), np.zeros(draws), []
        for _ in STEPS:
            move = np.sqrt(variance) * generator.standard_normal(draws)
            variance = omega + alpha * move**2 + beta * variance
            total = total + move
            found.append(np.quantile(np.concatenate([total, -total]), LEVELS))
        tables.append(found)
    return grid, np.array(tables)


PHI, DATA_SETS, TESTED = 0.3, 20, 500
POINT_RECIPE = (
    "window.horizon=1",
    "window.context_length=50",
    'window.features=["close"]',
    "window.scaling=log_return",
    "model.head=recursive",
)


def test_a_first_order_autoregression_is_found_in_nine_of_ten(tmp_path):
    """Power is not given away: phi 0.3, one step ahead, 500 windows, the whole command."""
    found = []
    for seed in range(DATA_SETS):
        generator = np.random.default_rng(seed)
        moves = generator.normal(0.0, VOLATILITY, 3600)
        for t in range(1, moves.size):
            moves[t] += PHI * moves[t - 1]
        days = np.busday_offset("2010-01-04", np.arange(moves.size), roll="forward")
        folder = tmp_path / str(seed)
        folder.mkdir()
        rows = zip(days, 100.0 * np.exp(moves.cumsum()), strict=True)
        text = "\n".join(f"{day},{close}" for day, close in rows)
        (folder / "ar.csv").write_text(f"Date,Close\n{text}\n")
        settings = [*POINT_RECIPE, f"split.train_end={days[-TESTED - 2]}"]
        options = [each for setting in settings for each in ("--set", setting)]
        done = succeed("train", "--csv", "A=ar.csv", "--name", "ar", *options, folder=folder)
        done = in_process("evaluate", "--model", "ar", "--format", "json", folder=folder)
        scores = json.loads(done.out)["scores"]
        assert scores["n_independent"] == TESTED
        found.append("Better than naive" in json.loads(done.out)["verdicts"]["ar/v0001"])
    print(f"\nAR(1), phi {PHI}, {TESTED} windows: found in {sum(found)} of {DATA_SETS}")
    assert sum(found) >= 0.9 * DATA_SETS
