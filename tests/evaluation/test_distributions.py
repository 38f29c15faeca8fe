"""The distribution functions against scipy."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lstmcli.evaluation.significance import (
    chi2_sf,
    normal_sf,
    student_t_quantile,
    student_t_two_sided,
)

NEAR: dict[str, Any] = {"rel": 1e-10, "abs": 1e-10}


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


def test_students_t_keeps_its_digits_far_out() -> None:
    assert student_t_two_sided(60.0, 48) == pytest.approx(2 * stats.t.sf(60.0, 48), rel=1e-9)
    assert student_t_two_sided(float("inf"), 48) == 0.0


@given(x=st.floats(0, 200), df=st.integers(1, 30))
def test_chi_squared_agrees_with_scipy(x: float, df: int) -> None:
    assert chi2_sf(x, df) == pytest.approx(stats.chi2.sf(x, df), **NEAR)
