"""Helpers that fetch from the local server on the evening of the last bar and check the store."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.market.store import read_raw
from lstmcli.runs.last_runs import RunEnd, note_end
from lstmcli.workflows.fetch import FetchReport, FetchResult, fetch
from lstmcli.workflows.status import Part, status
from tests.clockwork import Clockwork
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

BARS = random_walk(80)  # to Monday, 2024-04-22
NOW = datetime(2024, 4, 22, 22, 0, tzinfo=UTC)  # two hours after the close
LATER = datetime(2024, 6, 1, tzinfo=UTC)
PRICES = ["Open", "High", "Low", "Close", "Adj Close"]
Run = Callable[..., FetchReport]


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        yield script


@pytest.fixture
def run(server: StandIn, tmp_path: Path) -> Run:
    """Fetch AAPL, or the given symbols, into a folder for this test."""
    server.listings.clear()
    server.always.clear()
    server.forget()

    def run(*symbols: str, now: datetime = NOW, **options: Any) -> FetchReport:
        clockwork = Clockwork()
        clocks = {"clock": clockwork.clock, "sleep": clockwork.sleep, "random": Random(7)}
        options = {"rate": 1000.0, "max_wait": 60.0, **clocks, **options}
        return fetch(symbols or ("AAPL",), data_dir=tmp_path, now=now, **options)

    return run


def only(report: FetchReport) -> FetchResult:
    (result,) = report.results
    return result


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def assert_holds(folder: Path, bars: pd.DataFrame, symbol: str = "AAPL") -> None:
    stored = read_raw(folder, symbol)
    assert list(stored.index) == list(bars.index)
    np.testing.assert_allclose(stored, bars[list(stored.columns)], rtol=2e-6)


def times(bars: pd.DataFrame, rows: slice, factor: float) -> pd.DataFrame:
    """Return the bars with all prices of some rows multiplied."""
    after = bars.copy()
    after.loc[bars.index[rows], PRICES] *= factor
    return after


def part(folder: Path, name: str) -> Part:
    return next(each for each in status(folder, now=NOW).parts if each.name == name)


def note_fetch(folder: Path, report: FetchReport, error: str = "") -> None:
    """Record the end of a run like the command does."""
    counts = {"done": 1.0, "failed": float(len(report.failures)), **report.counts}
    time = NOW.isoformat()
    note_end(folder, RunEnd("fetch", "1", time, time, report.exit_code, counts, error))
