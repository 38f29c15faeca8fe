"""What a batch forecast takes: `pytest tests/benchmarks -m slow --benchmark-enable -s`.

500 symbols of 2,500 rows by the default recipe, all quantiles of 50 steps to a CSV, on two cores
from process start to exit; then 2,000, for the memory. The yardstick is a bare process that reads
the same files by pandas.read_csv and writes as many rows of as many numbers by the csv module.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.measure import Cost, cost, store
from tests.command_line import PROGRAM

pytestmark = pytest.mark.slow
FEW, MANY, ROWS = 500, 2000, 2500
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


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 2,000 symbols and a model."""
    folder = tmp_path_factory.mktemp("shelf")
    names = [f"S{number:04}" for number in range(MANY)]
    store(folder, names, ROWS)
    for count in (FEW, MANY):
        (folder / f"{count}.txt").write_text("\n".join(names[:count]) + "\n")
    cost(PROGRAM, "train", *names[:20], "--set", "train.epochs=1", "--quiet", folder=folder)
    return folder


def batch(folder: Path, count: int, *options: str) -> Cost:
    """Forecast so many symbols, and hold that all rows are there."""
    command = (PROGRAM, "predict", "--format", "csv", "--output", "out.csv", "--quiet", *options)
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
