"""Three-way trends: up, flat, down, from fans and from thresholds."""

import numpy as np
import pytest
from scipy import stats

from lstmcli.errors import DataError
from lstmcli.evaluation.trend import (
    DOWN,
    FLAT,
    UP,
    Thresholds,
    actual_trend,
    fit_tails,
    fit_thresholds,
    predicted_trend,
    scaled_moves,
    three_way,
)
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import daily


def test_moves_are_scaled_by_the_windows_volatility_and_the_root_of_the_step():
    found = scaled_moves(np.array([[0.02, 0.02], [0.02, 0.02]]), np.array([0.01, 0.0]))
    np.testing.assert_allclose(found[0], [2.0, 2.0 / np.sqrt(2)])
    assert np.isnan(found[1]).all()


def test_a_move_is_flat_within_a_quarter_of_its_scale():
    actual = np.array([-0.03, -0.024, 0.0, 0.024, 0.03])
    found = actual_trend(actual, np.full(5, 0.02), step=25, flat_band=0.25)
    assert found.tolist() == [DOWN, FLAT, FLAT, FLAT, UP]


def test_a_window_without_volatility_is_flat_only_where_nothing_moved():
    found = actual_trend(np.array([-0.1, 0.0, 0.1]), np.zeros(3), step=5, flat_band=0.25)
    assert found.tolist() == [DOWN, FLAT, UP]


def test_thresholds_make_calls_as_frequent_as_outcomes_on_the_training_rows():
    generator = np.random.default_rng(0)
    actual = generator.normal(0.1, 1.0, (4000, 3))
    predicted = 0.02 * actual + generator.normal(0.3, 0.01, (4000, 3))
    sigma = np.ones(4000)
    thresholds = fit_thresholds(predicted, actual, 0.25)
    for h in range(3):
        forecast = Forecast(predicted * np.sqrt(np.arange(1, 4)))
        called = predicted_trend(forecast, sigma, h + 1, 0.25, thresholds)
        happened = actual_trend(actual[:, h] * np.sqrt(h + 1), sigma, h + 1, 0.25)
        for kind in (DOWN, FLAT, UP):
            assert np.mean(called == kind) == pytest.approx(np.mean(happened == kind), abs=1e-3)


def test_a_forecast_that_never_changes_is_called_flat():
    actual = np.random.default_rng(0).normal(size=(100, 1))
    thresholds = fit_thresholds(np.full((100, 1), 0.7), actual, 0.25)
    found = predicted_trend(Forecast(np.full((3, 1), 0.7)), np.ones(3), 1, 0.25, thresholds)
    assert found.tolist() == [FLAT] * 3


def test_thresholds_skip_unknown_outcomes_and_need_at_least_one():
    actual = np.array([[1.0], [-1.0], [np.nan]])
    assert np.isfinite(fit_thresholds(np.array([[1.0], [2.0], [9.0]]), actual).low).all()
    with pytest.raises(DataError, match="No training window"):
        fit_thresholds(np.ones((2, 1)), np.full((2, 1), np.nan))


def test_tails_are_the_outer_tenths_of_the_training_moves():
    actual = np.random.default_rng(0).normal(size=(5000, 2))
    tails = fit_tails(actual)
    assert np.mean(actual[:, 0] < tails["crash"][0]) == pytest.approx(0.1, abs=1e-3)
    assert np.mean(actual[:, 1] > tails["spike"][1]) == pytest.approx(0.1, abs=1e-3)
    with pytest.raises(DataError, match="No training window"):
        fit_tails(np.full((3, 2), np.nan))


def test_a_point_forecast_without_thresholds_makes_no_three_way_call():
    assert predicted_trend(Forecast(np.ones((2, 1))), np.ones(2), 1, 0.25, None) is None


def test_a_fan_calls_its_most_probable_class():
    levels = tuple(np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())
    centre = np.array([-2.0, -0.4, 0.0, 0.0, 2.0])
    width = np.array([1.0, 1.0, 1.0, 0.1, 1.0])
    quantiles = centre[:, None] + width[:, None] * np.linspace(-2, 2, 19)
    forecast = Forecast(centre[:, None], quantiles[:, None, :], levels)
    found = predicted_trend(forecast, np.ones(5), 1, 0.25, Thresholds(np.ones(1), np.ones(1)))
    # A wide fan around zero gives up and down more than flat, but each as much as the other.
    assert found.tolist() == [DOWN, DOWN, FLAT, FLAT, UP]


def test_a_symmetric_cone_has_no_direction_whatever_the_rounding():
    """Rounding, as in 0.1 + 0.2 > 0.3, made 84 % of a cone's calls down and the others up."""
    levels = tuple(np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())
    sigma = np.random.default_rng(0).uniform(0.005, 0.03, 200)
    cone = np.sort(stats.norm.ppf(levels)) * sigma[:, None]
    forecast = Forecast(np.zeros((200, 1)), cone[:, None, :], levels)
    assert set(predicted_trend(forecast, sigma, 1, 0.25, None).tolist()) == {FLAT}


def test_balanced_accuracy_skips_classes_that_never_occurred():
    both_up = np.array([UP, UP], dtype=np.int8)
    assert three_way(both_up, both_up, daily(2)).balanced_accuracy == 1
    assert three_way(both_up[:0], both_up[:0], daily(0)) is None
