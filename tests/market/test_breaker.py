"""When a feed that refuses or fails is left alone, for how long, and when it is given up."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market import throttle as module
from lstmcli.market.throttle import CircuitBreaker, Outcome, backoff


def make(max_wait: float = 600.0) -> CircuitBreaker:
    return CircuitBreaker(max_wait, Random(7))


@given(st.integers(0, 60), st.integers())
def test_a_pause_doubles_up_to_a_limit_with_half_of_it_jitter(attempt: int, seed: int) -> None:
    pause = backoff(attempt, first=5.0, longest=120.0, random=Random(seed))
    whole = min(120.0, 5.0 * 2**attempt)
    assert whole / 2 <= pause <= whole


def test_jitter_is_drawn_from_the_generator_passed_in() -> None:
    pauses = [backoff(3, first=5.0, longest=120.0, random=Random(seed)) for seed in (1, 1, 2)]
    assert pauses[0] == pauses[1] != pauses[2]


def test_one_refusal_pauses_everybody_until_one_probe_is_answered() -> None:
    breaker = make()
    first, second = breaker.leave(), breaker.leave()
    pause = breaker.come_back(first, "refused", 100.0)
    assert 2.5 <= pause <= 5.0
    assert breaker.delay(100.0) == pytest.approx(pause)
    assert breaker.come_back(second, "refused", 100.1) == 0.0  # it left before the pause
    assert breaker.delay(101.0) == pytest.approx(pause - 1.0)
    assert breaker.delay(106.0) == 0.0
    probe = breaker.leave()
    assert breaker.delay(106.0) == module.PROBE_CHECK
    breaker.come_back(probe, "answered", 107.0)
    assert breaker.delay(107.0) == 0.0
    breaker.leave()
    assert breaker.delay(107.0) == 0.0


def test_an_answer_from_before_the_pause_does_not_end_it() -> None:
    breaker = make()
    first, second = breaker.leave(), breaker.leave()
    breaker.come_back(first, "refused", 100.0)
    breaker.come_back(second, "answered", 100.1)
    assert breaker.delay(100.1) > 2.0


def test_a_probe_that_is_refused_pauses_for_longer() -> None:
    breaker, now, pauses = make(), 0.0, []
    for _ in range(8):
        pauses.append(breaker.come_back(breaker.leave(), "refused", now))
        now += pauses[-1]
    whole = [5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]
    assert all(w / 2 <= pause <= w for w, pause in zip(whole, pauses, strict=True))
    breaker.come_back(breaker.leave(), "answered", now)
    assert breaker.come_back(breaker.leave(), "refused", now) <= 5.0


def test_a_probe_that_tells_nothing_lets_the_next_one_go() -> None:
    breaker = make()
    pause = breaker.come_back(breaker.leave(), "refused", 0.0)
    breaker.come_back(breaker.leave(), "unknown", pause)
    assert breaker.delay(pause) == 0.0
    breaker.leave()
    assert breaker.delay(pause) == module.PROBE_CHECK


def test_failures_pause_only_when_several_come_in_a_row() -> None:
    breaker = make()
    outcomes: list[Outcome] = ["failed"] * 4 + ["answered"] + ["failed"] * 5
    pauses = [breaker.come_back(breaker.leave(), outcome, 0.0) for outcome in outcomes]
    assert pauses[:-1] == [0.0] * 9
    assert pauses[-1] > 0.0
    assert breaker.come_back(breaker.leave(), "failed", 10.0) > 0.0  # the probe


def test_the_feeds_own_wish_is_respected() -> None:
    breaker = make()
    assert breaker.come_back(breaker.leave(), "refused", 0.0, retry_after=60.0) == 60.0
    assert breaker.come_back(breaker.leave(), "refused", 60.0, retry_after=1.0) >= 5.0


def test_a_wish_beyond_what_is_left_to_wait_is_not_waited_for() -> None:
    breaker = make()
    assert breaker.come_back(breaker.leave(), "refused", 0.0, retry_after=3600.0) == 0.0
    assert (breaker.gave_up, breaker.waited) == ("refused", 0.0)


@given(st.floats(0.0, 1000.0), st.integers())
def test_all_pauses_together_last_no_longer_than_allowed(max_wait: float, seed: int) -> None:
    breaker, now = CircuitBreaker(max_wait, Random(seed)), 0.0
    while not breaker.gave_up:
        now += breaker.come_back(breaker.leave(), "refused", now)
    assert breaker.waited == pytest.approx(now)
    assert breaker.waited == pytest.approx(max_wait)


def test_no_wait_gives_up_at_the_first_refusal() -> None:
    breaker = make(max_wait=0.0)
    assert breaker.come_back(breaker.leave(), "refused", 0.0) == 0.0
    assert breaker.gave_up == "refused"
