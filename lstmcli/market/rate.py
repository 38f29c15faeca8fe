"""How fast a feed is asked: a token bucket that holds one token.

Counted are requests, whoever sends them, and the time is passed in. A late request is not made up
for by a quick one: whoever limits us counts over a window that we do not know.
"""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class TokenBucket:
    """At most `rate` requests a second; no window of t seconds holds more than rate * t + 1.

    full_at : when the next request may leave, in seconds of the same clock as every `now`.
    """

    rate: float
    full_at: float = -math.inf

    def delay(self, now: float) -> float:
        """Seconds until a request may leave; 0 for at once."""
        return max(0.0, self.full_at - now)

    def spent(self, now: float) -> "TokenBucket":
        """The bucket after a request that leaves now."""
        return replace(self, full_at=now + 1.0 / self.rate)

    def slower(self, factor: float) -> "TokenBucket":
        """The bucket of a lower rate, for a feed that allows less than was thought."""
        return replace(self, rate=self.rate * factor)
