"""Open, high, low and close of one bar that contradict each other, and which of them is wrong.

A bar is in order where Low <= Open, Close <= High. The odd values of another are the fewest whose
removal restores that; among several such choices, those farther, in logs, from the closes before
and after. A lone bar is measured by the median of its own values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.prices import Bars, Note, Noted
from lstmcli.market.sessions import odd_days, tell_doubtful, tell_odd_days
from lstmcli.printable import first_few

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


class UnusablePriceError(DataError):
    """A row cannot be used. resume : the first day after the last such row, None at the end."""

    resume: date | None = None


@dataclass(frozen=True)
class Usable:
    """The rows that can be used.

    odd : by column, the opens, highs and lows of these rows that contradict the rest of their bar.
    cut : the day of the unusable row right before them. left_out : the days of bars left out
    between them. doubted : whether opens, highs and lows count as missing wherever a bar
    contradicts itself. notes : on all of that.
    """

    bars: Bars
    odd: dict[str, Mask]
    cut: date | None
    left_out: tuple[date, ...]
    doubted: bool
    notes: list[str]


def usable_rows(bars: Bars, targets: Sequence[str], *, around: date | None, mend: bool) -> Usable:
    """Choose the rows that can be used; UnusablePriceError where that is not possible.

    targets : the columns that must hold a positive number in every row. around : None to refuse any
    unusable row, else a day: the rows between the unusable ones before and after the last row up to
    that day are chosen. mend : leave out bars with an odd close instead of refusing them; where so
    many are contradictory that open, high and low have another basis, doubt those instead.
    """
    odd = find_odd_values(bars.columns)
    doubted = have_different_bases(odd)
    if doubted:
        if not mend:
            raise _different_bases(bars, odd)
        wrong = np.any(list(odd.values()), axis=0)
        odd = {name: wrong & (name != "Close") for name in odd}
    bad = ~np.all([_is_positive(bars, name) for name in targets], axis=0)
    wrong, notes, left_out = odd.pop("Close"), [], ()
    if mend and wrong.any() and not wrong.all():
        notes, left_out = _tell_left_out(bars, wrong), tuple(bars.days[wrong].tolist())
        bars, odd, bad = bars.keep(~wrong), _rows_of(odd, ~wrong), bad[~wrong]
        wrong = np.zeros_like(bad)
    kept, cut, more = _stretch(bars, bad | wrong, targets, around)
    if not kept.all():
        bars, odd = bars.keep(kept), _rows_of(odd, kept)
    return Usable(bars, odd, cut, left_out, doubted, notes + more)


def mark_odd_values(bars: Bars, odd: dict[str, Mask]) -> Noted:
    """Make odd opens, highs and lows missing: counted, and their dates as details."""
    columns, notes = dict(bars.columns), list[str]()
    for name, wrong in odd.items():
        if name not in columns or not wrong.any():
            continue
        columns[name] = np.where(wrong, np.nan, columns[name])
        count = int(np.count_nonzero(wrong))
        what = f"{name} contradicts the rest of its bar"
        rows = "1 row" if count == 1 else f"{count} rows"
        days = ", ".join(map(str, bars.days[wrong]))
        notes.append(Note(f"{what} in {rows} and counts as missing.", f"{what} on {days}."))
    return replace(bars, columns=columns), notes


def _stretch(
    bars: Bars, unusable: Mask, targets: Sequence[str], around: date | None
) -> tuple[Mask, date | None, list[str]]:
    """Mark the usable rows around a day; say which unusable row lies before them, and why."""
    rows = np.arange(unusable.size)
    wrong = np.flatnonzero(unusable)
    if wrong.size == 0:
        return ~unusable, None, []
    if around is None:
        raise _refusal(bars, wrong, targets, int(wrong[0]))
    last = int(np.searchsorted(bars.days, np.datetime64(around, "D"), side="right")) - 1
    before, after = wrong[wrong <= last], wrong[wrong > last]
    if before.size and before[-1] == last:
        raise _refusal(bars, wrong, targets, last)
    first, stop = before[-1] + 1 if before.size else 0, after[0] if after.size else rows.size
    notes = []
    if before.size:
        why = _why(bars, int(before[-1]), targets)
        notes.append(f"Only the rows after {bars.days[before[-1]]} are read: {why}.")
    if after.size:
        why = _why(bars, int(after[0]), targets)
        notes.append(f"Only the rows before {bars.days[after[0]]} are read: {why}.")
    cut: date | None = bars.days[before[-1]].item() if before.size else None
    return (rows >= first) & (rows < stop), cut, notes


def _refusal(bars: Bars, wrong: np.ndarray, targets: Sequence[str], row: int) -> UnusablePriceError:
    """The error for one of the unusable rows, with the way past all of them."""
    following = int(wrong[-1]) + 1
    resume: date | None = bars.days[following].item() if following < bars.days.size else None
    after = f", or pass --start {resume} to begin after it" if resume else ""
    more = f" ({wrong.size} such rows)" if wrong.size > 1 else ""
    error = UnusablePriceError(
        "impossible close" if _is_right(bars, targets, row) else "bad price",
        where=bars.where(row),
        why=_why(bars, row, targets) + more,
        next_step=f"Correct or remove the row{after}.",
    )
    error.resume = resume
    return error


def _why(bars: Bars, row: int, targets: Sequence[str]) -> str:
    for name in targets:
        if not _is_positive(bars, name)[row]:
            value = bars.columns[name][row]
            return f"{name} is {value:g} on {bars.days[row]}, expected a positive number"
    return f"the bar of {bars.days[row]} has {bar_text(bars.columns, row)}"


def _rows_of(odd: dict[str, Mask], kept: Mask) -> dict[str, Mask]:
    return {name: mask[kept] for name, mask in odd.items()}


def _tell_left_out(bars: Bars, odd: Mask) -> list[str]:
    rows = np.flatnonzero(odd).tolist()
    shown = first_few(
        (f"{bars.days[row]}: {bar_text(bars.columns, row)}" for row in rows), comma="; "
    )
    count = "1 bar" if len(rows) == 1 else f"{len(rows)} bars"
    return [f"Left out {count} with an impossible close ({shown})."]


def _different_bases(bars: Bars, odd: dict[str, Mask]) -> DataError:
    row = int(np.flatnonzero(np.any(list(odd.values()), axis=0))[0])
    return DataError(
        "open, high, low and close do not belong together",
        where=bars.where(row),
        why=f"they contradict each other in {_share(odd)}, the first on {bars.days[row]}: "
        f"{bar_text(bars.columns, row)}",
        next_step="Adjust all four alike, or remove Open, High and Low.",
    )


def _share(odd: dict[str, Mask]) -> str:
    bad = np.any(list(odd.values()), axis=0)
    return f"{np.count_nonzero(bad)} of {bad.size} rows"


def _is_positive(bars: Bars, name: str) -> Mask:
    values = bars.columns[name]
    return np.isfinite(values) & (values > 0)


def _is_right(bars: Bars, targets: Sequence[str], row: int) -> bool:
    return all(_is_positive(bars, name)[row] for name in targets)


LONG_GAP = np.timedelta64(120, "D")
LONG_STILL = 20  # last closes that are equal
_ACTIONS = ("Dividends", "Stock Splits")


def drop_empty_columns(bars: Bars, targets: Sequence[str]) -> Noted:
    """Without the optional columns that hold no value at all."""
    empty = [
        name
        for name, values in bars.columns.items()
        if name not in targets and bool(np.isnan(values).all())
    ]
    if not empty:
        return bars, []
    columns = {name: values for name, values in bars.columns.items() if name not in empty}
    named = [name for name in empty if name not in _ACTIONS]
    notes = [f"{_and(named)} had no values and {_was(named)} left out."] if named else []
    return replace(bars, columns=columns), notes


def mark_bad_values(bars: Bars, targets: Sequence[str]) -> Noted:
    """Optional values that cannot be true become NaN, counted column by column."""
    columns, notes = dict(bars.columns), []
    for name in [name for name in columns if name not in targets]:
        values = columns[name]
        low = values < 0 if name in _ACTIONS else values <= 0
        bad = low | np.isinf(values)
        columns[name] = np.where(bad, np.nan, values)
        missing = int(np.isnan(columns[name]).sum())
        if missing and name not in _ACTIONS:
            zero, null = int((values == 0).sum()), int(np.isnan(values).sum())
            kinds = {"zero": zero, "empty": null, "impossible": missing - zero - null}
            detail = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
            notes.append(f"{name} is missing in {missing} of {values.size} rows ({detail}).")
        elif bad.any():
            notes.append(f"{name} was impossible in {int(bad.sum())} rows and marked missing.")
    return drop_empty_columns(replace(bars, columns=columns), targets)[0], notes


def count_equal_closes(close: NDArray[np.float64]) -> int:
    """Count how many of the last closes are equal: 1 where the last one differs from the others."""
    changes = np.flatnonzero(close[1:] != close[:-1])
    return close.size - (int(changes[-1]) + 1 if changes.size else 0)


def tell_equal_closes(bars: Bars) -> list[str]:
    """A note on a series that has stood still for long at its end."""
    count = count_equal_closes(bars.columns["Close"])
    if count < LONG_STILL:
        return []
    return [
        f"The last {count} closes are equal, since {bars.days[-count]}: "
        "halted, pegged, or no longer updated."
    ]


def tell_gaps(bars: Bars, interval: str, strict: bool) -> list[str]:
    """Notes on missing sessions and bars without one; with `strict` they raise DataError."""
    odd = odd_days(bars.days, bars.symbol, interval, from_feed=bars.from_feed)
    notes = tell_odd_days(odd)
    if interval not in ("1d", "1wk", "1mo"):
        notes = _tell_long_gaps(bars.days)
    if notes and strict:
        raise DataError(
            "missing sessions" if odd.missing or not odd.extra.size else "bars without a session",
            where=bars.where(),
            why=" ".join(notes).rstrip("."),
            next_step="Mend the series or leave out --strict.",
        )
    return notes + tell_doubtful(odd)


def _tell_long_gaps(days: NDArray[np.datetime64]) -> list[str]:
    """A note on gaps that are long for bars of any spacing."""
    gaps = np.diff(days)
    # Yearly bars lie further apart than a long gap in others.
    limit = max(LONG_GAP, 3 * np.median(gaps)) if gaps.size else LONG_GAP
    long = np.flatnonzero(gaps > limit)
    if not long.size:
        return []
    i = int(long[np.argmax(gaps[long])])
    holes = "gap is" if long.size == 1 else "gaps are"
    day = np.timedelta64(1, "D")
    return [
        f"{long.size} {holes} longer than {int(limit / day)} days: "
        f"{days[i]} to {days[i + 1]} ({int(gaps[i] / day)} days)."
    ]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _was(names: Sequence[str]) -> str:
    return "were" if len(names) > 1 else "was"
