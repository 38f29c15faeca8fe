"""The formal tests against slow twins, and where they are undefined."""

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
    pesaran_timmermann,
)
from tests.rows import for_each

DAY = np.datetime64("2020-01-01")


def slow_diebold_mariano(a, b, h):
    d = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(d), sum(d) / len(d)
    variance = 0.0
    for lag in range(-(h - 1), h):
        variance += sum((d[i] - mean) * (d[i - abs(lag)] - mean) for i in range(abs(lag), n)) / n
    statistic = mean / math.sqrt(variance / n)
    statistic *= math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    return statistic, 2 * stats.t.sf(abs(statistic), n - 1)


@for_each("h", [1, 2, 5, 10])
@for_each("n", [20, 49, 300])
def test_diebold_mariano_agrees_with_its_slow_twin(n, h):
    generator = np.random.default_rng(n + h)
    shock = generator.normal(size=(2, n + h))
    a, b = (np.convolve(s**2, np.ones(h) / h, mode="valid")[:n] for s in shock)
    found = diebold_mariano(a, b + 0.1, h)
    statistic, p = slow_diebold_mariano(a, b + 0.1, h)
    assert found.note is None
    assert found.statistic == pytest.approx(statistic, rel=1e-6)
    assert found.p == pytest.approx(p, rel=1e-6)
    assert found.n == n


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


def test_a_negative_variance_falls_back_to_bartlett_and_says_so():
    a = np.tile([1.0, 0.0], 20) + np.arange(40) * 1e-3
    found = diebold_mariano(a, np.full(40, 0.45), 2)
    assert found.p is not None
    assert "Bartlett" in found.note


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


def test_pesaran_timmermann_agrees_with_the_table_worked_by_hand():
    """40 windows: 15 up called up, 5 up called down, 7 down called up, 13 down called down.

    P = 28/40, Py = 20/40, Px = 22/40, P* = 1/2, V(P) = 1/160, V(P*) = 0.01 * 0.25 / 40 +
    4 * 0.25 * 0.2475 / 1600.
    """
    actual = np.array([True] * 20 + [False] * 20)
    called = np.array([True] * 15 + [False] * 5 + [True] * 7 + [False] * 13)
    variance = 0.25 / 40 - (0.01 * 0.25 / 40 + 4 * 0.25 * 0.2475 / 1600)
    found = pesaran_timmermann(called, actual)
    assert found.statistic == pytest.approx(0.2 / math.sqrt(variance), rel=1e-12)
    assert found.p == pytest.approx(stats.norm.sf(0.2 / math.sqrt(variance)), rel=1e-10)


def test_pesaran_timmermann_is_close_to_the_chi_squared_test_of_independence():
    """Its square is asymptotically Pearson's (Pesaran & Timmermann 1992)."""
    generator = np.random.default_rng(2)
    actual = generator.random(20_000) < 0.6
    called = np.where(generator.random(20_000) < 0.03, actual, generator.random(20_000) < 0.7)
    table = [[np.sum(called & actual), np.sum(called & ~actual)]]
    table += [[np.sum(~called & actual), np.sum(~called & ~actual)]]
    pearson = stats.chi2_contingency(table, correction=False).statistic
    found = pesaran_timmermann(called, actual).statistic
    assert found**2 == pytest.approx(pearson, rel=1e-3)


@for_each(
    ("called", "actual", "why"),
    [
        (np.ones(30, bool), np.arange(30) % 2 == 0, "same answer"),
        (np.arange(30) % 2 == 0, np.ones(30, bool), "outcome was the same"),
        (np.arange(13) % 2 == 0, np.arange(13) % 3 == 0, "a test needs 20"),
    ],
)
def test_pesaran_timmermann_says_why_it_is_undefined(called, actual, why):
    for found in (
        pesaran_timmermann(called, actual),
        direction_test(called, actual, pool(len(called))),
    ):
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
