"""Champions under kills and full disks.

Separate processes are killed at every step that changes the folder; the commands after a kill run
in this process. After each kill the pointer is the old one or the new one, never a part, and its
version exists.
"""

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import versions
from tests.command_line import Outcome, assert_one_error, document_of, in_process, succeed
from tests.faults.conftest import copies
from tests.forked_runs import DiskFault, ForkServer
from tests.store_state import is_free, strays
from tests.yahoo_stand_in import StandIn, random_walk, split

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes to kill")

SLOW = pytest.mark.slow
MODELS = Path("data/models/tiny")
TRAIN = ("train", "--config", "tiny.toml", "--force", "--quiet", "--promote")
MOST_STEPS = 80
EVERY_STEP = pytest.mark.parametrize(
    "stride", [pytest.param(6, id="some-steps"), pytest.param(1, id="every-step", marks=SLOW)]
)
SOME_STEPS = pytest.mark.parametrize(
    "stride", [pytest.param(3, id="some-steps"), pytest.param(1, id="every-step", marks=SLOW)]
)
# Each command, the pointer that it leaves and the versions that may be gone after it.
CHANGES = {
    "promote": (("promote", "tiny/v0002"), ["v0002", "v0003", "v0001"], set()),
    "rollback": (("rollback", "tiny"), ["v0001"], set()),
    "prune": (("prune", "tiny", "--keep", "1"), ["v0003", "v0001"], {"v0002", "v0004"}),
}


@pytest.fixture(scope="module")
def five(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five versions, of which the third is champion after the first; not to be changed."""
    home = Path(shutil.copytree(trained_home, tmp_path_factory.mktemp("five") / "home"))
    for promotion in ("never", "always", "never", "never"):
        succeed(*TRAIN, promotion, folder=home)
    assert pointer(home) == ["v0003", "v0001"]
    return home


def pointer(home: Path) -> list[str]:
    return (home / MODELS / "champion").read_text("ascii").splitlines()


def assert_sound(home: Path, pointers: list[list[str]], may_be_gone: set[str]) -> None:
    """The pointer is one of these, all it names is there, and every version is whole."""
    assert pointer(home) in pointers
    there = set(versions(home / "data", "tiny"))
    assert set(pointer(home)) <= there
    assert {"v0001", "v0002", "v0003", "v0004", "v0005"} - there <= may_be_gone
    for version in there:
        load_bundle(home / MODELS / version, torch.device("cpu"))
    assert is_free(home / MODELS / ".lock")


@SOME_STEPS
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_killed_at_any_step_leaves_the_old_champion_or_the_new_one(
    five: Path, forks: ForkServer, place: Path, change: str, stride: int
) -> None:
    command, after, may_be_gone = CHANGES[change]
    old, seen = pointer(five), set()
    for step, folder in copies(five, stride, MOST_STEPS, place):
        run = forks.run("models", *command, folder=folder, fault=DiskFault("kill", step))
        assert_sound(folder, [old, after], may_be_gone)
        seen.add((pointer(folder)[0], *versions(folder / "data", "tiny")))
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        again = in_process("models", *command, folder=folder)
        if change == "rollback" and again.code:  # it was done, and leads no further back
            assert_one_error(again, 1, "no earlier champion")
        else:
            assert again.code == 0, again.err
        assert_sound(folder, [after], may_be_gone)
        succeed("models", "prune", "tiny", "--keep", "9", folder=folder)
        assert strays(folder) == []
    assert step > 5
    assert len(seen) >= 2


@SOME_STEPS
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_the_disk_refuses_is_reported_and_leaves_the_old_or_the_new(
    five: Path, forks: ForkServer, place: Path, change: str, stride: int
) -> None:
    command, after, may_be_gone = CHANGES[change]
    old = pointer(five)
    for step, folder in copies(five, stride, MOST_STEPS, place):
        fault = DiskFault("error", step, errno.ENOSPC, lasting=True)
        run = forks.run("models", *command, folder=folder, fault=fault)
        assert_sound(folder, [old, after], may_be_gone)
        if run.code == 0:
            break
        assert_one_error(run, 1, os.strerror(errno.ENOSPC))
    assert step > 3


@EVERY_STEP
def test_a_training_that_promotes_killed_at_any_step_leaves_the_old_champion_or_its_own(
    home: Path, forks: ForkServer, stride: int
) -> None:
    """One run after the other in the same folder, so that each finds what the last one left."""
    moved = 0
    for step in range(2, MOST_STEPS, stride):
        before = pointer(home)
        run = forks.run(*TRAIN, "always", folder=home, fault=DiskFault("kill", step))
        known = versions(home / "data", "tiny")
        assert pointer(home) in (before, [known[-1], *before])
        moved += pointer(home) != before
        for version in {*known, *pointer(home)}:
            load_bundle(home / MODELS / version, torch.device("cpu"))
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
    assert step > 20
    assert run.code == 0
    assert moved >= 1
    assert strays(home) == []


@EVERY_STEP
def test_replaced_prices_leave_a_mark_wherever_the_fetch_was_killed(
    yahoo: StandIn, forks: ForkServer, place: Path, trained_home: Path, stride: int
) -> None:
    bars = random_walk(130)
    yahoo.serve("AAPL", bars[:120])
    (place / "tiny.toml").write_text((trained_home / "tiny.toml").read_text())
    succeed("fetch", "AAPL", "--rate", 100, folder=place)
    train = (*TRAIN, "always", "AAPL")
    succeed(*train, folder=place)
    old = (place / "data/prices/1d/AAPL.csv").read_bytes()
    yahoo.serve("AAPL", split(bars, "2024-06-24", 4))
    template = place / "template"
    shutil.copytree(place / "data", template / "data")
    for step, folder in copies(template, stride, MOST_STEPS):
        run = forks.run(
            "fetch", "AAPL", "--rate", 100, folder=folder, fault=DiskFault("kill", step)
        )
        if (folder / "data/prices/1d/AAPL.csv").read_bytes() != old:
            assert [mark["symbol"] for mark in document_of(folder, "predict")["stale"]] == ["AAPL"]
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        succeed("fetch", "AAPL", "--rate", 100, folder=folder)
        assert strays(folder) == []
        assert [mark["symbol"] for mark in document_of(folder, "predict")["stale"]] == ["AAPL"]
    assert step > 12


def trained(home: Path, *options: str) -> Outcome:
    return in_process(
        "train", "-c", "tiny.toml", "--force", "--format", "json", *options, folder=home
    )


BAD = ("--set", "window.scaling=relative", "--set", "train.learning_rate=1")


def test_a_challenger_that_cannot_be_judged_yet_does_not_replace_the_champion(home: Path) -> None:
    text = trained(home, *BAD, "--format", "table").out
    assert " Then: lstmcli models promote tiny/v0002 --if-better. Saved in " in text
    found = json.loads(trained(home, *BAD).out)
    assert found["promoted"] is False
    decision = found["metadata"]["decision"]
    assert decision["sessions_needed"] > 0
    assert f"it can be judged in {decision['sessions_needed']} sessions" in found["why"]
    assert pointer(home) == ["v0001"]
