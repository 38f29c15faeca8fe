"""One joint test over symbols: what it names, and how seldom it names one by luck."""

import numpy as np
import pytest

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.comparisons import Evidence, symbol_tests
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.test_comparisons import evidence_of
from tests.evaluation.test_scores import panel
from tests.rows import for_each

DAY = np.datetime64("2020-01-01")


def evidence(gains, *, reach=1):
    """Evidence in which naive costs 1 and the model so much less, (D, S); NaN for no window."""
    n, symbols = gains.shape
    gain, cutoff = gains.T.ravel(), np.tile(DAY + np.arange(n), symbols)
    there = ~np.isnan(gain)
    count = int(there.sum())
    found = Evidence(
        Backtest(
            symbol=np.repeat([f"S{s}" for s in range(symbols)], n)[there],
            cutoff=cutoff[there],
            last_close=np.ones(count),
            sigma=np.ones(count),
            dates=cutoff[there, None] + np.timedelta64(reach, "D"),
            actual=np.zeros((count, 1)),
            forecasts={"naive": Forecast(np.zeros((count, 1)))},
        )
    )
    found.add("squared", "net", 1.0 - gain[there])
    found.add("squared", "naive", np.ones(count))
    return found


def test_the_symbol_that_is_better_is_found_among_those_that_are_not():
    gains = np.random.default_rng(0).normal(0, 0.1, (100, 8))
    gains[:, 3] += 0.1
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert list(found) == [f"S{s}" for s in range(8)]
    assert found["S3"].p < 0.01
    assert [name for name, each in found.items() if each.p < 0.05] == ["S3"]
    assert found["S3"].gain == pytest.approx(gains[:, 3].mean())
    assert {each.n for each in found.values()} == {100}


@for_each(("symbols", "common", "reach"), [(10, 0.0, 1), (10, 0.9, 1), (5, 0.5, 5)])
def test_some_symbol_is_named_by_luck_about_as_seldom_as_the_level_says(symbols, common, reach):
    generator = np.random.default_rng(symbols)
    named = []
    for _ in range(80):
        shared = generator.normal(0, 1, (150, 1))
        own = generator.normal(0, 1, (150, symbols))
        noise = np.sqrt(common) * shared + np.sqrt(1 - common) * own
        gains = np.apply_along_axis(np.convolve, 0, noise, np.ones(reach) / reach, "valid")
        found = symbol_tests(evidence(gains, reach=reach), "squared", "net", "naive")
        named.append(min(each.p for each in found.values()) < 0.05)
    assert np.mean(named) < 0.10


def test_a_symbol_with_few_windows_of_its_own_is_not_tested():
    """Of three windows the error is a matter of luck: it was "better" in 8.5 % of panels."""
    gains = np.random.default_rng(3).normal(0, 0.1, (60, 3))
    gains[3:, 2] = np.nan
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert [each.n for each in found.values()] == [60, 60, 3]
    assert found["S2"].p is None
    assert found["S2"].why == "3 windows; a test needs 20"
    two = symbol_tests(evidence(gains[:, :2]), "squared", "net", "naive")
    assert [found[name].p for name in ("S0", "S1")] == [each.p for each in two.values()]


def test_a_single_symbol_a_model_itself_and_a_point_forecast_have_nothing_to_test():
    several, one = panel(n_symbols=3), panel(n_symbols=1)
    assert symbol_tests(evidence_of(one), "squared", "net", "naive") == {}
    known = evidence_of(several)
    assert symbol_tests(known, "squared", "naive", "naive") == {}
    assert symbol_tests(known, "crps", "net", "scaled_climatology") == {}


def test_few_windows_say_why_there_is_no_p():
    found = symbol_tests(evidence(np.ones((12, 2))), "squared", "net", "naive")["S0"]
    assert (found.p, found.gain) == (None, 1.0)
    assert found.why == "12 windows; a test needs 20"


def test_a_symbol_whose_gain_never_varies_is_not_tested():
    gains = np.random.default_rng(2).normal(0, 0.1, (40, 2))
    gains[:, 1] = 0.0
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert (found["S1"].p, found["S1"].why) == (None, "no variation")
    assert found["S0"].p is not None
