"""The token bucket against what it promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market.throttle import TokenBucket


def departures(rate: float, arrivals: list[float]) -> list[float]:
    """When requests that come at these times leave, one after the other."""
    bucket, now, times = TokenBucket(rate), 0.0, []
    for arrival in sorted(arrivals):
        now = max(now, arrival)
        now += bucket.delay(now)
        assert bucket.delay(now) == 0.0
        bucket = bucket.spent(now)
        times.append(now)
    return times


ARRIVALS = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=40)


@given(ARRIVALS, st.floats(0.01, 100.0))
def test_no_window_holds_more_than_the_rate_allows(arrivals: list[float], rate: float) -> None:
    times = departures(rate, arrivals)
    for first in range(len(times)):
        for last in range(first, len(times)):
            window = times[last] - times[first]
            assert last - first + 1 <= rate * window + 1 + 1e-6


@given(ARRIVALS, st.floats(0.01, 100.0))
def test_departures_are_those_of_the_slow_twin(arrivals: list[float], rate: float) -> None:
    """Each leaves when it has come and one pause after the one before it: no later."""
    expected: list[float] = []
    for arrival in sorted(arrivals):
        expected.append(max([arrival] + [time + 1 / rate for time in expected]))
    assert departures(rate, arrivals) == pytest.approx(expected)


def test_a_late_request_is_not_made_up_for() -> None:
    assert departures(2.0, [0.0, 3.0, 3.0, 3.0]) == [0.0, 3.0, 3.5, 4.0]


def test_a_slower_bucket_keeps_its_turn() -> None:
    bucket = TokenBucket(2.0).spent(10.0).slower(0.5)
    assert bucket.delay(10.0) == 0.5
    assert bucket.spent(10.5).delay(10.5) == 1.0
