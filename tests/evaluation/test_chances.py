"""Chances of a rise: Brier scores against the base rate, and reliability."""

import numpy as np
import pytest

from lstmcli.evaluation.direction import chances, rise_counts
from lstmcli.evaluation.pooling import Pool
from lstmcli.forecasting.forecast import Forecast

DAY = np.datetime64("2020-01-01")
LEVELS = (0.1, 0.5, 0.9)


def fan(chance):
    """A fan whose chance of a rise is `chance`: a straight line through 0 at 1 - chance."""
    at = 1.0 - np.asarray(chance)[:, None, None]
    return Forecast(np.zeros((len(at), 1)), np.array(LEVELS) - at, LEVELS)


def test_a_fan_that_knows_more_than_the_base_rate_has_skill_and_is_reliable():
    generator = np.random.default_rng(1)
    chance = generator.uniform(0.15, 0.85, 20_000)
    actual = np.where(generator.random(20_000) < chance, 0.01, -0.01)
    cutoff = DAY + np.arange(20_000)
    found = chances(fan(chance), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")), 0.5)
    assert found.skill > 0.1
    assert sum(each.n_windows for each in found.reliability) == 20_000
    for each in found.reliability:
        if each.n_windows:
            assert each.rose == pytest.approx(each.mean, abs=0.03)
    assert [each.n_windows for each in found.reliability[::9]] == [0, 0]


def test_a_chance_of_a_tenth_is_none_below_a_tenth():
    """A fan from 10 to 90 % gives no other chance to what lies beyond it: 1 - 0.9 in floats."""
    cutoff = DAY + np.arange(2)
    pool = Pool(cutoff, cutoff + np.timedelta64(1, "D"))
    beyond = Forecast(np.zeros((2, 1)), np.array([[[-0.3, -0.2, -0.1]], [[0.1, 0.2, 0.3]]]), LEVELS)
    found = chances(beyond, 1, np.array([-0.1, 0.1]), pool, 0.5)
    assert [k for k, each in enumerate(found.reliability) if each.n_windows] == [1, 9]


def test_without_a_base_rate_there_is_no_skill_and_without_a_fan_no_chance():
    cutoff = DAY + np.arange(3)
    pool = Pool(cutoff, cutoff + np.timedelta64(1, "D"))
    found = chances(fan(np.full(3, 0.6)), 1, np.array([0.1, -0.1, 0.1]), pool, None)
    assert (found.brier_base, found.skill) == (None, None)
    assert chances(Forecast(np.zeros((3, 1))), 1, np.ones(3), pool, 0.5) is None
    assert chances(fan(np.full(3, 0.6)), 1, np.zeros(3), pool, 0.5) is None


def test_rises_are_counted_step_by_step():
    prices = np.log([1.0, 2.0, 2.0, 1.0])
    rises, moves = rise_counts(prices, 4)
    assert rises.tolist() == [1, 1, 0, 0]
    assert moves.tolist() == [2, 2, 0, 0]
