"""New bars joined to stored ones, or the reason why the stored ones no longer hold.

Yahoo adjusts all of history as of today, so rows appended after a split or a dividend would make a
false cliff. An overlap that is fetched again shows it: a new action or other prices in it mean that
the whole history has to be replaced. Differences in the seventh digit mean nothing. What the new
history lacks is kept on its basis, by the ratio of the closes around it, and a history that jumps
where the stored one does not is an error of the feed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.market.jumps import split_name
from lstmcli.printable import first_few

OVERLAP = 10  # stored rows that are fetched again
TOLERANCE = 1e-5  # relative; identical requests differ by about 1e-7

_PRICES = ("Open", "High", "Low", "Close", "Adj Close")
_BASES = {"Open": "Close", "High": "Close", "Low": "Close", "Dividends": "Close"}
_LEARNED = ("Close", "Adj Close")
_ACTIONS = ("Stock Splits", "Dividends")
_JUMP = np.log(2.0)
_UNIT = np.log(10.0)  # no fall, but prices in another unit


@dataclass(frozen=True)
class Merge:
    """Stored and fresh rows in one table.

    frame : the table to store; the stored one, untouched, when it no longer holds.
    added : rows that were not stored before.
    restated : why the whole history has to be fetched again, or None.
    emptied : stored values that the frame no longer has.
    """

    frame: pd.DataFrame
    added: int
    restated: str | None
    emptied: int = 0


@dataclass(frozen=True)
class Restatement:
    """A restated history.

    frame : the fresh rows, and those stored ones that they lack.
    kept : dates of the latter, on the basis of the fresh rows.
    unclear : dates of stored rows that are in neither, as the rows around them changed unevenly.
    emptied : stored opens, highs, lows and volumes that are missing now, for the same reason.
    """

    frame: pd.DataFrame
    kept: pd.DatetimeIndex
    unclear: pd.DatetimeIndex
    emptied: int


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
    fresh one is missing or within TOLERANCE. The last stored row is open to late corrections, and
    so are volumes; any other difference means that history was restated. Next to a corrected close
    a missing open, high or low is emptied, since nothing tells what it would be now.
    """
    restated = (
        _no_common_row(stored, fresh)
        or _new_actions(stored, fresh, tolerance)
        or _other_prices(stored, fresh, tolerance)
    )
    if restated:
        return Merge(stored, 0, restated)
    settled = _settled(stored, fresh, tolerance)
    kept = stored.loc[stored.index.difference(settled.index)]
    frame = pd.concat([kept, settled]).sort_index() if len(kept) else settled
    added = len(frame) - len(stored)
    return Merge(frame.rename_axis("Date"), added, None, _emptied(stored, frame))


def restate(
    stored: pd.DataFrame, fresh: pd.DataFrame, *, tolerance: float = TOLERANCE
) -> Restatement:
    """Replace a stored history by a fresh one of another basis, and lose no row of it.

    A stored value stays, to the bit, where the fresh one is within the tolerance.
    """
    frame = _settled(stored, fresh, tolerance)
    lost = pd.DatetimeIndex(stored.index.difference(fresh.index))
    ratios = {
        name: _Ratios.of(stored, fresh, name, tolerance).around.loc[lost]
        for name in _LEARNED
        if name in stored
    }
    clear = lost[np.all([ratio.notna() for ratio in ratios.values()], axis=0)]
    scales = {name: ratio.loc[clear] for name, ratio in ratios.items()}
    if len(clear):
        rows = _on_basis(stored.loc[clear], scales, _splits_differ(stored, fresh))
        frame = pd.concat([frame, rows]).sort_index().rename_axis("Date")
    unclear = lost.difference(clear)
    return Restatement(frame, clear, unclear, _emptied(stored.drop(index=unclear), frame))


def _emptied(stored: pd.DataFrame, frame: pd.DataFrame) -> int:
    """Count the stored values that a new table does not have."""
    now = frame.reindex(index=stored.index, columns=stored.columns)
    return int((stored.notna() & now.isna()).to_numpy().sum())


def contradiction(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    """Say where fresh prices jump by more than a factor of two and stored ones do not; or None.

    Adjusted prices of one symbol do not: a split moves all that lie before it alike. Where only the
    stored ones jump, the fresh ones mend them.
    """
    common = stored.index.intersection(fresh.index)
    for name in (each for each in _LEARNED if each in stored):
        old, new = (frame.loc[common, name].to_numpy(np.float64) for frame in (stored, fresh))
        moves = np.diff(np.log(new))
        apart = moves - np.diff(np.log(old))
        for at in np.flatnonzero((np.abs(moves) > _JUMP) & (np.abs(apart) > _JUMP)).tolist():
            day, base = common[at + 1], new[at]
            if _is_new_split(stored, fresh, day, apart[at]) or (
                day == stored.index[-1] and _lasts(fresh.loc[day:, name] / base)
            ):
                continue
            was, now = old[at + 1] / old[at], new[at + 1] / base
            move = f"{name} from {common[at].date()} to {day.date()}"
            return f"{move} moved by x{was:.4g} and now moves by x{now:.4g}"
    return None


def _is_new_split(stored: pd.DataFrame, fresh: pd.DataFrame, day: pd.Timestamp, by: float) -> bool:
    """Whether a split of just that log ratio is new on that day: the feed's own claim."""
    ratio = float(fresh["Stock Splits"].loc[day])
    return ratio > 0 and abs(np.log(ratio) - by) < 0.01 and _splits_differ(stored, fresh.loc[[day]])


def _lasts(prices: "pd.Series[float]") -> bool:
    """Whether a fall by half, or a rise, was no bar of one day.

    The last stored bar may be one of half a session: it gives way once a later one is on the new
    level. prices : from that day on, of the price before.
    """
    level = np.abs(np.log(prices.to_numpy(np.float64)))
    return len(level) > 1 and level[0] < _UNIT and level[-1] > _JUMP


def _settled(stored: pd.DataFrame, fresh: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """The fresh rows, with what they lack from the stored rows, on the basis of the fresh ones.

    Where a close is another one, and not by the ratio of the row before or after, nothing tells
    what its open would be now: it stays missing.
    """
    common = fresh.index.intersection(stored.index)
    columns = fresh.columns.intersection(stored.columns)
    kept, result = stored.loc[common, columns], fresh.copy()
    old, new = (frame.to_numpy(np.float64) for frame in (kept, fresh.loc[common, columns]))
    values = np.where(_same(old, new, tolerance), old, new)
    if (np.isnan(new) & ~np.isnan(old)).any():
        ratios = _Ratios.of(kept, fresh, "Close", tolerance)
        filling = _on_basis(kept, {"Close": ratios.confirmed}, _splits_differ(stored, fresh))
        values = np.where(np.isnan(values), filling.to_numpy(np.float64), values)
    result.loc[common, columns] = values
    return result


@dataclass(frozen=True)
class _Ratios:
    """What fresh prices are of the stored ones, by stored row; 1.0 within the tolerance.

    confirmed : of rows in both that share it with the one before or after, NaN for others.
    around : of the rows before and after, where they share it, NaN for others.
    """

    confirmed: "pd.Series[float]"
    around: "pd.Series[float]"

    @classmethod
    def of(
        cls, stored: pd.DataFrame, fresh: pd.DataFrame, name: str, tolerance: float
    ) -> "_Ratios":
        own = fresh[name].reindex(stored.index) / stored[name]
        own = own.mask((own - 1.0).abs() <= tolerance, 1.0)
        before, after = own.shift().ffill(), own.shift(-1).bfill()
        known = own.dropna().to_numpy()
        if known.size > 1:  # the two nearest rows have to agree where one side has none
            before, after = before.fillna(known[1]), after.fillna(known[-2])

        def like(one: "pd.Series[float]", other: "pd.Series[float]") -> "pd.Series[bool]":
            return (one / other - 1.0).abs() <= 2 * tolerance

        confirmed = own.where((own == 1.0) | like(own, before) | like(own, after))
        return cls(confirmed, before.where(like(before, after)))


def _on_basis(
    rows: pd.DataFrame, ratios: "Mapping[str, pd.Series[float]]", has_split: bool
) -> pd.DataFrame:
    """Stored rows with prices and dividends times a ratio each, volumes by it after a split."""
    result, close = rows.copy(), ratios["Close"]
    for name in rows.columns:
        ratio = ratios.get(_BASES.get(name, name))
        if name == "Volume":
            ratio = 1.0 / close if has_split else close.where(close == 1.0)
        if ratio is not None:
            result[name] = rows[name] * ratio
    return result


def _splits_differ(stored: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    if "Stock Splits" not in stored:
        return False
    before, now = stored["Stock Splits"].reindex(fresh.index).fillna(0.0), fresh["Stock Splits"]
    return bool((before != now.fillna(0.0)).any())


def _no_common_row(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    if fresh.index.isin(stored.index).any():
        return None
    return f"no session in common with the stored rows, which end {stored.index[-1].date()}"


def _new_actions(stored: pd.DataFrame, fresh: pd.DataFrame, tolerance: float) -> str | None:
    """Splits and dividends that the stored rows do not have yet, in words."""
    found: list[str] = []
    more: list[str] = []
    for column in _ACTIONS:
        old = stored[column] if column in stored else pd.Series(dtype="float64")
        before = old.reindex(fresh.index).fillna(0.0).to_numpy(np.float64)
        now = fresh[column].fillna(0.0).to_numpy(np.float64)
        for row in np.flatnonzero(~_same(before, now, tolerance)):
            day = fresh.index[int(row)].date()
            # A split changes every dividend before it, which says nothing more.
            changed = found if before[row] == 0.0 or now[row] == 0.0 else more
            changed.append(_action(column, float(now[row]), float(before[row]), day))
    found = found or more
    if not found:
        return None
    return first_few(found)


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
    name = split_name(value) if column == "Stock Splits" else f"dividend {value:.6g}"
    return f"{name} {day}" if now else f"{name} {day} withdrawn"
