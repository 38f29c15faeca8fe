"""What `--ray local` gains on two cores: `pytest tests/benchmarks/test_cluster.py -m slow -s`.

The yardstick is the same command without it. The start of the cluster, some seconds, is included.
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
COMMAND = str(Path(sys.executable).parent / "lstmcli")
INDEX = str(Path("data/sp500.csv").absolute())
LONG = ("--set", "train.epochs=30", "--set", "train.patience=30")


def seconds(folder: Path, *words: str) -> float:
    began = time.perf_counter()
    subprocess.run([COMMAND, *words, "--quiet"], cwd=folder, check=True, capture_output=True)
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
