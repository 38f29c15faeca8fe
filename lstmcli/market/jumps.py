"""Moves that look like a fault of the data: unadjusted splits, other units, factors beyond two.

Adjusted prices do not jump on the day of a split, so a split explains no jump: it is the proof that
the prices are not adjusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.prices import Bars
from lstmcli.printable import first_few

_HUNDRED = np.log(100.0)
_USUAL = 3.0  # typical moves that noise may add to a jump
_UNUSUAL = 5.0  # typical moves beyond which a move is none of them


@dataclass(frozen=True)
class Jump:
    """A move that needs an explanation.

    row : the first row after it. factor : of the price. split : the ratio of a split flagged on
    that row, 0 for none. unadjusted : whether that split explains it. hundred : whether it looks
    like pence and pounds; until : the row in which such a price is itself again, if it is.
    """

    row: int
    factor: float
    split: float = 0.0
    unadjusted: bool = False
    hundred: bool = False
    until: int | None = None

    def is_undone_by(self, factor: float) -> bool:
        """Tell whether a later move by about a factor of 100 brings the price back."""
        return self.hundred and self.until is None and (self.factor < 1) != (factor < 1)

    def text(self, days: NDArray[np.datetime64]) -> str:
        """Say what the price does, with its date."""
        day, times = days[self.row], f"{self.factor:.3g}"
        if self.unadjusted:
            verb = "falls to" if self.factor < 1 else "rises to"
            what = f"{times} of the price" if self.factor < 1 else f"{times} times the price"
            return f"{verb} {what} on {day}, the day of a {split_name(self.split)}"
        if self.until is not None:
            rows = self.until - self.row
            span = f"on {day}" if rows == 1 else f"from {day} to {days[self.until - 1]}"
            return f"is x{times} {span} ({rows} row{'s' if rows > 1 else ''}) and back"
        on = f", the day of a {split_name(self.split)}" if self.split else ""
        return f"moves by x{times} on {day}{on}"


def find_jumps(
    prices: NDArray[np.float64], splits: NDArray[np.float64] | None, interval: str
) -> list[Jump]:
    """Find the jumps of a series, oldest first.

    prices : (N,) positive. splits : (N,) ratios, 0, 1 or NaN for none. A move is a jump where it is
    beyond a factor of two (daily and weekly bars), near a factor of 100, or far outside the usual
    moves and near to what a split flagged on that day does to prices that are not adjusted.
    """
    if prices.size < 2:
        return []
    with np.errstate(over="ignore"):  # of prices next to the largest number
        factors = prices[1:] / prices[:-1]
    ratios = np.zeros(factors.size) if splits is None else np.nan_to_num(splits[1:], posinf=0)
    flagged = (ratios > 0) & (ratios != 1)
    if not flagged.any() and factors.min() >= 0.5 and factors.max() <= 2:
        return []  # nearly every series, without a logarithm
    moves = np.diff(np.log(prices))
    usual = 1.4826 * float(np.median(np.abs(moves)))  # as a standard deviation, of normal moves
    action = np.log(np.where(flagged, ratios, 1.0))
    large = (np.abs(moves) > np.log(2)) & (interval in ("1d", "1wk"))
    near = np.abs(moves + action) <= np.clip(_USUAL * usual, np.abs(action) / 4, np.abs(action) / 2)
    unadjusted = flagged & near & (large | (np.abs(moves) > _UNUSUAL * usual))
    noise = np.clip(_USUAL * usual, np.log(1.1), np.log(1.5))
    hundred = (np.abs(np.abs(moves) - _HUNDRED) <= noise) & ~unadjusted
    found: list[Jump] = []
    for at in np.flatnonzero(large | unadjusted | hundred).tolist():
        factor = float(factors[at])
        if hundred[at] and found and found[-1].is_undone_by(factor):
            found[-1] = replace(found[-1], until=at + 1)
            continue
        split = float(ratios[at]) if flagged[at] else 0.0
        found.append(Jump(at + 1, factor, split, bool(unadjusted[at]), bool(hundred[at])))
    return found


def jumps_by_column(
    columns: Mapping[str, NDArray[np.float64]], price: str, interval: str
) -> dict[str, list[Jump]]:
    """Find the jumps of the column that is forecast, and closes in another unit.

    columns : (N,) each, by name.
    """
    found = {}
    for name in dict.fromkeys((price, "Close")):
        jumps = find_jumps(columns[name], columns.get("Stock Splits"), interval)
        # Raw closes may jump by a split that the adjusted ones do not have.
        found[name] = jumps if name == price else [each for each in jumps if each.hundred]
    return found


def tell_jumps(bars: Bars, price: str, interval: str) -> list[str]:
    """Return notes on the jumps of a series."""
    found = jumps_by_column(bars.columns, price, interval)
    return [note for name, jumps in found.items() for note in _notes(jumps, name, bars.days)]


def _notes(jumps: Sequence[Jump], price: str, days: NDArray[np.datetime64]) -> list[str]:
    """One sentence for each kind of jump, with the first few dates."""
    kinds = {
        "prices are not adjusted": [each for each in jumps if each.unadjusted],
        "it looks like pence and pounds (a factor of 100)": [
            each for each in jumps if each.hundred
        ],
        "if that is no real move, it looks like an unadjusted split": [
            each for each in jumps if not each.unadjusted and not each.hundred
        ],
    }
    return [
        f"{price} {first_few((each.text(days) for each in found), comma='; ')}: {meaning}."
        for meaning, found in kinds.items()
        if found
    ]


def split_name(ratio: float) -> str:
    """Name a split as people do: "20:1 split", "1:10 split"."""
    found = Fraction(ratio).limit_denominator(1000)
    return f"{found.numerator}:{found.denominator} split"
