"""Merge new bars with stored ones, or name the reason why the stored ones are outdated.

Yahoo adjusts all of history as of today, so rows appended after a split or a dividend would look
like a crash. An overlap that is fetched again shows it: a new action or other prices in it mean
that the whole history has to be replaced. Differences in the seventh digit mean nothing. Stored
rows that the new history lacks are kept and rescaled by the ratio of the closes around them. A
history that jumps where the stored one does not is an error of the feed.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from lstmcli.arrays import Floats, Mask
from lstmcli.market.bar_checks import split_name
from lstmcli.printable import first_few

OVERLAP = 10  # stored rows that are fetched again
TOLERANCE = 1e-5  # relative; identical requests differ by about 1e-7

_PRICES = ["Open", "High", "Low", "Close", "Adj Close"]
_BASES = {"Open": "Close", "High": "Close", "Low": "Close", "Dividends": "Close"}
_ACTIONS = ("Stock Splits", "Dividends")
_JUMP = np.log(2.0)
_UNIT = np.log(10.0)  # no fall, but prices in another unit


@dataclass(frozen=True)
class Merge:
    """Stored and fresh rows in one table.

    frame : on the basis of the fresh rows.
    restated : why the stored rows are outdated, or None. The frame is then that of a restated
        history if the fresh rows are all of it, and else of no use.
    kept : dates of rows that a restated history lacks; their prices are scaled like those around.
    unclear : dates of stored rows that are in neither, as the rows around them changed unevenly.
    emptied : stored opens, highs, lows and volumes that are missing now, for the same reason.
    """

    frame: pd.DataFrame
    restated: str | None
    kept: pd.DatetimeIndex
    unclear: pd.DatetimeIndex
    emptied: int


def overlap_start(stored: pd.DataFrame) -> date:
    """Return the first date to fetch again: the last OVERLAP rows, or since the last action."""
    start: pd.Timestamp = stored.index[-min(OVERLAP, len(stored))]
    for column in _ACTIONS:
        if (dates := stored.index[stored[column].fillna(0.0) != 0.0]).size:
            start = min(start, dates[-1])
    return start.date()


def merge(stored: pd.DataFrame, fresh: pd.DataFrame) -> Merge:
    """Complete `fresh` from `stored`; both hold COLUMNS by session date, oldest first.

    A stored value stays, to the bit, where the fresh one is within TOLERANCE. Where a fresh value
    or row is missing, the stored one takes its place, on the basis of the fresh ones. The last
    stored row is open to late corrections, and so are volumes; any other difference means that
    history was restated. Where a close has changed, and not by the ratio of the row before or
    after, a missing open, high or low is emptied, since its new value is not known.
    """
    restated = _restatement(stored, fresh)
    # The rows before an overlap that restates nothing are as they were.
    older = stored[:0] if restated else stored[stored.index < fresh.index[0]]
    stored = stored[len(older) :]
    lost = pd.DatetimeIndex(stored.index.difference(fresh.index))
    ratios = {name: _ratio(stored, fresh, name) for name in ("Close", "Adj Close")}
    if not restated:
        for ratio in ratios.values():
            ratio[lost] = 1.0
    volumes = ratios["Close"].where(ratios["Close"] == 1.0)
    if _splits_differ(stored, fresh):
        volumes = 1.0 / ratios["Close"]
    basis = stored.copy()
    for name in stored.columns.drop("Stock Splits"):
        basis[name] *= volumes if name == "Volume" else ratios[_BASES.get(name, name)]
    unclear = lost[np.any([ratio[lost].isna() for ratio in ratios.values()], axis=0)]
    index = stored.index.union(fresh.index).difference(unclear)
    old, new, rescaled = (
        frame.reindex(index, columns=stored.columns).to_numpy(np.float64)
        for frame in (stored, fresh, basis)
    )
    values = np.where(_same(old, new), old, np.where(np.isnan(new), rescaled, new))
    frame = pd.DataFrame(values, index.rename("Date"), stored.columns)
    return Merge(
        frame=pd.concat([older, frame]) if len(older) else frame,
        restated=restated,
        kept=lost.difference(unclear),
        unclear=unclear,
        emptied=int(np.count_nonzero(~np.isnan(old) & np.isnan(values))),
    )


def contradiction(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    """Say where fresh prices jump by more than a factor of two and stored ones do not; or None.

    Adjusted prices of one symbol do not: a split changes all prices before it alike. Where only the
    stored ones jump, the fresh ones correct them.
    """
    common = stored.index.intersection(fresh.index)
    for name in ("Close", "Adj Close"):
        old, new = (frame.loc[common, name].to_numpy(np.float64) for frame in (stored, fresh))
        moves = np.diff(np.log(new))
        apart = moves - np.diff(np.log(old))
        for at in np.flatnonzero((np.abs(moves) > _JUMP) & (np.abs(apart) > _JUMP)).tolist():
            day, base = common[at + 1], new[at]
            ratio = float(fresh.loc[day, "Stock Splits"])
            is_split = ratio > 0 and abs(np.log(ratio) - apart[at]) < 0.01
            if is_split and _splits_differ(stored, fresh.loc[[day]]):
                continue
            if day == stored.index[-1] and _lasts(fresh.loc[day:, name] / base):
                continue
            was, now = old[at + 1] / old[at], new[at + 1] / base
            move = f"{name} from {common[at].date()} to {day.date()}"
            return f"{move} moved by x{was:.4g} and now moves by x{now:.4g}"
    return None


def _lasts(prices: "pd.Series[float]") -> bool:
    """Return whether a fall by half, or a rise, lasted longer than one bar.

    The last stored bar may be one of half a session: it gives way once a later one is on the new
    level. prices : from that day on, of the price before.
    """
    level = np.abs(np.log(prices.to_numpy(np.float64)))
    return len(level) > 1 and level[0] < _UNIT and level[-1] > _JUMP


def _ratio(stored: pd.DataFrame, fresh: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return what fresh prices are of the stored ones, by stored row; 1.0 within TOLERANCE.

    A row has its own ratio where one next to it shares it, and a row without a fresh price that of
    the rows before and after where they share it; NaN for others.
    """
    own = fresh[name].reindex(stored.index) / stored[name]
    own = own.mask((own - 1.0).abs() <= TOLERANCE, 1.0)
    before, after = own.shift().ffill(), own.shift(-1).bfill()
    known = own.dropna().to_numpy()
    if known.size > 1:  # the two nearest rows have to agree where one side has none
        before, after = before.fillna(known[1]), after.fillna(known[-2])

    def like(one: "pd.Series[float]", other: "pd.Series[float]") -> "pd.Series[bool]":
        return (one / other - 1.0).abs() <= 2 * TOLERANCE

    shared = own.where((own == 1.0) | like(own, before) | like(own, after))
    return shared.where(own.notna(), before.where(like(before, after)))


def _splits_differ(stored: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    before, now = stored["Stock Splits"].reindex(fresh.index).fillna(0.0), fresh["Stock Splits"]
    return bool((before != now.fillna(0.0)).any())


def _restatement(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    """Name the actions or the price that show that history was restated."""
    if stored.index.intersection(fresh.index).empty:
        last = stored.index[-1].date()
        return f"no session in common with the stored rows, which end {last}"
    found, changed = list[str](), list[str]()
    for column in _ACTIONS:
        before, now = stored[column].reindex(fresh.index).fillna(0.0), fresh[column].fillna(0.0)
        for row in np.flatnonzero(~_same(before.to_numpy(), now.to_numpy())).tolist():
            value = now.iloc[row] or before.iloc[row]
            name = split_name(value) if column == "Stock Splits" else f"dividend {value:.6g}"
            withdrawn = "" if now.iloc[row] else " withdrawn"
            # A split changes every dividend before it, which says nothing more.
            actions = changed if before.iloc[row] and now.iloc[row] else found
            actions.append(f"{name} {fresh.index[row].date()}{withdrawn}")
    if found or changed:
        return first_few(found or changed)
    common = fresh.index.intersection(stored.index[:-1])
    old, new = (frame.loc[common, _PRICES].to_numpy(np.float64) for frame in (stored, fresh))
    # A price that is missing on one side is a gap, not a restatement.
    differs = ~_same(old, new) & ~np.isnan(old) & ~np.isnan(new)
    for row, column in np.argwhere(differs)[:1].tolist():
        price, was, now = _PRICES[column], old[row, column], new[row, column]
        return f"{price} of {common[row].date()} was {was:.10g} and is now {now:.10g}"
    return None


def _same(old: Floats, new: Floats) -> Mask:
    return np.isclose(new, old, rtol=TOLERANCE, atol=0.0, equal_nan=True)
