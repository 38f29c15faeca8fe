"""Crash and spike windows, and what had been predicted for them."""

import numpy as np
import pytest

from lstmcli.errors import DataError
from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.trend import DOWN, UP, fit_tails, tail_windows

DAY = np.datetime64("2020-01-01")


def test_tails_are_the_outer_tenths_of_the_training_moves():
    actual = np.random.default_rng(0).normal(size=(5000, 2))
    tails = fit_tails(actual)
    assert np.mean(actual[:, 0] < tails.crash[0]) == pytest.approx(0.1, abs=1e-3)
    assert np.mean(actual[:, 1] > tails.spike[1]) == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(DataError, match="No training window"):
        fit_tails(np.full((3, 2), np.nan))


def windows(kind, bound, actual, predicted, calls):
    cutoff = DAY + np.arange(actual.size)
    return tail_windows(
        kind,
        bound,
        step=4,
        actual=actual,
        predicted=predicted,
        calls=calls,
        sigma=np.full(actual.size, 0.01),
        pool=Pool(cutoff, cutoff + np.timedelta64(2, "D")),
    )


def test_a_market_without_a_crash_has_no_crash_windows():
    found = windows("crash", -9.0, np.array([0.05, 0.02]), np.zeros(2), np.array([UP, DOWN]))
    assert (found.n_windows, found.n_independent, found.predicted) == (0, 0, None)
    assert found.calls is None
