"""Symbols tested one by one."""

import numpy as np
import pytest

from lstmcli.evaluation import symbol_tests as module
from lstmcli.evaluation.losses import losses
from lstmcli.evaluation.pooling import by_symbol
from lstmcli.evaluation.significance import diebold_mariano, holm
from tests.evaluation.test_scores import panel


def reduce(backtest):
    rows = len(backtest.cutoff)
    return {name: losses(backtest, name, np.ones(rows)) for name in backtest.forecasts}


def symbol_tests(backtest, reduced):
    symbols, rows = by_symbol(backtest.symbol)[0], module.rows_apart(backtest)
    return module.symbol_tests(symbols, reduced, rows)


def test_each_symbol_is_tested_on_its_own_windows_that_do_not_overlap():
    backtest = panel(n_symbols=3, n_cutoffs=120, step_size=1)
    backtest.forecasts["scaled_climatology"] = backtest.forecasts["gaussian_cone"]
    backtest.actual[3, 4] = np.nan  # an incomplete window of the first symbol
    reduced = reduce(backtest)
    found = symbol_tests(backtest, reduced)["net"]
    assert list(found) == ["S0", "S1", "S2"]
    for k, each in enumerate(found.values()):
        rows = np.arange(120 * k, 120 * k + 120, 5)
        assert each.drift == diebold_mariano(
            reduced["net"].squared[rows], reduced["drift"].squared[rows]
        )
        assert each.climatology == diebold_mariano(
            reduced["net"].crps[rows], reduced["scaled_climatology"].crps[rows]
        )
    drift = [each.drift.p for each in found.values()]
    assert [each.drift_holm for each in found.values()] == holm(drift)
    assert found["S0"].drift_holm >= found["S0"].drift.p


def test_point_forecasts_have_no_fan_to_test_and_drift_no_rival():
    backtest = panel(quantiles=False)
    reduced = reduce(backtest)
    found = symbol_tests(backtest, reduced)["net"]["S1"]
    assert found.climatology is None
    assert found.climatology_holm is None
    assert found.drift.n == 40
    own = symbol_tests(backtest, reduced)["drift"]["S0"]
    assert (own.drift, own.drift_holm) == (None, None)


def test_a_single_symbol_needs_no_correction():
    backtest = panel(n_symbols=1)
    assert symbol_tests(backtest, reduce(backtest))["net"] == {}


def test_few_windows_leave_the_adjusted_value_undefined():
    backtest = panel(n_symbols=2, n_cutoffs=12)
    found = symbol_tests(backtest, reduce(backtest))["net"]["S0"]
    assert found.drift.why == "too few windows for a test (12, at least 20 are needed)"
    assert found.drift_holm is None


def test_the_correction_costs_more_the_more_symbols_are_asked():
    few, many = (
        symbol_tests(backtest := panel(n_symbols=n, n_cutoffs=40), reduce(backtest))["net"]
        for n in (2, 6)
    )
    for found in (few, many):
        lowest = min(found.values(), key=lambda each: each.drift.p)
        assert lowest.drift_holm == pytest.approx(min(1.0, len(found) * lowest.drift.p))
