"""Pooling by date, and which windows count as independent."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.pooling import (
    by_date,
    by_symbol,
    count_dates,
    float_or_none,
    group_dates,
    independent,
    mean_known,
    overlap,
    pooled,
)

DAY = np.datetime64("2020-01-01")


def slow_pooled(values, cutoff):
    per_date = []
    for date in sorted(set(cutoff.tolist())):
        known = [v for v, c in zip(values, cutoff.tolist(), strict=True) if c == date and v == v]
        if known:
            per_date.append(sum(known) / len(known))
    return sum(per_date) / len(per_date) if per_date else math.nan


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.one_of(st.just(math.nan), st.floats(-5, 5))), max_size=40
    )
)
def test_pooling_agrees_with_its_slow_twin(rows):
    cutoff = DAY + np.array([day for day, _ in rows], dtype=np.int64)
    values = np.array([value for _, value in rows], dtype=np.float64)
    found = float(pooled(values, cutoff))
    assert found == pytest.approx(slow_pooled(values, cutoff), nan_ok=True)


def test_a_date_with_many_symbols_weighs_no_more_than_one_with_a_single_symbol():
    cutoff = DAY + np.array([0, 0, 0, 1])
    assert float(pooled(np.array([1.0, 1.0, 1.0, 3.0]), cutoff)) == 2.0


def test_columns_are_pooled_apart():
    cutoff = DAY + np.array([1, 0, 1])
    values = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 5.0]])
    dates, means = by_date(values, cutoff)
    assert dates.tolist() == [DAY.item(), (DAY + np.timedelta64(1, "D")).item()]
    np.testing.assert_array_equal(means, [[2.0, np.nan], [2.0, 5.0]])
    np.testing.assert_array_equal(pooled(values, cutoff), [2.0, 5.0])


@given(st.lists(st.integers(-800_000, 800_000), max_size=30), st.sampled_from(["D", "s"]))
def test_dates_are_grouped_as_numpy_does_it_by_sorting(days, unit):
    dates = np.array(days, dtype="datetime64[D]").astype(f"datetime64[{unit}]")
    found, expected = group_dates(dates), np.unique(dates, return_inverse=True)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@given(st.lists(st.sampled_from(["B", "A", "AA", "C"]), max_size=20))
def test_symbols_are_grouped_in_the_order_given(symbols):
    names, group = by_symbol(np.array(symbols, dtype=np.str_))
    assert names == list(dict.fromkeys(symbols))
    assert [names[each] for each in group] == symbols


def test_means_leave_out_what_has_not_happened():
    found = mean_known(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]), axis=1)
    np.testing.assert_array_equal(found, [2.0, np.nan])
    assert float_or_none(found[1]) is None


@pytest.mark.parametrize(
    ("step_size", "horizon", "count", "reach"),
    [(50, 50, 13, 1), (1, 50, 13, 50), (20, 50, 11, 3), (1, 1, 601, 1), (70, 50, 9, 1)],
)
def test_windows_of_one_series_that_do_not_overlap_are_counted(step_size, horizon, count, reach):
    rows = np.arange(0, 601, step_size)
    assert (
        count_dates(
            (DAY + rows)[independent(DAY + rows, DAY + rows + np.timedelta64(horizon, "D"))]
        )
        == count
    )
    assert (
        overlap(DAY + rows, DAY + rows + np.timedelta64(horizon, "D"))
        == reach
        == -(-horizon // step_size)
    )


def test_symbols_of_one_date_are_chosen_together_and_count_once():
    cutoff = DAY + np.array([0, 5, 10, 0, 5, 10])
    chosen = independent(cutoff, cutoff + np.timedelta64(10, "D"))
    assert chosen.tolist() == [True, False, True, True, False, True]
    assert count_dates(cutoff[chosen]) == 2


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), min_size=1, max_size=40),
)
def test_chosen_windows_never_overlap_and_no_more_fit_greedily(rows):
    cutoff = DAY + np.array([day for day, _ in rows])
    end = cutoff + np.array([length for _, length in rows])
    chosen = independent(cutoff, end)
    free_from = DAY - np.timedelta64(1, "D")
    for date in np.unique(cutoff):
        assert chosen[cutoff == date].all() == chosen[cutoff == date].any() == (date >= free_from)
        if date >= free_from:
            free_from = end[cutoff == date].max()


def test_nothing_gives_nothing():
    none = np.array([], dtype="datetime64[D]")
    assert independent(none, none).shape == (0,)
    assert overlap(none, none) == 1
    assert np.isnan(pooled(np.array([]), none))
