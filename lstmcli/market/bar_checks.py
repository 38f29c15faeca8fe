"""Faults in bars: contradictory values, and jumps that look like errors.

A bar is consistent if Low <= Open, Close <= High. The odd values of an inconsistent bar are the
fewest whose removal makes it consistent. If there are several choices, the values farther from the
previous and next closes, in logs, are odd; a single bar is compared with its own median.

A jump is an unadjusted split, a change of units, or a move beyond a factor of two. Adjusted prices
never jump on the day of a split, so a jump on that day proves that prices are not adjusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import combinations

import numpy as np

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.errors import DataError
from lstmcli.market.prices import Bars
from lstmcli.printable import count_of, first_few

TOLERANCE = 1e-4  # share of the price; smaller contradictions are rounding
BAR = ("Open", "High", "Low", "Close")  # Close last: in a tie another value is odd
# More contradictory bars than this are not typing errors: the columns have different bases.
MAX_SHARE, FEWEST_ROWS = 0.05, 10
_FEWER = 1e6  # bonus in logs: one odd value is preferred to two at any distance
_HUNDRED = np.log(100.0)
_USUAL = 3.0  # in typical moves: noise that may be added to a jump
_UNUSUAL = 5.0  # in typical moves: larger moves are unusual
_PAIRS = (("Low", "High"), ("Low", "Open"), ("Low", "Close"), ("Open", "High"), ("Close", "High"))
Columns = Mapping[str, Floats]


def find_odd_values(columns: Columns) -> dict[str, Mask]:
    """Mark the odd values of contradictory bars: a mask (N,) per column of BAR.

    columns : name -> (N,). Values that are not positive and finite count as missing.
    """
    found = {name: columns[name] for name in BAR if name in columns}
    values = {name: np.where(_is_positive(each), each, np.nan) for name, each in found.items()}
    odd = {name: np.zeros(each.size, dtype=bool) for name, each in values.items()}
    crossed = _crossed(values)
    at = np.flatnonzero(np.any(list(crossed.values()), axis=0))
    if at.size == 0:
        return odd  # the usual case; saves the logarithms
    logs = {name: np.log(each) for name, each in values.items()}
    middle = _middle(logs, at)
    distance = {name: np.nan_to_num(abs(each[at] - middle)) for name, each in logs.items()}
    # Open and Close are not compared with each other, so removing two values is always enough.
    choices = [choice for size in (1, 2) for choice in combinations(odd, size)]
    scores = []
    for choice in choices:
        rest = [each[at] for pair, each in crossed.items() if not set(pair) & set(choice)]
        far = sum(distance[name] for name in choice) + _FEWER * (len(choice) == 1)
        scores.append(np.where(np.any(rest, axis=0), -1.0, far))
    chosen = np.argmax(scores, axis=0)
    for number, choice in enumerate(choices):
        for name in choice:
            odd[name][at[chosen == number]] = True
    return odd


def have_different_bases(odd: Mapping[str, Mask]) -> bool:
    """Return whether the contradictory bars show columns with different bases."""
    bad = np.any(list(odd.values()), axis=0)
    count = int(np.count_nonzero(bad))
    return count >= FEWEST_ROWS and count > MAX_SHARE * bad.size


def bar_text(columns: Columns, row: int) -> str:
    """Format one bar: "Close 54.5 with Open 108.77, High 110.08, Low 107.9"."""
    names = [name for name in BAR[:-1] if name in columns and columns[name][row] > 0]
    others = ", ".join(f"{name} {columns[name][row]:.10g}" for name in names)
    return f"Close {columns['Close'][row]:.10g} with {others}"


def _crossed(values: Columns) -> dict[tuple[str, str], Mask]:
    """Mark, for each pair of columns, the bars whose lower value exceeds the upper."""
    with np.errstate(over="ignore"):  # prices close to the largest float overflow
        return {
            (lower, upper): values[lower] > values[upper] * (1 + TOLERANCE)
            for lower, upper in _PAIRS
            if lower in values and upper in values
        }


def _middle(logs: Columns, at: Ints) -> Floats:
    """Return the mean of the previous and next consistent closes of each row, in logs.

    Without any consistent close, return the median of the bar itself.
    at : the contradictory rows, ascending.
    """
    import pandas as pd

    close = pd.Series(logs["Close"])
    close.iloc[at] = np.nan
    before, after = close.ffill(), close.bfill()
    middle = ((before.fillna(after) + after.fillna(before)) / 2).to_numpy()[at]
    lone = np.nanmedian([values[at] for values in logs.values()], axis=0)
    return np.where(np.isnan(middle), lone, middle)


class UnusablePriceError(DataError):
    """A row has an unusable price.

    resume : the first day after the last unusable row, None if there is none.
    """

    resume: date | None = None


def usable_rows(
    bars: Bars, targets: Sequence[str], *, around: date | None, mend: bool
) -> tuple[Bars, dict[str, Mask]]:
    """Select the usable rows; raise UnusablePriceError if that is not possible.

    targets : the columns that must have a positive number in every row.
    around : None to refuse any unusable row. For a day, keep the stretch of usable rows that
        contains the last row up to that day.
    mend : whether to leave out bars with an odd close instead of refusing them. If so many bars are
        contradictory that open, high and low have another basis, mark these as odd instead.
    Returns the rows, and a mask of contradictory values for each of open, high and low.
    """
    odd = find_odd_values(bars.columns)
    if have_different_bases(odd):
        wrong = np.any(list(odd.values()), axis=0)
        if not mend:
            row = int(np.argmax(wrong))
            raise DataError(
                "open, high, low and close do not belong together",
                where=bars.where(row),
                why=f"they contradict each other in {wrong.sum()} of {wrong.size} rows, the first "
                f"on {bars.days[row]}: {bar_text(bars.columns, row)}",
                next_step="Adjust all four alike, or remove Open, High and Low.",
            )
        odd = {name: wrong & (name != "Close") for name in odd}
        bars = replace(bars, doubted=True)
    bad = ~np.all([_is_positive(bars.columns[name]) for name in targets], axis=0)
    wrong = odd.pop("Close")
    if mend and wrong.any() and not wrong.all():
        shown = [
            f"{bars.days[at]}: {bar_text(bars.columns, at)}"
            for at in np.flatnonzero(wrong).tolist()
        ]
        count = count_of(len(shown), "bar")
        note = f"Left out {count} with an impossible close ({first_few(shown, sep='; ')})."
        bars = replace(bars.noted(note), left_out=tuple(bars.days[wrong].tolist())).keep(~wrong)
        odd, bad = {name: mask[~wrong] for name, mask in odd.items()}, bad[~wrong]
        wrong = np.zeros_like(bad)
    unusable = np.flatnonzero(bad | wrong)
    if unusable.size == 0:
        return bars, odd
    if around is None:
        raise _refusal(bars, unusable, targets, unusable[0])
    last = int(np.searchsorted(bars.days, np.datetime64(around, "D"), side="right")) - 1
    if last in unusable:
        raise _refusal(bars, unusable, targets, last)
    before, after = unusable[unusable < last][-1:], unusable[unusable > last][:1]
    for side, rows in (("after", before), ("before", after)):
        for row in rows:
            why = _why(bars, row, targets)
            bars = bars.noted(f"Only the rows {side} {bars.days[row]} are read: {why}.")
    if before.size:
        bars = replace(bars, cut=bars.days[before[0]].item())
    every = np.arange(bars.days.size)
    kept = every[max(before + 1, default=0) : min(after, default=None)]
    return bars.keep(kept), {name: mask[kept] for name, mask in odd.items()}


def _refusal(bars: Bars, wrong: Ints, targets: Sequence[str], row: int) -> UnusablePriceError:
    """Return the error for an unusable row, with the command that skips all of them."""
    following = int(wrong[-1]) + 1
    resume: date | None = bars.days[following].item() if following < bars.days.size else None
    after = f", or pass --start {resume} to begin after it" if resume else ""
    more = f" ({wrong.size} such rows)" if wrong.size > 1 else ""
    is_positive = all(_is_positive(bars.columns[name])[row] for name in targets)
    error = UnusablePriceError(
        "impossible close" if is_positive else "bad price",
        where=bars.where(row),
        why=_why(bars, row, targets) + more,
        next_step=f"Correct or remove the row{after}.",
    )
    error.resume = resume
    return error


def _why(bars: Bars, row: int, targets: Sequence[str]) -> str:
    for name in targets:
        if not _is_positive(bars.columns[name])[row]:
            value = bars.columns[name][row]
            return f"{name} is {value:g} on {bars.days[row]}, expected a positive number"
    return f"the bar of {bars.days[row]} has {bar_text(bars.columns, row)}"


def _is_positive(values: Floats) -> Mask:
    return np.isfinite(values) & (values > 0)


@dataclass(frozen=True)
class Jump:
    """A suspicious move of the price.

    row : the first row after the move. factor : the price after it divided by the price before.
    split : the ratio of a split flagged on that row, 0 for none. unadjusted : whether that split
    explains the move. hundred : whether it looks like a change between pence and pounds. until :
    the row in which the price returns from such a change, or None.
    """

    row: int
    factor: float
    split: float = 0.0
    unadjusted: bool = False
    hundred: bool = False
    until: int | None = None

    def text(self, days: Days) -> str:
        """Describe the move with its date."""
        day, times = days[self.row], f"{self.factor:.3g}"
        if self.until is not None:
            rows = self.until - self.row
            span = f"on {day}" if rows == 1 else f"from {day} to {days[self.until - 1]}"
            return f"is x{times} {span} ({count_of(rows, 'row')}) and back"
        on = f", the day of a {split_name(self.split)}" if self.split else ""
        return f"moves by x{times} on {day}{on}"


def find_jumps(prices: Floats, splits: Floats | None, interval: str) -> list[Jump]:
    """Find the jumps of a series, oldest first.

    A move is a jump if it is beyond a factor of two (daily and weekly bars), close to a factor of
    100, or unusually large and close to the effect of a split on that day on unadjusted prices.
    prices : (N,) positive. splits : (N,) ratios; 0, 1 or NaN for no split.
    """
    if prices.size < 2:
        return []
    with np.errstate(over="ignore"):  # prices close to the largest float overflow
        factors = prices[1:] / prices[:-1]
    ratios = np.zeros(factors.size) if splits is None else np.nan_to_num(splits[1:], posinf=0)
    flagged = (ratios > 0) & (ratios != 1)
    if not flagged.any() and factors.min() >= 0.5 and factors.max() <= 2:
        return []  # the usual case; saves the logarithms
    moves = np.diff(np.log(prices))
    # The factor makes the median absolute move a standard deviation for normal moves.
    usual = 1.4826 * float(np.median(np.abs(moves)))
    action = np.log(np.where(flagged, ratios, 1.0))
    large = (np.abs(moves) > np.log(2)) & (interval in ("1d", "1wk"))
    near = np.abs(moves + action) <= np.clip(_USUAL * usual, np.abs(action) / 4, np.abs(action) / 2)
    unadjusted = flagged & near & (large | (np.abs(moves) > _UNUSUAL * usual))
    noise = np.clip(_USUAL * usual, np.log(1.1), np.log(1.5))
    hundred = (np.abs(np.abs(moves) - _HUNDRED) <= noise) & ~unadjusted
    found: list[Jump] = []
    for at in np.flatnonzero(large | unadjusted | hundred).tolist():
        factor, last = float(factors[at]), found[-1] if found else None
        in_other_unit = last and last.hundred and last.until is None
        if hundred[at] and last and in_other_unit and (last.factor < 1) != (factor < 1):
            found[-1] = replace(last, until=at + 1)
            continue
        split = float(ratios[at]) if flagged[at] else 0.0
        found.append(Jump(at + 1, factor, split, bool(unadjusted[at]), bool(hundred[at])))
    return found


def jumps_by_column(
    columns: Mapping[str, Floats], price: str, interval: str
) -> dict[str, list[Jump]]:
    """Find the jumps of the forecast column, and the changes of units of Close.

    columns : name -> (N,).
    """
    found = {}
    for name in dict.fromkeys((price, "Close")):
        jumps = find_jumps(columns[name], columns.get("Stock Splits"), interval)
        # Unadjusted closes may jump by a split, which is not a fault.
        found[name] = jumps if name == price else [each for each in jumps if each.hundred]
    return found


def note_jumps(bars: Bars, price: str, interval: str) -> list[str]:
    """Return one sentence per column and kind of jump, with the first few dates."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, jumps in jumps_by_column(bars.columns, price, interval).items():
        for each in sorted(jumps, key=lambda each: (not each.unadjusted, not each.hundred)):
            meaning = "if that is no real move, it looks like an unadjusted split"
            if each.hundred:
                meaning = "it looks like pence and pounds (a factor of 100)"
            if each.unadjusted:
                meaning = "prices are not adjusted"
            kinds.setdefault((name, meaning), []).append(each.text(bars.days))
    return [
        f"{name} {first_few(texts, sep='; ')}: {meaning}."
        for (name, meaning), texts in kinds.items()
    ]


def split_name(ratio: float) -> str:
    """Format the ratio of a split: "20:1 split", "1:10 split"."""
    found = Fraction(ratio).limit_denominator(1000)
    return f"{found.numerator}:{found.denominator} split"
