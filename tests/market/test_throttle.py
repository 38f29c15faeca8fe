"""The gate: turns for many threads, and the end of the run."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lstmcli.market.throttle import Gate, Outcome, OutOfTime, RateLimited, Transient
from tests.clockwork import Clockwork


def pass_through(gate: Gate, outcome: Outcome, retry_after: float = 0.0) -> None:
    with gate.turn("AAPL") as turn:
        turn.outcome, turn.retry_after = outcome, retry_after


def test_turns_are_counted_and_keep_the_rate() -> None:
    time = Clockwork()
    gate = time.gate(rate=4.0)
    for _ in range(9):
        pass_through(gate, "answered")
    assert (gate.requests, gate.waited) == (9, 0.0)
    assert time.now == 1002.0


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
    # Sleeping threads all move the one clock, so that it is late rather than early.
    assert time.now - 1000.0 >= 99 / 10.0 - 1e-6


def test_a_refusal_is_waited_for_told_and_slows_the_run() -> None:
    time, told = Clockwork(), []
    gate = time.gate(rate=1.0, on_pause=lambda *pause: told.append(pause))
    pass_through(gate, "refused", retry_after=30.0)
    pass_through(gate, "answered")
    assert time.now == 1030.0
    assert (told, gate.waited) == ([("refused", 30.0)], 30.0)
    pass_through(gate, "answered")
    assert time.now == pytest.approx(1030.0 + 1 / 0.9)


def test_others_wait_for_the_probe() -> None:
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
    [("refused", RateLimited, "HTTP 429"), ("failed", Transient, "one failure after the other")],
)
def test_a_feed_that_is_given_up_fails_every_symbol_that_is_left(
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


def test_a_turn_that_would_come_too_late_is_refused_without_waiting() -> None:
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


def test_an_exception_in_a_turn_is_a_failure_that_was_noted() -> None:
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


def test_stopping_wakes_whoever_waits() -> None:
    gate = Gate(rate=0.001, max_wait=0.0, timeout=None, clock=lambda: 0.0, random=None)  # type: ignore[arg-type]
    pass_through(gate, "answered")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pass_through, gate, "answered")
        gate.stop()
        with pytest.raises(OutOfTime):
            waiting.result(10)
