"""What `--ray local` costs and gains on two cores.

`pytest tests/benchmarks/test_cluster.py -m slow -s` prints it.

The yardstick is the same command without it. The start of the cluster, some seconds, is included.
"""

import subprocess
import time
from pathlib import Path

import pytest

from lstmcli.cluster.connection import connected
from tests.command_line import PROGRAM

pytestmark = pytest.mark.slow
INDEX = str(Path("data/sp500.csv").absolute())
LONG = ("--set", "train.epochs=30", "--set", "train.patience=30")


def seconds(folder: Path, *words: str) -> float:
    began = time.perf_counter()
    subprocess.run([PROGRAM, *words, "--quiet"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def test_a_search(tmp_path: Path) -> None:
    search = ("tune", "--csv", INDEX, "--trials", "12", "--sampler", "random", "--pruner", "none")
    alone = seconds(tmp_path, *search, *LONG, "--name", "alone")
    together = seconds(tmp_path, *search, *LONG, "--name", "together", "--ray", "local")
    print(f"\ntune, 12 trials of 30 epochs: {alone:.1f} s, with --ray local {together:.1f} s")
    assert len(list((tmp_path / "data" / "tuning").iterdir())) == 2


def test_refits(tmp_path: Path) -> None:
    seconds(tmp_path, "train", "--csv", INDEX, "--name", "m", *LONG)
    refits = ("evaluate", "--csv", INDEX, "--model", "m", "--refits", "12", "--refit", "1")
    alone = seconds(tmp_path, *refits, "--output", "alone.json")
    together = seconds(tmp_path, *refits, "--output", "together.json", "--ray", "local")
    print(f"\nevaluate --refits 12: {alone:.1f} s, with --ray local {together:.1f} s")
    assert (tmp_path / "alone.json").read_text() == (tmp_path / "together.json").read_text()


def test_a_task() -> None:
    calls = [(2, number) for number in range(1000)]
    with connected("local", threads=1) as cluster:
        list(cluster.run(pow, calls[:100]))  # which starts the workers
        for ahead in (None, len(calls)):
            began = time.perf_counter()
            assert len(list(cluster.run(pow, calls, ahead=ahead))) == 1000
            spent = time.perf_counter() - began
            print(f"\na task, {ahead or 'few'} given out at once: {spent:.2f} ms")


def test_one_forecast_and_one_fit(tmp_path: Path) -> None:
    for words in (("predict", "--csv", INDEX), ("train", "--csv", INDEX, "--name", "m")):
        alone = seconds(tmp_path, *words)
        together = seconds(tmp_path, *words, "--ray", "local")
        print(f"\n{words[0]}: {alone:.1f} s, with --ray local {together:.1f} s")
