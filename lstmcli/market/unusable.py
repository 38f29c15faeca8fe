"""Rows with a price that no forecast may rest on: not positive, or contradicted by its own bar.

A reader either refuses them, or reads the rows between two of them, or (a feed that will not change
what it sends) leaves the contradicted bars out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from lstmcli.errors import DataError
from lstmcli.market.bar_order import (
    Mask,
    bar_text,
    find_odd_values,
    have_different_bases,
)
from lstmcli.market.bars import Bars, Noted
from lstmcli.market.prices import Note

_SHOWN = 3


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
    shown = "; ".join(f"{bars.days[row]}: {bar_text(bars.columns, row)}" for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    count = "1 bar" if len(rows) == 1 else f"{len(rows)} bars"
    return [f"Left out {count} with an impossible close ({shown}{more})."]


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
