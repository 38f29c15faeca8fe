"""How long the main job takes: `pytest tests/benchmarks -m slow --benchmark-enable -s`.

Each figure stands beside a yardstick timed in the same run, because machines differ and are noisy:
an empty Python process, and a plain PyTorch loop over materialised windows of the same network.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.config import Settings
from lstmcli.learning.fit import fit
from lstmcli.learning.plan import Plan
from lstmcli.recipes import load_settings
from lstmcli.training.device import seeded
from tests.benchmarks.measure import shipped_plan
from tests.command_line import PROGRAM
from tests.synthetic import CPU

pytestmark = pytest.mark.slow


def test_train_predict_and_evaluate_from_the_shell(benchmark: Any, tmp_path: Path) -> None:
    def job() -> None:
        for arguments in (["train", "--config", "lab-corrected"], ["predict"], ["evaluate"]):
            subprocess.run(
                [PROGRAM, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=300
            )

    benchmark.pedantic(job, rounds=1, iterations=1)
    _tell("lab-corrected: train, predict and evaluate from the shell", benchmark)


def test_help_starts_quickly(benchmark: Any) -> None:
    def start() -> None:
        subprocess.run([PROGRAM, "--help"], check=True, capture_output=True)

    empty = _median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    benchmark.pedantic(start, rounds=7, warmup_rounds=1, iterations=1)
    _tell(f"--help; an empty Python process takes {empty:.3f} s", benchmark)


def test_training_keeps_pace_with_a_plain_loop(benchmark: Any) -> None:
    alike = ["train.labels=window", "train.batch_size=64", "train.epochs=2"]
    settings = load_settings("lab-corrected", [*alike, "train.schedule=constant"])
    plan = shipped_plan(settings)
    windows = len(plan.train[0])
    plain = _plain_loop(plan, settings)
    benchmark.pedantic(lambda: fit(plan, settings, CPU), rounds=3, warmup_rounds=1, iterations=1)
    if benchmark.stats is not None:
        ours = benchmark.stats.stats.median / settings.train.epochs
        print(
            f"\ntraining: {windows / ours:.0f} windows/s with validation, plain loop "
            f"{windows / plain:.0f} without: ratio {plain / ours:.2f}"
        )


def _plain_loop(plan: Plan, settings: Settings) -> float:
    """Seconds an epoch of the textbook loop: windows copied out, `nn.LSTM` layers, Adam, MSE."""
    torch.set_num_threads(settings.train.threads)
    values = plan.series[0].values[:, 0]
    frames = np.lib.stride_tricks.sliding_window_view(values, settings.window.context_length + 1)
    frames = frames[: len(plan.train[0])]
    scaled = torch.tensor(frames / frames[:, :1] - 1, dtype=torch.float32)
    x, y = scaled[:, :-1, None].transpose(0, 1).contiguous(), scaled[:, -1:]
    with seeded(0, CPU):
        first, second, last = nn.LSTM(1, 50), nn.LSTM(50, 100), nn.Linear(100, 1)
        weights = [*first.parameters(), *second.parameters(), *last.parameters()]
        optimizer = torch.optim.Adam(weights, foreach=True)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            for batch in torch.randperm(x.shape[1]).split(settings.train.batch_size):
                optimizer.zero_grad()
                states = second(first(x[:, batch])[0])[0]
                nn.functional.mse_loss(last(states[-1]), y[batch]).backward()
                optimizer.step()
            seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _median(work: Any) -> float:
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def _tell(what: str, benchmark: Any) -> None:
    if benchmark.stats is not None:
        print(f"\n{what}: {benchmark.stats.stats.median:.3f} s (median)")
