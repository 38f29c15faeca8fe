"""When a request may go to the feed: a rate limit, pauses after refusals (HTTP 429), a deadline.

The rate is that of a token bucket with one token, shared by all threads; the time is passed in. A
late request is not followed by a quick one, since the feed's own window is not known.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from lstmcli.errors import NetworkError


class RateLimited(NetworkError):
    """Yahoo refuses to answer for now (HTTP 429)."""


class Transient(NetworkError):
    """No answer, a broken one or a server error; a later try may work."""


class OutOfTime(NetworkError):
    """The run ended before the symbol's turn."""


def rate_limited(
    symbol: str,
    why: str = "too many requests (HTTP 429)",
    next_step: str = "Wait some minutes and run the same command again.",
) -> RateLimited:
    """Return the error for HTTP 429."""
    return RateLimited("rate limited by Yahoo", where=symbol, why=why, next_step=next_step)


def transient(
    symbol: str, why: str, next_step: str = "Try again later; what is stored is kept."
) -> Transient:
    """Return the error for a failure that may be gone the next time."""
    return Transient("no usable answer from Yahoo", where=symbol, why=why, next_step=next_step)


@dataclass(frozen=True)
class TokenBucket:
    """At most `rate` requests a second; no window of t seconds holds more than rate * t + 1.

    full_at : when the next request may leave, in seconds of the same clock as every `now`.
    """

    rate: float
    full_at: float = -math.inf

    def delay(self, now: float) -> float:
        """Return the seconds until a request may leave; 0 for at once."""
        return max(0.0, self.full_at - now)

    def spent(self, now: float) -> "TokenBucket":
        """Return the bucket after a request that leaves now."""
        return replace(self, full_at=now + 1.0 / self.rate)

    def slower(self, factor: float) -> "TokenBucket":
        """Return the bucket with a lower rate, for a feed that allows less than expected."""
        return replace(self, rate=self.rate * factor)


Outcome = Literal["answered", "refused", "failed", "unknown"]

FAILURES = 5  # in a row that start a pause
FIRST_PAUSE = 5.0  # seconds, before jitter
LONGEST_PAUSE = 120.0
PROBE_CHECK = 0.1  # seconds between two checks whether the probe has come back


def backoff(attempt: int, *, first: float, longest: float, random: Random) -> float:
    """Return the seconds before attempt 0, 1, ...: doubling, one half of them random.

    Source: "equal jitter" of M. Brooker, Exponential Backoff and Jitter, 2015.
    """
    pause = min(longest, first * 2.0**attempt)
    return pause / 2 + random.uniform(0.0, pause / 2)


@dataclass
class CircuitBreaker:
    """Pauses after failed requests.

    max_wait : seconds that all pauses may last in total; `waited` : those so far.
    gave_up : "refused" or "failed" once no request may leave any more.
    """

    max_wait: float
    random: Random
    waited: float = 0.0
    gave_up: Outcome | None = None
    _left: int = 0  # requests that have left, each numbered by it
    _first_after_pause: int = 0
    _until: float = -math.inf  # the pause
    _is_open: bool = False
    _probe_is_out: bool = False
    _pauses: int = 0  # without an answer between
    _failures: int = 0

    def delay(self, now: float) -> float:
        """Return the seconds until a request may leave or should check again; 0 for at once."""
        if now < self._until:
            return self._until - now
        return PROBE_CHECK if self._probe_is_out else 0.0

    def leave(self) -> int:
        """Record that a request leaves now; return its number for `come_back`."""
        self._probe_is_out = self._is_open
        self._left += 1
        return self._left

    def come_back(
        self, number: int, outcome: Outcome, now: float, *, retry_after: float = 0.0
    ) -> float:
        """Record the result of a request; return the length of the pause that starts now.

        retry_after : seconds of the pause that the feed asks for.
        """
        if number < self._first_after_pause or self.gave_up:
            return 0.0  # it left before the pause
        was_open, self._probe_is_out = self._is_open, False
        if outcome == "unknown":
            return 0.0
        if outcome == "answered":
            self._is_open, self._failures, self._pauses = False, 0, 0
            return 0.0
        self._failures += 1
        if outcome == "failed" and not was_open and self._failures < FAILURES:
            return 0.0
        return self._pause(outcome, now, retry_after)

    def _pause(self, outcome: Outcome, now: float, retry_after: float) -> float:
        left = self.max_wait - self.waited
        if left <= 0 or retry_after > left:
            self.gave_up = outcome
            return 0.0
        pause = backoff(self._pauses, first=FIRST_PAUSE, longest=LONGEST_PAUSE, random=self.random)
        pause = min(left, max(pause, retry_after))
        self.waited += pause
        self._until, self._is_open = now + pause, True
        self._first_after_pause = self._left + 1
        self._pauses += 1
        return pause


_AGAIN = "Run the same command again later: what arrived is kept, the rest is asked for first."

_SLOWER = 0.9  # of the rate, after every refusal
FIRST_REST, LONGEST_REST = 2.0, 8.0  # seconds between two tries of one symbol


@dataclass
class Turn:
    """One request; the caller sets its outcome."""

    number: int
    outcome: Outcome = "unknown"
    retry_after: float = 0.0


class Gate:
    """The rate limit, pauses and deadline of a run, shared by all its workers.

    rate : requests a second. max_wait : seconds that the run may spend in pauses, in total.
    timeout : seconds that the run may last, None for no limit.
    clock, sleep : in seconds; the sleep by default is one that `stop` ends.
    on_pause : called with "refused" or "failed" and the seconds of each pause that begins.
    """

    def __init__(
        self,
        *,
        rate: float,
        max_wait: float,
        timeout: float | None,
        clock: Callable[[], float],
        random: Random,
        sleep: Callable[[float], object] | None = None,
        on_pause: Callable[[Outcome, float], None] | None = None,
    ) -> None:
        self.requests = 0
        self._timeout = timeout
        self._deadline = math.inf if timeout is None else clock() + timeout
        self._bucket = TokenBucket(rate)
        self._breaker = CircuitBreaker(max_wait, random)
        self._clock = clock
        self._random = random
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._on_pause = on_pause
        self._lock = threading.Lock()

    @property
    def waited(self) -> float:
        """Return the seconds of all pauses so far."""
        return self._breaker.waited

    def stop(self) -> None:
        """End the run: wake all that wait, and give no further turn."""
        self._deadline = -math.inf
        self._stopped.set()

    @contextmanager
    def turn(self, symbol: str) -> Iterator[Turn]:
        """Wait until a request may leave; the caller sets the outcome of the turn.

        Raises the symbol's error when the run is over: RateLimited, Transient or OutOfTime. An
        answer that comes after `stop` raises too, so that it is not stored.
        """
        turn = Turn(self._wait(symbol))
        try:
            yield turn
        finally:
            with self._lock:
                pause = self._breaker.come_back(
                    turn.number, turn.outcome, self._clock(), retry_after=turn.retry_after
                )
                if turn.outcome == "refused" and pause:
                    self._bucket = self._bucket.slower(_SLOWER)
            if pause and self._on_pause:
                self._on_pause(turn.outcome, pause)
        if self._stopped.is_set():
            self.check_time(symbol)

    def check_time(self, symbol: str) -> None:
        """Raise OutOfTime when the run has lasted as long as it may."""
        self._refuse_when_late(symbol, self._clock())

    def limit(self, seconds: float) -> float:
        """Limit a number of seconds to those that are left of the run."""
        return min(seconds, max(0.001, self._deadline - self._clock()))

    def rest(self, attempt: int) -> bool:
        """Rest before a symbol's next try; return False at once if the run would be over."""
        seconds = backoff(attempt, first=FIRST_REST, longest=LONGEST_REST, random=self._random)
        if self._breaker.gave_up or self._clock() + seconds >= self._deadline:
            return False
        self._sleep(seconds)
        return True

    def _wait(self, symbol: str) -> int:
        while True:
            with self._lock:
                now = self._clock()
                delay = max(self._breaker.delay(now), self._bucket.delay(now))
                self._refuse_when_over(symbol, now + delay)
                if delay <= 0.0:
                    self._bucket = self._bucket.spent(now)
                    self.requests += 1
                    return self._breaker.leave()
            self._sleep(delay)

    def _refuse_when_over(self, symbol: str, leaving: float) -> None:
        breaker = self._breaker
        paused = f"paused for {breaker.waited:.0f} s in all, --max-wait is {breaker.max_wait:g} s"
        if breaker.gave_up == "refused":
            raise rate_limited(symbol, f"too many requests (HTTP 429), {paused}", _AGAIN)
        if breaker.gave_up:
            raise transient(symbol, f"one failure after the other, {paused}", _AGAIN)
        self._refuse_when_late(symbol, leaving)

    def _refuse_when_late(self, symbol: str, leaving: float) -> None:
        if leaving >= self._deadline:
            raise OutOfTime(
                "not fetched",
                where=symbol,
                why=f"its turn would come after the {self._timeout or 0:g} s of --timeout",
                next_step=_AGAIN,
            )
