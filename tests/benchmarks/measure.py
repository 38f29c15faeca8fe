"""What benchmarks share: a process and its cost, calls in turns, plans of the data that ship."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from lstmcli.config import Settings
from lstmcli.forecasting.model import series_for
from lstmcli.learning.plan import Plan
from lstmcli.market.calendars import sessions_of
from lstmcli.market.prices import Prices
from lstmcli.market.store import write_stored
from lstmcli.market.symbols import price_path, sidecar_path
from lstmcli.sources.loading import load_prices
from lstmcli.sources.source import Source
from tests.synthetic import make_plan

DISTINCT = 50  # files of a store; the others are links to them
# The peak of a process counts that of the one it was forked from, which is to be a small one.
_LAUNCHER = """
import json, resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.call(sys.argv[1:])
wall, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]),
      file=sys.stderr)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of the processors, and the most memory in MiB."""

    wall: float
    cpu: float
    peak: float


def cost(*command: str, folder: Path) -> Cost:
    """Run a process on two cores to its end, its output in the file `out`."""
    with (folder / "out").open("wb") as out:
        done = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *command],
            cwd=folder,
            stdout=out,
            stderr=subprocess.PIPE,
        )
        os.sched_setaffinity(done.pid, sorted(os.sched_getaffinity(0))[:2])
        _, err = done.communicate()
    code, *found = json.loads(err.splitlines()[-1])
    assert code == 0, err
    return Cost(*found)


def in_turns(*runs: Callable[[], object], rounds: int = 3) -> list[float]:
    """Return the least seconds of the processor of each."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, found in zip(runs, seconds, strict=True):
            began = time.process_time()
            run()
            found.append(time.process_time() - began)
    return [min(found) for found in seconds]


def shipped(settings: Settings) -> list[Prices]:
    """Return the prices that a recipe names."""
    return list(load_prices(Source(Path("data"), date(2026, 1, 1)), settings.data)[0])


def shipped_plan(settings: Settings) -> Plan:
    """Return the plan of a recipe on the data that it names."""
    return make_plan([series_for(settings, each) for each in shipped(settings)], settings)


def store(folder: Path, names: list[str], rows: int) -> None:
    """Store so many symbols up to 2026-06-30, most of them the same file by another name."""
    days = sessions_of("XNYS")
    index = pd.DatetimeIndex(days[days <= np.datetime64("2026-06-30")][-rows:].astype("M8[ns]"))
    for seed, name in enumerate(names[:DISTINCT]):
        write_stored(folder / "data", name, "1d", _bars(index, seed), {})
    for number, name in enumerate(names[DISTINCT:]):
        for path in (price_path, sidecar_path):
            os.link(path(folder / "data", names[number % DISTINCT]), path(folder / "data", name))


def _bars(index: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
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
