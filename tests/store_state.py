"""What a price store holds, seen from outside: without the code that wrote it."""

import fcntl
import hashlib
import io
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

HEADER = "Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits"


def table(data: bytes) -> pd.DataFrame:
    """A stored file's rows; raises AssertionError or ValueError where it is not whole."""
    text = data.decode("ascii")
    assert text.startswith(HEADER + "\n")
    assert text.endswith("\n")
    assert {line.count(",") for line in text.splitlines()} == {HEADER.count(",")}
    frame = pd.read_csv(io.StringIO(text), index_col="Date", parse_dates=True)
    assert frame.index.is_monotonic_increasing
    assert frame["Close"].notna().all()
    return frame


def holds(
    data: bytes, bars: pd.DataFrame, *, but: Collection[pd.Timestamp] = (), shares: float = 0.0
) -> bool:
    """Whether a stored file is what the feed says, row by row, to its seventh digit.

    but : days on which anything may be stored. shares : by how many a volume may differ.
    """
    frame = table(data)
    if list(frame.index) != list(bars.index):
        return False
    frame, bars = frame.drop(index=list(but)), bars.drop(index=list(but))
    return all(
        np.allclose(frame[name], bars[name], rtol=2e-6, atol=shares if name == "Volume" else 1e-8)
        for name in frame.columns
    )


def sidecar_fits(csv: Path) -> bool:
    """Whether a sidecar is whole and belongs to the bars beside it."""
    path = csv.with_suffix(".json")
    if not path.exists():
        return False
    noted = json.loads(path.read_bytes())["prices_sha256"]
    return bool(noted == hashlib.sha256(csv.read_bytes()).hexdigest())


def strays(folder: Path) -> list[Path]:
    """Temporary files that lie about."""
    return sorted(folder.rglob("*lstmcli-tmp*"))


def is_free(lock: Path) -> bool:
    """Whether nobody holds a lock, which need not be there."""
    if not lock.exists():
        return True
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
