"""The price store: one CSV a symbol and interval, with a sidecar of what the feed said about it.

A write that would change nothing touches nothing, and values are rounded so that reading and
writing again gives the same bytes. The sidecar is a convenience: lost or damaged, it is rebuilt by
the next fetch. Symbolic links out of the store are not followed.
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

from lstmcli.atomic import write_bytes, write_text
from lstmcli.errors import DataError, FileError
from lstmcli.market.csv import read_prices
from lstmcli.market.csv_bytes import open_bytes, read_blocks
from lstmcli.market.csv_table import read_table
from lstmcli.market.intervals import as_days
from lstmcli.market.prices import COLUMNS, PriceChoice, Prices
from lstmcli.market.symbols import decode_symbol, encode_symbol

SIGNIFICANT_DIGITS = 7
_HASH = "prices_sha256"


def price_path(data_dir: Path, symbol: str, interval: str = "1d") -> Path:
    """Where a symbol's bars lie, whether or not they are there."""
    return data_dir / "prices" / interval / f"{encode_symbol(symbol)}.csv"


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
    path = _existing(data_dir, symbol, interval)
    [prices] = read_prices(
        path, name=symbol, price=price, strict=strict, today=today, interval=interval
    )
    return replace(prices, source="store")


def read_raw(data_dir: Path, symbol: str, interval: str = "1d") -> pd.DataFrame:
    """Every stored row as it was stored, NaN where a field is empty, for joining new bars to it.

    Not checked beyond its form: `write_stored` of it would change nothing. Raises DataError when
    nothing is stored or the file is damaged.
    """
    path = _existing(data_dir, symbol, interval)
    with open_bytes(path, None) as (stream, label):
        table = read_table(read_blocks(stream, label), ",", ".", (), label)
    fields = table.series[0].fields
    columns = {name: table.values[fields[name]] for name in COLUMNS if name in fields}
    index = pd.DatetimeIndex(table.days.astype("datetime64[ns]"), name="Date")
    return pd.DataFrame(columns, index=index)


def write_stored(
    data_dir: Path, symbol: str, interval: str, frame: pd.DataFrame, sidecar: dict[str, Any]
) -> bool:
    """Replace a symbol's bars and sidecar; False, and nothing touched, when the bars are the same.

    frame : dates as index; columns among COLUMNS. The sidecar is then written only if the one
    there is damaged or belongs to other bars.
    """
    path = _inside(data_dir, price_path(data_dir, symbol, interval))
    data = _csv(frame)
    changed = not path.is_file() or path.read_bytes() != data
    digest = hashlib.sha256(data).hexdigest()
    if changed:
        write_bytes(path, data)
    if changed or read_sidecar(data_dir, symbol, interval).get(_HASH) != digest:
        text = json.dumps({**sidecar, _HASH: digest}, indent=2, sort_keys=True, ensure_ascii=False)
        write_text(_sidecar_path(path), text + "\n")
    return changed


def read_sidecar(data_dir: Path, symbol: str, interval: str = "1d") -> dict[str, Any]:
    """What was noted at the last fetch; empty when the sidecar is missing or damaged."""
    path = _inside(data_dir, _sidecar_path(price_path(data_dir, symbol, interval)))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stored_symbols(data_dir: Path, interval: str = "1d") -> list[str]:
    """The symbols that have bars, in alphabetical order."""
    folder = data_dir / "prices" / interval
    return sorted(
        decode_symbol(path.stem) for path in folder.glob("*.csv") if not path.name.startswith(".")
    )


def _existing(data_dir: Path, symbol: str, interval: str) -> Path:
    path = _inside(data_dir, price_path(data_dir, symbol, interval))
    if path.is_file():
        return path
    option = "" if interval == "1d" else f" --interval {interval}"
    raise DataError(
        "no prices stored",
        where=symbol,
        why=f"{path} does not exist",
        next_step=f"Run: lstmcli fetch {symbol}{option}.",
    )


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".csv") + ".json")


def _inside(data_dir: Path, path: Path) -> Path:
    """The path, unless a symbolic link leads it out of the data folder."""
    if not path.resolve().is_relative_to(data_dir.resolve()):
        raise FileError(
            "the path leads out of the data folder",
            where=path,
            why=f"a symbolic link points to {path.resolve()}",
            next_step="Remove the link.",
        )
    return path


def _csv(frame: pd.DataFrame) -> bytes:
    """The file's bytes: ISO dates, every column, empty where there is no value."""
    columns = [as_days(pd.DatetimeIndex(frame.index)).astype(str).tolist()]
    for name in COLUMNS:
        shown = _whole if name == "Volume" else _rounded
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
    return np.format_float_positional(float(text), trim="-") if "e" in text else text


def _whole(value: float) -> str:
    return f"{value:.0f}"
