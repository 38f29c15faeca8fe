"""Gathering windows against plain loops, without a copy of every window."""

import numpy as np

from lstmcli.dataset.windows import context_months, contexts, flat_cutoffs, futures, join
from tests.synthetic import series_of


def test_windows_of_two_series_agree_with_a_loop_over_their_rows() -> None:
    first = series_of(np.arange(10.0), np.arange(10.0) * 10)
    second = series_of(np.arange(100.0, 107.0), np.arange(100.0, 107.0) * 10, symbol="BBB")
    cutoffs = [np.array([2, 5]), np.array([3, 2, 4])]
    windows = join([first, second])
    index = flat_cutoffs(windows, cutoffs)
    behind, ahead = [], []
    for series, rows in zip([first, second], cutoffs, strict=True):
        for cutoff in rows:
            behind.append([series.values[cutoff - 2 + step].tolist() for step in range(3)])
            ahead.append([series.values[cutoff + 1 + step].tolist() for step in range(2)])
    assert contexts(windows, index, 3).tolist() == behind
    assert futures(windows, index, 2).tolist() == ahead
    assert windows.offsets == (0, 10)


def test_months_are_those_of_the_same_rows_and_only_where_they_are_read() -> None:
    both = [series_of(np.arange(1.0, 61.0)), series_of(np.arange(1.0, 41.0), symbol="BBB")]
    cutoffs = [np.array([21, 42]), np.array([23])]
    windows = join(both, season=True)
    index = flat_cutoffs(windows, cutoffs)
    expected = [
        [int(str(day)[5:7]) - 1 for day in series.dates[cutoff - 21 : cutoff + 1]]
        for series, rows in zip(both, cutoffs, strict=True)
        for cutoff in rows
    ]
    found = context_months(windows, index, 22)
    assert found is not None
    assert found.tolist() == expected
    assert context_months(join(both), index, 22) is None


def test_no_cutoffs_make_no_windows() -> None:
    windows = join([series_of(np.arange(1.0, 9.0))])
    index = flat_cutoffs(windows, [np.array([], dtype=np.int64)])
    assert contexts(windows, index, 3).shape == (0, 3, 1)
    assert futures(windows, index, 2).shape == (0, 2, 1)
