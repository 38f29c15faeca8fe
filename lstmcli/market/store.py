"""The price store: a CSV file and a JSON sidecar per symbol and interval.

Unchanged bars are not rewritten. Fetched values are rounded so that reading and writing a file
gives the same bytes; imported bars keep every digit. The sidecar names the source of the bars; bars
of unknown source are replaced only with --full. The sidecar is written first: if a run is killed
between the two writes, the sidecar does not match the old bars, and the next fetch downloads them
again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from lstmcli.errors import DataError, file_errors
from lstmcli.files.atomic import sync_folder, write_files
from lstmcli.market.prices import COLUMNS, STORE, Bars, Prices, as_days, bars_of
from lstmcli.market.symbols import (
    INTERVALS,
    inside,
    interval_option,
    price_path,
    sidecar_path,
    yahoo_spelling,
)
from lstmcli.records import read_file, read_json

if TYPE_CHECKING:
    import pandas as pd

    from lstmcli.market.validate import Checks

SIGNIFICANT_DIGITS = 7
YAHOO, IMPORTED = "Yahoo", "import"  # the sources that sidecars name
_HASH = "prices_sha256"
_MAX_SIDECAR_BYTES, _MAX_PLAIN_BYTES = 4 * 1024**2, 64 * 1024**2
_NAMES = ("Date", *COLUMNS)
_HEADER = (",".join(_NAMES) + "\n").encode()


def read_stored(
    data_dir: Path,
    symbol: str,
    interval: str = "1d",
    *,
    mend: bool = False,
    **checks: Unpack[Checks],
) -> Prices:
    """Read a symbol's validated price table; raise DataError if nothing is stored.

    mend, checks : as for `check_bars`.
    """
    from lstmcli.market.validate import check_bars, drop_empty_columns

    # The file has every column, so an empty one is one that the source lacks: no note.
    bars = drop_empty_columns(read_bars(data_dir, symbol, interval), ["Close"])
    facts = read_sidecar(data_dir, symbol, interval)
    prices = check_bars(
        replace(bars, from_feed=facts.get("source") == YAHOO, notes=()),
        interval=interval,
        mend=mend,
        unfinished=date_of(facts.get("partial")),
        **checks,
    )
    return replace(prices, source=STORE, currency=str(facts.get("currency") or ""))


def read_bars(data_dir: Path, symbol: str, interval: str = "1d") -> Bars:
    """Read all stored rows without checking the values; empty fields are NaN.

    Raises DataError if nothing is stored or the file is damaged.
    """
    path = _existing(data_dir, symbol, interval)
    plain = _read_plain(path, symbol)
    if plain is not None:
        return plain
    from lstmcli.market.columns import Reading
    from lstmcli.market.tables import read_table  # rarely needed, slow to import

    table = read_table(path, Reading(",", "."))
    return table.bars(next(iter(table.series)), symbol)


def read_raw(data_dir: Path, symbol: str, interval: str = "1d") -> pd.DataFrame:
    """Return the result of `read_bars` as a DataFrame indexed by date."""
    from lstmcli.market.validate import frame_of

    return frame_of(read_bars(data_dir, symbol, interval))


def write_stored(
    data_dir: Path, symbol: str, interval: str, frame: pd.DataFrame, sidecar: dict[str, Any]
) -> bool:
    """Replace a symbol's bars and sidecar; return whether the bars changed.

    frame : dates as index; columns among COLUMNS.
    sidecar : metadata. With source IMPORTED the bars keep every digit, and count as changed if the
        stored ones were not imported.
    If the bars are equal, the sidecar is written only if the stored one does not match them.
    """
    path = inside(data_dir, price_path(data_dir, symbol, interval))
    data = _csv(frame, exact=sidecar.get("source") == IMPORTED)
    earlier, facts = read_sidecar(data_dir, symbol, interval), {**sidecar, _HASH: _digest(data)}
    noted = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    files = [(sidecar_path(data_dir, symbol, interval), noted.encode()), (path, data)]
    becomes_own = IMPORTED == source_of(facts) != source_of(earlier)
    changed = becomes_own or not path.is_file() or _bytes(path) != data
    if changed:
        write_files(files)
    elif earlier.get(_HASH) != facts[_HASH]:
        write_files(files[:1])
    return changed


def remove_stored(data_dir: Path, symbol: str, interval: str = "1d") -> None:
    """Remove a symbol's bars and sidecar; raise DataError if the store has none.

    The bars are removed first: a run that is killed in between leaves a sidecar without bars, which
    is harmless.
    """
    path = _existing(data_dir, symbol, interval)
    with file_errors("cannot remove the file", path, "Check the folder and its permissions."):
        path.unlink()
        sidecar_path(data_dir, symbol, interval).unlink(missing_ok=True)
        sync_folder(path.parent)


def read_sidecar(data_dir: Path, symbol: str, interval: str = "1d") -> dict[str, Any]:
    """Read a symbol's sidecar; return {} if it is missing or damaged."""
    path = inside(data_dir, sidecar_path(data_dir, symbol, interval))
    try:
        found = read_json(read_file(path, _MAX_SIDECAR_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def restatements_of(facts: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the date and reason of each restatement noted in a sidecar."""
    noted = facts.get("restatements")
    known = [each for each in noted if isinstance(each, dict)] if isinstance(noted, list) else []
    return tuple((str(each.get("fetched", "")), str(each.get("reason", ""))) for each in known)


def sidecar_fits(data_dir: Path, symbol: str, interval: str = "1d") -> bool:
    """Return whether the sidecar is intact and matches the stored bars."""
    noted = read_sidecar(data_dir, symbol, interval).get(_HASH)
    return noted == _digest(_bytes(_existing(data_dir, symbol, interval)))


def date_of(noted: object) -> date | None:
    """Parse a date from a sidecar; return None for anything else."""
    try:
        return date.fromisoformat(str(noted))
    except ValueError:
        return None


def source_of(facts: dict[str, Any]) -> str:
    """Return the source that a sidecar names: YAHOO, IMPORTED, or "" for neither."""
    found = facts.get("source")
    return found if found in (YAHOO, IMPORTED) else ""


def _existing(data_dir: Path, symbol: str, interval: str) -> Path:
    path = inside(data_dir, price_path(data_dir, symbol, interval))
    if path.is_file():
        return path
    stored = [each for each in INTERVALS if price_path(data_dir, symbol, each).is_file()]
    only = f", only {' and '.join(map(bars_of, stored))} are stored" if stored else ""
    own = f"To train on those, pass --set data.interval={stored[0]}. " if stored else ""
    missing = path if data_dir.is_dir() else f"the folder {data_dir}"
    raise DataError(
        f"no {bars_of(interval)} stored" if stored else "no prices stored",
        where=symbol,
        why=f"{missing} does not exist{only}",
        next_step=f"{own}Run: lstmcli fetch {yahoo_spelling(symbol) or symbol}"
        f"{interval_option(interval)}.",
    )


def _read_plain(path: Path, symbol: str) -> Bars | None:
    """Read a file in the format of `write_stored`; return None for any other file.

    This is faster than `read_table`, since separator, columns and decimal mark are known.
    """
    import pyarrow as pa

    from lstmcli.reading.dates import parse_stamps
    from lstmcli.reading.lines import Lines, is_plain

    where, begin = str(path), len(_HEADER)
    try:
        text = path.read_bytes() if path.stat().st_size <= _MAX_PLAIN_BYTES else b""
        is_ours = text.startswith(_HEADER) and text.endswith(b"\n")
        if not (is_ours and is_plain(text, begin, len(text))):
            return None
        rows = Lines(text, _NAMES, [0], range(1, len(_NAMES)), where, "CSV", ",", ".", begin)
        found = rows.read_plain(".", [pa.py_buffer(text).slice(begin)])
        if found is None:
            return None
        [days], values = found
        if days.type != pa.date32() or days.null_count:
            return None
        lines = np.arange(2, 2 + len(values))
        stamps = parse_stamps(days, lines, where)
    except (OSError, ValueError, DataError):  # pyarrow's errors are ValueErrors
        return None
    return Bars(symbol, where, stamps.days, dict(zip(COLUMNS, values.T, strict=True)), lines)


def _bytes(path: Path) -> bytes:
    with file_errors("cannot read the file", path):
        return path.read_bytes()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _csv(frame: pd.DataFrame, *, exact: bool) -> bytes:
    """Format a table as CSV: ISO dates, all of COLUMNS, empty if missing.

    exact : whether to write the fewest digits that read as the same number. By default values are
        rounded to seven digits, since the feed's prices jitter beyond them. There are no exponents.
    """
    columns = [as_days(frame.index).astype(str).tolist()]
    for name, column in frame.reindex(columns=list(COLUMNS)).astype("float64").items():
        rounded = "{:.0f}" if name == "Volume" else f"{{:.{SIGNIFICANT_DIGITS}g}}"
        text = _exact if exact else rounded.format
        cells = ["" if value != value else text(value) for value in column.tolist()]
        columns.append([_exact(float(cell)) if "e" in cell else cell for cell in cells])
    lines = map(",".join, zip(*columns, strict=True))
    return _HEADER + "".join(f"{line}\n" for line in lines).encode("ascii")


def _exact(value: float) -> str:
    return np.format_float_positional(value, trim="-")
