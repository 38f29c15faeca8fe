"""The baselines against slow twins, and that none sees a row after its cutoff."""

import math
import statistics
from typing import Any

import numpy as np
import pytest

from lstmcli.dataset.volatility import EWMA_START, ewma_sigma, trailing_sigma
from lstmcli.errors import DataError
from lstmcli.forecasting import baselines
from tests.rows import for_each

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
HORIZON = 7
FIT_ROWS = 300
CUTOFFS = np.array([299, 310, 350, 399])

FIT, FAN, SEASON = {"fit_rows": FIT_ROWS}, {"levels": LEVELS}, {"period": 5}
OPTIONS: dict[str, dict[str, Any]] = {
    **{"naive": {}, "drift": FIT, "always_up": {}, "seasonal_naive": SEASON},
    **{"seasonal_drift": FIT | SEASON, "gaussian_cone": FAN, "ewma_cone": FAN},
    "scaled_climatology": FIT | FAN,
}
FANS = ("gaussian_cone", "ewma_cone", "scaled_climatology")


def made(name, log_prices, cutoffs=CUTOFFS, **changes):
    """The forecasts of a baseline."""
    options = OPTIONS[name] | changes
    return getattr(baselines, name)(log_prices, np.asarray(cutoffs), HORIZON, **options)


@pytest.fixture
def log_prices():
    return 4.0 + np.cumsum(np.random.default_rng(0).normal(2e-4, 0.01, 400))


@for_each("name", OPTIONS)
def test_every_baseline_has_the_shape_of_a_forecast(name, log_prices):
    found = made(name, log_prices, CUTOFFS)
    assert found.median.shape == (4, HORIZON)
    assert found.median.dtype == np.float64
    if name in FANS:
        assert found.quantiles.shape == (4, HORIZON, 5)
        assert found.levels == LEVELS
        assert (np.diff(found.quantiles, axis=-1) >= 0).all()
        np.testing.assert_allclose(found.median, found.quantiles[:, :, 2], atol=1e-15)
    else:
        assert found.quantiles is None
        assert found.levels == ()


@for_each("name", OPTIONS)
@for_each("cutoff", [299, 350])
def test_nothing_after_the_cutoff_changes_a_baseline(name, cutoff, log_prices):
    changed = log_prices.copy()
    changed[cutoff + 1 :] = np.random.default_rng(9).normal(0, 50, 399 - cutoff)
    before, after = (made(name, p, np.array([cutoff])) for p in (log_prices, changed))
    np.testing.assert_array_equal(before.median, after.median)
    if before.quantiles is not None:
        np.testing.assert_array_equal(before.quantiles, after.quantiles)


def test_drift_is_the_mean_log_return_of_the_rows_before_the_test_span(log_prices):
    returns = [log_prices[t] - log_prices[t - 1] for t in range(1, FIT_ROWS)]
    expected = [h * sum(returns) / len(returns) for h in range(1, HORIZON + 1)]
    found = made("drift", log_prices).median
    np.testing.assert_allclose(found, [expected] * 4, rtol=1e-9)


def test_always_up_calls_up_with_the_errors_of_naive(log_prices):
    found = made("always_up", log_prices).median
    assert (found > 0).all()
    assert found.max() <= 1e-6


def test_seasonal_naive_repeats_the_last_season(log_prices):
    found = made("seasonal_naive", log_prices).median
    assert made("seasonal_naive", log_prices, [4]).median.shape == (1, HORIZON)  # just one season
    for i, cutoff in enumerate(CUTOFFS):
        for h in range(1, HORIZON + 1):
            season_ago = cutoff + h - 5 * math.ceil(h / 5)
            assert season_ago <= cutoff
            assert found[i, h - 1] == log_prices[season_ago] - log_prices[cutoff]


def test_seasonal_drift_grows_the_last_season_by_the_mean_growth_of_a_season(log_prices):
    known = log_prices[:FIT_ROWS]
    growth = statistics.fmean(known[t] - known[t - 5] for t in range(5, FIT_ROWS))
    found = made("seasonal_drift", log_prices)
    plain = made("seasonal_naive", log_prices)
    for h in range(1, HORIZON + 1):
        expected = plain.median[:, h - 1] + growth * math.ceil(h / 5)
        np.testing.assert_allclose(found.median[:, h - 1], expected, rtol=1e-12)


def test_the_gaussian_cone_is_the_trailing_deviation_times_the_root_of_the_step(log_prices):
    found = made("gaussian_cone", log_prices)
    normal = statistics.NormalDist()
    for i, cutoff in enumerate(CUTOFFS):
        sigma = statistics.stdev(np.diff(log_prices[cutoff - 250 : cutoff + 1]).tolist())
        for h in range(1, HORIZON + 1):
            expected = [sigma * math.sqrt(h) * normal.inv_cdf(level) for level in LEVELS]
            np.testing.assert_allclose(found.quantiles[i, h - 1], expected, rtol=1e-9, atol=1e-15)


def test_the_trailing_deviation_agrees_with_its_slow_twin(log_prices):
    cutoffs = np.array([250, 20, 300, 249, 251, 21])
    returns = np.diff(log_prices)
    expected = [returns[max(0, end - 250) : end].std(ddof=1) for end in cutoffs]
    assert trailing_sigma(log_prices, cutoffs, 250).tolist() == expected


def test_the_climatology_at_some_steps_equals_that_at_all_steps(log_prices):
    whole = made("scaled_climatology", log_prices)
    some = made("scaled_climatology", log_prices, steps=(2, HORIZON))
    assert some.steps == (2, HORIZON)
    np.testing.assert_array_equal(some.median, whole.at((2, HORIZON)).median)
    np.testing.assert_array_equal(some.quantiles, whole.at((2, HORIZON)).quantiles)


def test_the_ewma_volatility_agrees_with_its_slow_twin(log_prices):
    squares = [(log_prices[t] - log_prices[t - 1]) ** 2 for t in range(1, 400)]
    variance = sum(squares[:20]) / 20
    found = ewma_sigma(log_prices)
    assert np.isnan(found[:20]).all()
    assert found[20] == pytest.approx(math.sqrt(variance))
    for t in range(21, 400):
        variance = 0.94 * variance + 0.06 * squares[t - 1]
        assert found[t] == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert np.isnan(ewma_sigma(log_prices[:EWMA_START])).all()


def test_the_ewma_cone_is_its_volatility_times_the_root_of_the_step(log_prices):
    found = made("ewma_cone", log_prices)
    sigma = ewma_sigma(log_prices)[CUTOFFS]
    z = statistics.NormalDist().inv_cdf(0.9)
    for h in range(1, HORIZON + 1):
        np.testing.assert_allclose(found.quantiles[:, h - 1, 3], sigma * z * math.sqrt(h))


def test_the_climatology_agrees_with_its_slow_twin(log_prices):
    found = made("scaled_climatology", log_prices)
    sigma = ewma_sigma(log_prices)
    for h in range(1, HORIZON + 1):
        moves = [
            (log_prices[t + h] - log_prices[t]) / (sigma[t] * math.sqrt(h))
            for t in range(20, FIT_ROWS)
            if t + h < FIT_ROWS
        ]
        expected = np.quantile(moves, LEVELS)
        for i, cutoff in enumerate(CUTOFFS):
            np.testing.assert_allclose(
                found.quantiles[i, h - 1], expected * sigma[cutoff] * math.sqrt(h), rtol=1e-9
            )


def test_the_climatology_leaves_out_days_without_volatility():
    still = np.concatenate([np.zeros(60), np.cumsum(np.tile([0.01, -0.02], 170))])
    found = made("scaled_climatology", still)
    assert np.isfinite(found.quantiles).all()
    with pytest.raises(DataError, match="Too few price changes"):
        made("scaled_climatology", np.zeros(400))


@for_each(
    ("name", "cutoffs", "changes", "words"),
    [
        ("seasonal_naive", [10], {"period": 12}, "found 11 rows .* expected at least 12"),
        ("seasonal_drift", CUTOFFS, {"fit_rows": 9}, "found 9, expected at least 10"),
        ("drift", CUTOFFS, {"fit_rows": 1}, "found 1, expected at least 2"),
        ("drift", [298, 350], {}, "use rows after a cutoff"),
        ("scaled_climatology", [298, 350], {}, "use rows after a cutoff"),
        ("scaled_climatology", CUTOFFS, {"fit_rows": 76}, "found 76, expected at least 77"),
        ("ewma_cone", [19], {}, "found 19 returns"),
        ("gaussian_cone", [19], {}, "found 19 returns"),
    ],
)
def test_too_few_rows_and_rows_after_a_cutoff_are_refused(
    name, cutoffs, changes, words, log_prices
):
    with pytest.raises(DataError, match=words):
        made(name, log_prices, cutoffs, **changes)
