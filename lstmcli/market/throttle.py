"""Limit requests to the feed: rate, pauses after refusals (HTTP 429), deadline.

Requests of all threads are sent one by one, `1 / rate` seconds apart. A late request is not
followed by a quick one, since the feed's own window is unknown. A refusal, or several failures in a
row, pause all requests; then a single request, the probe, tests whether the feed answers again.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from lstmcli.errors import NetworkError

_AGAIN = "Run the same command again later: what arrived is kept, the rest is asked for first."


class RateLimited(NetworkError):
    """Yahoo refuses to answer (HTTP 429) for longer than the run may wait."""

    def __init__(self, symbol: str, paused: str) -> None:
        why = f"too many requests (HTTP 429), {paused}"
        super().__init__("rate limited by Yahoo", where=symbol, why=why, next_step=_AGAIN)


class Transient(NetworkError):
    """No answer, an invalid one or a server error; a later try may succeed."""

    def __init__(
        self, symbol: str, why: str, next_step: str = "Try again later; the stored bars are kept."
    ) -> None:
        super().__init__("no usable answer from Yahoo", where=symbol, why=why, next_step=next_step)


class OutOfTime(NetworkError):
    """The run ended before the symbol's turn."""


Outcome = Literal["answered", "refused", "failed", "unknown"]

FAILURES = 5  # in a row that start a pause
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 120.0  # seconds, before jitter
FIRST_REST, LONGEST_REST = 2.0, 8.0  # between two tries of one symbol
PROBE_CHECK = 0.1  # seconds between checks for the probe's answer
_SLOWER = 0.9  # factor on the rate after every refusal


@dataclass
class Turn:
    """One request, numbered in the order of sending; the caller sets its outcome.

    retry_after : pause that the feed requests, in seconds.
    """

    number: int
    outcome: Outcome = "unknown"
    retry_after: float = 0.0


@dataclass(kw_only=True, eq=False)
class Gate:
    """The rate limit, pauses and deadline of a run, shared by all its workers.

    rate : requests per second; reduced after every refusal. max_wait : maximum total of all pauses,
    in seconds. timeout : maximum duration of the run in seconds, None for no limit.
    clock, sleep : in seconds; `stop` ends the default sleep.
    on_pause : called at the start of each pause with "refused" or "failed" and its seconds.
    requests, waited : requests sent and seconds paused so far.
    """

    rate: float
    max_wait: float
    timeout: float | None
    clock: Callable[[], float]
    random: Random
    sleep: Callable[[float], object] | None = None
    on_pause: Callable[[Outcome, float], None] | None = None
    requests: int = field(default=0, init=False)
    waited: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._deadline = math.inf if self.timeout is None else self.clock() + self.timeout
        self._stopped = threading.Event()
        self._sleep = self.sleep or self._stopped.wait
        self._lock = threading.Lock()
        self._next = -math.inf  # earliest time of the next request, by rate and pause
        self._first_after_pause = 0
        self._pauses = 0  # in a row, without an answer in between
        self._failures = 0
        self._probe_is_out = False
        self._gave_up: Outcome | None = None  # if set, no more requests are sent

    def stop(self) -> None:
        """End the run: wake all waiting threads and send no more requests."""
        self._deadline = -math.inf
        self._stopped.set()

    @contextmanager
    def turn(self, symbol: str) -> Iterator[Turn]:
        """Wait until the next request may be sent; the caller sets the outcome.

        Raises RateLimited, Transient or OutOfTime if the run is over. An answer that arrives after
        `stop` raises OutOfTime too, so that it is not stored.
        """
        turn = Turn(self._wait(symbol))
        try:
            yield turn
        finally:
            with self._lock:
                pause = self._come_back(turn)
            if pause and self.on_pause:
                self.on_pause(turn.outcome, pause)
        if self._stopped.is_set():
            self.check_time(symbol)

    def check_time(self, symbol: str, delay: float = 0.0) -> None:
        """Raise OutOfTime if the deadline will have passed in `delay` seconds."""
        if self.clock() + delay >= self._deadline:
            raise OutOfTime(
                "not fetched",
                where=symbol,
                why=f"its turn would come after the {self.timeout or 0:g} s of --timeout",
                next_step=_AGAIN,
            )

    def limit(self, seconds: float) -> float:
        """Limit a timeout in seconds to the remaining time of the run."""
        return min(seconds, max(0.001, self._deadline - self.clock()))

    def rest(self, attempt: int) -> bool:
        """Sleep before a symbol's next try; return False immediately if time runs out."""
        seconds = self._backoff(attempt, FIRST_REST, LONGEST_REST)
        if self._gave_up or self.clock() + seconds >= self._deadline:
            return False
        self._sleep(seconds)
        return True

    def _wait(self, symbol: str) -> int:
        """Wait until a request may be sent; return its number."""
        while True:
            with self._lock:
                now = self.clock()
                delay = max(self._next - now, 0.0) or PROBE_CHECK * self._probe_is_out
                if self._gave_up:
                    paused = f"paused for {self.waited:.0f} s in all"
                    paused += f", --max-wait is {self.max_wait:g} s"
                    if self._gave_up == "refused":
                        raise RateLimited(symbol, paused)
                    raise Transient(symbol, f"repeated failures, {paused}", _AGAIN)
                self.check_time(symbol, delay)
                if delay <= 0.0:
                    self._next = now + 1.0 / self.rate
                    self._probe_is_out = self._pauses > 0
                    self.requests += 1
                    return self.requests
            self._sleep(delay)

    def _come_back(self, turn: Turn) -> float:
        """Record the outcome of a request; return the seconds of the pause that it causes."""
        if turn.number < self._first_after_pause or self._gave_up:
            return 0.0  # sent before the pause
        self._probe_is_out = False
        if turn.outcome == "answered":
            self._failures = self._pauses = 0
        if turn.outcome in ("answered", "unknown"):
            return 0.0
        self._failures += 1
        if turn.outcome == "failed" and not self._pauses and self._failures < FAILURES:
            return 0.0
        left = self.max_wait - self.waited
        if left <= 0 or turn.retry_after > left:
            self._gave_up = turn.outcome
            return 0.0
        pause = self._backoff(self._pauses, FIRST_PAUSE, LONGEST_PAUSE)
        pause = min(left, max(pause, turn.retry_after))
        if turn.outcome == "refused":
            self.rate *= _SLOWER
        self.waited += pause
        self._next = max(self._next, self.clock() + pause)
        self._first_after_pause = self.requests + 1
        self._pauses += 1
        return pause

    def _backoff(self, attempt: int, first: float, longest: float) -> float:
        """Return the delay before attempt 0, 1, ... in seconds: exponential, with jitter.

        Source: "equal jitter" in M. Brooker, Exponential Backoff and Jitter, 2015.
        """
        pause = min(longest, first * 2.0**attempt)
        return pause / 2 + self.random.uniform(0.0, pause / 2)
