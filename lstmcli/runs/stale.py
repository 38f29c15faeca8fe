"""Detect stale models: those whose training prices differ from the prices in the store.

A version keeps a fingerprint of every stored history that it was trained on, and is stale if the
store has other prices for the same days. Timestamps do not matter: copied models and prices are
detected too, and restoring the old prices from a backup makes the model up to date again. New bars
and a late correction of the last bar change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.arrays import Days, Floats
from lstmcli.errors import DataError, FileError
from lstmcli.market.store import IMPORTED, read_bars, read_sidecar, restatements_of
from lstmcli.market.symbols import inside, price_folders, price_path
from lstmcli.printable import first_few
from lstmcli.runs.metadata import History, Metadata, TrainedSymbol
from lstmcli.runs.registry import ModelRef

if TYPE_CHECKING:
    from lstmcli.dataset.series import Series

_GOLDEN = (5**0.5 - 1) / 2  # multiples mod 1 spread evenly, so each day gets a weight of its own
_TOLERANCE = 1e-5  # relative; the feed's own answers differ by about 1e-7


@dataclass(frozen=True)
class StaleMark:
    """A symbol whose stored history differs from the one that a version was trained on.

    price : the column that changed. restated : ISO date or time of the change, "" if unknown.
    reason : of the change.
    """

    symbol: str
    interval: str
    price: str
    restated: str
    reason: str


def histories(data_dir: Path, series: Sequence[Series], interval: str) -> dict[str, dict[str, Any]]:
    """Return the history of every series read from the store, by symbol, for the metadata."""
    return {each.symbol: asdict(_learned(data_dir, each, interval)) for each in series}


def stale_because(metadata: Metadata, data_dir: Path) -> tuple[StaleMark, ...]:
    """Return the symbols that make a version stale, those whose stored history has changed.

    A symbol that is no longer stored is ignored. Old versions without histories are stale if a
    restatement was recorded after they read their prices.
    """
    source, interval = metadata.stored, metadata.interval
    if source is None or not _is_ours(data_dir, interval):
        return ()
    found = []
    for each in (*metadata.symbols, *source.others):
        known = source.histories and source.histories.get(each.symbol)
        if each.price is None or (source.histories is not None and known is None):
            continue
        facts = read_sidecar(data_dir, each.symbol, interval)
        noted = [one for one in restatements_of(facts) if one[0] >= source.read_at[:10]]
        try:
            if not (_is_changed(data_dir, each, each.price, interval, known) if known else noted):
                continue
        except (ValueError, DataError, FileError):
            continue  # not stored, or damaged: reading the prices reports it
        day, reason = noted[-1] if noted else ("", "other prices are stored now")
        if facts.get("source") == IMPORTED:
            day, reason = str(facts.get("fetched_at", "")), str(facts.get("file", "a file"))
            reason = f"replaced by {reason}"
        found.append(StaleMark(each.symbol, interval, each.price, day, reason))
    return tuple(found)


def warn_stale(model: ModelRef, marks: Sequence[StaleMark]) -> tuple[str, ...]:
    """Return one note if a model is stale."""
    if not marks:
        return ()
    latest = sorted(marks, key=lambda mark: mark.restated, reverse=True)
    found = [
        f"{mark.symbol} ({': '.join(filter(None, (mark.restated[:10], mark.reason)))})"
        for mark in latest
    ]
    shown = first_few(found)
    return (f"prices of {shown} were replaced after {model} was trained: train it again",)


def _learned(data_dir: Path, series: Series, interval: str) -> History:
    """Return a series' history, with the file's hash unless the file was replaced meanwhile."""
    days = str(series.dates[0]), str(series.dates[-1])
    read = _history(series.dates, np.asarray(series.values[:, 0]), days)
    path = price_path(data_dir, series.symbol, interval)
    try:
        digest = _digest(path, days[1])
        stored = _stored(data_dir, series.symbol, interval, series.price, days)
    except (DataError, FileError, OSError):
        return read
    return History(read.rows, read.checksum, digest if _is_like(stored, read) else "")


def _is_changed(
    data_dir: Path, trained: TrainedSymbol, price: str, interval: str, known: History
) -> bool:
    path = price_path(data_dir, trained.symbol, interval)
    try:
        plain = path.is_file() and not path.is_symlink()
        if known.sha256 and plain and _digest(path, trained.last) == known.sha256:
            return False
    except OSError:
        return False  # not stored
    days = trained.first, trained.last
    return not _is_like(known, _stored(data_dir, trained.symbol, interval, price, days))


def _is_like(one: History, other: History) -> bool:
    """Whether two histories have the same prices, up to rounding.

    If the feed only rounds differently, the checksums differ by less than `_TOLERANCE` times the
    square root of the number of rows. A whole history that changes by 0.001 %, or one price that
    changes by 0.1 %, exceeds that.
    """
    apart = abs(one.checksum - other.checksum)
    return one.rows == other.rows and apart <= _TOLERANCE * max(one.rows, 1) ** 0.5


def _is_ours(data_dir: Path, interval: str) -> bool:
    """Whether the prices of an interval are in the data folder, and not behind a link."""
    try:
        return inside(data_dir, price_folders(data_dir, interval)[-1]).is_dir()
    except FileError:
        return False


def _digest(path: Path, last: str) -> str:
    """Hash the bytes before the row of the last day; "" if there is no such row."""
    data = path.read_bytes()
    end = data.rfind(f"\n{last},".encode())
    return "" if end < 0 else hashlib.sha256(data[:end]).hexdigest()


def _stored(
    data_dir: Path, symbol: str, interval: str, price: str, days: tuple[str, str]
) -> History:
    bars = read_bars(data_dir, symbol, interval)
    values = bars.columns.get(price, np.full(bars.days.size, np.nan))
    return _history(bars.days, values, days)


def _history(dates: Days, prices: Floats, days: tuple[str, str]) -> History:
    kept = (dates >= np.datetime64(days[0])) & (dates < np.datetime64(days[1])) & (prices > 0)
    weights = 1.0 + dates[kept].astype("datetime64[D]").astype(np.int64) * _GOLDEN % 1.0
    return History(int(kept.sum()), round(float(weights @ np.log(prices[kept])), 9))
