"""Elementwise losses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation import metrics

move = st.floats(-0.5, 0.5)


@given(forecast=move, actual=move, last=st.floats(1, 1e4))
def test_the_path_error_is_the_price_error_over_the_last_price(forecast, actual, last):
    found = metrics.path_error(np.array(forecast), np.array(actual))
    expected = (last * math.exp(forecast) - last * math.exp(actual)) / last
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_unknown_outcomes_have_no_loss():
    actual = np.array([0.1, np.nan])
    for loss in (metrics.squared_error, metrics.absolute_error):
        assert np.isnan(loss(np.zeros(2), actual)).tolist() == [False, True]
    assert np.isnan(metrics.pinball(actual, 0.3)).tolist() == [False, True]
    assert np.isnan(metrics.inside(-np.ones(2), np.ones(2), actual)).tolist() == [False, True]


@given(over=move, level=st.floats(0.01, 0.99))
def test_pinball_agrees_with_its_slow_twin(over, level):
    expected = level * over if over >= 0 else (level - 1) * over
    assert float(metrics.pinball(np.array(over), level)) == pytest.approx(expected, abs=1e-12)


def test_inside_counts_the_edges():
    low, high = np.full(4, -0.1), np.full(4, 0.1)
    actual = np.array([-0.1, 0.0, 0.1, 0.2])
    assert metrics.inside(low, high, actual).tolist() == [1.0, 1.0, 1.0, 0.0]


def test_the_mase_scale_is_the_mean_absolute_change():
    assert metrics.mase_scale(np.array([10.0, 12.0, 9.0])) == 2.5
    assert metrics.mase_scale(np.array([10.0, 10.0])) is None
    assert metrics.mase_scale(np.array([10.0])) is None


def test_skill_is_the_relative_reduction_of_the_error():
    assert metrics.skill(3.0, 4.0) == 0.25
    assert metrics.skill(3.0, 0.0) is None
    assert metrics.skill(None, 1.0) is None
