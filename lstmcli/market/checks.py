"""What is marked missing and what is only reported: bad optional values, holes in the dates.

A price that is forecast must be right; an open, high, low or volume that is not becomes NaN, is
counted, and leaves the row in use.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.bars import Bars, Noted
from lstmcli.market.sessions import odd_days, tell_doubtful, tell_odd_days

LONG_GAP = np.timedelta64(120, "D")
LONG_STILL = 20  # last closes that are equal
_ACTIONS = ("Dividends", "Stock Splits")
_SHOWN = 3


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
