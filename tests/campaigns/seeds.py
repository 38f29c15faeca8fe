"""Checks of many made-up cases by their seeds."""

from collections import Counter
from collections.abc import Callable
from random import Random


def outcomes(check: Callable[[Random], str], first: int, count: int) -> Counter[str]:
    """Count what a check returns for each seed; an error in one names the seed."""
    found: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            found[check(Random(seed))] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return found
