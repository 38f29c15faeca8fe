"""The bands of a forecast, and the labels of its ends, steps and windows."""

from dataclasses import replace

import numpy as np

from lstmcli.pictures.fans import bands_of, with_change
from tests.pictures.drawings import LEVELS, make_fan, make_walk


def test_bands_need_both_levels():
    quantiles = np.arange(14.0).reshape(2, 7)
    found = bands_of(LEVELS, quantiles)
    assert [nominal for nominal, _, _ in found] == [0.5, 0.8, 0.95]
    for (_, low, high), (left, right) in zip(found, [(2, 4), (1, 5), (0, 6)], strict=True):
        np.testing.assert_array_equal(low, quantiles[:, left])
        np.testing.assert_array_equal(high, quantiles[:, right])


def test_bands_without_both_levels_are_left_out():
    assert bands_of((), np.empty((3, 0))) == ()
    assert [each[0] for each in bands_of((0.1, 0.5, 0.75, 0.9), np.zeros((3, 4)))] == [0.8]


def test_bands_accept_rounded_levels():
    levels = tuple(np.arange(1, 20) * 0.05)  # 0.15000000000000002 and the like
    assert [each[0] for each in bands_of(levels, np.zeros((1, 19)))] == [0.5, 0.8]


def test_the_ends_of_a_fan_are_those_of_its_median_and_its_80_percent_band():
    fan = make_fan()
    _, low, high = fan.bands[1]
    expected = [low[-1], fan.median[-1], high[-1]]
    assert [price for price, _ in fan.ends()] == expected
    for (price, text), move in zip(fan.ends(), (-0.0556, 0.0, 0.0589), strict=True):
        assert text == f"{price:.2f} ({100 * move:+.1f} %)".replace("+0.0", "0.0")
    assert [text for _, text in make_fan(point=True).ends()] == [fan.ends()[1][1]]


def test_a_step_is_described_with_the_actual_price_if_known():
    fan = make_fan(known=1, horizon=2)
    first, second = fan.steps()
    assert first.startswith(f"{fan.dates[0]}, step 1: {fan.median[0]:.2f} (0.0 %), 80 % range ")
    assert first.endswith(f", actual {fan.actual[0]:.2f} (+1.0 %)")
    assert "actual" not in second
    assert "range" not in make_fan(point=True).steps()[0]


def test_a_window_says_whether_its_direction_was_right():
    walk = make_walk(windows=1)
    (window,) = walk.windows
    last, word = window.median[0], "right" if window.hit else "wrong"
    words = f"{window.dates[0]} to {window.dates[-1]}: {last:.2f}, forecast "
    assert str(window).startswith(words)
    assert str(window).endswith(f"actual {with_change(window.actual, last)}, {word}")
    assert str(replace(window, hit=None)).endswith("unchanged")
    assert str(replace(window, hit=None, actual=np.nan)).endswith("%)")
