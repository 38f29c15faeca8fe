"""Directions and chances of a rise, and forecasts that only repeat the last price."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.direction import chances, movement, probability_below, rise_counts, two_way
from lstmcli.evaluation.pooling import Pool
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import DAY, daily

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def test_down_is_the_best_constant_answer_of_a_falling_market():
    found = two_way(np.ones(4), np.array([-1.0, -1.0, -1.0, 1.0]), daily(4))
    assert (found.always, found.always_accuracy) == ("down", 0.75)
    assert found.accuracy == 0.25


def test_a_forecast_without_a_call_has_no_accuracy_and_says_why():
    found = two_way(np.zeros(30), np.where(np.arange(30) % 3, 1.0, -1.0), daily(30))
    assert found.accuracy is None
    assert found.balanced_accuracy is None
    assert found.interval.low is None
    assert found.test.p is None
    assert "no call" in found.why
    assert found.always_accuracy == pytest.approx(2 / 3)


def test_a_single_missing_call_counts_as_a_miss():
    assert two_way(np.array([0.1, 0.0]), np.array([0.1, -0.1]), daily(2)).accuracy == 0.5


def test_unknown_outcomes_are_left_out():
    predicted, actual = np.array([0.1, 0.1, 0.1]), np.array([0.1, -0.1, np.nan])
    found = two_way(predicted, actual, daily(3))
    assert (found.n_windows, found.accuracy) == (2, 0.5)
    nothing = two_way(predicted, np.full(3, np.nan), daily(3))
    assert (nothing.n_windows, nothing.accuracy, nothing.always) == (0, None, None)
    assert nothing.why == "no window has an outcome yet"


def test_symbols_of_one_date_share_its_weight_and_count_as_one_trial():
    cutoff, actual = DAY + np.array([0, 0, 0, 1]), np.array([0.1, 0.1, -0.1, -0.1])
    found = two_way(np.full(4, 0.1), actual, Pool(cutoff, cutoff + 1))
    assert found.accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert (found.n_windows, found.n_independent) == (4, 2)
    assert two_way(np.full(4, 0.1), actual, daily(2, symbols=2)).test.why is not None


def test_the_thirteen_windows_of_the_lab_prove_nothing():
    """11 of 13 rises: always-up scores 84.6 %, and even 13 of 13 would not be significant."""
    actual = np.array([1.0] * 11 + [-1.0] * 2)
    found = two_way(np.ones(13), actual, daily(13))
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


THREE = (0.1, 0.5, 0.9)


def scored(chance, actual, base_rate=0.5):
    """Score fans whose chance of a rise is `chance`: a straight line through 0 at 1 - chance."""
    at = 1.0 - np.asarray(chance)[:, None, None]
    fan = Forecast(np.zeros((len(at), 1)), np.array(THREE) - at, THREE)
    return chances(fan, 1, np.asarray(actual), daily(len(at)), base_rate)


def test_a_fan_that_knows_more_than_the_base_rate_has_skill_and_is_reliable():
    generator = np.random.default_rng(1)
    chance = generator.uniform(0.15, 0.85, 20_000)
    found = scored(chance, np.where(generator.random(20_000) < chance, 0.01, -0.01))
    assert found.skill > 0.1
    assert sum(each.n_windows for each in found.reliability) == 20_000
    for each in found.reliability:
        if each.n_windows:
            assert each.rose == pytest.approx(each.mean, abs=0.03)
    assert [each.n_windows for each in found.reliability[::9]] == [0, 0]


def test_a_chance_of_exactly_a_tenth_is_in_the_second_bin():
    """A fan from 10 to 90 % gives a value beyond it the chance 1 - 0.9, in floats."""
    found = scored([-0.5, 1.5], [-0.1, 0.1])
    assert [k for k, each in enumerate(found.reliability) if each.n_windows] == [1, 9]


def test_without_a_base_rate_there_is_no_skill_and_without_a_fan_no_chance():
    found = scored([0.6] * 3, [0.1, -0.1, 0.1], None)
    assert (found.brier_base, found.skill) == (None, None)
    assert chances(Forecast(np.zeros((3, 1))), 1, np.ones(3), daily(3), 0.5) is None
    assert scored([0.6] * 3, np.zeros(3)) is None


def test_rises_are_counted_step_by_step():
    rises, moves = rise_counts(np.log([1.0, 2.0, 2.0, 1.0]), 4)
    assert rises.tolist() == [1, 1, 0, 0]
    assert moves.tolist() == [2, 2, 0, 0]


def test_a_copy_of_the_last_price_is_a_flat_line():
    generator = np.random.default_rng(4)
    actual = generator.normal(0, 0.05, 50)
    last = 100 * np.exp(np.cumsum(generator.normal(0, 0.05, 50)))
    symbol = np.zeros(50, np.int32)
    copy = movement(np.full((50, 1), 1e-6), actual[:, None], last, symbol, 50)
    assert copy.flat_line
    assert copy.with_last == pytest.approx(1.0)
    assert copy.with_next < 1.0
    assert copy.copy
    assert copy.spread == pytest.approx(0.0, abs=1e-9)
    oracle = movement(actual[:, None], actual[:, None], last, symbol, 50)
    assert not oracle.flat_line
    assert not oracle.copy
    assert (oracle.size, oracle.with_next) == (pytest.approx(1.0), pytest.approx(1.0))


def test_correlations_are_taken_within_symbols():
    """Two symbols at distant price levels would otherwise correlate whatever the forecast."""
    generator = np.random.default_rng(5)
    last = np.concatenate([np.full(20, 1.0), np.full(20, 1000.0)])
    symbol = np.repeat([0, 1], 20)
    predicted, actual = generator.normal(0, 0.05, (2, 40, 1))
    found = movement(predicted, actual, last, symbol, 50)
    assert found.with_last is None  # the last price never changes within a symbol
    assert abs(found.with_next) < 0.5


def test_nothing_to_compare_leaves_movement_undefined():
    none = np.array([])
    found = movement(none[:, None], none[:, None], none, np.zeros(0, np.int32), 0)
    assert (found.size, found.with_last, found.flat_line) == (None, None, False)
    assert not found.copy


def test_random_moves_are_a_copy_and_slightly_skilled_moves_are_not():
    """Both are closer to the last price than to the next; only the moves distinguish them."""
    generator = np.random.default_rng(6)
    actual = generator.normal(0, 0.05, 100)
    last = 100 * np.exp(np.cumsum(actual) - actual)
    symbol = np.zeros(100, np.int32)
    chance = generator.normal(0, 0.02, 100)
    knows = 0.1 * actual + 0.1 * generator.normal(0, 0.05, 100)
    nothing, little = (
        movement(each[:, None], actual[:, None], last, symbol, 100) for each in (chance, knows)
    )
    for found in (nothing, little):
        assert found.with_last > found.with_next
        assert not found.flat_line
    assert nothing.copy
    assert not little.copy
    assert little.of_moves == pytest.approx(np.corrcoef(knows, actual)[0, 1])
    assert nothing.with_last == pytest.approx(
        np.corrcoef(np.log(last) + chance, np.log(last))[0, 1]
    )
    assert movement(
        knows[:, None], actual[:, None], last, symbol, 4
    ).copy  # too few windows to tell


def test_a_monthly_season_is_not_a_copy_although_its_last_step_hardly_moves():
    """Twelve months ahead the price is much the same; on the way there it is not."""
    generator = np.random.default_rng(7)
    season = 0.3 * np.sin(2.0 * np.pi * np.arange(1, 13) / 12.0)
    starts = np.arange(24)
    paths = np.array([np.roll(season, -s) - np.roll(season, -s)[-1] for s in starts])
    actual = paths + generator.normal(0, 0.05, paths.shape)
    last = 100 * np.exp(generator.normal(0, 0.05, 24))
    found = movement(paths, actual, last, np.zeros(24, np.int32), 24)
    assert not found.copy
    assert found.of_moves > 0.8


def test_every_step_has_equal_weight_in_the_correlation_of_moves():
    """The first step is known and the second, a hundred times as wide, is not."""
    first, second, guess = np.random.default_rng(8).normal(0, 0.01, (3, 200))
    actual, predicted = np.c_[first, 100 * second], np.c_[first, 100 * guess]
    found = movement(predicted, actual, np.ones(200), np.zeros(200, np.int32), 200)
    assert found.of_moves == pytest.approx(0.5, abs=0.05)
