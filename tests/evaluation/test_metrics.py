"""Losses, element by element."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from lstmcli.evaluation import metrics

LEVELS = (0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975)
move = st.floats(-0.5, 0.5)


@given(forecast=move, actual=move, last=st.floats(1, 1e4))
def test_the_path_error_is_the_price_error_over_the_last_price(forecast, actual, last):
    found = metrics.path_error(np.array(forecast), np.array(actual))
    expected = (last * math.exp(forecast) - last * math.exp(actual)) / last
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_what_has_not_happened_has_no_loss():
    actual = np.array([0.1, np.nan])
    for loss in (metrics.squared_error, metrics.absolute_error):
        assert np.isnan(loss(np.zeros(2), actual)).tolist() == [False, True]
    assert np.isnan(metrics.pinball(np.zeros(2), actual, 0.3)).tolist() == [False, True]
    assert np.isnan(metrics.inside(-np.ones(2), np.ones(2), actual)).tolist() == [False, True]


@given(forecast=move, actual=move, level=st.floats(0.01, 0.99))
def test_pinball_agrees_with_its_slow_twin(forecast, actual, level):
    over = math.exp(actual) - math.exp(forecast)
    expected = level * over if over >= 0 else (level - 1) * over
    found = metrics.pinball(np.array(forecast), np.array(actual), level)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_pinball_at_one_half_is_half_the_absolute_error():
    forecast, actual = np.array([0.1, -0.2]), np.array([-0.3, 0.4])
    np.testing.assert_allclose(
        2 * metrics.pinball(forecast, actual, 0.5), metrics.absolute_error(forecast, actual)
    )


def test_crps_is_twice_the_mean_pinball_of_the_inner_levels():
    generator = np.random.default_rng(1)
    quantiles = np.sort(generator.normal(0, 0.1, (3, 4, len(LEVELS))), axis=-1)
    actual = generator.normal(0, 0.1, (3, 4))
    found = metrics.crps(quantiles, LEVELS, actual)
    for i in range(3):
        for h in range(4):
            inner = [
                float(metrics.pinball(quantiles[i, h, q], actual[i, h], level))
                for q, level in enumerate(LEVELS)
                if 0.05 <= level <= 0.95
            ]
            assert len(inner) == 19
            assert found[i, h] == pytest.approx(2 * sum(inner) / 19)


def test_crps_of_a_single_point_is_its_absolute_error():
    actual = np.array([[0.1, -0.2]])
    quantiles = np.full((1, 2, len(LEVELS)), 0.03)
    np.testing.assert_allclose(
        metrics.crps(quantiles, LEVELS, actual),
        metrics.absolute_error(np.full((1, 2), 0.03), actual),
    )


def test_crps_comes_close_to_the_integral_of_the_inner_levels():
    """Against the integral of twice the pinball over 0.025..0.975, for a log-normal."""
    spread, actual = 0.1, 0.07
    quantiles = np.array([[spread * stats.norm.ppf(LEVELS)]])
    whole, _ = integrate.quad(
        lambda u: (
            2.0 * float(metrics.pinball(np.array(spread * stats.norm.ppf(u)), np.array(actual), u))
        ),
        0.025,
        0.975,
    )
    found = float(metrics.crps(quantiles, LEVELS, np.array([[actual]]))[0, 0])
    assert found == pytest.approx(whole / 0.95, rel=0.01)


def test_crps_needs_an_inner_level():
    with pytest.raises(ValueError, match="no level between"):
        metrics.crps(np.zeros((1, 1, 1)), (0.01,), np.zeros((1, 1)))


def test_central_bands_pair_symmetric_levels_widest_first():
    bands = metrics.central_bands(LEVELS)
    assert bands[0] == (0.95, 0, 20)
    assert (0.8, 2, 18) in bands
    assert len(bands) == 10
    assert metrics.central_bands((0.1, 0.5)) == ()


def test_inside_counts_the_edges():
    low, high = np.full(4, -0.1), np.full(4, 0.1)
    actual = np.array([-0.1, 0.0, 0.1, 0.2])
    assert metrics.inside(low, high, actual).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert metrics.width(low, high)[0] == pytest.approx(math.exp(0.1) - math.exp(-0.1))


def test_the_mase_scale_is_the_mean_absolute_change():
    assert metrics.mase_scale(np.array([10.0, 12.0, 9.0])) == 2.5
    assert metrics.mase_scale(np.array([10.0, 10.0])) is None
    assert metrics.mase_scale(np.array([10.0])) is None


def test_skill_is_the_share_of_the_error_that_is_saved():
    assert metrics.skill(3.0, 4.0) == 0.25
    assert metrics.skill(3.0, 0.0) is None
    assert metrics.skill(None, 1.0) is None
