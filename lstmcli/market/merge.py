"""Merge new bars with stored ones, and detect restated histories.

Yahoo adjusts the whole history as of today, so rows appended after a split or a dividend would look
like a crash. Each fetch therefore overlaps the stored rows: a new action or different prices in the
overlap mean that the whole history must be replaced. Differences in the seventh digit are noise.
Stored rows that the new history lacks are kept and rescaled by the ratio of the neighbouring
closes. A history that jumps where the stored one does not is an error of the feed.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from lstmcli.arrays import Floats, Mask
from lstmcli.market.bar_checks import split_name
from lstmcli.printable import first_few

OVERLAP = 10  # number of stored rows to fetch again
TOLERANCE = 1e-5  # relative; identical requests differ by about 1e-7

_PRICES = ["Open", "High", "Low", "Close", "Adj Close"]
_BASES = {"Open": "Close", "High": "Close", "Low": "Close", "Dividends": "Close"}
_ACTIONS = ("Stock Splits", "Dividends")
_JUMP = np.log(2.0)
_UNIT = np.log(10.0)  # a larger move is a change of units, not a fall


@dataclass(frozen=True)
class Merge:
    """Stored and fresh rows in one table.

    frame : the merged rows, adjusted like the fresh ones.
    restated : why the stored rows are outdated, or None. If set, the frame is valid only if the
        fresh rows are the whole history.
    kept : dates of rows that a restated history lacks; their prices are scaled like the
        neighbouring rows.
    unclear : dates of stored rows left out of the frame because the rows around them changed by
        different ratios.
    emptied : number of stored opens, highs, lows and volumes that are now missing, for the same
        reason.
    """

    frame: pd.DataFrame
    restated: str | None
    kept: pd.DatetimeIndex
    unclear: pd.DatetimeIndex
    emptied: int


def overlap_start(stored: pd.DataFrame) -> date:
    """Return the first date to fetch: OVERLAP rows back, or an earlier last action."""
    start: pd.Timestamp = stored.index[-min(OVERLAP, len(stored))]
    for column in _ACTIONS:
        if (dates := stored.index[stored[column].fillna(0.0) != 0.0]).size:
            start = min(start, dates[-1])
    return start.date()


def merge(stored: pd.DataFrame, fresh: pd.DataFrame) -> Merge:
    """Merge fresh rows with stored ones; both have COLUMNS by date, oldest first.

    A stored value is kept bit for bit if the fresh one is within TOLERANCE. A missing fresh value
    or row is filled from the stored one, rescaled to the fresh adjustment. The last stored row and
    volumes may receive late corrections; any other difference means that the history was restated.
    If a close has changed by another ratio than the rows before and after, an open, high or low
    without a fresh value becomes missing, since its new value is unknown.
    """
    restated = _restatement(stored, fresh)
    # Without a restatement, the rows before the overlap are unchanged.
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
    """Describe the first jump by more than 2x that only fresh prices have, or None.

    Adjusted prices of one symbol have no such jump, since a split changes all earlier prices alike.
    A jump in the stored prices alone is not reported: the fresh prices correct it.
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

    The last stored bar may cover only part of its session. It is replaced once a later bar is on
    the new level.
    prices : prices from that day on, divided by the price before.
    """
    level = np.abs(np.log(prices.to_numpy(np.float64)))
    return len(level) > 1 and level[0] < _UNIT and level[-1] > _JUMP


def _ratio(stored: pd.DataFrame, fresh: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return the ratio of fresh to stored prices by row; 1.0 if within TOLERANCE.

    The ratio of a row counts if a neighbouring row shares it. A row without a fresh price takes the
    ratio of its neighbours if they agree. Other rows are NaN.
    """
    own = fresh[name].reindex(stored.index) / stored[name]
    own = own.mask((own - 1.0).abs() <= TOLERANCE, 1.0)
    before, after = own.shift().ffill(), own.shift(-1).bfill()
    known = own.dropna().to_numpy()
    if known.size > 1:  # at either end, the two nearest rows must agree
        before, after = before.fillna(known[1]), after.fillna(known[-2])

    def like(one: "pd.Series[float]", other: "pd.Series[float]") -> "pd.Series[bool]":
        return (one / other - 1.0).abs() <= 2 * TOLERANCE

    shared = own.where((own == 1.0) | like(own, before) | like(own, after))
    return shared.where(own.notna(), before.where(like(before, after)))


def _splits_differ(stored: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    before, now = stored["Stock Splits"].reindex(fresh.index).fillna(0.0), fresh["Stock Splits"]
    return bool((before != now.fillna(0.0)).any())


def _restatement(stored: pd.DataFrame, fresh: pd.DataFrame) -> str | None:
    """Return the actions or the price that show a restated history, or None."""
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
            # A split rescales all earlier dividends: name these only if nothing else is found.
            actions = changed if before.iloc[row] and now.iloc[row] else found
            actions.append(f"{name} {fresh.index[row].date()}{withdrawn}")
    if found or changed:
        return first_few(found or changed)
    common = fresh.index.intersection(stored.index[:-1])
    old, new = (frame.loc[common, _PRICES].to_numpy(np.float64) for frame in (stored, fresh))
    # A price missing on one side is a gap, not a restatement.
    differs = ~_same(old, new) & ~np.isnan(old) & ~np.isnan(new)
    for row, column in np.argwhere(differs)[:1].tolist():
        price, was, now = _PRICES[column], old[row, column], new[row, column]
        return f"{price} of {common[row].date()} was {was:.10g} and is now {now:.10g}"
    return None


def _same(old: Floats, new: Floats) -> Mask:
    return np.isclose(new, old, rtol=TOLERANCE, atol=0.0, equal_nan=True)
