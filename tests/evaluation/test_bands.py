"""Bands, levels and PIT of a fan: coverage, CRPS, reliability, and when they are good."""

import numpy as np
import pytest
from scipy import integrate, stats

from lstmcli.evaluation.bands import (
    FanSums,
    bands,
    bin_masses,
    level_scores,
    pit_histogram,
    step_bands,
)
from lstmcli.evaluation.losses import window_crps
from lstmcli.evaluation.metrics import absolute_error
from lstmcli.evaluation.significance import overlapping_error
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import LEVELS, daily
from tests.rows import for_each


def checked(actual, spread=0.02, symbols=1, reach=1):
    """The bands of one fan at every window, at one step."""
    z, n = np.array([-1.2816, -0.5244, 0.5244, 1.2816]), len(actual)
    fan = Forecast(np.zeros((n, 1)), np.tile(spread * z, (n, 1, 1)), (0.1, 0.3, 0.7, 0.9))
    return bands(fan, 1, actual, daily(n // symbols, reach, symbols))


def test_a_true_fan_is_good_and_a_narrow_one_is_not():
    actual = np.random.default_rng(0).normal(0, 0.02, 2000)
    for spread, good in ((0.02, True), (0.01, False)):
        found = checked(actual, spread)
        assert [band.nominal for band in found] == [0.8, 0.4]
        assert [band.good for band in found] == [good, good]
        assert found[0].width > found[1].width > 0
        assert (found[0].test.p > 0.05) is good


def test_coverage_and_its_error_agree_with_their_slow_twins():
    actual = np.random.default_rng(1).normal(0, 0.02, 60)
    found = checked(actual, reach=5)[0]
    held = [1.0 if abs(x) <= 0.02 * 1.2816 else 0.0 for x in actual]
    assert found.coverage == pytest.approx(sum(held) / 60)
    error = max(overlapping_error(np.array(held), 5)[0], np.sqrt(0.8 * 0.2 / 12))
    assert found.standard_error == pytest.approx(error)
    assert (found.n_dates, found.test.n) == (60, 12)


def test_a_deviation_within_two_points_is_good_whatever_the_error():
    found = checked(np.where(np.arange(4000) % 50 < 41, 0.0, 1.0))[0]  # 82 % held
    assert found.coverage == pytest.approx(0.82)
    assert found.good


def test_a_band_that_held_every_window_still_has_an_error():
    found = checked(np.zeros(22), reach=2)[0]
    assert found.coverage == 1.0
    assert found.standard_error == pytest.approx(np.sqrt(0.8 * 0.2 / 11))


@for_each(("n", "judged"), [(10, False), (100, False), (255, False), (260, True)])
def test_a_coverage_is_not_judged_while_two_standard_errors_exceed_five_points(n, judged):
    """The binomial error of 80 % is at most 2.5 points from 256 windows on."""
    found = checked(np.where(np.arange(n) % 5 < 4, 0.0, 1.0))[0]
    assert (found.good is not None) is judged


def test_several_symbols_get_an_error_but_no_independent_test():
    found = checked(np.random.default_rng(2).normal(0, 0.02, 80), symbols=2)[0]
    assert found.n_dates == 40
    assert "not independent" in found.test.why


def test_the_error_of_overlapping_windows_of_many_symbols_is_neither_small_nor_large():
    """Bartlett's weights made it 15 % too small, and a true fan "not calibrated" in 10 %."""
    reach, symbols, n = 5, 5, 496
    z, generator = stats.norm.ppf(0.9), np.random.default_rng(100)
    quantiles = np.tile([-z, 0.0, z], (n * symbols, 1, 1))
    made, found = Forecast(np.zeros((n * symbols, 1)), quantiles, (0.1, 0.5, 0.9)), []
    for _ in range(600):
        common, own = (generator.standard_normal((n + reach, k)) for k in (1, symbols))
        walks = np.cumsum(np.sqrt(0.4) * common + np.sqrt(0.6) * own, axis=0)
        moves = (walks[reach:] - walks[:-reach]) / np.sqrt(reach)
        found.append(bands(made, 1, moves.T.ravel(), daily(n, reach, symbols))[0])
    spread = np.std([band.coverage for band in found])
    assert np.mean([band.standard_error for band in found]) == pytest.approx(spread, rel=0.1)
    assert np.mean([band.good is False for band in found]) < 0.08


def test_windows_that_all_overlap_have_no_error():
    found = checked(np.zeros(6), symbols=2, reach=9)[0]
    assert (found.standard_error, found.good) == (None, None)


def test_point_forecasts_and_unknown_outcomes_have_no_bands():
    assert bands(Forecast(np.zeros((3, 1))), 1, np.zeros(3), daily(3)) == ()
    assert checked(np.full(3, np.nan)) == ()


def pinball(quantile, actual, level):
    over = np.exp(actual) - np.exp(quantile)
    return level * over if over >= 0 else (level - 1) * over


def reduce_fan(quantiles, levels, actual, pool):
    """The CRPS of each window and step, and the levels pooled."""
    sums = FanSums(levels, actual, pool.weights(~np.isnan(actual)))
    return sums.add(quantiles, 0, len(actual)), sums.steps()


def crps(quantiles, levels, actual):
    found = reduce_fan(quantiles, levels, actual, daily(len(actual)))[0]
    np.testing.assert_allclose(window_crps(quantiles, levels, actual), found.mean(axis=1))
    return found


def test_crps_of_a_single_point_is_its_absolute_error():
    actual = np.array([[0.1, -0.2]])
    np.testing.assert_allclose(
        crps(np.full((1, 2, len(LEVELS)), 0.03), LEVELS, actual),
        absolute_error(np.full((1, 2), 0.03), actual),
    )


def test_crps_comes_close_to_the_integral_of_the_inner_levels():
    """Against the integral of twice the pinball over 0.025..0.975, for a log-normal."""
    spread, actual = 0.1, 0.07
    quantiles = np.array([[spread * stats.norm.ppf(LEVELS)]])
    whole, _ = integrate.quad(
        lambda u: 2.0 * pinball(spread * stats.norm.ppf(u), actual, u), 0.025, 0.975
    )
    found = float(crps(quantiles, LEVELS, np.array([[actual]]))[0, 0])
    assert found == pytest.approx(whole / 0.95, rel=0.01)


def test_crps_needs_an_inner_level():
    with pytest.raises(ValueError, match="no level between"):
        crps(np.zeros((1, 1, 1)), (0.01,), np.zeros((1, 1)))


def test_an_outcome_on_the_edge_of_a_band_is_inside_it_and_not_above_its_level():
    fan, levels = np.array([[[-0.1, 0.0, 0.1]]]), (0.1, 0.5, 0.9)
    for edge, below in ((-0.1, [1.0, 1.0, 1.0]), (0.1, [0.0, 0.0, 1.0])):
        steps = reduce_fan(fan, levels, np.array([[edge]]), daily(1))[1]
        assert [each.coverage for each in step_bands(steps)] == [[1.0]]
        assert [each.below for each in level_scores(steps, (1,), (1,))] == below


def test_a_step_without_outcomes_has_no_level_scores():
    fan, actual = np.zeros((6, 3, 2)), np.zeros((6, 3))
    actual[:, 2] = np.nan
    steps = reduce_fan(fan, (0.1, 0.9), actual, daily(6))[1]
    assert {each.step for each in level_scores(steps, (1, 2, 3), (1, 2, 3))} == {1, 2}
    assert step_bands(steps)[0].coverage[2] is None


EDGES = np.linspace(0.0, 1.0, 11)


def histogram(actual, spread=1.0, reach=1, symbols=1):
    n = len(actual)
    fan = np.tile(spread * stats.norm.ppf(LEVELS), (n, 1, 1))
    pool = daily(n // symbols, reach, symbols)
    return pit_histogram(Forecast(np.zeros((n, 1)), fan, LEVELS), 1, actual, pool)


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
    found = histogram(actual, reach=5).test
    counts = np.histogram(stats.norm.cdf(actual[::5]), EDGES)[0]
    assert (found.n, found.statistic, found.p) == (20, *map(pytest.approx, stats.chisquare(counts)))


def test_with_few_windows_or_several_symbols_the_missing_test_has_a_reason():
    actual = np.random.default_rng(4).normal(size=60)
    assert "13 windows; a test needs 20" in histogram(actual[:13]).test.why
    pooled = histogram(actual, symbols=2)
    assert "not independent" in pooled.test.why
    assert pooled.n == 30


def test_point_forecasts_and_unknown_outcomes_have_no_histogram():
    assert pit_histogram(Forecast(np.zeros((3, 1))), 1, np.zeros(3), daily(3)) is None
    assert histogram(np.full(3, np.nan)) is None
