"""Pooling by date, and which windows count as independent."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.evaluation.pooling import (
    Pool,
    blocks,
    by_symbol,
    count_dates,
    day_numbers,
    float_or_none,
    group_dates,
    mean_known,
    phases,
)
from tests.rows import for_each

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
    found = float(Pool(cutoff, cutoff + np.timedelta64(1, "D")).mean(values))
    assert found == pytest.approx(slow_pooled(values, cutoff), nan_ok=True)


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


def test_means_leave_out_unknown_outcomes():
    found = mean_known(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]), axis=1)
    np.testing.assert_array_equal(found, [2.0, np.nan])
    assert float_or_none(found[1]) is None


@for_each(
    ("step_size", "horizon", "count", "reach"),
    [(50, 50, 13, 1), (1, 50, 13, 50), (20, 50, 11, 3), (1, 1, 601, 1), (70, 50, 9, 1)],
)
def test_windows_of_one_series_that_do_not_overlap_are_counted(step_size, horizon, count, reach):
    rows = np.arange(0, 601, step_size)
    pool = Pool(DAY + rows, DAY + rows + np.timedelta64(horizon, "D"))
    assert count_dates((DAY + rows)[pool.apart]) == count
    assert pool.reach == reach == -(-horizon // step_size)


def test_a_data_hole_in_one_of_many_symbols_does_not_lengthen_windows():
    """Diebold-Mariano over 30 overlaps instead of 5 rejects in 11 % at a nominal 5 %."""
    days = DAY + np.arange(300)
    halted = np.delete(days, slice(100, 200))
    of = [(days, 4), (halted, 1)]
    cutoff = np.concatenate([np.tile(own[:-10:2], count) for own, count in of])
    end = np.concatenate([np.tile(own[10::2], count) for own, count in of])
    pool = Pool(cutoff, end)
    assert pool.reach == 5
    assert Pool(halted[:-10:2], halted[10::2]).reach == 5
    # Such a window still counts as one that others overlap with.
    assert count_dates(cutoff[pool.apart]) == pool.n_independent == 19 < 29


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), min_size=1, max_size=40))
def test_chosen_windows_never_overlap_and_no_more_fit_greedily(rows):
    cutoff = DAY + np.array([day for day, _ in rows])
    end = cutoff + np.array([length for _, length in rows])
    chosen = Pool(cutoff, end).apart
    free_from = DAY - np.timedelta64(1, "D")
    for date in np.unique(cutoff):
        assert chosen[cutoff == date].all() == chosen[cutoff == date].any() == (date >= free_from)
        if date >= free_from:
            free_from = end[cutoff == date].max()


def test_an_empty_pool_has_no_observations():
    none = np.array([], dtype="datetime64[D]")
    assert Pool(none, none).apart.shape == (0,)
    assert Pool(none, none).reach == 1
    assert np.isnan(Pool(none, none).mean(np.array([])))
    assert (Pool(none, none).n_units, Pool(none, none).n_independent) == (0, 0)
    assert blocks(none, none, np.array([], dtype=np.intp)) is None


def windows_of(sessions, horizon, first=0, every=None):
    """Cutoff and end of each window of a calendar's own grid."""
    rows = np.arange(first, sessions.size - horizon, every or horizon)
    return sessions[rows], sessions[rows + horizon]


def pool_of(calendars):
    """One pool of the windows of several symbols, (cutoff, end, calendar) each."""
    cutoff, end = (np.concatenate([each[k] for each in calendars]) for k in (0, 1))
    sizes = [each[0].size for each in calendars]
    symbol = np.repeat(np.arange(len(calendars)), sizes)
    calendar = np.repeat([each[2] for each in calendars], sizes)
    return Pool(cutoff, end, symbol, blocks(cutoff, end, calendar))


WEEKDAYS = np.arange(DAY, DAY + np.timedelta64(3650, "D"))[
    np.is_busday(np.arange(DAY, DAY + np.timedelta64(3650, "D")))
]
EVERY_DAY = np.arange(DAY, DAY + np.timedelta64(3650, "D"))


def without(sessions, seed, share):
    """An exchange that is closed on some further days of its own."""
    return sessions[np.random.default_rng(seed).random(sessions.size) >= share]


def test_a_share_and_a_coin_have_as_many_observations_as_the_share():
    share, coin = without(WEEKDAYS, 1, 0.035), EVERY_DAY
    alone = Pool(*windows_of(share, 50))
    both = pool_of([(*windows_of(share, 50), 0), (*windows_of(coin, 50), 1)])
    assert both.n_independent == alone.n_independent == 50
    assert (both.reach, pool_of([(*windows_of(share, 50), 0)]).block) == (2, None)


def test_two_coins_never_decide_for_many_shares():
    """Blocks that hold only the coins are neither evidence nor part of a mean."""
    share = without(WEEKDAYS, 1, 0.035)[:1500]
    shares = [(*windows_of(share, 50), 0)] * 11
    pool = pool_of([*shares, *[(*windows_of(EVERY_DAY, 50), 1)] * 2])
    assert pool.n_independent == Pool(*windows_of(share, 50)).n_independent == 29
    late = pool.cutoff > day_numbers(share)[-1]
    assert late.any()
    assert np.all(pool.unit[late] == -1)
    values = np.where(late, 1e9, 1.0)
    assert pool.mean(values) == 1.0


def test_a_block_weights_symbols_equally_whatever_their_number_of_windows():
    share, coin = windows_of(WEEKDAYS, 5), windows_of(EVERY_DAY, 1)
    pool = pool_of([(*share, 0), (*coin, 1)])
    values = np.where(pool.symbol == 0, 1.0, 3.0)
    np.testing.assert_allclose(pool.series(values)[:-1], 2.0)
    weights = pool.weights(np.ones((pool.size, 1), dtype=bool))[:][:, 0]
    assert (weights * values).sum() == pytest.approx(pool.mean(values))


def test_the_weights_are_those_of_the_mean():
    generator = np.random.default_rng(2)
    pool = pool_of([(*windows_of(WEEKDAYS, 50, every=10), 0), (*windows_of(EVERY_DAY, 50), 1)])
    values = generator.normal(size=(pool.size, 4))
    known = generator.random(values.shape) < 0.7
    np.testing.assert_allclose(
        (pool.weights(known)[:] * values).sum(axis=0),
        [pool.mean(column) for column in np.where(known, values, np.nan).T],
    )


@for_each(("every", "horizon", "count"), [(10, 50, 5), (1, 5, 5), (50, 50, 1), (1, 1, 1)])
def test_phases_are_chains_of_windows_that_do_not_overlap(every, horizon, count):
    cutoff, end = windows_of(WEEKDAYS, horizon, every=every)
    found = phases(cutoff, end, np.zeros(cutoff.size, dtype=np.intp))
    assert sorted(set(found.tolist())) == list(range(count))
    for phase in range(count):
        own = found == phase
        assert np.all(cutoff[own][1:] >= end[own][:-1])
