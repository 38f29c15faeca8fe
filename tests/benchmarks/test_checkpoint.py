"""What a checkpoint after each epoch costs: `pytest tests/benchmarks -m slow -s -k checkpoint`.

The default recipe on the index that ships, with and without, in turns on the same machine.
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lstmcli.learning.fit import UNWATCHED, Course, fit
from lstmcli.recipes import load_settings
from lstmcli.runs.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from lstmcli.training.device import threads
from tests.benchmarks.measure import shipped_plan
from tests.synthetic import CPU

pytestmark = pytest.mark.slow
ROUNDS = 5


def test_a_checkpoint_costs_a_small_part_of_an_epoch(tmp_path: Path) -> None:
    settings = load_settings("default", ["train.patience=12", 'data.csv=["data/sp500.csv"]'])
    plan = shipped_plan(settings)
    keeping = Course(keep=partial(save_checkpoint, tmp_path, {}))
    seconds: dict[str, list[float]] = {"without": [], "with": []}
    with threads(1):
        for _ in range(ROUNDS):
            for name, course in (("without", UNWATCHED), ("with", keeping)):
                began = time.perf_counter()
                done = fit(plan, settings, CPU, course)
                seconds[name].append((time.perf_counter() - began) / len(done.history))
    plain, kept = (float(np.median(seconds[name])) for name in ("without", "with"))
    size = (tmp_path / CHECKPOINT).stat().st_size
    print(
        f"\nan epoch of the default recipe on the index: {1000 * plain:.1f} ms without a "
        f"checkpoint, {1000 * kept:.1f} ms with one of {size / 1024:.0f} KiB"
    )
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found[1].history == tuple(done.history)
