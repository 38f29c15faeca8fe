"""The price store: one CSV a symbol and interval, with a sidecar of what the feed said about it.

A write that would change nothing touches nothing, and values are rounded so that reading and
writing again gives the same bytes. The sidecar is a convenience: lost or damaged, it is rebuilt by
the next fetch. Bars of one's own stand beside Yahoo's, to their last digit; their sidecar says so.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstmcli.atomic import sync_folder, write_files
from lstmcli.errors import DataError, FileError
from lstmcli.market.checks import drop_empty_columns
from lstmcli.market.csv_bytes import open_bytes, read_blocks
from lstmcli.market.csv_table import CsvTable, read_table
from lstmcli.market.intervals import as_days
from lstmcli.market.prices import COLUMNS, PriceChoice, Prices
from lstmcli.market.store_folder import inside, interval_option, price_path, sidecar_path
from lstmcli.market.validate import check_bars
from lstmcli.records import read_json

SIGNIFICANT_DIGITS = 7
IMPORTED = "import"
STORE = "store"  # the source of prices that were read from here
_HASH = "prices_sha256"
_MAX_SIDECAR_BYTES = 4 * 1024**2


def read_stored(
    data_dir: Path,
    symbol: str,
    interval: str = "1d",
    *,
    price: PriceChoice = "auto",
    strict: bool = False,
    today: date,
) -> Prices:
    """A symbol's valid price table; DataError when the store has none."""
    table = _read_table(data_dir, symbol, interval)
    bars = table.bars(table.series[0], symbol, str(price_path(data_dir, symbol, interval)))
    # Every column has its place in the file; one that the source never had is nothing to tell.
    bars, _ = drop_empty_columns(bars, ["Close"])
    prices = check_bars(bars, price=price, strict=strict, today=today, interval=interval)
    return replace(prices, source=STORE)


def read_raw(data_dir: Path, symbol: str, interval: str = "1d") -> pd.DataFrame:
    """Every stored row as it was stored, NaN where a field is empty, unchecked beyond its form.

    Raises DataError when nothing is stored or the file is damaged.
    """
    table = _read_table(data_dir, symbol, interval)
    index = pd.DatetimeIndex(table.days.astype("datetime64[ns]"), name="Date")
    return pd.DataFrame(table.columns(table.series[0]), index=index)


def write_stored(
    data_dir: Path, symbol: str, interval: str, frame: pd.DataFrame, sidecar: dict[str, Any]
) -> bool:
    """Replace a symbol's bars and sidecar; False, and nothing touched, when the bars are the same.

    frame : dates as index; columns among COLUMNS. The sidecar is then written only if the one
    there is damaged or belongs to other bars.
    """
    path = inside(data_dir, price_path(data_dir, symbol, interval))
    data = _csv(frame, _rounded, _whole)
    changed = not path.is_file() or _bytes(path) != data
    noted = (sidecar_path(data_dir, symbol, interval), _noted(sidecar, data))
    if changed:
        write_files([(path, data), noted])
    elif not sidecar_fits(data_dir, symbol, interval):
        write_files([noted])
    return changed


def write_imported(
    data_dir: Path, symbol: str, interval: str, frame: pd.DataFrame, sidecar: dict[str, Any]
) -> bool:
    """The same for bars of one's own: every digit is kept, and the sidecar says `IMPORTED`.

    The sidecar is replaced first, so that a run that dies in between never leaves bars of one's own
    that pass for Yahoo's. False when they were imported before.
    """
    path = inside(data_dir, price_path(data_dir, symbol, interval))
    data = _csv(frame, _exact, _exact)
    is_same = path.is_file() and _bytes(path) == data
    earlier = read_sidecar(data_dir, symbol, interval)
    if is_same and earlier.get("source") == IMPORTED and earlier.get(_HASH) == _digest(data):
        return False
    noted = _noted({**sidecar, "source": IMPORTED}, data)
    write_files([(sidecar_path(data_dir, symbol, interval), noted), (path, data)])
    return True


def remove_stored(data_dir: Path, symbol: str, interval: str = "1d") -> None:
    """Remove a symbol's bars and sidecar; DataError when the store has none.

    The bars go first: what a run that dies in between leaves is a sidecar of nothing.
    """
    path = _existing(data_dir, symbol, interval)
    try:
        path.unlink()
        sidecar_path(data_dir, symbol, interval).unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise FileError(
            "cannot remove the file",
            where=error.filename or path,
            why=error.strerror or str(error),
            next_step="Check the folder and its permissions.",
        ) from error


def read_sidecar(data_dir: Path, symbol: str, interval: str = "1d") -> dict[str, Any]:
    """What was noted when the bars were stored; empty when the sidecar is missing or damaged."""
    path = inside(data_dir, sidecar_path(data_dir, symbol, interval))
    try:
        with open(path, "rb") as file:
            found = read_json(file.read(_MAX_SIDECAR_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sidecar_fits(data_dir: Path, symbol: str, interval: str = "1d") -> bool:
    """Whether the sidecar is whole and belongs to the very bars that are stored."""
    noted = read_sidecar(data_dir, symbol, interval).get(_HASH)
    return noted == _digest(_bytes(_existing(data_dir, symbol, interval)))


def _read_table(data_dir: Path, symbol: str, interval: str) -> CsvTable:
    with open_bytes(_existing(data_dir, symbol, interval), None) as (stream, label):
        return read_table(read_blocks(stream, label), ",", ".", (), label)


def _existing(data_dir: Path, symbol: str, interval: str) -> Path:
    path = inside(data_dir, price_path(data_dir, symbol, interval))
    if path.is_file():
        return path
    raise DataError(
        "no prices stored",
        where=symbol,
        why=f"{path} does not exist",
        next_step=f"Run: lstmcli fetch {symbol}{interval_option(interval)}.",
    )


def _noted(sidecar: dict[str, Any], bars: bytes) -> bytes:
    """The sidecar's bytes, with what tells to which bars it belongs."""
    facts = {**sidecar, _HASH: _digest(bars)}
    return (json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(
            "cannot read the file",
            where=path,
            why=error.strerror or str(error),
            next_step="Check the path and its permissions.",
        ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _csv(
    frame: pd.DataFrame, price: Callable[[float], str], volume: Callable[[float], str]
) -> bytes:
    """The file's bytes: ISO dates, every column, empty where there is no value."""
    columns = [as_days(pd.DatetimeIndex(frame.index)).astype(str).tolist()]
    for name in COLUMNS:
        shown = volume if name == "Volume" else price
        if name in frame.columns:
            columns.append(_texts(frame[name].to_numpy(dtype=np.float64), shown))
        else:
            columns.append([""] * len(frame))
    lines = [",".join(("Date", *COLUMNS)), *map(",".join, zip(*columns, strict=True))]
    return ("\n".join(lines) + "\n").encode("ascii")


def _texts(
    values: np.ndarray[Any, np.dtype[np.float64]], shown: Callable[[float], str]
) -> list[str]:
    return ["" if np.isnan(value) else shown(value) for value in values.tolist()]


def _rounded(value: float) -> str:
    """Seven significant digits, without an exponent: the feed's own prices jitter beyond them."""
    text = f"{value:.{SIGNIFICANT_DIGITS}g}"
    return _exact(float(text)) if "e" in text else text


def _exact(value: float) -> str:
    """The fewest digits that read as the same number, without an exponent."""
    return np.format_float_positional(value, trim="-")


def _whole(value: float) -> str:
    return f"{value:.0f}"
