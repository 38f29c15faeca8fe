"""The PIT histogram: flat where it should be, and spread where the fan does not say more."""

import numpy as np
import pytest
from scipy import stats

from lstmcli.evaluation.bands import bin_masses, pit_histogram
from lstmcli.evaluation.pooling import Pool
from lstmcli.forecasting.forecast import Forecast
from tests.rows import for_each

LEVELS = (0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975)
DAY = np.datetime64("2020-01-01")
EDGES = np.linspace(0.0, 1.0, 11)


def histogram(actual, spread=1.0, levels=LEVELS, days=1, symbols=1):
    n = len(actual)
    fan = np.tile(spread * stats.norm.ppf(levels), (n, 1, 1))
    cutoff = np.tile(DAY + np.arange(n // symbols), symbols)
    return pit_histogram(
        Forecast(np.zeros((n, 1)), fan, levels),
        1,
        actual,
        Pool(cutoff, cutoff + np.timedelta64(days, "D")),
    )


def test_a_true_fan_is_flat_and_a_narrow_one_is_not():
    actual = np.random.default_rng(0).normal(size=2000)
    true, narrow = histogram(actual), histogram(actual, spread=0.5)
    np.testing.assert_allclose(true.shares, 0.1, atol=0.025)
    assert true.test.p > 0.05
    assert narrow.test.p < 1e-6
    assert narrow.shares[0] > 0.2 < narrow.shares[-1]
    assert narrow.deviation > 5 * true.deviation
    assert (true.n, len(true.edges), sum(true.shares)) == (2000, 11, pytest.approx(1.0))


@for_each(
    ("actual", "expected"),
    [
        (-9.0, [0.4, 0.4, 0.2, 0, 0, 0, 0, 0, 0, 0]),  # below level 0.25
        (9.0, [0, 0, 0, 0, 0, 0, 0, 0.2, 0.4, 0.4]),
        (0.5, [0, 0, 0, 0.0, 0, 0, 0, 1.0, 0, 0]),  # on the quantile of level 0.75
        (0.25, [0, 0, 0, 0, 0, 0, 1.0, 0, 0, 0]),  # between 0.5 and 0.75
    ],
)
def test_mass_beyond_the_outer_quantiles_is_spread(actual, expected):
    fan = np.array([[-0.5, 0.0, 0.5]])
    found = bin_masses(fan, (0.25, 0.5, 0.75), np.array([actual]), EDGES)[0]
    assert found.tolist() == pytest.approx(expected)


def test_mass_on_quantiles_that_coincide_is_spread_between_their_levels():
    found = bin_masses(np.zeros((1, 3)), (0.2, 0.5, 0.7), np.zeros(1), EDGES)[0]
    assert found.tolist() == pytest.approx([0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0])


def test_the_test_runs_on_windows_that_do_not_overlap():
    actual = np.random.default_rng(2).normal(size=100)
    found = histogram(actual, days=5)
    expected = stats.chisquare(
        np.histogram(stats.norm.cdf(actual[::5]), EDGES)[0], np.full(10, 2.0)
    )
    assert found.test.n == 20
    assert found.test.statistic == pytest.approx(expected.statistic)
    assert found.test.p == pytest.approx(expected.pvalue)


def test_the_test_keeps_its_size_with_two_windows_a_bin():
    generator = np.random.default_rng(3)
    rejected = [histogram(generator.normal(size=20)).test.p < 0.05 for _ in range(1000)]
    assert abs(np.mean(rejected) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_few_windows_and_several_symbols_say_why_there_is_no_test():
    actual = np.random.default_rng(4).normal(size=60)
    assert "13 windows; a test needs 20" in histogram(actual[:13]).test.why
    pooled = histogram(actual, symbols=2)
    assert "not independent" in pooled.test.why
    assert pooled.n == 30


def test_point_forecasts_and_futures_have_no_histogram():
    cutoff = DAY + np.arange(3)
    none = np.full(3, np.nan)
    assert (
        pit_histogram(
            Forecast(np.zeros((3, 1))),
            1,
            np.zeros(3),
            Pool(cutoff, cutoff + np.timedelta64(1, "D")),
        )
        is None
    )
    assert histogram(none) is None
