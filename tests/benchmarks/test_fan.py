"""How fast a pooled fan learns: `pytest tests/benchmarks -m slow --benchmark-enable -s`.

The yardstick is a plain loop in the same process: the same network and loss, one label a window,
windows copied out beforehand, as a tutorial would write it.
"""

import resource
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.config import Settings
from lstmcli.dataset.volatility import volatility_frame
from lstmcli.dataset.windows import contexts, flat_cutoffs, futures, join
from lstmcli.forecasting.model import new_member
from lstmcli.learning.fit import Fit, fit
from lstmcli.learning.plan import Plan
from lstmcli.recipes import load_settings
from lstmcli.training.device import seeded
from tests.benchmarks.measure import shipped_plan
from tests.synthetic import CPU, make_plan, series_of

pytestmark = pytest.mark.slow


def test_labels_at_every_bar_against_one_a_window(benchmark: Any) -> None:
    settings, plan = _default("train.epochs=3")
    labels = sum(len(rows) for rows in plan.train)
    plain = _plain_labels_per_second(plan, settings)
    benchmark.pedantic(lambda: fit(plan, settings, CPU), rounds=3, warmup_rounds=1, iterations=1)
    if benchmark.stats is not None:
        ours = labels * settings.train.epochs / benchmark.stats.stats.median
        print(
            f"\nfan: {ours:.0f} labels/s with validation, plain windowed loop {plain:.0f} "
            f"without: ratio {ours / plain:.1f}"
        )


def test_default_recipe_comes_close_to_a_run_ten_times_as_long(benchmark: Any) -> None:
    settings, plan = _default()
    epochs = 10 * settings.train.epochs
    longer, _ = _default(f"train.epochs={epochs}", f"train.patience={epochs}")
    plain = sum(len(rows) for rows in plan.train) / _plain_labels_per_second(plan, settings)
    short = benchmark.pedantic(lambda: fit(plan, settings, CPU), rounds=1, iterations=1)
    best, seconds = _best_and_seconds(short)
    best_of_longer, seconds_of_longer = _best_and_seconds(fit(plan, longer, CPU))
    print(
        f"\nbest validation loss {best:.5f} in {len(short.history)} epochs, {seconds:.1f} s; "
        f"{best_of_longer:.5f} in {epochs} epochs, {seconds_of_longer:.1f} s: ratio "
        f"{best / best_of_longer:.4f}; one pass of the plain windowed loop takes {plain:.0f} s"
    )
    assert best <= 1.005 * best_of_longer


def test_memory_grows_with_rows_and_not_with_windows(benchmark: Any) -> None:
    """500 symbols of 5,000 rows: 2.1 million windows of 250 rows."""
    settings = load_settings("default", ['window.features=["close"]', "train.epochs=1"])
    generator = np.random.default_rng(0)
    series = [
        series_of(np.exp(np.cumsum(generator.normal(0, 0.01, 5000))), symbol=f"S{number}")
        for number in range(500)
    ]
    plan = make_plan(series, settings)
    benchmark.pedantic(lambda: fit(plan, settings, CPU), rounds=1, iterations=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n500 symbols x 5,000 rows, an epoch: peak memory of the process {peak:.0f} MiB")


def _default(*changes: str) -> tuple[Settings, Plan]:
    """Return the default recipe up to 2012, with the features its data have, and its plan."""
    settings = load_settings(
        "default", ["split.train_end=2012-12-31", 'window.features=["close"]', *changes]
    )
    return settings, shipped_plan(settings)


def _best_and_seconds(done: Fit) -> tuple[float, float]:
    """Return the best validation loss and how long all epochs took, validation included."""
    best = min(epoch.validation_loss for epoch in done.history)
    return best, sum(epoch.seconds for epoch in done.history)


def _plain_labels_per_second(plan: Plan, settings: Settings) -> float:
    window = settings.window
    rows = join(plan.series)
    cutoffs = flat_cutoffs(rows, [part[::40] for part in plan.train])
    frame = volatility_frame(contexts(rows, cutoffs, window.context_length), window.features)
    moves = (futures(rows, cutoffs, window.horizon)[..., 0] / rows.values[cutoffs, :1]).log()
    steps = torch.arange(1, window.horizon + 1).sqrt()
    target = (moves / (frame.sigma[:, -1:] * steps)).float()
    levels = torch.tensor(settings.forecast.quantile_levels)
    with seeded(0, CPU):
        network = new_member(settings, corrects=False)  # quantiles from the network alone
        body, head = network.children()
        optimizer = torch.optim.Adam(network.parameters())
        began = time.perf_counter()
        for batch in torch.split(torch.randperm(len(cutoffs)), 64):
            optimizer.zero_grad()
            over = target[batch][..., None] - head(body(frame.x[batch])[:, -1])
            torch.maximum(levels * over, (levels - 1) * over).mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        return len(cutoffs) / (time.perf_counter() - began)
