"""The distribution functions against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lstmcli.evaluation.significance import (
    beta_cdf,
    beta_quantile,
    chi2_sf,
    normal_sf,
    student_t_quantile,
    student_t_two_sided,
)
from tests.rows import for_each

NEAR = {"rel": 1e-10, "abs": 1e-10}


@given(x=st.floats(-8, 8))
def test_the_normal_agrees_with_scipy(x: float) -> None:
    assert normal_sf(x) == pytest.approx(stats.norm.sf(x), **NEAR)


@given(t=st.floats(1e-3, 50), df=st.integers(1, 5000))
def test_students_t_agrees_with_scipy(t: float, df: int) -> None:
    assert student_t_two_sided(t, df) == pytest.approx(2 * stats.t.sf(t, df), **NEAR)


@given(confidence=st.floats(0.5, 0.999), df=st.integers(1, 2000))
def test_the_quantile_of_students_t_agrees_with_scipy(confidence: float, df: int) -> None:
    expected = stats.t.ppf(0.5 + confidence / 2.0, df)
    assert student_t_quantile(confidence, df) == pytest.approx(expected, rel=1e-8)


@for_each("t", [0.0, 1e-9, -1e-9, 1e-4])
def test_students_t_keeps_its_digits_near_zero(t: float) -> None:
    """With one degree of freedom it is Cauchy's, which has a closed form; scipy rounds to 1."""
    assert student_t_two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), 1e-14)


def test_students_t_keeps_its_digits_far_out() -> None:
    assert student_t_two_sided(60.0, 48) == pytest.approx(2 * stats.t.sf(60.0, 48), rel=1e-9)
    assert student_t_two_sided(float("inf"), 48) == 0.0


@given(x=st.floats(0, 200), df=st.integers(1, 30))
def test_chi_squared_agrees_with_scipy(x: float, df: int) -> None:
    assert chi2_sf(x, df) == pytest.approx(stats.chi2.sf(x, df), **NEAR)


@given(x=st.floats(0, 1), a=st.floats(0.5, 500), b=st.floats(0.5, 500))
def test_the_beta_agrees_with_scipy(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), **NEAR)


@given(level=st.floats(0.001, 0.999), a=st.floats(1, 300), b=st.floats(1, 300))
def test_the_beta_quantile_agrees_with_scipy(level: float, a: float, b: float) -> None:
    assert beta_quantile(level, a, b) == pytest.approx(stats.beta.ppf(level, a, b), **NEAR)
