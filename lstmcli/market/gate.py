"""The gate that every request to the feed passes: its rate, its pauses and the end of the run.

Any number of threads share one gate. It hands out turns, hears what became of each, and once the
run is over answers with the error that the symbols left over get.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from lstmcli.market.breaker import CircuitBreaker, Outcome, backoff
from lstmcli.market.rate import TokenBucket
from lstmcli.market.yahoo_answers import OutOfTime, rate_limited, transient

_AGAIN = "Run the same command again later: what arrived is kept, the rest is asked for first."

_SLOWER = 0.9  # of the rate, after every refusal
FIRST_REST, LONGEST_REST = 2.0, 8.0  # seconds between two tries of one symbol


@dataclass
class Turn:
    """One request: whoever makes it notes what became of it."""

    number: int
    outcome: Outcome = "unknown"
    retry_after: float = 0.0


class Gate:
    """Shared by all workers of a run.

    rate : requests a second. max_wait : seconds that the run may spend in pauses, all together.
    timeout : seconds that the run may last, None for as long as it takes.
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
        """Seconds of all pauses so far."""
        return self._breaker.waited

    def stop(self) -> None:
        """End the run: whoever waits is woken, and no further turn is given."""
        self._deadline = -math.inf
        self._stopped.set()

    @contextmanager
    def turn(self, symbol: str) -> Iterator[Turn]:
        """Wait until a request may leave, and hear in the turn what became of it.

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
        """As many seconds, or those that are left of the run."""
        return min(seconds, max(0.001, self._deadline - self._clock()))

    def rest(self, attempt: int) -> bool:
        """Rest before a symbol's next try; False, at once, when the run would be over by then."""
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
