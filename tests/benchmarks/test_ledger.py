"""What a year of the ledger takes, and four: `pytest tests/benchmarks -m slow --benchmark-enable`.

500 symbols x 252 sessions of daily forecasts with a fan, 2,500 stored bars a symbol: the size on
the disk, and the seconds from the start of `evaluate --issued` to its end. Four years, 500,000
lines: the memory that the whole process takes.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.market.store import write_stored
from lstmcli.runs.ledger import LEVELS, Entry, encode
from tests.benchmarks.measure import Cost, cost
from tests.command_line import PROGRAM, sessions

pytestmark = pytest.mark.slow
SYMBOLS, ROWS, DAYS, STEPS = 500, 2500, 252, (1, 5, 20, 50)
MOST_MIB, MOST_BYTES, MOST_MEMORY = 150, 1190, 400


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issued(tmp_path_factory.mktemp("year"), DAYS)


def issued(folder: Path, n_days: int) -> Path:
    """Make a folder whose ledger ends with its bars, so that the last forecasts are to come."""
    generator = np.random.default_rng(0)
    days = sessions(ROWS)
    spread = 0.015 * np.sqrt(STEPS)[:, None] * [NormalDist().inv_cdf(level) for level in LEVELS]
    months: dict[str, list[bytes]] = defaultdict(list)
    later = sessions(ROWS + 50, np.datetime64("2018-11-13"))[-50:]
    ahead = [*days, *later]
    assert days == sorted(set(days))
    symbols = [f"S{number:03d}" for number in range(SYMBOLS)]
    closes = 100 * np.exp(np.cumsum(generator.normal(3e-4, 0.015, (SYMBOLS, ROWS)), axis=1))
    for symbol, close in zip(symbols, closes, strict=True):
        frame = pd.DataFrame({"Close": close, "Adj Close": close}, index=pd.DatetimeIndex(days))
        write_stored(folder / "data", symbol, "1d", frame, {"symbol": symbol})
    for row in range(ROWS - n_days, ROWS):
        noise = generator.normal(1.0, 0.1, (SYMBOLS, 1, 1)) * spread
        for symbol, close, moves in zip(symbols, closes[:, row], noise, strict=True):
            entry = Entry(
                f"{days[row]}T22:10:00Z", "default", "v0001", symbol, "1d", "Adj Close", days[row],
                float(f"{close:.7g}"), 250, STEPS, [ahead[row + step] for step in STEPS], LEVELS,
                moves.tolist(), "9f86d081884c7d65", "60303ae22b998861", "0.1.0",
            )  # fmt: skip
            months[days[row][:7]].append(encode(entry))
    (folder / "data/ledger").mkdir()
    for month, lines in months.items():
        (folder / f"data/ledger/{month}.jsonl").write_bytes(b"".join(lines))
    return folder


def test_a_year_of_five_hundred_symbols(benchmark: Any, year: Path) -> None:
    files = list((year / "data/ledger").iterdir())
    size = sum(file.stat().st_size for file in files)
    assert size < MOST_MIB * 1024**2
    assert size < MOST_BYTES * SYMBOLS * DAYS
    used: list[Cost] = []
    benchmark.pedantic(lambda: used.append(evaluate(year)), rounds=3, iterations=1)
    (found,) = json.loads((year / "out").read_text())["issued"]
    counts = found["counts"]
    assert counts["whole"] == SYMBOLS * (DAYS - 50)
    assert counts["partly"] == SYMBOLS * 49
    assert counts["pending"] == SYMBOLS
    if benchmark.stats is not None:
        print(
            f"\n{SYMBOLS} symbols x {DAYS} days: {size / 1e6:.0f} MB in {len(files)} files, "
            f"{size / SYMBOLS / DAYS:.0f} bytes a line; graded in "
            f"{benchmark.stats.stats.median:.1f} s ({min(each.cpu for each in used):.1f} s of "
            "processor time), "
            f"{max(each.peak for each in used):.0f} MiB at most"
        )


def test_half_a_million_lines_are_graded_in_little_memory(tmp_path: Path) -> None:
    found = evaluate(issued(tmp_path, 1000))
    (graded,) = json.loads((tmp_path / "out").read_text())["issued"]
    assert sum(graded["versions"].values()) == 500_000
    print(f"\n500,000 lines: {found.peak:.0f} MiB at most, {found.cpu:.1f} s of processor time")
    assert found.peak < MOST_MEMORY


def evaluate(folder: Path) -> Cost:
    """Grade the ledger of a folder."""
    return cost(PROGRAM, "evaluate", "--issued", "--format", "json", "--quiet", folder=folder)
