"""Files are read about as fast as pyarrow reads them without checks, and in less memory."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from lstmcli.market import prices
from lstmcli.market.store import read_bars
from lstmcli.market.symbols import price_path
from lstmcli.market.tables import read_table
from lstmcli.reading.raw import Marks, open_table
from tests.benchmarks.measure import in_turns

ROWS = 10_000_000
COLUMNS = ("Open", "High", "Low", "Close", "Adj Close", "Volume")


def write(path: Path, n_rows: int, names: tuple[str, ...] = ("Close",)) -> None:
    """Write a table of prices whose dates repeat."""
    days = (np.datetime64("1980-01-01") + np.arange(n_rows) % 10_000).astype("datetime64[D]")
    rng = np.random.default_rng(0)
    columns = {name: rng.uniform(10, 1000, n_rows).round(4) for name in names}
    table = pa.table({"Date": days, **columns})
    csv.write_csv(table, path, csv.WriteOptions(quoting_style="none", quoting_header="none"))


def read_all(path: Path) -> None:
    table = open_table(path, Marks())
    table.read([0], range(1, len(table.head[0])))


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    (found,) = in_turns(work, rounds=rounds)
    return found


def peak(code: str) -> float:
    """Return the peak memory of a fresh interpreter in MiB."""
    # That of getrusage counts the parent's memory too.
    code += "\nprint(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return int(done.stdout) / 1024


@pytest.mark.slow
@pytest.mark.parametrize("names", [("Close",), COLUMNS], ids=["Close", "OHLCV"])
def test_ten_million_rows(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Print time and memory next to those of `pyarrow.csv.read_csv`."""
    path = tmp_path / "x.csv"
    write(path, ROWS, names)
    begun = time.perf_counter()
    read_all(path)
    took = time.perf_counter() - begun
    ours, theirs = in_turns(lambda: read_all(path), lambda: csv.read_csv(path), rounds=2)
    memory = peak(
        "from lstmcli.reading.raw import Marks, open_table\n"
        f"table = open_table({str(path)!r}, Marks())\n"
        "table.read([0], range(1, len(table.head[0])))"
    )
    print(
        f"{path.stat().st_size / 1024**2:.0f} MiB in {took:.1f} s, {ours / theirs:.2f} times the "
        f"time of pyarrow, peak {memory:.0f} MiB"
    )


@pytest.mark.slow
def test_five_hundred_files(tmp_path: Path) -> None:
    """Print the time of 500 files of 2,500 rows, stored and not, next to that of pyarrow."""
    paths = [price_path(tmp_path, f"S{i}") for i in range(500)]
    paths[0].parent.mkdir(parents=True)
    write(paths[0], 2500, prices.COLUMNS)  # as the store has them
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())

    def each(read: Callable[[Path], object]) -> float:
        return seconds(lambda: [read(path) for path in paths])

    plain = each(csv.read_csv)
    print(f"files: {each(read_all) / plain:.2f} times the time of pyarrow")
    print(f"store: {each(lambda path: read_bars(tmp_path, path.stem)) / plain:.2f} times")


@pytest.mark.slow
def test_a_long_file_of_ten_million_rows(tmp_path: Path) -> None:
    """Print time and memory of splitting 4,000 symbols whose rows alternate, and of 40,000."""
    path = tmp_path / "x.csv"
    for n_symbols in (4000, 40_000):
        days = np.datetime64("1980-01-01") + np.repeat(np.arange(ROWS // n_symbols), n_symbols)
        owners = np.tile([f"S{i}" for i in range(n_symbols)], ROWS // n_symbols)
        closes = np.random.default_rng(0).uniform(10, 1000, ROWS).round(4)
        table = pa.table({"date": days.astype("datetime64[D]"), "symbol": owners, "close": closes})
        csv.write_csv(table, path, csv.WriteOptions(quoting_style="none", quoting_header="none"))
        del table, owners, closes
        took, plain = in_turns(partial(read_table, path), partial(csv.read_csv, path), rounds=2)
        code = f"from lstmcli.market.tables import read_table\nread_table({str(path)!r})"
        print(
            f"{n_symbols} symbols: {took:.1f} s, {took / plain:.2f} times the time of pyarrow, "
            f"peak {peak(code):.0f} MiB"
        )
