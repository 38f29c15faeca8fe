"""The gate: rate limit, pauses and deadline for many threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market import throttle
from lstmcli.market.throttle import Gate, Outcome, OutOfTime, RateLimited, Transient
from tests.clockwork import Clockwork


def pass_through(gate: Gate, outcome: Outcome, retry_after: float = 0.0) -> None:
    with gate.turn("AAPL") as turn:
        turn.outcome, turn.retry_after = outcome, retry_after


def pauses_of(outcomes: list[Any], **options: Any) -> list[float]:
    """Return the seconds between each request's return and the earliest next request."""
    time = Clockwork()
    gate, pauses = time.gate(rate=1e9, **options), []
    for outcome in outcomes:
        before = time.now
        pass_through(gate, outcome)
        pauses.append(time.now - before)
    before = time.now
    pass_through(gate, "answered")
    return [*pauses[1:], time.now - before]


ARRIVALS = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=40)


@given(ARRIVALS, st.floats(0.01, 100.0))
def test_departures_equal_those_of_a_simple_simulation(arrivals: list[float], rate: float) -> None:
    """Each request leaves on arrival or one pause after the previous one, whichever is later."""
    time, departures, expected = Clockwork(), list[float](), list[float]()
    gate = time.gate(rate=rate)
    for arrival in sorted(arrivals):
        time.now = max(time.now, 1000.0 + arrival)
        with gate.turn("AAPL") as turn:
            turn.outcome = "answered"
            departures.append(time.now)
        expected.append(max([1000.0 + arrival] + [each + 1 / rate for each in expected[-1:]]))
    assert departures == pytest.approx(expected)
    for first in range(len(departures)):
        for last in range(first, len(departures)):
            window = departures[last] - departures[first]
            assert last - first + 1 <= rate * window + 1 + 1e-6


@given(st.integers(0, 60), st.integers())
def test_the_backoff_doubles_up_to_a_limit_and_half_of_it_is_random(
    attempt: int, seed: int
) -> None:
    time = Clockwork()
    gate = Gate(
        rate=1.0, max_wait=0.0, timeout=None,
        clock=time.clock, sleep=time.sleep, random=Random(seed),
    )  # fmt: skip
    assert gate.rest(attempt)
    whole = min(throttle.LONGEST_REST, throttle.FIRST_REST * 2**attempt)
    assert whole / 2 <= time.now - 1000.0 <= whole


def test_each_refused_probe_pauses_longer_until_one_is_answered() -> None:
    pauses = pauses_of(["refused"] * 8 + ["answered", "refused"])
    whole = [5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0, 0.0, 5.0]
    assert all(w / 2 <= pause <= w + 1e-6 for w, pause in zip(whole, pauses, strict=True))


def test_failures_pause_only_when_several_come_in_a_row() -> None:
    pauses = pauses_of(["failed"] * 4 + ["answered"] + ["failed"] * 5 + ["failed"])
    assert max(pauses[:9]) < 1e-6
    assert min(pauses[9:]) > 2.0  # the fifth, and the probe


def test_requests_sent_before_a_pause_neither_end_nor_prolong_it() -> None:
    time = Clockwork()
    gate = time.gate(rate=1e9)
    with gate.turn("A"), gate.turn("B") as failed, gate.turn("C") as answered:
        pass_through(gate, "refused")
        began, paused = time.now, gate.waited
        failed.outcome, answered.outcome = "refused", "answered"
    assert gate.waited == paused > 0
    pass_through(gate, "answered")
    assert time.now - began == pytest.approx(paused)


def test_after_an_inconclusive_probe_another_one_is_sent_alone() -> None:
    time = Clockwork()
    gate = time.gate(rate=1e9, timeout=60.0)
    pass_through(gate, "refused")
    pass_through(gate, "unknown")
    with gate.turn("AAPL"), pytest.raises(OutOfTime), gate.turn("MSFT"):
        pass
    assert set(time.slept[-9:]) == {throttle.PROBE_CHECK}


def test_a_longer_pause_requested_by_the_feed_is_respected() -> None:
    time = Clockwork()
    gate = time.gate()
    pass_through(gate, "refused", retry_after=60.0)
    assert gate.waited == 60.0
    pass_through(gate, "refused", retry_after=1.0)
    assert gate.waited >= 65.0


@pytest.mark.parametrize(("max_wait", "wish"), [(0.0, 0.0), (600.0, 3600.0)])
def test_a_pause_beyond_the_maximum_wait_is_not_started(max_wait: float, wish: float) -> None:
    gate = Clockwork().gate(max_wait=max_wait)
    pass_through(gate, "refused", retry_after=wish)
    assert gate.waited == 0.0
    with pytest.raises(RateLimited):
        pass_through(gate, "answered")


def test_threads_share_the_rate() -> None:
    time, leaving = Clockwork(), []
    gate = time.gate(rate=10.0)

    def work() -> None:
        for _ in range(25):
            with gate.turn("AAPL"):
                leaving.append(time.now)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert gate.requests == len(leaving) == 100
    # All sleeping threads advance the same clock, so it runs late rather than early.
    assert time.now - 1000.0 >= 99 / 10.0 - 1e-6


def test_a_refusal_pauses_the_run_calls_back_and_reduces_the_rate() -> None:
    time, told = Clockwork(), []
    gate = time.gate(rate=1.0, on_pause=lambda *pause: told.append(pause))
    pass_through(gate, "refused", retry_after=30.0)
    pass_through(gate, "answered")
    assert time.now == 1030.0
    assert (told, gate.waited) == ([("refused", 30.0)], 30.0)
    pass_through(gate, "answered")
    assert time.now == pytest.approx(1030.0 + 1 / 0.9)


def test_other_requests_wait_for_the_probe() -> None:
    time = Clockwork()
    gate = time.gate()
    pass_through(gate, "refused")
    probing, finish = threading.Event(), threading.Event()

    def probe() -> None:
        with gate.turn("AAPL") as turn:
            probing.set()
            finish.wait(10)
            turn.outcome = "answered"

    def other() -> None:
        probing.wait(10)
        with gate.turn("MSFT"):
            assert finish.is_set()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(probe), pool.submit(other)]
        probing.wait(10)
        while len(time.slept) < 5:  # the other asks again and again
            pass
        finish.set()
        for done in both:
            done.result()


@pytest.mark.parametrize(
    ("outcome", "error", "word"),
    [("refused", RateLimited, "HTTP 429"), ("failed", Transient, "repeated failures")],
)
def test_after_giving_up_all_remaining_symbols_fail(
    outcome: Outcome, error: type[Exception], word: str
) -> None:
    time = Clockwork()
    gate = time.gate(max_wait=20.0)

    def ask_for_ever() -> None:
        while True:
            pass_through(gate, outcome)

    with pytest.raises(error, match=word) as caught:
        ask_for_ever()
    assert "paused for 20 s in all, --max-wait is 20 s" in str(caught.value)
    assert gate.waited == pytest.approx(20.0)
    asked = gate.requests
    with pytest.raises(error, match="MSFT"), gate.turn("MSFT"):
        pass
    assert gate.requests == asked
    assert not gate.rest(0)


def test_a_request_after_the_deadline_is_refused_without_waiting() -> None:
    time = Clockwork()
    gate = time.gate(timeout=60.0)
    assert gate.limit(10.0) == 10.0
    pass_through(gate, "refused", retry_after=100.0)
    told = r"not fetched \(AAPL\).*60 s of --timeout"
    with pytest.raises(OutOfTime, match=told):
        pass_through(gate, "answered")
    assert time.slept == []
    time.now += 59.0
    assert gate.limit(10.0) == 1.0
    assert not gate.rest(5)
    assert time.slept == []


def test_the_outcome_of_a_turn_counts_even_if_it_raises() -> None:
    gate = Clockwork().gate(max_wait=0.0)

    def break_down() -> None:
        with gate.turn("AAPL") as turn:
            turn.outcome = "failed"
            raise OSError("reset")

    for _ in range(5):
        with pytest.raises(OSError, match="reset"):
            break_down()
    with pytest.raises(Transient), gate.turn("AAPL"):
        pass


def test_stopping_wakes_all_waiting_threads() -> None:
    gate = Gate(rate=0.001, max_wait=0.0, timeout=None, clock=lambda: 0.0, random=None)
    pass_through(gate, "answered")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pass_through, gate, "answered")
        gate.stop()
        with pytest.raises(OutOfTime):
            waiting.result(10)
