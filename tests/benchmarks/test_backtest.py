"""What a large backtest takes: `pytest tests/benchmarks -m slow --benchmark-enable -s`.

20 symbols x 500 cutoffs x 50 steps, the default network and all built-in baselines, from the shell
to the verdict. The yardstick is plain numpy in this process: four fans of the same size drawn and
scored by CRPS, which no evaluation of as many could do without.
"""

import json
import time
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from lstmcli.config import DEFAULT_LEVELS
from lstmcli.recipes import shipped_file
from tests.benchmarks.measure import cost
from tests.command_line import PROGRAM

pytestmark = pytest.mark.slow
PRICES = str(shipped_file("data/us20.csv.gz"))
SYMBOLS = [
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
]
CUTOFFS, HORIZON, FANS = 500, 50, 4


def test_twenty_symbols_and_five_hundred_cutoffs(benchmark: Any, tmp_path: Path) -> None:
    recipe = ["--set", "split.train_end=2012-06-29", "--set", "train.epochs=1", "--name", "fan"]
    cost(PROGRAM, "train", *recipe, folder=tmp_path)
    peaks: list[float] = []

    def evaluate() -> None:
        options = ["--step-size", "5", "--n-windows", str(CUTOFFS), "--format", "json"]
        words = ("evaluate", *SYMBOLS, "--csv", PRICES, *options, "--quiet")
        peaks.append(cost(PROGRAM, *words, folder=tmp_path).peak)

    benchmark.pedantic(evaluate, rounds=3, iterations=1)
    found = json.loads((tmp_path / "out").read_text())
    assert found["windows"]["evaluated"] == len(SYMBOLS) * CUTOFFS
    if benchmark.stats is not None:
        seconds, plain = benchmark.stats.stats.median, _plain()
        print(
            f"\n20 symbols x 500 cutoffs x 50 steps, {len(found['scores']['models'])} forecasters: "
            f"{seconds:.1f} s, {max(peaks):.0f} MiB at most; four fans drawn and scored in plain "
            f"numpy: {plain:.1f} s, ratio {seconds / plain:.1f}"
        )


def _plain() -> float:
    """Seconds to draw four normal fans (N, H, Q) and to average their pinball losses."""
    generator = np.random.default_rng(0)
    shape = (len(SYMBOLS) * CUTOFFS, HORIZON)
    z = np.array([NormalDist().inv_cdf(level) for level in DEFAULT_LEVELS])
    levels = np.array(DEFAULT_LEVELS)
    began = time.perf_counter()
    for _ in range(FANS):
        sigma = generator.uniform(0.01, 0.03, shape)
        fan, actual = sigma[..., None] * z, generator.normal(0, sigma)
        over = np.exp(actual)[..., None] - np.exp(fan)
        np.maximum(levels * over, (levels - 1) * over).mean()
    return time.perf_counter() - began
