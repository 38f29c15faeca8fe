"""New bars joined to stored ones, or the reason why the stored ones no longer hold.

Yahoo adjusts all of history as of today, so rows appended after a split or a dividend would make a
false cliff. An overlap that is fetched again shows it: a new action or other prices in it mean that
the whole history has to be replaced. Differences in the seventh digit mean nothing.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

OVERLAP = 10  # stored rows that are fetched again
TOLERANCE = 1e-5  # relative; identical requests differ by about 1e-7

_PRICES = ("Open", "High", "Low", "Close", "Adj Close")
_ACTIONS = ("Stock Splits", "Dividends")
_SHOWN = 3  # actions named in a reason


@dataclass(frozen=True)
class Merge:
    """Stored and fresh rows in one table.

    frame : the table to store; the stored one, untouched, when it no longer holds.
    added : rows that were not stored before.
    restated : why the whole history has to be fetched again, or None.
    """

    frame: pd.DataFrame
    added: int
    restated: str | None


def overlap_start(stored: pd.DataFrame, *, rows: int = OVERLAP) -> date:
    """First date to ask for again: the last `rows` rows and all since the last stored action."""
    start: pd.Timestamp = stored.index[-min(rows, len(stored))]
    for column in _ACTIONS:
        if column in stored and (dates := stored.index[_happened(stored[column])]).size:
            start = min(start, dates[-1])
    return start.date()


def merge_overlap(
    stored: pd.DataFrame, fresh: pd.DataFrame, *, tolerance: float = TOLERANCE
) -> Merge:
    """Append `fresh` to `stored` where they agree on the rows they share.

    Both hold COLUMNS by session date, oldest first. A stored value stays, to the bit, where the
    fresh one is missing or within the relative tolerance. The last stored row is open to late
    corrections, and so are volumes; any other difference means that history was restated.
    """
    restated = (
        _no_common_row(stored, fresh)
        or _new_actions(stored, fresh, tolerance)
        or _other_prices(stored, fresh, tolerance)
    )
    if restated:
        return Merge(stored, 0, restated)
    settled = replace_history(stored, fresh, tolerance=tolerance)
    kept = stored.loc[stored.index.difference(settled.index)]
    frame = pd.concat([kept, settled]).sort_index() if len(kept) else settled
    return Merge(frame.rename_axis("Date"), len(frame) - len(stored), None)


def replace_history(
    stored: pd.DataFrame, fresh: pd.DataFrame, *, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """The fresh rows, with every stored value kept to the bit that agrees within the tolerance."""
    common = fresh.index.intersection(stored.index)
    result = fresh.copy()
    for column in fresh.columns.intersection(stored.columns):
        old = stored.loc[common, column].to_numpy(np.float64)
        new = fresh.loc[common, column].to_numpy(np.float64)
        result.loc[common, column] = np.where(_same(old, new, tolerance) | np.isnan(new), old, new)
    return result


def _no_common_row(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    if fresh.index.isin(stored.index).any():
        return None
    return f"no session in common with the stored rows, which end {stored.index[-1].date()}"


def _new_actions(stored: pd.DataFrame, fresh: pd.DataFrame, tolerance: float) -> str | None:
    """Splits and dividends that the stored rows do not have yet, in words."""
    told = []
    for column in _ACTIONS:
        old = stored[column] if column in stored else pd.Series(dtype="float64")
        before = old.reindex(fresh.index).fillna(0.0).to_numpy(np.float64)
        now = fresh[column].fillna(0.0).to_numpy(np.float64)
        for row in np.flatnonzero(~_same(before, now, tolerance)):
            day = fresh.index[int(row)].date()
            told.append(_action(column, float(now[row]), float(before[row]), day))
    if not told:
        return None
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more


def _other_prices(stored: pd.DataFrame, fresh: pd.DataFrame, tolerance: float) -> str | None:
    """The first price, before the last stored row, that is not what it was."""
    common = fresh.index.intersection(stored.index[:-1])
    columns = [name for name in _PRICES if name in stored and name in fresh]
    old = stored.loc[common, columns].to_numpy(np.float64)
    new = fresh.loc[common, columns].to_numpy(np.float64)
    # A price that is missing on one side is a gap, not a restatement.
    differs = ~_same(old, new, tolerance) & ~np.isnan(old) & ~np.isnan(new)
    if not differs.any():
        return None
    row, column = np.argwhere(differs)[0]
    was, now = old[row, column], new[row, column]
    return f"{columns[column]} of {common[row].date()} was {was:.10g} and is now {now:.10g}"


def _same(
    old: NDArray[np.float64], new: NDArray[np.float64], tolerance: float
) -> NDArray[np.bool_]:
    return np.isclose(new, old, rtol=tolerance, atol=0.0, equal_nan=True)


def _happened(column: "pd.Series[float]") -> NDArray[np.bool_]:
    values = column.fillna(0.0).to_numpy(np.float64)
    return np.asarray(values != 0.0)


def _action(column: str, now: float, before: float, day: date) -> str:
    value = now or before
    if column == "Stock Splits":
        ratio = Fraction(value).limit_denominator(1000)
        name = f"{ratio.numerator}:{ratio.denominator} split"
    else:
        name = f"dividend {value:.6g}"
    return f"{name} {day}" if now else f"{name} {day} withdrawn"
