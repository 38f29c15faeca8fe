"""One table of what a GPU does: `python -m tests.benchmarks.cuda`, within five minutes.

From the root of a clone whose environment has a CUDA build of PyTorch. What does not fit into the
minutes is named and left out. `--device cpu` tries the script itself where there is no GPU.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lstmcli.dataset.series import Series
from lstmcli.learning.fit import fit
from lstmcli.recipes import load_settings
from tests.command_line import PROGRAM
from tests.synthetic import make_plan, series_of

TESTED = ("networks", "training", "forecasting", "dataset", "learning")
RECIPES = ("lab-corrected", "default")


class OutOfTime(Exception):
    """The minutes allowed are over."""


def main() -> None:
    """Print a table of Markdown, row by row."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cuda", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--series", type=int, nargs="*", default=[1000, 8000])
    parser.add_argument("--rows", type=int, default=5000, help="of each series")
    parser.add_argument("--batches", type=int, nargs="*", default=[64, 512, 4096])
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes

    def left() -> float:
        seconds = end - time.monotonic()
        if seconds < 1:
            raise OutOfTime
        return seconds

    device = torch.device(options.device)
    print(
        f"{_card(device)}, PyTorch {torch.__version__}, Python {sys.version.split()[0]}, ", end=""
    )
    print(f"{os.cpu_count()} processors\n\n| what | found |\n|---|---|", flush=True)
    rows: list[tuple[str, Callable[[], str]]] = []
    with tempfile.TemporaryDirectory() as folder:
        for recipe in RECIPES:
            rows += _recipe_rows(recipe, options.device, Path(folder), left)
        for count in options.series:
            for batch in options.batches:
                what = f"{count} series x {options.rows} closes, batch {batch}: second epoch"
                rows.append((what, partial(_epoch, count, options.rows, batch, device)))
        rows.append((f"tests of {', '.join(TESTED)}", partial(_tests, left)))
        for what, measure in rows:
            try:
                left()
                found = measure()
            except (OutOfTime, subprocess.TimeoutExpired):
                found = "left out, out of time"
            except subprocess.CalledProcessError as error:
                found = f"FAILED: {error.stderr.strip()[-200:]}"
            except torch.cuda.OutOfMemoryError:
                found = "FAILED: out of memory"
            print(f"| {what} | {found} |", flush=True)


def _card(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"


def _recipe_rows(
    recipe: str, device: str, folder: Path, left: Callable[[], float]
) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield what `train` takes on both devices, and whether bytes and forecasts are equal."""

    def train(name: str, where: str) -> str:
        options = ("--config", recipe, "--name", name, "--device", where, "--format", "json")
        began = time.monotonic()
        report = json.loads(_run(folder, left(), "train", *options))
        whole = time.monotonic() - began
        history = np.genfromtxt(folder / report["path"] / "history.csv", delimiter=",", names=True)
        epochs = float(np.atleast_1d(history)["seconds"].sum())
        return f"{whole:.1f} s from the shell, {epochs:.1f} s of it in epochs"

    def forecasts(where: str) -> str:
        options = ("--model", f"{recipe}-1", "--device", where, "--format", "csv")
        return _run(folder, left(), "predict", *options)

    def weights(name: str) -> str:
        (file,) = (folder / "data" / "models" / name).rglob("model.safetensors")
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def same_bytes() -> str:
        train(f"{recipe}-2", device)
        return "yes" if weights(f"{recipe}-1") == weights(f"{recipe}-2") else "NO"

    def same_forecasts() -> str:
        return "yes" if forecasts(device) == forecasts("cpu") else "NO"

    yield f"`train --config {recipe}` on {device}", lambda: train(f"{recipe}-1", device)
    yield "the same on the CPU, one thread", lambda: train(f"{recipe}-cpu", "cpu")
    yield "the same seed again: the same bytes of weights", same_bytes
    yield f"`predict` on {device} and on the CPU: every digit equal", same_forecasts


def _run(folder: Path, seconds: float, *words: str) -> str:
    done = subprocess.run(
        [PROGRAM, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=seconds
    )
    return done.stdout


def _epoch(count: int, rows: int, batch: int, device: torch.device) -> str:
    """Train the default network on random walks whose volatility clusters, for two epochs."""
    changes = ['window.features=["close"]', "train.epochs=2", f"train.batch_size={batch}"]
    settings = load_settings("default", changes)
    plan = make_plan(list(_walks(count, rows)), settings)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    last = fit(plan, settings, device).history[-1]
    labels = sum(len(part) for part in plan.train)
    memory = ""
    if device.type == "cuda":
        memory = f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB of the card"
    return (
        f"{last.seconds:.2f} s, {labels / last.seconds / 1e6:.2f} M labels/s{memory}, "
        f"validation loss {last.validation_loss:.5f}"
    )


def _walks(count: int, rows: int) -> Iterator[Series]:
    generator = np.random.default_rng(0)
    for number in range(count):
        volatility = np.full(rows, 0.01)
        drawn = generator.normal(size=rows)
        for day in range(1, rows):
            shock = 0.1 * (volatility[day - 1] * drawn[day - 1]) ** 2
            volatility[day] = np.sqrt(2e-6 + shock + 0.88 * volatility[day - 1] ** 2)
        yield series_of(np.exp(np.cumsum(volatility * drawn)), symbol=f"S{number}")


def _tests(left: Callable[[], float]) -> str:
    folders = [f"tests/{name}" for name in TESTED]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *folders, "-x", "-p", "no:cacheprovider"],
        check=False,
        capture_output=True,
        text=True,
        timeout=left(),
    )
    return done.stdout.strip().splitlines()[-1].strip("= ")


if __name__ == "__main__":
    main()
