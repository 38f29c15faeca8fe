"""Coverage of the bands, its error, and when it is good."""

import numpy as np
import pytest

from lstmcli.evaluation.bands import bands
from lstmcli.evaluation.intervals import hac_standard_error
from lstmcli.forecasting.baselines import gaussian_cone
from lstmcli.forecasting.forecast import Forecast

DAY = np.datetime64("2020-01-01")
LEVELS = (0.1, 0.3, 0.7, 0.9)


def fan(n, spread):
    z = np.array([-1.2816, -0.5244, 0.5244, 1.2816])
    return Forecast(np.zeros((n, 1)), np.tile(spread * z, (n, 1, 1)), LEVELS)


def test_a_true_fan_is_good_and_a_narrow_one_is_not():
    actual = np.random.default_rng(0).normal(0, 0.02, 2000)
    cutoff = DAY + np.arange(2000)
    for spread, good in ((0.02, True), (0.01, False)):
        found = bands(fan(2000, spread), 1, actual, cutoff, cutoff + np.timedelta64(1, "D"))
        assert [band.nominal for band in found] == [0.8, 0.4]
        assert [band.good for band in found] == [good, good]
        assert found[0].width > found[1].width > 0
        assert (found[0].test.p > 0.05) is good


def test_coverage_and_its_error_agree_with_their_slow_twins():
    actual = np.random.default_rng(1).normal(0, 0.02, 60)
    cutoff = DAY + np.arange(60)
    found = bands(fan(60, 0.02), 1, actual, cutoff, cutoff + np.timedelta64(5, "D"))[0]
    held = [1.0 if abs(x) <= 0.02 * 1.2816 else 0.0 for x in actual]
    assert found.coverage == pytest.approx(sum(held) / 60)
    assert found.standard_error == pytest.approx(hac_standard_error(np.array(held), 4))
    assert (found.n_dates, found.test.n) == (60, 12)


def test_a_deviation_within_two_points_is_good_whatever_the_error():
    actual = np.where(np.arange(1000) % 50 < 41, 0.0, 1.0)  # 82 % held
    cutoff = DAY + np.arange(1000)
    found = bands(fan(1000, 0.02), 1, actual, cutoff, cutoff + np.timedelta64(1, "D"))[0]
    assert found.coverage == pytest.approx(0.82)
    assert found.good


def test_a_band_that_held_every_window_still_has_an_error():
    cutoff = DAY + np.arange(22)
    found = bands(fan(22, 0.02), 1, np.zeros(22), cutoff, cutoff + np.timedelta64(2, "D"))[0]
    assert found.coverage == 1.0
    assert found.standard_error == pytest.approx(np.sqrt(0.8 * 0.2 / 11))
    assert found.good


def test_several_symbols_get_an_error_but_no_independent_test():
    actual = np.random.default_rng(2).normal(0, 0.02, 80)
    cutoff = np.tile(DAY + np.arange(40), 2)
    found = bands(fan(80, 0.02), 1, actual, cutoff, cutoff + np.timedelta64(1, "D"))[0]
    assert found.n_dates == 40
    assert "not independent" in found.test.why


def test_point_forecasts_and_futures_have_no_bands():
    cutoff = DAY + np.arange(3)
    assert (
        bands(Forecast(np.zeros((3, 1))), 1, np.zeros(3), cutoff, cutoff + np.timedelta64(1, "D"))
        == ()
    )
    assert bands(fan(3, 0.02), 1, np.full(3, np.nan), cutoff, cutoff + np.timedelta64(1, "D")) == ()


def test_a_cone_on_a_random_walk_is_calibrated():
    log_prices = np.cumsum(np.random.default_rng(3).normal(0, 0.01, 6000))
    rows = np.arange(300, 5900, 5)
    cone = gaussian_cone(log_prices, rows, 5, levels=LEVELS)
    actual = log_prices[rows + 5] - log_prices[rows]
    assert all(
        band.good
        for band in bands(cone, 5, actual, DAY + rows, DAY + rows + np.timedelta64(5, "D"))
    )
