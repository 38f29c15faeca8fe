"""Intervals and standard errors against published values, scipy and slow twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lstmcli.evaluation.significance import bootstrap_skills, clopper_pearson, hac_standard_error


def test_the_exact_interval_reproduces_a_published_one():
    """9 of 24 at 95 %: 0.1879929 to 0.5940636, as R's binom.test prints."""
    found = clopper_pearson(9, 24)
    assert found.low == pytest.approx(0.1879929, abs=5e-8)
    assert found.high == pytest.approx(0.5940636, abs=5e-8)


@given(n=st.integers(1, 300), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95]))
def test_the_exact_interval_agrees_with_scipy(n, share, confidence):
    hits = round(share * n)
    expected = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    found = clopper_pearson(hits, n, confidence)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_hits_between_whole_numbers_lie_between_their_intervals():
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


def test_the_hac_error_without_lags_is_the_plain_one():
    series = np.array([1.0, 4.0, 2.0, 8.0])
    assert hac_standard_error(series, 0) == pytest.approx(series.std() / 2)
    assert hac_standard_error(series[:1], 0) is None


def bootstrap(ours, theirs, **options):
    pair = ("net", "drift")
    return bootstrap_skills({"net": ours, "drift": theirs}, [pair], **options)[pair]


def test_the_bootstrap_interval_holds_the_skill_and_repeats_with_its_generator():
    generator = np.random.default_rng(3)
    theirs = generator.gamma(2.0, 1.0, 200)
    ours = theirs * generator.uniform(0.5, 1.1, 200)
    found = [
        bootstrap(ours, theirs, block=5, generator=np.random.default_rng(7), root=True)
        for _ in range(2)
    ]
    skill = 1 - math.sqrt(ours.mean() / theirs.mean())
    assert found[0] == found[1]
    assert found[0].low < skill < found[0].high


def test_the_bootstrap_widens_where_losses_depend_on_their_neighbours():
    generator = np.random.default_rng(0)
    slow = np.repeat(generator.gamma(2.0, 1.0, 50), 10)
    base = np.full(500, 2.0)
    narrow, wide = (
        bootstrap(slow, base, block=block, generator=np.random.default_rng(2)) for block in (1, 20)
    )
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


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


def test_a_pair_has_the_same_interval_whoever_is_beside_it():
    losses = dict(zip("abc", np.random.default_rng(0).gamma(2.0, 1.0, (3, 40)), strict=True))
    both = bootstrap_skills(
        losses, [("c", "b"), ("a", "b")], block=2, generator=np.random.default_rng(1)
    )
    alone = bootstrap(losses["a"], losses["b"], block=2, generator=np.random.default_rng(1))
    assert both["a", "b"] == alone
