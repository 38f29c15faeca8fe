"""What is marked missing and what is merely told: bad optional values, jumps, holes in the dates.

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
ROUNDING = 1e-6
_FEATURES = ("Open", "High", "Low", "Volume")
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
    told = [name for name in empty if name not in _ACTIONS]
    notes = [f"{_and(told)} had no values and {_was(told)} left out."] if told else []
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
    marked, more = _mark_crossed_ranges(replace(bars, columns=columns))
    return drop_empty_columns(marked, targets)[0], notes + more


def find_jumps(
    prices: NDArray[np.float64], splits: NDArray[np.float64] | None, interval: str
) -> NDArray[np.int64]:
    """The rows whose price is beyond a factor of two from the row before, without a split.

    prices, splits : (N,) positive; split ratios, 0 or NaN for none. Empty for other than daily and
    weekly bars.
    """
    if interval not in ("1d", "1wk"):
        return np.array([], dtype=np.int64)
    jumps = np.abs(np.diff(np.log(prices))) > np.log(2)
    if splits is not None:
        jumps &= ~(np.isfinite(splits[1:]) & (splits[1:] != 0) & (splits[1:] != 1))
    return np.flatnonzero(jumps) + 1


def tell_jumps(bars: Bars, price: str, interval: str) -> list[str]:
    """A note on the moves of `find_jumps`."""
    prices = bars.columns[price]
    at = find_jumps(prices, bars.columns.get("Stock Splits"), interval)
    if at.size == 0:
        return []
    shown = [f"{bars.days[i]} (x{prices[i] / prices[i - 1]:.3g})" for i in at[:_SHOWN]]
    more = f" and {at.size - _SHOWN} more" if at.size > _SHOWN else ""
    return [
        f"{price} moves by more than a factor of two on {', '.join(shown)}{more}: "
        "if that is no real move, it looks like an unadjusted split."
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


def _mark_crossed_ranges(bars: Bars) -> Noted:
    """High below, or Low above, the open or close beyond rounding becomes NaN."""
    columns, notes = dict(bars.columns), []
    close = columns["Close"]
    opened = columns.get("Open", close)
    top, bottom = np.fmax(opened, close), np.fmin(opened, close)
    for name, side in (("High", "below"), ("Low", "above")):
        if name not in columns:
            continue
        values = columns[name]
        if name == "High":
            crossed = values < top * (1 - ROUNDING)
        else:
            crossed = values > bottom * (1 + ROUNDING)
        if crossed.any():
            columns[name] = np.where(crossed, np.nan, values)
            count = int(crossed.sum())
            notes.append(f"{name} lay {side} open or close in {count} rows and was marked missing.")
    return replace(bars, columns=columns), notes


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _was(names: Sequence[str]) -> str:
    return "were" if len(names) > 1 else "was"
