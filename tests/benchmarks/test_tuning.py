"""What a search costs: `pytest tests/benchmarks/test_tuning.py -m slow -s`.

Forty trials of the default recipe on the index, from the shipped space and with pruning, killed in
the middle by SIGKILL and resumed by the same command.
"""

import json
import resource
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.command_line import PROGRAM, environment

pytestmark = pytest.mark.slow

INDEX = Path("data/sp500.csv").absolute()
TUNE = [PROGRAM, "tune", "--csv", str(INDEX), "--trials", "40"]
KILLED_AFTER = 15


def begin(folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TUNE, *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(folder: Path) -> dict[int, Any]:
    """The stored result of each trial that has ended, by its number."""
    storage = f"sqlite:///{folder}/data/tuning/default/study.db"
    kept = [
        trial.user_attrs for trial in optuna.load_study(study_name="tune", storage=storage).trials
    ]
    return {each["number"]: each for each in kept}


def test_forty_trials_on_the_index_with_a_kill_between(tmp_path: Path) -> None:
    began = time.perf_counter()
    with begin(tmp_path, "--verbose") as first:
        assert first.stderr
        for _ in range(KILLED_AFTER):
            assert first.stderr.readline().startswith("trial ")
        first.send_signal(signal.SIGKILL)
    kept = results(tmp_path)
    assert len(kept) >= KILLED_AFTER
    with begin(tmp_path, "--format", "json") as second:
        out, err = second.communicate()
    seconds = time.perf_counter() - began
    assert second.returncode == 0, err
    found = json.loads(out)
    assert sorted(trial["number"] for trial in found["trials"]) == list(range(40))
    for trial in found["trials"]:
        if trial["number"] in kept:
            assert trial["scores"] == kept[trial["number"]]["scores"]
            assert trial["seconds"] == kept[trial["number"]]["seconds"], "it was not run again"
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    states = Counter(trial["state"] for trial in found["trials"])
    print(
        f"\n40 trials, killed after {len(kept)}: {seconds:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} CPU seconds; "
        + ", ".join(f"{count} {state}" for state, count in states.items())
        + f"; {found['verdict']}"
    )
