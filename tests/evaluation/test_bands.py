"""Coverage of the bands, its error, and when it is good."""

import numpy as np
import pytest
from scipy import stats

from lstmcli.evaluation.bands import bands
from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.significance import overlapping_error
from lstmcli.forecasting.baselines import gaussian_cone
from lstmcli.forecasting.forecast import Forecast
from tests.rows import for_each

DAY = np.datetime64("2020-01-01")
LEVELS = (0.1, 0.3, 0.7, 0.9)


def fan(n, spread):
    z = np.array([-1.2816, -0.5244, 0.5244, 1.2816])
    return Forecast(np.zeros((n, 1)), np.tile(spread * z, (n, 1, 1)), LEVELS)


def test_a_true_fan_is_good_and_a_narrow_one_is_not():
    actual = np.random.default_rng(0).normal(0, 0.02, 2000)
    cutoff = DAY + np.arange(2000)
    for spread, good in ((0.02, True), (0.01, False)):
        found = bands(fan(2000, spread), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))
        assert [band.nominal for band in found] == [0.8, 0.4]
        assert [band.good for band in found] == [good, good]
        assert found[0].width > found[1].width > 0
        assert (found[0].test.p > 0.05) is good


def test_coverage_and_its_error_agree_with_their_slow_twins():
    actual = np.random.default_rng(1).normal(0, 0.02, 60)
    cutoff = DAY + np.arange(60)
    found = bands(fan(60, 0.02), 1, actual, Pool(cutoff, cutoff + np.timedelta64(5, "D")))[0]
    held = [1.0 if abs(x) <= 0.02 * 1.2816 else 0.0 for x in actual]
    assert found.coverage == pytest.approx(sum(held) / 60)
    binomial = np.sqrt(0.8 * 0.2 / 12)
    assert found.standard_error == pytest.approx(
        max(overlapping_error(np.array(held), 5)[0], binomial)
    )
    assert (found.n_dates, found.test.n) == (60, 12)


def test_a_deviation_within_two_points_is_good_whatever_the_error():
    actual = np.where(np.arange(1000) % 50 < 41, 0.0, 1.0)  # 82 % held
    cutoff = DAY + np.arange(1000)
    found = bands(fan(1000, 0.02), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))[0]
    assert found.coverage == pytest.approx(0.82)
    assert found.good


def test_a_band_that_held_every_window_still_has_an_error():
    cutoff = DAY + np.arange(22)
    found = bands(fan(22, 0.02), 1, np.zeros(22), Pool(cutoff, cutoff + np.timedelta64(2, "D")))[0]
    assert found.coverage == 1.0
    assert found.standard_error == pytest.approx(np.sqrt(0.8 * 0.2 / 11))


@for_each(("n", "judged"), [(10, False), (100, False), (255, False), (260, True)])
def test_a_coverage_is_not_judged_while_two_standard_errors_exceed_five_points(n, judged):
    """The binomial error of 80 % is at most 2.5 points from 256 windows on."""
    actual = np.where(np.arange(n) % 5 < 4, 0.0, 1.0)
    cutoff = DAY + np.arange(n)
    found = bands(fan(n, 0.02), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))[0]
    assert (found.good is not None) is judged


def test_ten_windows_of_a_fan_that_holds_two_in_three_are_never_called_calibrated():
    generator = np.random.default_rng(5)
    cutoff = DAY + np.arange(10)
    for _ in range(200):
        actual = np.where(generator.random(10) < 0.66, 0.0, 1.0)
        assert (
            bands(fan(10, 0.02), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))[0].good
            is None
        )


def test_several_symbols_get_an_error_but_no_independent_test():
    actual = np.random.default_rng(2).normal(0, 0.02, 80)
    cutoff = np.tile(DAY + np.arange(40), 2)
    found = bands(fan(80, 0.02), 1, actual, Pool(cutoff, cutoff + np.timedelta64(1, "D")))[0]
    assert found.n_dates == 40
    assert "not independent" in found.test.why


def panels(dates, symbols, runs, true=0.8, reach=5):
    """Bands of many symbols that move together, each window five days long, at every date."""
    z = np.abs(stats.norm.ppf((1.0 - true) / 2.0))
    n = (dates - 1) * reach + 1
    generator = np.random.default_rng(dates)
    cutoff, number = np.tile(DAY + np.arange(n), symbols), np.repeat(np.arange(symbols), n)
    made = Forecast(
        np.zeros((n * symbols, 1)), np.tile([-z, 0.0, z], (n * symbols, 1, 1)), (0.1, 0.5, 0.9)
    )
    for _ in range(runs):
        common, own = (generator.standard_normal((n + reach, k)) for k in (1, symbols))
        walks = np.cumsum(np.sqrt(0.4) * common + np.sqrt(0.6) * own, axis=0)
        moves = (walks[reach:] - walks[:-reach]) / np.sqrt(reach)
        yield bands(made, 1, moves.T.ravel(), Pool(cutoff, cutoff + reach, number))[0]


def test_the_error_of_overlapping_windows_of_many_symbols_is_neither_small_nor_large():
    """Bartlett's weights made it 15 % too small, and a true fan "not calibrated" in 10 %."""
    found = list(panels(100, 5, 600))
    spread = np.std([band.coverage for band in found])
    assert np.mean([band.standard_error for band in found]) == pytest.approx(spread, rel=0.1)
    assert np.mean([band.good is False for band in found]) < 0.08


def test_a_few_dates_of_many_symbols_judge_nothing():
    """Of 21 symbols on five dates, one true fan in five was said to be not calibrated."""
    assert {band.good for band in panels(5, 21, 50)} == {None}


def test_windows_that_all_overlap_have_no_error():
    cutoff = np.tile(DAY + np.arange(3), 2)
    found = bands(fan(6, 0.02), 1, np.zeros(6), Pool(cutoff, cutoff + np.timedelta64(9, "D")))[0]
    assert (found.standard_error, found.good) == (None, None)


def test_point_forecasts_and_futures_have_no_bands():
    cutoff = DAY + np.arange(3)
    assert (
        bands(
            Forecast(np.zeros((3, 1))),
            1,
            np.zeros(3),
            Pool(cutoff, cutoff + np.timedelta64(1, "D")),
        )
        == ()
    )
    assert (
        bands(fan(3, 0.02), 1, np.full(3, np.nan), Pool(cutoff, cutoff + np.timedelta64(1, "D")))
        == ()
    )


def test_a_cone_on_a_random_walk_is_calibrated():
    log_prices = np.cumsum(np.random.default_rng(3).normal(0, 0.01, 6000))
    rows = np.arange(300, 5900, 5)
    cone = gaussian_cone(log_prices, rows, 5, levels=LEVELS)
    actual = log_prices[rows + 5] - log_prices[rows]
    assert all(band.good for band in bands(cone, 5, actual, Pool(DAY + rows, DAY + rows + 5)))
