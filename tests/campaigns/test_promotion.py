"""How often does a structureless challenger take the champion's place? 10,000 comparisons a cell.

Neither of the two models knows more: both have the same expected loss on every day. Run with
`pytest -m slow -s -n 0 tests/campaigns/test_promotion.py`; some six minutes on one core.
"""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lstmcli.evaluation.pooling import Pool
from lstmcli.learning.promotion import compare

pytestmark = pytest.mark.slow

RUNS, LEVEL, SYMBOLS = 10_000, 0.01, 5
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
GARCH = (0.05, 0.08, 0.87)


@pytest.mark.parametrize("kind", ["constant", "signal", "fan"])
@pytest.mark.parametrize("symbols", [1, SYMBOLS])
@pytest.mark.parametrize("process", ["gaussian", "t3", "garch"])
def test_a_challenger_that_knows_no_more_is_seldom_promoted(process, symbols, kind):
    for windows, steps in ((8, 5), (12, 5), (20, 5), (30, 5), (20, 1), (40, 1)):
        generator = np.random.default_rng([windows, steps, symbols, len(process), len(kind)])
        dates = (windows - 1) * steps + 1
        losses = differences(process, kind, symbols, dates, steps, generator)
        cutoff = np.datetime64("2020-01-01") + np.arange(dates)
        pool = Pool(cutoff, cutoff + steps)
        assert pool.n_independent == windows
        levels = LEVELS if kind == "fan" else ()
        rest: dict[str, Any] = {"levels": levels, "steps": steps, "level": LEVEL}
        # A constant keeps the reported losses positive and changes no difference.
        wins = [compare(each + 1e3, np.full(dates, 1e3), pool, **rest).better for each in losses]
        rate = float(np.mean(wins))
        error = math.sqrt(rate * (1.0 - rate) / RUNS)
        print(
            f"\n{process:8} {symbols} symbols {kind:8} {windows} windows of {steps}: "
            f"{rate:.2%} +- {error:.2%}",
            end="",
        )
        assert rate <= 0.015 + 2.0 * math.sqrt(0.015 * 0.985 / RUNS)


def differences(process, kind, symbols, dates, steps, generator):
    """Loss of the challenger less that of the champion by date, (RUNS, dates)."""
    returns, deviation = draw(process, symbols, dates + steps, generator)
    sums = np.concatenate([np.zeros((RUNS, symbols, 1)), returns.cumsum(axis=2)], axis=2)
    ours, theirs = models(kind, symbols, dates, generator)
    total = np.zeros((RUNS, symbols, dates))
    for step in range(1, steps + 1):
        move = sums[..., step : step + dates] - sums[..., :dates]
        if kind != "fan":
            total += (move - ours * step) ** 2 - (move - theirs * step) ** 2
            continue
        spread = deviation[..., :dates] * math.sqrt(step)
        shape = stats.t(3) if process == "t3" else stats.norm
        for level in LEVELS:
            quantile = spread * shape.ppf(level)
            total += pinball(move - ours * quantile, level)
            total -= pinball(move - theirs * quantile, level)
    return total.mean(axis=1)


def models(kind, symbols, dates, generator):
    """What the two forecast a day; of a fan, how much too wide it is. Equal in expected loss."""
    if kind == "constant":
        call = 0.05 * generator.standard_normal((RUNS, 1, 1))
        return call, -call
    found = []
    for _ in range(2):
        noise = generator.standard_normal((RUNS, symbols, dates))
        if kind == "signal":  # it lasts for some ten days; in a fan it would not average to none
            for t in range(1, dates):
                noise[..., t] = 0.9 * noise[..., t - 1] + math.sqrt(0.19) * noise[..., t]
        found.append(np.exp(0.1 * noise) if kind == "fan" else 0.05 * noise)
    return found


def draw(process, symbols, days, generator):
    """Returns, (RUNS, S, days), and the deviation of each next one as it is known."""
    mixing = np.full((symbols, symbols), 0.5) + 0.5 * np.eye(symbols)
    noise = np.linalg.cholesky(mixing) @ generator.standard_normal((RUNS, symbols, days))
    if process == "gaussian":
        return noise, np.ones(noise.shape)
    if process == "t3":
        return noise / np.sqrt(generator.chisquare(3, (RUNS, 1, days)) / 3.0), np.ones(noise.shape)
    omega, alpha, beta = GARCH
    variance, deviations = np.ones(noise.shape[:2]), np.empty(noise.shape)
    for t in range(days):
        deviations[..., t] = np.sqrt(variance)
        noise[..., t] *= deviations[..., t]
        variance = omega + alpha * noise[..., t] ** 2 + beta * variance
    return noise, deviations


def pinball(error, level):
    return np.where(error >= 0.0, level * error, (level - 1.0) * error)
