"""Two-way direction: hits, the best constant answer, and what is left undefined."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.direction import probability_below, two_way
from lstmcli.evaluation.pooling import Pool

DAY = np.datetime64("2020-01-01")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def days(n, apart=1):
    cutoff = DAY + apart * np.arange(n)
    return Pool(cutoff, cutoff + np.timedelta64(apart, "D"))


def test_down_is_the_best_constant_answer_of_a_falling_market():
    found = two_way(np.ones(4), np.array([-1.0, -1.0, -1.0, 1.0]), days(4))
    assert (found.always, found.always_accuracy) == ("down", 0.75)
    assert found.accuracy == 0.25


def test_a_forecast_without_a_call_has_no_accuracy_and_says_why():
    found = two_way(np.zeros(30), np.where(np.arange(30) % 3, 1.0, -1.0), days(30))
    assert found.accuracy is None
    assert found.balanced_accuracy is None
    assert found.interval.low is None
    assert found.test.p is None
    assert "no call" in found.why
    assert found.always_accuracy == pytest.approx(2 / 3)


def test_a_single_missing_call_counts_as_a_miss():
    assert two_way(np.array([0.1, 0.0]), np.array([0.1, -0.1]), days(2)).accuracy == 0.5


def test_what_has_not_happened_is_left_out():
    predicted, actual = np.array([0.1, 0.1, 0.1]), np.array([0.1, -0.1, np.nan])
    found = two_way(predicted, actual, days(3))
    assert (found.n_windows, found.accuracy) == (2, 0.5)
    nothing = two_way(predicted, np.full(3, np.nan), days(3))
    assert (nothing.n_windows, nothing.accuracy, nothing.always) == (0, None, None)
    assert nothing.why == "no window has its outcome yet"


def test_symbols_of_one_date_share_its_weight_and_count_as_one_trial():
    cutoff = np.array([DAY, DAY, DAY, DAY + np.timedelta64(1, "D")])
    actual = np.array([0.1, 0.1, -0.1, -0.1])
    found = two_way(np.full(4, 0.1), actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))
    assert found.accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert (found.n_windows, found.n_independent) == (4, 2)
    pair = Pool(
        np.repeat(cutoff[[0, 3]], 2),
        np.repeat(cutoff[[0, 3]], 2) + np.timedelta64(1, "D"),
        np.tile([0, 1], 2),
    )
    assert two_way(np.full(4, 0.1), actual, pair).test.why is not None


def test_the_thirteen_of_the_lab_prove_nothing():
    """11 of 13 rises: always-up scores 84.6 %, and even 13 of 13 would not be significant."""
    actual = np.array([1.0] * 11 + [-1.0] * 2)
    found = two_way(np.ones(13), actual, days(13))
    assert found.accuracy == found.always_accuracy == pytest.approx(11 / 13)
    assert found.interval.low < 0.6 < 0.95 < found.interval.high
    assert "a test needs 20" in found.test.why


def slow_probability(quantiles, value):
    if value < quantiles[0]:
        return LEVELS[0]
    if value >= quantiles[-1]:
        return LEVELS[-1]
    for k in range(4):
        if quantiles[k] <= value < quantiles[k + 1]:
            share = (value - quantiles[k]) / (quantiles[k + 1] - quantiles[k])
            return LEVELS[k] + share * (LEVELS[k + 1] - LEVELS[k])
    return math.nan


@given(
    quantiles=st.lists(st.floats(-1, 1), min_size=5, max_size=5).map(sorted),
    value=st.floats(-1.5, 1.5),
)
def test_the_probability_below_a_value_agrees_with_its_slow_twin(quantiles, value):
    found = probability_below(np.array([quantiles]), LEVELS, np.array([value]))
    assert found[0] == pytest.approx(slow_probability(quantiles, value), abs=1e-9)


def test_the_probability_grows_with_the_value():
    fan = np.tile(np.array([-2.0, -1.0, 0.0, 0.5, 1.5]), (200, 1))
    found = probability_below(fan, LEVELS, np.linspace(-3, 3, 200))
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0.05, 0.95)
