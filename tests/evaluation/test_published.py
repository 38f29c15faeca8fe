"""The formal tests against published worked examples and against statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.diagnostic import pesaran_timmermann as their_pesaran_timmermann
from statsmodels.tsa.stattools import diebold_mariano_test

from lstmcli.evaluation.significance import (
    christoffersen_unconditional,
    diebold_mariano,
    overlapping_error,
    pesaran_timmermann,
    student_t_two_sided,
)
from tests.rows import for_each


def test_diebold_mariano_reproduces_the_example_of_one_step():
    """Squared errors 0..5 against 0, 2, 3, 3, 5, 6: -2.4905, p 0.05513.

    Published with the package dieboldmariano 1.1, test_diebold_mariano_1.
    """
    a = np.array([0.0, 1, 2, 3, 4, 5]) ** 2
    b = np.array([0.0, 2, 3, 3, 5, 6]) ** 2
    error, kernel = overlapping_error(a - b, 1)
    statistic = (a - b).mean() / error
    assert statistic == pytest.approx(-2.4905, abs=5e-5)
    assert student_t_two_sided(statistic, 5) == pytest.approx(0.05513, abs=5e-6)
    assert kernel == "rectangular"


def test_diebold_mariano_reproduces_the_example_of_three_steps():
    """Absolute errors with h = 3: 1.2109, one-sided p 0.877.

    Published with the package dieboldmariano 1.1, test_diebold_mariano_2.
    """
    a = [0.3675225224615024, 0.5450608127223211, 0.22044990720021074, 0.8688743471040006,
         0.6072512228948467, 0.8582283746501538, 0.41662295816718187, 0.3812100211114714,
         0.7185133356116706, 0.30827323290318875, 0.4297093624074402, 0.8615974488577858,
         0.7240514514808826, 0.3450839595261038, 0.19675301374013598]  # fmt: skip
    b = [0.12794132529988733, 0.3679643204341153, 0.768715420996091, 0.09972248964114683,
         0.27197653636654284, 0.28797629010039505, 0.9160213458582482, 0.6112628048698798,
         0.5452873235576241, 0.06785907231746158, 0.6072666485541124, 0.6241575753989782,
         0.39998026828867217, 0.19895665605941748, 0.8094941215215619]  # fmt: skip
    error, kernel = overlapping_error(np.subtract(a, b), 3)
    statistic = np.subtract(a, b).mean() / error
    assert statistic == pytest.approx(1.2109, abs=5e-5)
    assert 1 - student_t_two_sided(statistic, 14) / 2 == pytest.approx(0.877, abs=5e-4)
    assert kernel == "rectangular"


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


def calls(table):
    """Called up and went up, from the counts [[up-up, up-down], [down-up, down-down]]."""
    (uu, ud), (du, dd) = table
    called = [True] * (uu + ud) + [False] * (du + dd)
    return np.array(called), np.array([True] * uu + [False] * ud + [True] * du + [False] * dd)


def test_pesaran_timmermann_reproduces_a_published_table():
    """Diet and heart disease, 11, 4, 2, 6: Pearson chi-square 4.9597, p 0.0259.

    SAS/STAT User's Guide, PROC FREQ, data set FatComp. The variance of Pesaran & Timmermann,
    written out, is 4 Py (1 - Py) Px (1 - Px) (n - 1) / n^2, so that their square is Pearson's
    chi-square times n / (n - 1).
    """
    found = pesaran_timmermann(*calls([[11, 4], [2, 6]]))
    assert found.n == 23
    pearson = found.statistic**2 * 22 / 23
    assert pearson == pytest.approx(4.9597, abs=5e-5)
    assert stats.chi2.sf(pearson, 1) == pytest.approx(0.0259, abs=5e-5)
    assert found.p == pytest.approx(stats.norm.sf(math.sqrt(pearson * 23 / 22)), rel=1e-9)


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
