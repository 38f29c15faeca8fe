"""Flat lines and copies of the last price."""

import numpy as np
import pytest

from lstmcli.evaluation.direction import movement


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
    """Two symbols at far levels would otherwise correlate whatever is forecast."""
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


def test_moves_that_know_nothing_are_a_copy_and_moves_that_know_a_little_are_none():
    """Both are closer to the last price than to the next; the moves tell them apart."""
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


def test_a_season_of_months_is_no_copy_although_its_last_step_hardly_moves():
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
