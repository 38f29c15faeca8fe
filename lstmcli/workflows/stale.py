"""Models whose prices are no longer those that they learned from: found by the prices themselves.

A version keeps a fingerprint of every stored history that it was trained on, and is stale where the
store holds another one of the same days. No clock decides that, so it is also seen where a model or
the prices were copied from elsewhere, and a backup that brings the old prices back makes the model
fresh again. New bars and a late correction of the last bar change nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, FileError
from lstmcli.market.store import IMPORTED, read_raw, read_sidecar
from lstmcli.market.symbols import inside, price_folders, price_path
from lstmcli.printable import first_few
from lstmcli.runs.registry import ModelRef
from lstmcli.runs.state import StaleMark, stale_marks
from lstmcli.workflows.data import restatements_of

_GOLDEN = (5**0.5 - 1) / 2
_TOLERANCE = 1e-5  # relative; the feed's own answers differ by about 1e-7


@dataclass(frozen=True)
class History:
    """A fingerprint of one price column from its first day to before its last.

    rows : with a price. checksum : the sum of their log prices, each weighted by its day, so that
    prices that change places are seen too. It differs by less than `_TOLERANCE` times the root of
    `rows` where the feed only rounds otherwise; a whole history that moves by 0.001 %, or one price
    that moves by 0.1 %, makes more. sha256 : of the file's bytes before the last day, which is
    compared first, since it is quick; empty where it is unknown.
    """

    rows: int
    checksum: float
    sha256: str = ""

    def is_like(self, other: "History") -> bool:
        """Whether both are of the same prices."""
        apart = abs(self.checksum - other.checksum)
        return self.rows == other.rows and apart <= _TOLERANCE * max(self.rows, 1) ** 0.5


def histories(data_dir: Path, series: Sequence[Series], interval: str) -> dict[str, dict[str, Any]]:
    """Return, by symbol, the history of every series that was read from the store, for metadata."""
    return {each.symbol: asdict(_learned(data_dir, each, interval)) for each in series}


def stale_because(
    model: ModelRef, metadata: Mapping[str, Any], data_dir: Path
) -> tuple[StaleMark, ...]:
    """Return what makes a version stale: the symbols that the store has another history of.

    A symbol that is not stored any more says nothing. Versions from before histories were kept are
    stale where a restatement was noted after they had read their prices.
    """
    source, data = metadata.get("source"), metadata.get("data")
    if not isinstance(source, Mapping) or not source.get("store") or not isinstance(data, Mapping):
        return ()
    known, read_at = source.get("histories"), str(source.get("read_at"))
    interval = str(metadata.get("interval"))
    if not isinstance(known, Mapping):
        return _noted_since(model, trained_prices(metadata), interval, data_dir, read_at)
    found = []
    for each in _symbols(metadata) if _is_ours(data_dir, interval) else ():
        symbol, price = str(each.get("symbol")), str(each.get("price"))
        try:
            history = History(**known[symbol])
            days = str(each["first"]), str(each["last"])
            if not _is_changed(data_dir, symbol, interval, price, days, history):
                continue
        except (KeyError, TypeError, ValueError, DataError, FileError):
            continue  # not stored, or damaged: reading the prices reports it
        found.append(_mark(data_dir, symbol, interval, price, read_at))
    return tuple(found)


def tell_stale(model: ModelRef, marks: Sequence[StaleMark]) -> tuple[str, ...]:
    """Return one note on a stale model, none on another."""
    if not marks:
        return ()
    latest = sorted(marks, key=lambda mark: mark.restated, reverse=True)
    shown = first_few(
        f"{mark.symbol} ({': '.join(filter(None, (mark.restated[:10], mark.reason)))})"
        for mark in latest
    )
    return (f"{model} was trained before the history of {shown} was replaced: train again",)


def tell_adjustment(metadata: Mapping[str, Any], prices: Mapping[str, str]) -> tuple[str, ...]:
    """Return one note on symbols of which another column is forecast than was trained on.

    prices : by symbol, that column.
    """
    if not prices:
        return ()
    return (
        f"the model was trained on {' and '.join(all_trained_prices(metadata))}, and forecasts "
        f"{' and '.join(sorted(set(prices.values())))} of {first_few(prices)}",
    )


def is_as_trained(trained: Mapping[str, str], symbol: str, price: str) -> bool:
    """Whether training saw this column; of a symbol that it did not see, any that it saw will do.

    trained : by symbol, the column; nothing is said against a model that does not tell.
    """
    return not trained or price in (
        {trained[symbol]} if symbol in trained else set(trained.values())
    )


def all_trained_prices(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The price columns that a version was trained on, none where it does not say."""
    return tuple(sorted(set(trained_prices(metadata).values())))


def trained_prices(metadata: Mapping[str, Any]) -> dict[str, str]:
    """By symbol, the column that a version was trained on."""
    return {str(each.get("symbol")): str(each["price"]) for each in _symbols(metadata)}


def _symbols(metadata: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what the metadata say of each symbol, as far as they name its price column."""
    data = metadata.get("data")
    symbols = data.get("symbols") if isinstance(data, Mapping) else None
    for each in symbols if isinstance(symbols, list) else ():
        if isinstance(each, Mapping) and "price" in each:
            yield each


def _learned(data_dir: Path, series: Series, interval: str) -> History:
    """The history of a series, with the file's digest unless it was replaced since it was read."""
    days = str(series.dates[0]), str(series.dates[-1])
    read = _history(series.dates, np.asarray(series.values[:, 0]), days)
    path = price_path(data_dir, series.symbol, interval)
    try:
        digest = _digest(path, days[1])
        stored = _stored(data_dir, series.symbol, interval, series.price, days)
    except (DataError, FileError, OSError):
        return read
    return History(read.rows, read.checksum, digest if stored.is_like(read) else "")


def _is_changed(
    data_dir: Path, symbol: str, interval: str, price: str, days: tuple[str, str], known: History
) -> bool:
    path = price_path(data_dir, symbol, interval)
    try:
        plain = path.is_file() and not path.is_symlink()
        if known.sha256 and plain and _digest(path, days[1]) == known.sha256:
            return False
    except OSError:
        return False  # not stored
    return not known.is_like(_stored(data_dir, symbol, interval, price, days))


def _is_ours(data_dir: Path, interval: str) -> bool:
    """Whether the prices of an interval lie in the data folder, and not where a link leads."""
    try:
        return inside(data_dir, price_folders(data_dir, interval)[-1]).is_dir()
    except FileError:
        return False


def _digest(path: Path, last: str) -> str:
    """Hash the bytes before the row of the last day; "" where there is no such row."""
    data = path.read_bytes()
    end = data.rfind(f"\n{last},".encode())
    return "" if end < 0 else hashlib.sha256(data[:end]).hexdigest()


def _stored(
    data_dir: Path, symbol: str, interval: str, price: str, days: tuple[str, str]
) -> History:
    frame = read_raw(data_dir, symbol, interval)
    values = frame.reindex(columns=[price]).to_numpy(np.float64)[:, 0]  # NaN without the column
    return _history(frame.index.to_numpy().astype("datetime64[D]"), values, days)


def _history(
    dates: NDArray[np.datetime64], prices: NDArray[np.float64], days: tuple[str, str]
) -> History:
    kept = (dates >= np.datetime64(days[0])) & (dates < np.datetime64(days[1])) & (prices > 0)
    weights = 1.0 + dates[kept].astype("datetime64[D]").astype(np.int64) * _GOLDEN % 1.0
    return History(int(kept.sum()), round(float(weights @ np.log(prices[kept])), 9))


def _mark(data_dir: Path, symbol: str, interval: str, price: str, read_at: str) -> StaleMark:
    """Say what is known of why a history is another one; the reason is for people alone."""
    facts = read_sidecar(data_dir, symbol, interval)
    day, reason = "", "other prices are stored now"
    noted = [each for each in restatements_of(facts) if each[0] >= read_at[:10]]
    if facts.get("source") == IMPORTED:
        day, reason = str(facts.get("fetched_at", "")), f"replaced by {facts.get('file', 'a file')}"
    elif noted:
        day, reason = noted[-1]
    return StaleMark(symbol, interval, price, day, reason)


def _noted_since(
    model: ModelRef, prices: Mapping[str, str], interval: str, data_dir: Path, read_at: str
) -> tuple[StaleMark, ...]:
    """Return what was noted as restated after a version without histories had read its prices."""
    found = {
        mark.symbol: mark
        for mark in stale_marks(model.folder.parent)
        if mark.interval == interval
        and mark.price == prices.get(mark.symbol)
        and mark.restated >= read_at
    }
    for symbol, price in prices.items():
        for day, reason in restatements_of(read_sidecar(data_dir, symbol, interval)):
            if day >= read_at[:10]:
                found.setdefault(symbol, StaleMark(symbol, interval, price, day, reason))
    return tuple(found.values())
