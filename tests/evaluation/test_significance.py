"""Tests and intervals against published values, scipy, statsmodels and slow twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.diagnostic import pesaran_timmermann as their_pesaran_timmermann
from statsmodels.tsa.stattools import diebold_mariano_test

from lstmcli.evaluation.significance import (
    bootstrap_skills,
    christoffersen_unconditional,
    clopper_pearson,
    diebold_mariano,
    direction_test,
    hac_standard_error,
    pesaran_timmermann,
)
from tests.evaluation.panels import daily
from tests.rows import for_each

LOSSES = np.random.default_rng(0).gamma(2.0, 1.0, 99)


@for_each(
    ("a", "b", "h", "why"),
    [
        (LOSSES[:19], LOSSES[19:38], 1, "19 windows; a test needs 20"),
        (LOSSES, LOSSES[::-1], 50, "99 windows; a test needs 100"),
        (LOSSES, LOSSES, 1, "the two losses differ by the same amount at every cutoff"),
        (LOSSES, LOSSES + 0.25, 1, "the two losses differ by the same amount at every cutoff"),
        (LOSSES, np.where(LOSSES[3] == LOSSES, np.inf, 1.0), 1, "some losses are not finite"),
    ],
)
def test_diebold_mariano_says_why_it_is_undefined(a, b, h, why):
    found = diebold_mariano(a, b, h)
    assert (found.p, found.statistic, found.why) == (None, None, why)


@for_each(
    ("called", "actual", "why"),
    [
        (np.ones(30, bool), np.arange(30) % 2 == 0, "same answer"),
        (np.arange(30) % 2 == 0, np.ones(30, bool), "outcome was the same"),
        (np.arange(13) % 2 == 0, np.arange(13) % 3 == 0, "a test needs 20"),
    ],
)
def test_a_test_of_direction_says_why_it_is_undefined(called, actual, why):
    found = direction_test(called, actual, daily(len(called)))
    assert found.p is None
    assert why in found.why


@for_each("n", [20, 40, 99])
def test_few_windows_of_one_series_use_fishers_exact_test(n):
    generator = np.random.default_rng(n)
    called, actual = generator.random((2, n)) < 0.5
    found = direction_test(called, actual, daily(n))
    table = [[np.sum(called & actual), np.sum(called & ~actual)]]
    table += [[np.sum(~called & actual), np.sum(~called & ~actual)]]
    assert found.name == "Fisher's exact"
    assert found.p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)
    called, actual = np.tile([called, actual], 5)[:, :100]
    assert direction_test(called, actual, daily(100)).name.startswith("Pes")


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
    test = direction_test(called.ravel(), actual.ravel(), daily(30, symbols=3))
    assert test.p == (1 + sum(each >= found - 1e-12 for each in drawn)) / 5000
    assert test.statistic == pytest.approx((found - np.mean(drawn)) / np.std(drawn))


def test_symbols_that_rise_more_often_are_no_evidence_of_direction():
    """Always "up" for a rising symbol and "down" for a falling one shows no timing skill."""
    generator = np.random.default_rng(11)
    actual = np.concatenate([generator.random(60) < 0.8, generator.random(60) < 0.2])
    called = np.repeat([True, False], 60)
    found = direction_test(called, actual, daily(60, symbols=2))
    assert (found.p, found.statistic) == (None, None)
    assert found.why == "each symbol has the same answer every time"
    found = direction_test(actual, called, daily(60, symbols=2))
    assert found.why == "the outcome of each symbol was the same every time"


def correlated_losses(seed, n, h):
    shocks = np.random.default_rng(seed).normal(size=(2, n + h))
    return (np.convolve(each**2, np.ones(h) / h, mode="valid")[:n] for each in shocks)


@for_each("h", [1, 2, 5, 10])
@for_each("n", [20, 49, 300])
def test_diebold_mariano_agrees_with_statsmodels(n, h):
    """Its regression on a constant with a uniform kernel, times Harvey's factor."""
    a, b = correlated_losses(n * h, n, h)
    found = diebold_mariano(a, b, h)
    assert found.note is None
    uniform = {"maxlags": h - 1, "kernel": "uniform"}
    plain = OLS(a - b, np.ones(n)).fit(cov_type="HAC", cov_kwds=uniform).tvalues[0]
    factor = math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert found.statistic == pytest.approx(plain * factor, rel=1e-9)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(plain * factor), n - 1), rel=1e-6)


@pytest.mark.parametrize("h", [2, 4])
def test_the_fallback_to_bartlett_is_the_test_of_statsmodels(h):
    a = np.tile([1.0, 0.0], 20) + np.arange(40) * 1e-3
    b = np.full(40, 0.45)
    found = diebold_mariano(a, b, h)
    assert "Bartlett" in found.note
    theirs = diebold_mariano_test(
        np.zeros(40), a, b, lags=h - 1, criterion=lambda _, loss: loss, harvey_adj=True, horizon=h
    )
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-6)


@for_each("seed", range(5))
def test_pesaran_timmermann_agrees_with_statsmodels_and_with_a_correlation(seed):
    """statsmodels leaves out the paper's term in n^-2, which is n / (n - 1) in the square."""
    generator = np.random.default_rng(seed)
    called, actual = generator.random((2, 49)) < [[0.6], [0.55]]
    found = pesaran_timmermann(called, actual)
    theirs = their_pesaran_timmermann(np.where(actual, 1.0, -1.0), np.where(called, 1.0, -1.0))
    assert found.statistic == pytest.approx(theirs.statistic * math.sqrt(49 / 48), rel=1e-9)
    r = stats.pearsonr(called.astype(float), actual.astype(float)).statistic
    assert found.statistic == pytest.approx(49 / math.sqrt(48) * r, rel=1e-9)
    assert found.p == pytest.approx(stats.norm.sf(found.statistic), rel=1e-9)


def test_the_coverage_test_reproduces_published_examples():
    """20 exceptions to a 95 % value at risk in 252 days: 3.91 (Jorion, Value at Risk).

    57 of 1043 to one of 95 %: 0.46147, p 0.49694 (MATLAB Risk Management Toolbox, varbacktest.pof).
    """
    found = christoffersen_unconditional(232, 252, 0.95)
    assert found.statistic == pytest.approx(3.91, abs=5e-3)
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-10)
    found = christoffersen_unconditional(1043 - 57, 1043, 0.95)
    assert found.statistic == pytest.approx(0.46147, abs=5e-6)
    assert found.p == pytest.approx(0.49694, abs=5e-6)


@given(n=st.integers(1, 300), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95]))
def test_the_exact_interval_agrees_with_scipy(n, share, confidence):
    hits = round(share * n)
    expected = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    found = clopper_pearson(hits, n, confidence)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_fractional_hits_have_an_interval_between_those_of_whole_numbers():
    low, middle, high = (clopper_pearson(hits, 20) for hits in (12, 12.5, 13))
    assert low.low < middle.low < high.low
    assert low.high < middle.high < high.high


def test_no_window_gives_no_interval_and_says_why():
    assert clopper_pearson(0, 0).low is None
    assert "no independent window" in clopper_pearson(0, 0).why


def slow_newey_west(series, lag):
    n, mean = len(series), sum(series) / len(series)
    total = 0.0
    for i in range(n):
        for j in range(n):
            weight = max(0.0, 1 - abs(i - j) / (lag + 1))
            total += weight * (series[i] - mean) * (series[j] - mean)
    return math.sqrt(max(total, 0.0)) / n


@given(series=st.lists(st.floats(-10, 10), min_size=2, max_size=25), lag=st.integers(0, 30))
def test_the_hac_error_agrees_with_its_slow_twin(series, lag):
    found = hac_standard_error(np.array(series), min(lag, len(series) - 1))
    expected = slow_newey_west(series, min(lag, len(series) - 1))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def bootstrap(ours, theirs, **options):
    pair = ("net", "drift")
    return bootstrap_skills({"net": ours, "drift": theirs}, [pair], **options)[pair]


def test_the_bootstrap_interval_agrees_with_its_slow_twin():
    generator = np.random.default_rng(3)
    theirs = generator.gamma(2.0, 1.0, 60)
    ours = theirs * generator.uniform(0.5, 1.1, 60)
    found = bootstrap(ours, theirs, block=5, generator=np.random.default_rng(7), root=True)
    skills = []
    for starts in np.random.default_rng(7).integers(0, 60, size=(2000, 12)):
        rows = [(start + k) % 60 for start in starts for k in range(5)]
        skills.append(1 - math.sqrt(ours[rows].sum() / theirs[rows].sum()))
    # Twelve blocks spread too little: by n / (n - 1), and as Student's t is against the normal.
    tail = stats.norm.sf(math.sqrt(12 / 11) * stats.t.ppf(0.975, 11))
    assert [found.low, found.high] == pytest.approx(np.quantile(skills, [tail, 1 - tail]).tolist())


@pytest.mark.parametrize(("n", "block", "why"), [(19, 1, "needs 20"), (50, 6, "needs 60")])
def test_the_bootstrap_is_undefined_for_few_cutoffs(n, block, why):
    losses = np.ones(n)
    found = bootstrap(losses, losses, block=block, generator=np.random.default_rng(0))
    assert found.low is None
    assert why in found.why


def test_the_bootstrap_is_undefined_against_a_baseline_without_error():
    found = bootstrap(np.ones(30), np.zeros(30), block=1, generator=np.random.default_rng(0))
    assert found.low is None
    assert "no error" in found.why


def test_the_interval_of_a_pair_does_not_depend_on_other_models():
    losses = dict(zip("abc", np.random.default_rng(0).gamma(2.0, 1.0, (3, 40)), strict=True))
    both = bootstrap_skills(
        losses, [("c", "b"), ("a", "b")], block=2, generator=np.random.default_rng(1)
    )
    alone = bootstrap(losses["a"], losses["b"], block=2, generator=np.random.default_rng(1))
    assert both["a", "b"] == alone
