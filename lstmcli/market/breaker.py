"""A circuit breaker: when the feed refuses or fails, all requests pause, and one probe goes first.

One refusal (HTTP 429) starts a pause, as it means all of us; so do several failures in a row. The
pauses double until an answer comes, and all of them together are bounded. The time and the source
of the jitter are passed in; whoever shares a breaker between threads holds a lock.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Literal

Outcome = Literal["answered", "refused", "failed", "unknown"]

FAILURES = 5  # in a row that start a pause
FIRST_PAUSE = 5.0  # seconds, before jitter
LONGEST_PAUSE = 120.0
PROBE_CHECK = 0.1  # seconds after which to ask again whether the probe has come back


def backoff(attempt: int, *, first: float, longest: float, random: Random) -> float:
    """Seconds to wait before attempt 0, 1, ...: doubling, one half of them drawn at random.

    Source: "equal jitter" of M. Brooker, Exponential Backoff and Jitter, 2015.
    """
    pause = min(longest, first * 2.0**attempt)
    return pause / 2 + random.uniform(0.0, pause / 2)


@dataclass
class CircuitBreaker:
    """When a request may leave, from what became of the earlier ones.

    max_wait : seconds that all pauses together may last; `waited` is what they have so far.
    gave_up : "refused" or "failed" once nothing more should be asked, for good.
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
        """Seconds until a request may leave or should ask again; 0 for at once."""
        if now < self._until:
            return self._until - now
        return PROBE_CHECK if self._probe_is_out else 0.0

    def leave(self) -> int:
        """Note that a request leaves now; its number is for `come_back`."""
        self._probe_is_out = self._is_open
        self._left += 1
        return self._left

    def come_back(
        self, number: int, outcome: Outcome, now: float, *, retry_after: float = 0.0
    ) -> float:
        """Note what became of a request; the length of the pause that begins now, 0 for none.

        retry_after : seconds for which the feed itself asks to be left alone.
        """
        if number < self._first_after_pause or self.gave_up:
            return 0.0  # it left before the pause, and tells nothing new
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
