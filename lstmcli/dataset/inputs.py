"""Inputs of the user's own: columns of the file, and other series as they were known at each close.

A value is known at its bar's close. Of another series that is the last bar whose session has closed
by then, so that Tokyo's bar of a day is known in New York that day, and New York's in Tokyo the day
after. Where the hours of either are not known, only bars of days before count.

    zscore   less its mean, over its standard deviation, both of the training rows
    level    over its root mean square of the training rows, so that 0 stays 0
    log      the logarithm, then as zscore
    change   since the bar before, then as zscore: the difference of a column, the log return of
             a series' closes

A missing value becomes 0, as those of the bars do: the mean, or with `level` none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.arrays import Floats, Ints, Mask
from lstmcli.errors import DataError
from lstmcli.features import BAR_FEATURES, OwnInput
from lstmcli.market.calendars import closes_of, own_calendar
from lstmcli.market.prices import STORE, Prices, as_days, bars_of, period_of
from lstmcli.market.sessions import schedule_for
from lstmcli.printable import Note, count_of

if TYPE_CHECKING:  # grading the ledger needs no PyTorch, which takes a second to import
    from lstmcli.dataset.scaling import Scale

FURTHEST = 8.0  # deviations, as of the other inputs
MOST_HELD = {"1d": (10, "days"), "1wk": (4, "weeks"), "1mo": (3, "months")}
"""For how long the last known value of another series stands in for later ones."""


def with_inputs(
    own: Prices, inputs: Sequence[OwnInput], find: Callable[[str, Prices], Prices]
) -> Prices:
    """Return prices with the closes of the other series that inputs name, and notes on all inputs.

    find : (symbol, own) -> its prices. Raises DataError where `find` does, and as `join_known`. A
    column that the file lacks is missed only when the inputs are made.
    """
    frame, notes = own.frame, list[str]()
    for each in {each.column: each for each in inputs}.values():
        if each.kind == "symbol":
            other = find(each.name, own)
            frame = frame.assign(**{each.column: join_known(own, other)})
            notes += _note_old(own, other)
        if each.column in frame:
            lacks = ~np.isfinite(frame[each.column].to_numpy(np.float64))
            if count := int(lacks.sum()):
                last = ", the last among them" * bool(lacks[-1])
                rows = f"{count} of {count_of(len(frame), 'row')}{last}"
                notes.append(f"{each.column} has no value in {rows}: read as its average.")
    return replace(own, frame=frame, notes=(*own.notes, *notes))


def _note_old(own: Prices, other: Prices) -> list[str]:
    """Say where another series ends more than a bar before the own one."""
    last = as_days(other.frame.index)[-1]
    behind = int((as_days(own.frame.index) > last).sum())
    if behind < 2:
        return []
    most, unit = MOST_HELD[own.interval]
    newer = f"Run: lstmcli fetch {other.symbol}" if other.source == STORE else "Give newer prices"
    return [
        Note(
            f"{other.symbol}, which is read with it, ends on {last}, {behind} bars before it: "
            f"its last close stands for later ones, for up to {most} {unit}",
            remedy=newer.replace("{", "{{").replace("}", "}}"),
        )
    ]


def join_known(own: Prices, other: Prices) -> Floats:
    """Return the close of another series that was known at each bar's own close, (T,).

    NaN before its first bar, and where its last bar known then is too old. Raises DataError for
    bars of another length, and for lengths whose last day is not known.
    """
    if other.interval != own.interval or own.interval not in MOST_HELD:
        raise DataError(
            f"cannot join {other.symbol}",
            where=own.symbol,
            why=f"{other.symbol} has {bars_of(other.interval)}, {own.symbol} "
            f"{bars_of(own.interval)}",
            next_step="Give daily, weekly or monthly bars of both.",
        )
    # Of weeks and months, whichever of their days dates the bars.
    ours, theirs = (_periods(each) for each in (own, other))
    at = theirs.searchsorted(ours) - 1  # the last of a day, week or month before
    same = theirs.searchsorted(ours, side="right") - 1
    at = np.where((same > at) & _closed_by(own, other), same, at)
    closes = other.frame["Close"].to_numpy(np.float64)
    age = ours - theirs[at.clip(min=0)]
    known = (at >= 0) & (age <= MOST_HELD[own.interval][0])
    return np.where(known, closes[at.clip(min=0)], np.nan)


def _periods(prices: Prices) -> Ints:
    """Return the number of the day, week or month of each bar."""
    days = as_days(prices.frame.index)
    return days.astype(np.int64) if prices.interval == "1d" else period_of(days, prices.interval)


def _closed_by(own: Prices, other: Prices) -> Mask:
    """Return for each own bar whether the other's of the same period had closed when it did."""
    days = as_days(own.frame.index)
    if own.interval != "1d":  # dates of weeks and months tell no calendar
        names = [own_calendar(each.symbol, from_feed=each.from_feed) for each in (own, other)]
        return np.full(days.shape, names[0] is not None and names[0] == names[1])
    ours, theirs = schedule_for(own).calendars, schedule_for(other).calendars
    closed = np.full(days.shape, bool(ours and theirs))
    for one in ours:
        for another in theirs:
            if one != another:  # NaT, a close that is not known, is neither before nor after
                closed &= closes_of(another, days) <= closes_of(one, days)
    return closed


def raw_inputs(prices: Prices, inputs: Sequence[OwnInput]) -> Floats:
    """Return the transformed values of each bar, not lagged and not scaled: (T, E).

    NaN where there is none. Raises DataError where the table lacks a column, and for the log of a
    value that is not positive.
    """
    found = [_transformed(prices, each) for each in inputs]
    return np.column_stack(found) if found else np.empty((len(prices.frame), 0))


def _transformed(prices: Prices, each: OwnInput) -> Floats:
    source = f"{prices.symbol} in {prices.source}"
    if each.column not in prices.frame and each.kind == "symbol":
        step = f"Run: lstmcli fetch {each.name}"
        raise DataError(f"no prices of {each.name}, which the model reads", next_step=step)
    if each.column not in prices.frame:
        what, why = f"no column {each.name}", f"found {', '.join(map(str, prices.frame))}"
        step = "Give a file that has it with --csv; the store keeps no such columns."
        field = each.name.lower()
        if field in BAR_FEATURES and field.capitalize() in prices.frame:
            what, why = f"no column {each.name} besides the bars", "found it among their fields"
            step = f'Write "{field}" in window.features.'
        raise DataError(f"{what}, which the model reads", where=source, why=why, next_step=step)
    values = prices.frame[each.column].to_numpy(np.float64).copy()
    values[~np.isfinite(values)] = np.nan
    returns = each.transform == "change" and each.kind == "symbol"
    if each.transform == "log" or returns:
        bad = np.flatnonzero(values <= 0.0)
        if bad.size:
            raise DataError(
                f"cannot take the log of {each.column}",
                where=source,
                why=f"found {values[bad[0]]:g} on {as_days(prices.frame.index)[bad[0]]}, expected "
                "positive values",
                next_step=f"Use {each.column} or {each.column}:level.",
            )
        values = np.log(values)
    if each.transform == "change":
        values = np.diff(values, prepend=np.nan)
    return values


def fit_inputs(parts: Sequence[Floats], inputs: Sequence[OwnInput]) -> Scale:
    """Fit location and scale of each input, (E,), on the training rows of every series, (T, E).

    Raises DataError for an input without any value in them.
    """
    import torch

    from lstmcli.dataset.scaling import Scale

    rows = np.concatenate(parts)
    known = np.isfinite(rows)
    for number, each in enumerate(inputs):
        if not known[:, number].any():
            raise DataError(
                f"no value of {each.text} in the rows to train on",
                next_step="Leave it out of window.features, or train on later rows.",
            )
    centred = np.array([each.transform != "level" for each in inputs])
    loc = np.nanmean(rows, axis=0) * centred
    scale = np.sqrt(np.nanmean((rows - loc) ** 2, axis=0))
    scale[~(scale > 1e-12 * np.maximum(1.0, np.abs(loc)))] = 1.0  # a constant has none
    return Scale(torch.from_numpy(loc), torch.from_numpy(scale))


def scale_inputs(values: Floats, fitted: Scale) -> Floats:
    """Scale values (T, E) as fitted; a missing one is 0."""
    scaled = (values - fitted.loc.cpu().numpy()) / fitted.scale.cpu().numpy()
    return np.asarray(np.nan_to_num(np.clip(scaled, -FURTHEST, FURTHEST)))
