"""Flat lines and copies of the last price."""

import numpy as np
import pytest

from lstmcli.evaluation.movement import movement


def test_a_copy_of_the_last_price_is_a_flat_line():
    generator = np.random.default_rng(4)
    actual = generator.normal(0, 0.05, 50)
    last = 100 * np.exp(np.cumsum(generator.normal(0, 0.05, 50)))
    symbol = np.full(50, "A")
    copy = movement(np.full(50, 1e-6), actual, last, symbol)
    assert copy.flat_line
    assert copy.with_last == pytest.approx(1.0)
    assert copy.with_next < 1.0
    assert copy.spread == pytest.approx(0.0, abs=1e-9)
    oracle = movement(actual, actual, last, symbol)
    assert not oracle.flat_line
    assert (oracle.size, oracle.with_next) == (pytest.approx(1.0), pytest.approx(1.0))


def test_correlations_are_taken_within_symbols():
    """Two symbols at far levels would otherwise correlate whatever is forecast."""
    generator = np.random.default_rng(5)
    last = np.concatenate([np.full(20, 1.0), np.full(20, 1000.0)])
    symbol = np.repeat(["A", "B"], 20)
    predicted, actual = generator.normal(0, 0.05, (2, 40))
    found = movement(predicted, actual, last, symbol)
    assert found.with_last is None  # the last price never changes within a symbol
    assert abs(found.with_next) < 0.5


def test_nothing_to_compare_leaves_movement_undefined():
    none = np.array([])
    found = movement(none, none, none, np.array([], dtype=str))
    assert (found.size, found.with_last, found.flat_line) == (None, None, False)
