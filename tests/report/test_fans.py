"""Which bands a forecast has, and which of its sessions are labelled."""

import numpy as np
import pytest

from lstmcli.report.fans import bands_of, tick_sessions
from tests.report.drawings import LEVELS, make_fan
from tests.rows import for_each


def test_bands_are_those_whose_two_levels_are_there():
    quantiles = np.arange(14.0).reshape(2, 7)
    found = bands_of(LEVELS, quantiles)
    assert [nominal for nominal, _, _ in found] == [0.5, 0.8, 0.95]
    for (_, low, high), (left, right) in zip(found, [(2, 4), (1, 5), (0, 6)], strict=True):
        np.testing.assert_array_equal(low, quantiles[:, left])
        np.testing.assert_array_equal(high, quantiles[:, right])


def test_bands_without_both_levels_are_left_out():
    assert bands_of((), np.empty((3, 0))) == ()
    assert [each[0] for each in bands_of((0.1, 0.5, 0.75, 0.9), np.zeros((3, 4)))] == [0.8]


def test_bands_bear_levels_that_rounding_has_touched():
    levels = tuple(np.arange(1, 20) * 0.05)  # 0.15000000000000002 and the like
    assert [each[0] for each in bands_of(levels, np.zeros((1, 19)))] == [0.5, 0.8]


@for_each(
    ("history", "horizon", "most", "expected"),
    [
        (149, 50, 9, [-125, -100, -75, -50, -25, 0, 25, 50]),
        (149, 50, 5, [-100, -50, 0, 50]),
        (0, 5, 9, [0, 1, 2, 3, 4, 5]),
        (3, 1, 2, [-2, 0]),
        (3, 1, 1, [0]),
        (0, 0, 4, [0]),
    ],
)
def test_sessions_to_label_are_even_few_and_hold_the_cutoff(history, horizon, most, expected):
    assert tick_sessions(history, horizon, most) == expected


@pytest.mark.parametrize("rows", [1, 60])
def test_labels_are_the_dates_of_their_sessions(rows):
    fan = make_fan(rows=rows, horizon=20)
    sessions = np.concatenate([fan.history_dates, fan.dates]).astype(str)
    places, labels = fan.ticks(9)
    assert labels == [sessions[rows - 1 + place] for place in places]
    assert labels[places.index(0)] == str(fan.history_dates[-1])
