"""Calibration corrects a known error, and hardly changes a fan on little evidence."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.forecasting.calibration import Calibration, calibrate, fit_calibration
from tests.rows import for_each

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
BANDS = ((0, 6, 0.95), (1, 5, 0.8), (2, 4, 0.5))
MIDDLE = 3
NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])

Array = NDArray[np.float64]


def fans(
    count: int,
    horizon: int,
    *,
    too_narrow: float | Array = 1.0,
    seed: int = 0,
    levels: tuple[float, ...] = LEVELS,
) -> tuple[Array, Array]:
    """Return normal fans (N, H, Q) of changing width, divided by `too_narrow`, and outcomes."""
    generator = np.random.default_rng(seed)
    sigma = generator.uniform(0.005, 0.03, (count, 1)) * np.sqrt(np.arange(1, horizon + 1))
    loc = 0.1 * sigma * generator.normal(size=(count, 1))
    actual = loc + sigma * generator.normal(size=(count, horizon))
    normal = np.array([NormalDist().inv_cdf(level) for level in levels])
    narrow = np.broadcast_to(too_narrow, (horizon,))[:, None]
    return loc[..., None] + sigma[..., None] * normal / narrow, actual


def fitted(
    quantiles: Array,
    actual: Array,
    levels: tuple[float, ...] = LEVELS,
    count: float | Array = 1e9,
) -> Calibration:
    """Return the fit for a number of independent windows: for each step, or for all."""
    independent = np.broadcast_to(count, actual.shape[1]).astype(float)
    return fit_calibration(quantiles, levels, actual, n_independent=independent)


def conformal_factor(
    quantiles: Array, actual: Array, step: int, band: tuple[int, int, float]
) -> float:
    """Return the factor of one band and step by a loop over its windows."""
    low, high, nominal = band
    scores = []
    for n in range(len(actual)):
        y = actual[n, step]
        if math.isnan(y):
            continue
        median = quantiles[n, step, MIDDLE]
        below = (median - y) / (median - quantiles[n, step, low])
        above = (y - median) / (quantiles[n, step, high] - median)
        scores.append(max(below, above))
    scores.sort()
    rank = math.ceil(round((len(scores) + 1) * nominal, 9))
    return float(scores[min(rank, len(scores)) - 1])


@for_each("count", [5, 19, 99, 400])
def test_up_to_three_steps_factors_agree_with_a_loop_over_windows(count: int) -> None:
    quantiles, actual = fans(count, 3, too_narrow=1.3)
    median = quantiles[..., MIDDLE, None]
    skewed = np.where(NORMAL < 0, 1.6, 0.7)
    quantiles = median + (quantiles - median) * skewed
    actual[::7, 1] = math.nan
    factors = fitted(quantiles, actual).factors
    for band in BANDS:
        for step in range(3):
            expected = conformal_factor(quantiles, actual, step, band)
            np.testing.assert_allclose(factors[step, list(band[:2])], expected, rtol=1e-6)
    assert (factors[:, MIDDLE] == 0).all()


@pytest.mark.parametrize("count", [20, 100])
def test_log_factors_are_smoothed_by_weight_and_shrunk(count: int) -> None:
    horizon = 12
    quantiles, actual = fans(count, horizon, too_narrow=2.0)
    independent = 600 / np.arange(1.0, horizon + 1)
    factors = fitted(quantiles, actual, count=independent).factors
    for band in BANDS:
        logs = [math.log(conformal_factor(quantiles, actual, h, band)) for h in range(horizon)]
        steps = np.log(np.arange(1, horizon + 1))
        smooth = np.polyval(np.polyfit(steps, logs, 2, w=np.sqrt(independent)), steps)
        expected = np.exp(smooth * independent / (independent + 100))
        np.testing.assert_allclose(factors[:, band[0]], expected, rtol=1e-9)


def test_unknown_outcomes_do_not_count() -> None:
    quantiles, actual = fans(200, 4, too_narrow=1.5)
    known = fitted(quantiles, actual)
    more = np.concatenate([quantiles, 50 * quantiles]), np.concatenate([actual, actual * math.nan])
    found = fitted(more[0], more[1])
    np.testing.assert_array_equal(found.factors, known.factors)


def test_a_step_without_outcomes_follows_its_neighbours() -> None:
    quantiles, actual = fans(3000, 5, too_narrow=1.5)
    actual[:, 2] = math.nan
    factors = fitted(quantiles, actual).factors
    np.testing.assert_allclose(factors[2, [0, 1, 2]], 1.5, rtol=0.1)


@pytest.mark.parametrize("count", [0, 4])
def test_without_any_outcome_the_fan_does_not_change(count: int) -> None:
    quantiles, actual = fans(count, 5)
    calibration = fitted(quantiles, actual * math.nan)
    np.testing.assert_allclose(calibrate(quantiles, calibration), quantiles, rtol=1e-12)


def test_fans_of_no_width_give_bounded_factors() -> None:
    still, moved = (fitted(np.zeros((9, 3, 7)), np.full((9, 3), move)) for move in (0.0, 1.0))
    sides = [0, 1, 2, 4, 5, 6]
    np.testing.assert_allclose(still.factors[:, sides], 0.1, rtol=1e-6)
    np.testing.assert_allclose(moved.factors[:, sides], 10.0, rtol=1e-6)
    assert (calibrate(np.zeros((2, 3, 7)), moved) == 0).all()


@given(seed=st.integers(0, 10_000), spread=st.floats(0, 3), size=st.sampled_from([1e-8, 1.0, 1e3]))
def test_quantiles_never_cross_and_the_median_stays_whatever_the_factors(
    seed: int, spread: float, size: float
) -> None:
    generator = np.random.default_rng(seed)
    quantiles = np.sort(size * generator.normal(size=(6, 4, 7)), axis=-1)
    factors = np.exp(spread * generator.normal(size=(4, 7)))
    factors[:, MIDDLE] = 0.0
    found = calibrate(quantiles, Calibration(factors))
    assert found.dtype == np.float64
    assert (np.diff(found, axis=-1) >= 0).all()
    np.testing.assert_array_equal(found[..., MIDDLE], quantiles[..., MIDDLE])
    for n, h in np.ndindex(6, 4):
        median, row = quantiles[n, h, MIDDLE], list(quantiles[n, h])
        above = below = 0.0
        for k in (1, 2, 3):
            above = max(above, (row[MIDDLE + k] - median) * factors[h, MIDDLE + k])
            below = max(below, (median - row[MIDDLE - k]) * factors[h, MIDDLE - k])
            assert found[n, h, MIDDLE + k] == median + above
            assert found[n, h, MIDDLE - k] == median - below


def test_crossed_quantiles_come_back_in_order() -> None:
    ones = np.where(np.arange(7) == MIDDLE, 0.0, 1.0)[None]
    found = calibrate(np.array([[[3.0, 1.0, 2.0, 0.0, -1.0, 5.0, 4.0]]]), Calibration(ones))
    np.testing.assert_array_equal(found[0, 0], [0, 0, 0, 0, 0, 5, 5])


def test_levels_without_a_mirror_image_follow_the_nearest_band() -> None:
    levels = (0.05, 0.1, 0.5, 0.85, 0.9, 0.99)
    quantiles, actual = fans(500, 4, too_narrow=1.5, levels=levels)
    factors = fitted(quantiles, actual, levels).factors
    assert (factors[:, 2] == 0).all()
    for index in (0, 1, 3, 4, 5):
        np.testing.assert_array_equal(factors[:, index], factors[:, 4])
    found = calibrate(quantiles, Calibration(factors))
    np.testing.assert_array_equal(found[..., 2], quantiles[..., 2])
    assert (np.diff(found, axis=-1) >= 0).all()


def test_levels_without_any_band_are_left_alone() -> None:
    levels = (0.5, 0.6, 0.9)
    quantiles, actual = fans(100, 4, too_narrow=3.0, levels=levels)
    factors = fitted(quantiles, actual, levels).factors
    np.testing.assert_array_equal(factors, [[0, 1, 1]] * 4)
    found = calibrate(quantiles, Calibration(factors))
    np.testing.assert_allclose(found, quantiles, rtol=1e-12)


def test_calibrate_changes_no_input_and_takes_any_leading_axes_and_the_first_steps() -> None:
    quantiles, actual = fans(12, 3, too_narrow=1.5)
    before, calibration = quantiles.copy(), fitted(quantiles, actual)
    found = calibrate(quantiles, calibration)
    np.testing.assert_array_equal(quantiles, before)
    many = calibrate(quantiles.reshape(3, 4, 3, 7), calibration)
    np.testing.assert_array_equal(many, found.reshape(3, 4, 3, 7))
    np.testing.assert_array_equal(calibrate(quantiles[0, :2], calibration), found[0, :2])


def test_shapes_and_levels_that_do_not_fit_raise() -> None:
    quantiles, actual = fans(10, 3)
    for other, levels, moves, words in (
        (quantiles, LEVELS, actual[:, :2], "differ"),
        (quantiles, (0.1, 0.5, 0.9), actual, "differ"),
        (quantiles * math.nan, LEVELS, actual, "finite"),
    ):
        with pytest.raises(AssertionError, match=words):
            fitted(other, moves, levels)
    with pytest.raises(AssertionError, match="n_independent"):
        fit_calibration(quantiles, LEVELS, actual, n_independent=np.ones(4))
    for wrong in (np.zeros((10, 4, 7)), np.zeros((10, 3, 6))):
        with pytest.raises(ValueError, match="do not fit"):
            calibrate(wrong, Calibration(np.ones((3, 7))))
