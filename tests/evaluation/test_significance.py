"""The formal tests where they are undefined, and at small samples."""

import math

import numpy as np
import pytest
from scipy import stats

from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.significance import (
    christoffersen_unconditional,
    diebold_mariano,
    direction_test,
    fisher_exact,
)
from tests.rows import for_each

DAY = np.datetime64("2020-01-01")


def test_diebold_mariano_of_one_step_is_a_one_sample_t_test():
    """With h = 1 the factor turns the n-divisor into n - 1, so scipy's t test is a check."""
    a, b = np.random.default_rng(0).gamma(2.0, 1.0, (2, 49))
    expected = stats.ttest_1samp(a - b, 0.0)
    found = diebold_mariano(a, b)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)


def test_diebold_mariano_changes_sign_with_its_arguments():
    a, b = np.random.default_rng(1).gamma(2.0, 1.0, (2, 40))
    there, back = diebold_mariano(a, b, 3), diebold_mariano(b, a, 3)
    assert there.statistic == pytest.approx(-back.statistic)
    assert there.p == pytest.approx(back.p)


@for_each(("n", "h", "needed"), [(13, 1, 20), (19, 1, 20), (99, 50, 100)])
def test_diebold_mariano_is_undefined_for_few_windows(n, h, needed):
    a, b = np.random.default_rng(0).gamma(2.0, 1.0, (2, n))
    found = diebold_mariano(a, b, h)
    assert found.p is None
    assert found.statistic is None
    assert found.why == f"{n} windows; a test needs {needed}"


@pytest.mark.parametrize("gap", [0.0, 0.25])
def test_diebold_mariano_is_undefined_for_losses_that_always_differ_alike(gap):
    a = np.random.default_rng(0).gamma(2.0, 1.0, 30)
    found = diebold_mariano(a, a + gap)
    assert found.p is None
    assert "same amount" in found.why


def test_diebold_mariano_is_undefined_for_losses_that_are_not_finite():
    a = np.random.default_rng(0).gamma(2.0, 1.0, 30)
    b = a[::-1].copy()
    b[3] = np.inf
    assert diebold_mariano(a, b).why == "some losses are not finite"


def test_diebold_mariano_rejects_about_one_true_null_in_twenty():
    generator = np.random.default_rng(4)
    rejected = [diebold_mariano(*generator.gamma(2.0, 1.0, (2, 49))).p < 0.05 for _ in range(2000)]
    assert 0.03 < np.mean(rejected) < 0.07


@for_each(
    ("called", "actual", "why"),
    [
        (np.ones(30, bool), np.arange(30) % 2 == 0, "same answer"),
        (np.arange(30) % 2 == 0, np.ones(30, bool), "outcome was the same"),
        (np.arange(13) % 2 == 0, np.arange(13) % 3 == 0, "a test needs 20"),
    ],
)
def test_a_test_of_direction_says_why_it_is_undefined(called, actual, why):
    found = direction_test(called, actual, pool(len(called)))
    assert found.p is None
    assert why in found.why


def pool(n, symbols=1):
    cutoff = np.tile(DAY + np.arange(n), symbols)
    return Pool(cutoff, cutoff + np.timedelta64(1, "D"), np.repeat(np.arange(symbols), n))


@for_each("n", [20, 40, 99])
def test_few_windows_of_one_series_take_fishers_exact_test(n):
    generator = np.random.default_rng(n)
    called, actual = generator.random((2, n)) < 0.5
    found = direction_test(called, actual, pool(n))
    table = [[np.sum(called & actual), np.sum(called & ~actual)]]
    table += [[np.sum(~called & actual), np.sum(~called & ~actual)]]
    assert found.name == "Fisher's exact"
    assert found.p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    called, actual = np.tile([called, actual], 5)[:, :100]
    assert direction_test(called, actual, pool(100)).name.startswith("Pes")


def test_several_symbols_are_tested_by_permuting_dates():
    """As one series of daily agreement would be: copies of a symbol add no evidence."""
    generator = np.random.default_rng(10)
    called, actual = generator.random((2, 40)) < 0.5
    actual |= called & (np.arange(40) % 3 > 0)
    found = direction_test(np.tile(called, 10), np.tile(actual, 10), pool(40, 10))
    exact = fisher_exact(called, actual).p
    assert (found.name, found.n) == ("Permutation of dates", 40)
    assert found.p == pytest.approx(exact, abs=3.0 * math.sqrt(exact / 4999) + 1 / 5000)


def test_the_permutation_agrees_with_a_plain_loop_over_the_same_orders():
    generator = np.random.default_rng(14)
    actual = generator.random((3, 30)) < 0.5
    called = np.where(generator.random((3, 30)) < 0.7, actual, ~actual)
    x, y = (each - each.mean() for each in (called, actual))
    agreement = [[np.mean(x[:, i] * y[:, j]) for j in range(30)] for i in range(30)]
    found, orders = sum(agreement[i][i] for i in range(30)), np.random.default_rng(0)
    drawn = []
    for _ in range(4999):
        order = orders.permutation(30)
        drawn.append(sum(agreement[i][order[i]] for i in range(30)))
    test = direction_test(called.ravel(), actual.ravel(), pool(30, 3))
    assert test.p == (1 + sum(each >= found - 1e-12 for each in drawn)) / 5000
    assert test.statistic == pytest.approx((found - np.mean(drawn)) / np.std(drawn))


def test_symbols_that_rise_more_often_than_others_are_no_view_on_dates():
    """Always up for the symbol that rises, always down for the one that falls: no timing."""
    generator = np.random.default_rng(11)
    actual = np.concatenate([generator.random(60) < 0.8, generator.random(60) < 0.2])
    called = np.repeat([True, False], 60)
    found = direction_test(called, actual, pool(60, 2))
    assert (found.p, found.statistic) == (None, None)
    assert found.why == "each symbol has the same answer every time"
    found = direction_test(actual, called, pool(60, 2))
    assert found.why == "the outcome of each symbol was the same every time"


def test_permuting_dates_holds_its_level_for_symbols_that_move_together():
    generator = np.random.default_rng(12)
    rejected = []
    for _ in range(120):
        common = generator.standard_normal((2, 30))
        called, actual = (
            (common[k] + generator.standard_normal((5, 30)) > 0).ravel() for k in range(2)
        )
        rejected.append(direction_test(called, actual, pool(30, 5)).p < 0.05)
    assert np.mean(rejected) < 0.085


@for_each(("hits", "n", "nominal"), [(0, 20, 0.8), (20, 20, 0.8), (39, 49, 0.8)])
def test_the_coverage_test_agrees_with_scipys_binomial(hits, n, nominal):
    expected = 2 * (stats.binom.logpmf(hits, n, hits / n) - stats.binom.logpmf(hits, n, nominal))
    found = christoffersen_unconditional(hits, n, nominal)
    assert found.statistic == pytest.approx(expected, rel=1e-9)


def test_the_coverage_test_is_undefined_for_few_windows():
    assert "a test needs 20" in christoffersen_unconditional(10, 13, 0.8).why
