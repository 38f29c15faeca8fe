"""Open, high, low and close of one bar that contradict each other, and which of them is wrong.

A bar is in order where Low <= Open, Close <= High. The odd values of another are the fewest whose
removal restores that; among several such choices, those farther, in logs, from the closes before
and after. A lone bar is measured by the median of its own values.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-4  # share of the price; smaller contradictions are rounding
BAR = ("Open", "High", "Low", "Close")  # Close last: in a tie another one is the odd one
# More contradictory bars than this are no typing errors: the columns have different bases.
MAX_SHARE, FEWEST_ROWS = 0.05, 10
_PAIRS = (
    ("Low", "High"),
    ("Low", "Open"),
    ("Low", "Close"),
    ("Open", "High"),
    ("Close", "High"),
)
Mask = NDArray[np.bool_]
Columns = Mapping[str, NDArray[np.float64]]


def find_odd_values(columns: Columns) -> dict[str, Mask]:
    """Mark the odd values of every contradictory bar: name -> (N,) for the columns of a bar.

    columns : name -> (N,). Values that are not positive and finite count as missing.
    """
    values = {name: columns[name] for name in BAR if name in columns}
    odd = {name: np.zeros(each.size, dtype=bool) for name, each in values.items()}
    # Most tables are in order, which needs no logarithm to see.
    if not any(mask.any() for mask in _crossed(values).values()):
        return odd
    values = {name: _known(each) for name, each in values.items()}
    crossed = _crossed(values)
    at = np.flatnonzero(np.any(list(crossed.values()), axis=0))
    logs = {name: np.log(each) for name, each in values.items()}
    middle = _middle(logs, at)
    distance = {name: np.nan_to_num(abs(each[at] - middle)) for name, each in logs.items()}
    left = np.ones(at.size, dtype=bool)
    for size in (1, 2):  # open and close do not bind each other, so two are always enough
        best, chosen = np.full(at.size, -1.0), np.full(at.size, -1)
        choices = list(combinations(odd, size))
        for number, choice in enumerate(choices):
            rest = [each[at] for pair, each in crossed.items() if not set(pair) & set(choice)]
            restored = ~np.any(rest, axis=0) if rest else np.ones(at.size, dtype=bool)
            score = np.where(restored, sum(distance[name] for name in choice), -1.0)
            chosen = np.where(score > best, number, chosen)
            best = np.maximum(score, best)
        for number, choice in enumerate(choices):
            for name in choice:
                odd[name][at[left & (chosen == number)]] = True
        left &= chosen < 0
    return odd


def have_different_bases(odd: Mapping[str, Mask]) -> bool:
    """Tell whether so many bars are contradictory that the columns cannot belong together."""
    bad = np.any(list(odd.values()), axis=0)
    count = int(np.count_nonzero(bad))
    return count >= FEWEST_ROWS and count > MAX_SHARE * bad.size


def bar_text(columns: Columns, row: int) -> str:
    """Name the values of one bar: "Close 54.5 with Open 108.77, High 110.08, Low 107.9"."""
    names = [name for name in BAR[:-1] if name in columns and columns[name][row] > 0]
    others = ", ".join(f"{name} {columns[name][row]:.10g}" for name in names)
    return f"Close {columns['Close'][row]:.10g} with {others}"


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, NaN for what is not positive and finite."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _crossed(values: Columns) -> dict[tuple[str, str], Mask]:
    """For every pair of a bar, where the lower value lies above the upper one beyond rounding."""
    with np.errstate(over="ignore"):  # of prices next to the largest number
        return {
            (lower, upper): values[lower] > values[upper] * (1 + TOLERANCE)
            for lower, upper in _PAIRS
            if lower in values and upper in values
        }


def _middle(logs: Columns, at: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of the nearest closes before and after each row in bars without contradiction.

    at : the contradictory rows, ascending. Without any such close, the median of the bar itself.
    """
    close = logs["Close"]
    is_known = ~np.isnan(close)
    is_known[at] = False
    known = np.flatnonzero(is_known)
    if known.size == 0:
        return np.asarray(np.nanmedian([values[at] for values in logs.values()], axis=0))
    place = np.searchsorted(known, at)
    before, after = np.maximum(place - 1, 0), np.minimum(place, known.size - 1)
    before, after = np.where(place > 0, before, after), np.where(place < known.size, after, before)
    return np.asarray((close[known[before]] + close[known[after]]) / 2)
