"""What a batch forecast takes: `pytest tests/benchmarks -m slow --benchmark-enable -s`.

500 symbols of 2,500 rows by the default recipe, all quantiles of 50 steps to a CSV, on two cores
from process start to exit; then 2,000, for the memory. The yardstick is a bare process that reads
the same files by pandas.read_csv and writes as many rows of as many numbers by the csv module.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.market.calendars import sessions_of
from lstmcli.market.store import write_stored

pytestmark = pytest.mark.slow
COMMAND = str(Path(sys.executable).parent / "lstmcli")
FEW, MANY, DISTINCT, ROWS = 500, 2000, 50, 2500
YARDSTICK = """
import csv, glob, random, sys
import pandas
for path in sorted(glob.glob("data/prices/1d/*.csv"))[:int(sys.argv[1])]:
    pandas.read_csv(path, index_col="Date", parse_dates=True)
rows = [[random.random() for _ in range(22)] for _ in range(50)]
with open("yardstick.csv", "w", newline="") as file:
    for _ in range(int(sys.argv[1])):
        csv.writer(file).writerows(rows)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of the processors, and the most memory in MiB."""

    wall: float
    cpu: float
    peak: float


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 2,000 symbols, many of them the same file by another name, and a model."""
    folder = tmp_path_factory.mktemp("shelf")
    days = sessions_of("XNYS")
    index = pd.DatetimeIndex(days[days <= np.datetime64("2026-06-30")][-ROWS:].astype("M8[ns]"))
    names = [
        f"S{chr(65 + k // 676)}{chr(65 + k // 26 % 26)}{chr(65 + k % 26)}" for k in range(MANY)
    ]
    prices = folder / "data" / "prices" / "1d"
    for seed, name in enumerate(names[:DISTINCT]):
        write_stored(folder / "data", name, "1d", bars(index, seed), {})
    for number, name in enumerate(names[DISTINCT:]):
        os.link(prices / f"{names[number % DISTINCT]}.csv", prices / f"{name}.csv")
    for count in (FEW, MANY):
        (folder / f"{count}.txt").write_text("\n".join(names[:count]) + "\n")
    cost(COMMAND, "train", *names[:20], "--set", "train.epochs=1", "--quiet", folder=folder)
    return folder


def bars(index: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(generator.normal(3e-4, 0.015, len(index))))
    opened = close * np.exp(generator.normal(0, 0.005, len(index)))
    columns = {
        "Open": opened,
        "High": np.maximum(opened, close) * 1.004,
        "Low": np.minimum(opened, close) / 1.004,
        "Close": close,
        "Adj Close": 0.97 * close,
        "Volume": np.round(generator.lognormal(15, 0.5, len(index))),
        "Dividends": 0.0,
        "Stock Splits": 0.0,
    }
    return pd.DataFrame(columns, index=index)


def cost(*command: str, folder: Path) -> Cost:
    """Run a process on two cores to its end."""
    began = os.times().elapsed
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as child:
        os.sched_setaffinity(child.pid, sorted(os.sched_getaffinity(0))[:2])
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    seconds = usage.ru_utime + usage.ru_stime
    return Cost(os.times().elapsed - began, seconds, usage.ru_maxrss / 1024)


def batch(folder: Path, count: int, *options: str) -> Cost:
    """Forecast so many symbols, and hold that all rows are there."""
    command = (COMMAND, "predict", "--format", "csv", "--output", "out.csv", "--quiet", *options)
    found = cost(*command, folder=folder)
    with (folder / "out.csv").open("rb") as file:
        assert sum(1 for _ in file) == 1 + 50 * count
    return found


@pytest.mark.parametrize("where", ["store", "csv"])
def test_symbols(benchmark: Any, shelf: Path, where: str) -> None:
    files = sorted((shelf / "data" / "prices" / "1d").glob("*.csv"))[:FEW]
    options = [word for file in files for word in ("--csv", str(file))]
    if where == "store":
        options = ["--symbols-file", f"{FEW}.txt"]
    costs: list[Cost] = []
    plain: list[Cost] = []

    def round_of_both() -> None:
        costs.append(batch(shelf, FEW, *options))
        plain.append(cost(sys.executable, "-c", YARDSTICK, str(FEW), folder=shelf))

    benchmark.pedantic(round_of_both, rounds=3, iterations=1)
    ours, bare = (min(each, key=lambda one: one.cpu) for each in (costs, plain))
    print(
        f"\n{FEW} symbols x {ROWS} rows from the {where}: {ours.wall:.1f} s, processors "
        f"{ours.cpu:.1f} s, {ours.peak:.0f} MiB; read and written alone: {bare.wall:.1f} s, "
        f"processors {bare.cpu:.1f} s; ratio of the processors {ours.cpu / bare.cpu:.2f}"
    )


def test_memory_does_not_grow_with_the_symbols(shelf: Path) -> None:
    few, many = (batch(shelf, count, "--symbols-file", f"{count}.txt") for count in (FEW, MANY))
    print(
        f"\n{FEW} symbols {few.peak:.0f} MiB and {few.cpu:.1f} s of the processors, "
        f"{MANY} symbols {many.peak:.0f} MiB and {many.cpu:.1f} s"
    )
    assert many.peak < 1.2 * few.peak
