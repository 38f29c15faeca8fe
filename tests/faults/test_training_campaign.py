"""Trainings killed at random moments and resumed give the same weights as uninterrupted ones.

A moment is a disk operation or a time. Half of the runs are interrupted again while they resume, by
a kill or a signal. Each finally ends without a fault and is compared with an uninterrupted run of
its recipe: weights, history except seconds, remaining files.

`pytest tests/faults/test_training_campaign.py -m slow -s` runs all of it and prints what happened.
"""

import csv
import hashlib
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lstmcli.runs.checkpoint import CHECKPOINT, read_checkpoint
from tests.command_line import csv_text, walk
from tests.forked_runs import DiskFault, ForkServer, Run
from tests.store_state import is_free, strays

RECIPES = {
    "point": """\
[data]
csv = ["one.csv"]
[window]
context_length = 10
horizon = 5
features = ["close"]
scaling = "log_return"
[model]
head = "recursive"
hidden_sizes = [4]
dropout = 0.2
[train]
epochs = 6
schedule = "plateau"
learning_rate = 0.1
""",
    "ensemble": """\
[data]
csv = ["one.csv", "two.csv"]
[window]
context_length = 60
horizon = 5
[model]
hidden_sizes = [4]
dropout = 0.2
[train]
members = 2
epochs = 3
patience = 2
chunk_length = 60
burn_in = 40
learning_rate = 0.05
""",
    "lanes": """\
[data]
csv = ["one.csv", "two.csv"]
[window]
context_length = 60
horizon = 5
[model]
hidden_sizes = [4]
[train]
stateful = true
batch_size = 1
epochs = 5
chunk_length = 60
burn_in = 40
optimizer = "rmsprop"
schedule = "constant"
""",
}
STOPS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


@dataclass(frozen=True)
class Unbroken:
    """What a run comes to without a fault, how many steps of the disk and seconds it takes."""

    weights: str
    history: list[dict[str, str]]
    steps: int
    seconds: float


@dataclass
class Tally:
    """What happened, and what should not have."""

    moments: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    resumed: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.moments} moments"]
        for title, counts in (("broken off", self.endings), ("resumed", self.resumed)):
            told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            lines.append(f"{title}: {told}")
        return "\n".join([*lines, f"{len(self.problems)} problems"])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize("moments", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_a_training_killed_at_any_moment_resumes_to_the_same_bytes(
    moments: int, forks: ForkServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows in (("one", 300), ("two", 340)):
        (place / f"{name}.csv").write_text(csv_text(walk(rows, seed=rows)))
    for name, text in RECIPES.items():
        (place / f"{name}.toml").write_text(text)
    unbroken = {name: run_unbroken(name, forks, place) for name in RECIPES}
    tally = Tally()
    number = 0
    while tally.moments < moments:
        number += 1
        random = np.random.default_rng([20_240_602, number])
        recipe = list(RECIPES)[number % len(RECIPES)]
        one_moment(f"moment {number}", recipe, unbroken[recipe], random, forks, place, tally)
    with capsys.disabled():
        if moments > 3:
            print(f"\n{tally}")  # noqa: T201
    assert not tally.problems, "\n\n".join(tally.problems)
    assert tally.endings["killed"] >= moments


def command(recipe: str) -> tuple[str, ...]:
    return ("train", "--config", f"{recipe}.toml", "--resume")


def run_unbroken(recipe: str, forks: ForkServer, place: Path) -> Unbroken:
    forks.run("train", "--config", f"{recipe}.toml", "--name", "first", folder=place)
    began = time.monotonic()  # only the server's first run takes longer than the others
    run = forks.run(*command(recipe), folder=place)
    seconds = time.monotonic() - began
    assert run.code == 0, run.err
    folder = place / f"data/models/{recipe}/v0001"
    found = Unbroken(hash_of(folder), history_of(folder), len(run.steps), seconds)
    shutil.rmtree(place / "data")
    return found


def one_moment(
    name: str,
    recipe: str,
    unbroken: Unbroken,
    random: np.random.Generator,
    forks: ForkServer,
    place: Path,
    tally: Tally,
) -> None:
    """Break a training off, perhaps once more while it resumes, and let it come to its end.

    A kill that comes too late, when the training is done, is no moment.
    """
    told = [f"{name}, {recipe}"]
    for number in (signal.SIGKILL, *draw_second_stop(random)):
        lying_about = set(strays(place))
        run, how = broken_off(recipe, number, unbroken, random, forks, place)
        tally.endings[ending(run)] += 1
        told.append(f"{how}: exit {run.code}\n{run.err}")
        left = set(strays(place)) - lying_about
        look_after_stop(run, number, recipe, place, left, "\n".join(told), tally)
        tally.moments += number == signal.SIGKILL and run.code == -number and len(told) == 2
    kept = read_checkpoint(place / "data/models" / recipe)
    run = forks.run(*command(recipe), folder=place)
    told.append(f"exit {run.code}\n{run.err}{run.out}")
    again = (
        "after" if "resumed after" in run.err else "unchanged" if "unchanged" in run.out else "anew"
    )
    if again == "after":
        again = f"after {kept and kept[1]}"
    tally.resumed[again] += 1
    look_at_end(run, recipe, unbroken, place, "\n".join(told), tally)
    shutil.rmtree(place / "data", ignore_errors=True)


def draw_second_stop(random: np.random.Generator) -> list[int]:
    return [list(STOPS)[random.integers(len(STOPS))]] if random.random() < 0.5 else []


def broken_off(
    recipe: str,
    number: int,
    unbroken: Unbroken,
    random: np.random.Generator,
    forks: ForkServer,
    place: Path,
) -> tuple[Run, str]:
    if number == signal.SIGKILL and random.random() < 0.5:
        step = int(random.integers(1, unbroken.steps + 1))
        fault = DiskFault("kill", step)
        return forks.run(*command(recipe), folder=place, fault=fault), f"killed at step {step}"
    seconds = float(random.uniform(0, unbroken.seconds))
    pid = forks.start(*command(recipe), folder=place)
    time.sleep(seconds)
    os.kill(pid, number)
    return forks.wait(pid), f"signal {number} after {seconds:.3f} s"


def ending(run: Run) -> str:
    names = {0: "done before", 130: "interrupted", 143: "terminated"}
    return "killed" if run.code < 0 else names.get(run.code, f"exit {run.code}")


def look_after_stop(
    run: Run, number: int, recipe: str, place: Path, left: set[Path], told: str, tally: Tally
) -> None:
    """The code is right, the lock is free, and a run that could clear up has left nothing."""
    folder = place / "data/models" / recipe
    # A signal that comes before the command has a handler for it ends the process itself.
    if run.code not in (0, STOPS[signal.Signals(number)], -number):
        tally.problems.append(f"a wrong exit code: {told}")
    if run.code > 0 and (left or "Traceback" in run.err):
        tally.problems.append(f"strays or a traceback: {left} {told}")
    if not is_free(folder / ".lock"):
        tally.problems.append(f"the lock is held: {told}")


def look_at_end(
    run: Run, recipe: str, unbroken: Unbroken, place: Path, told: str, tally: Tally
) -> None:
    folder = place / "data/models" / recipe
    if run.code != 0:
        tally.problems.append(f"it does not come to its end: {told}")
        return
    for version in folder.glob("v*"):
        if hash_of(version) != unbroken.weights:
            tally.problems.append(f"other weights: {told}")
        if history_of(version) != unbroken.history:
            tally.problems.append(f"another history: {told}")
    if strays(place) or (folder / CHECKPOINT).exists() or not (folder / "champion").exists():
        tally.problems.append(f"something is left, or lacking: {told}")


def hash_of(version: Path) -> str:
    return hashlib.sha256((version / "model.safetensors").read_bytes()).hexdigest()


def history_of(version: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((version / "history.csv").read_text().splitlines()))
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]
