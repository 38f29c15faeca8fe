"""Thousands of symbols: `pytest tests/benchmarks/test_throughput.py -m slow -s`, 3 minutes.

8,000 stored series of 5,000 rows are read, and 10,000 are forecast by the ready-made model, on two
cores. The yardsticks, of the same run: pyarrow reads the same files without a check; the network
alone computes as many forecasts. Many of the files are links to one.
"""

import sys
from datetime import date
from pathlib import Path

import pytest

from tests.benchmarks.measure import Cost, cost, store
from tests.command_line import PROGRAM

pytestmark = pytest.mark.slow
SYMBOLS, READ, FEW, ROWS = 10_000, 8000, 1000, 5000
TODAY = date(2026, 6, 30)
OURS = f"""
import sys
from datetime import date
from pathlib import Path
from lstmcli.config import Data
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.source import Source
symbols = tuple(Path(sys.argv[1]).read_text().split())
source = Source(Path("data"), date.fromisoformat("{TODAY}"), symbols=symbols)
assert sum(len(each.frame) for each in stream_prices(source, Data())) == {ROWS} * len(symbols)
"""
PYARROW = """
import sys
from pathlib import Path
import pandas
from pyarrow import csv
for symbol in Path(sys.argv[1]).read_text().split():
    csv.read_csv(f"data/prices/1d/{symbol}.csv")
"""
NETWORK = """
import sys
from pathlib import Path
import torch
from lstmcli.forecasting.model import network_inputs
from lstmcli.networks.build import body_and_head
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ready_made
torch.set_num_threads(1)
model, _ = load_bundle(ready_made().folder, torch.device("cpu"))
settings = model.settings
members = [body_and_head(each.double()) for each in model.members]
windows = torch.randn(
    128, settings.window.context_length, len(network_inputs(settings)), dtype=torch.float64
)
steps = torch.arange(model.settings.window.horizon)
with torch.inference_mode():
    for _ in range(0, len(Path(sys.argv[1]).read_text().split()), 128):
        for body, head in members:
            head(body(windows[:, -body.reach :])[:, -1], steps)
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 10,000 symbols, and lists of some of them."""
    folder = tmp_path_factory.mktemp("shelf")
    names = [f"S{number:05}" for number in range(SYMBOLS)]
    store(folder, names, ROWS)
    for count in (1, FEW, READ, SYMBOLS):
        (folder / f"{count}.txt").write_text("\n".join(names[:count]) + "\n")
    return folder


def run(folder: Path, code: str, count: int) -> Cost:
    return cost(sys.executable, "-c", code, f"{count}.txt", folder=folder)


def test_eight_thousand_series_are_read(shelf: Path) -> None:
    ours, bare = (run(shelf, code, READ) for code in (OURS, PYARROW))
    print(
        f"\n{READ} series x {ROWS} rows: {ours.wall:.1f} s, processors {ours.cpu:.1f} s; pyarrow "
        f"alone {bare.wall:.1f} s, processors {bare.cpu:.1f} s; ratio of the processors "
        f"{ours.cpu / bare.cpu:.2f}"
    )


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_ten_thousand_symbols_are_forecast(shelf: Path, form: str) -> None:
    """Print the time next to those of its parts alone, and hold the memory."""

    def predict(count: int) -> Cost:
        options = ("--model", "base", "--symbols-file", f"{count}.txt", "--format", form)
        found = cost(PROGRAM, "predict", *options, "--output", "rows", "--quiet", folder=shelf)
        with (shelf / "rows").open("rb") as file:
            assert sum(1 for _ in file) == 50 * count + (form == "csv")
        return found

    one, few, many = (predict(count) for count in (1, FEW, SYMBOLS))
    bare, network = run(shelf, PYARROW, SYMBOLS), run(shelf, NETWORK, SYMBOLS)
    each = 1000 * (many.cpu - one.cpu) / SYMBOLS
    print(
        f"\n{SYMBOLS} symbols x {ROWS} rows to {form}: {many.wall:.1f} s, processors "
        f"{many.cpu:.1f} s ({each:.1f} ms a symbol, {one.cpu:.1f} s for one alone); "
        f"{FEW}: {few.peak:.0f} MiB, {SYMBOLS}: {many.peak:.0f} MiB; pyarrow reads them in "
        f"{bare.cpu:.1f} s of the processors, the network alone takes {network.cpu:.1f} s; "
        f"ratio to both {many.cpu / (bare.cpu + network.cpu):.2f}"
    )
    assert many.peak < 1.1 * few.peak
