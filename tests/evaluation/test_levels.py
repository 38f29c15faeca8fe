"""CRPS and reliability of a fan, level by level."""

import numpy as np
import pytest
from scipy import integrate, stats

from lstmcli.evaluation.bands import FanSums, level_scores, step_bands
from lstmcli.evaluation.losses import window_crps
from lstmcli.evaluation.metrics import absolute_error
from lstmcli.evaluation.pooling import Pool

LEVELS = (0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975)
DAY = np.datetime64("2020-01-01")


def pinball(quantile, actual, level):
    over = np.exp(actual) - np.exp(quantile)
    return level * over if over >= 0 else (level - 1) * over


def reduce_fan(quantiles, levels, actual, pool):
    """The CRPS of each window and step, and the levels pooled."""
    sums = FanSums(levels, actual, pool.weights(~np.isnan(actual)))
    return sums.add(quantiles, 0, len(actual)), sums.steps()


def crps(quantiles, levels, actual):
    dates = DAY + np.arange(len(actual))
    found = reduce_fan(quantiles, levels, actual, Pool(dates, dates + np.timedelta64(1, "D")))[0]
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


def panel():
    """Two symbols on 30 dates, one of them absent at first, and a few futures still unknown."""
    generator = np.random.default_rng(2)
    cutoff = DAY + np.concatenate([np.arange(30), np.arange(12, 30)])
    actual = generator.normal(0, 0.1, (48, 3))
    actual[29, 1:] = np.nan
    actual[47] = np.nan
    fan = np.sort(generator.normal(0, 0.1, (48, 3, 5)), axis=-1)
    fan[3, 0, 2] = actual[3, 0]
    return fan, (0.1, 0.3, 0.5, 0.7, 0.9), actual, cutoff


def test_an_outcome_on_the_edge_of_a_band_is_inside_of_it_and_not_above_its_level():
    fan, levels = np.array([[[-0.1, 0.0, 0.1]]]), (0.1, 0.5, 0.9)
    pool = Pool(DAY + np.arange(1), DAY + np.arange(1, 2))
    for edge, below in ((-0.1, [1.0, 1.0, 1.0]), (0.1, [0.0, 0.0, 1.0])):
        steps = reduce_fan(fan, levels, np.array([[edge]]), pool)[1]
        assert [each.coverage for each in step_bands(steps)] == [[1.0]]
        assert [each.below for each in level_scores(steps, (1,), (1,))] == below


def test_a_step_that_has_not_happened_has_no_levels():
    fan, levels, actual, cutoff = panel()
    actual[:, 2] = np.nan
    steps = reduce_fan(fan, levels, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))[1]
    assert {each.step for each in level_scores(steps, (1, 2, 3), (1, 2, 3))} == {1, 2}
    assert step_bands(steps)[0].coverage[2] is None
