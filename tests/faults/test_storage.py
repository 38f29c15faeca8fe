"""The store under disk errors, kills, concurrent runs and links.

Separate processes are killed or get an error at every step that changes the folder. After each,
every file is the old one or the new one, never a part.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import versions
from tests.command_line import assert_one_error, csv_text, hashes, succeed, walk
from tests.forked_runs import NOBODY, DiskFault, ForkServer, Run
from tests.store_state import holds, is_free, sidecar_fits, strays
from tests.yahoo_stand_in import StandIn, random_walk, split

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes to kill")

SLOW = pytest.mark.slow
BARS = random_walk(60)
AFTER = split(BARS, "2024-03-15", 4)
FETCH = ("fetch", "AAPL", "--rate", "100")
IMPORT = ("data", "import", "mine.csv", "--quiet")
TRAIN = ("train", "--config", "tiny.toml", "--force", "--quiet")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
MOST_STEPS = 80
CSV = Path("data/prices/1d/AAPL.csv")
EVERY_STEP = pytest.mark.parametrize(
    "stride", [pytest.param(6, id="some-steps"), pytest.param(1, id="every-step", marks=SLOW)]
)


@pytest.fixture
def fetched(yahoo: StandIn, forks: ForkServer, place: Path) -> Path:
    """A folder with one symbol, whose history the feed has restated since."""
    yahoo.serve("AAPL", BARS[:50])
    succeed(*FETCH, folder=place)
    yahoo.serve("AAPL", AFTER)
    return place


@pytest.fixture
def imported(forks: ForkServer, place: Path) -> Path:
    """A folder with imported prices, and a longer file of them to come."""
    prices = walk(80)
    (place / "mine.csv").write_text(csv_text(prices[:60]))
    succeed(*IMPORT, folder=place)
    (place / "mine.csv").write_text(csv_text(prices))
    return place


def copies(folder: Path, stride: int) -> Iterator[tuple[int, Path]]:
    """A fresh copy of a folder for each step, as often as they are asked for."""
    for step in range(stride, MOST_STEPS, stride):
        copy = folder / f"step-{step}"
        shutil.copytree(folder / "data", copy / "data")
        for extra in folder.glob("*.csv"):
            shutil.copy(extra, copy)
        yield step, copy
        shutil.rmtree(copy)


def assert_sound(folder: Path, new: pd.DataFrame) -> None:
    """The bars are those of before or those of now."""
    data = (folder / CSV).read_bytes()
    assert holds(data, BARS[:50]) or holds(data, new)
    assert is_free(folder / "data/prices/.lock")


@EVERY_STEP
def test_a_fetch_killed_at_any_step_leaves_old_or_new_and_the_next_repairs_it(
    fetched: Path, forks: ForkServer, stride: int
) -> None:
    for step, folder in copies(fetched, stride):
        run = forks.run(*FETCH, folder=folder, fault=DiskFault("kill", step))
        assert_sound(folder, AFTER)
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        succeed(*FETCH, folder=folder)
        assert holds((folder / CSV).read_bytes(), AFTER)
        assert sidecar_fits(folder / CSV)
        assert strays(folder) == []
    assert step > 8


@EVERY_STEP
def test_an_import_killed_at_any_step_leaves_old_or_new_and_the_next_repairs_it(
    imported: Path, forks: ForkServer, stride: int
) -> None:
    stored = Path("data/prices/1d/MINE.csv")
    old = (imported / stored).read_bytes()
    seen = set()
    for step, folder in copies(imported, stride):
        run = forks.run(*IMPORT, folder=folder, fault=DiskFault("kill", step))
        seen.add((folder / stored).read_bytes())
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        succeed(*IMPORT, folder=folder)
        assert sidecar_fits(folder / stored)
        assert strays(folder) == []
        seen.add((folder / stored).read_bytes())
    assert step > 8
    assert len(seen) == 2
    assert old in seen


def test_a_first_training_killed_at_its_end_leaves_a_whole_version_or_none(
    home: Path, forks: ForkServer
) -> None:
    shutil.rmtree(home / "data")
    steps = forks.run(*TRAIN, folder=home).steps
    names = ("/v0001", "/champion", "/.checkpoint.safetensors")
    last = [step for step, what in enumerate(steps, 1) if what.endswith(names)]
    for step in {step + after for step in last[-3:] for after in (0, 1)}:
        shutil.rmtree(home / "data")
        run = forks.run(*TRAIN, folder=home, fault=DiskFault("kill", step))
        assert run.code == (-signal.SIGKILL if step <= len(steps) else 0)
        for version in versions(home / "data", "tiny"):
            succeed("predict", "-m", f"tiny/{version}", folder=home)
        # Not forced, and still not unchanged: whether it becomes champion was never decided.
        succeed("train", "--config", "tiny.toml", "--resume", folder=home)
        succeed("predict", folder=home)


@EVERY_STEP
def test_a_removal_killed_at_any_step_is_completed_by_the_next_one(
    imported: Path, forks: ForkServer, stride: int
) -> None:
    remove = ("data", "remove", "MINE", "--yes", "--quiet")
    for step, folder in copies(imported, stride):
        run = forks.run(*remove, folder=folder, fault=DiskFault("kill", step))
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        succeed(*IMPORT, folder=folder)
        succeed(*remove, folder=folder)
        assert not list((folder / "data/prices/1d").iterdir())
    assert step >= 4


def is_harmless(run: Run, step: int) -> bool:
    """Whether a run may do without a step.

    What was there already need not be made, nor what has gone removed; and a run that is not in the
    data folder's record is done all the same.
    """
    name, where = run.steps[step - 1].split(" ", 1)
    of_record = Path(where).name == "data" or Path(where).parent.name == "data"
    return name in ("mkdir", "remove") or of_record


def assert_one_failed(run: Run, number: int) -> None:
    """A batch of one symbol that could not be stored: exit 1, a line of why, no traceback."""
    assert run.code == 1, run
    assert os.strerror(number) in run.err
    assert "Traceback" not in run.err
    assert len(run.err.splitlines()) == 1
    assert run.err.startswith(("lstmcli: failed: AAPL: cannot ", "lstmcli: error: cannot "))


@EVERY_STEP
@pytest.mark.parametrize("lasting", [pytest.param(False, marks=SLOW), True])
def test_a_fetch_that_cannot_write_reports_it_and_leaves_old_or_new(
    fetched: Path, forks: ForkServer, lasting: bool, stride: int
) -> None:
    for step, folder in copies(fetched, stride):
        number = ERRORS[step % len(ERRORS)]
        fault = DiskFault("error", step, number, lasting)
        run = forks.run(*FETCH, folder=folder, fault=fault)
        assert_sound(folder, AFTER)
        assert strays(folder) == []
        if run.code == 0 and len(run.steps) < step:
            break
        if run.code == 0:
            assert is_harmless(run, step), run
        else:
            assert_one_failed(run, number)
        succeed(*FETCH, folder=folder)
        assert holds((folder / CSV).read_bytes(), AFTER)
        assert sidecar_fits(folder / CSV)
    assert step > 8


@EVERY_STEP
def test_an_import_that_cannot_write_reports_it_and_leaves_old_or_new(
    imported: Path, forks: ForkServer, stride: int
) -> None:
    stored = Path("data/prices/1d/MINE.csv")
    seen = set()
    for step, folder in copies(imported, stride):
        number = ERRORS[step % len(ERRORS)]
        run = forks.run(*IMPORT, folder=folder, fault=DiskFault("error", step, number))
        seen.add((folder / stored).read_bytes())
        assert strays(folder) == []
        if run.code == 0 and len(run.steps) < step:
            break
        if run.code:
            assert_one_error(run, 1, os.strerror(number))
    assert step > 8
    assert len(seen) == 2


@EVERY_STEP
@pytest.mark.parametrize("lasting", [False, pytest.param(True, marks=SLOW)])
def test_a_training_that_cannot_write_reports_it_and_keeps_the_models(
    home: Path, forks: ForkServer, lasting: bool, stride: int
) -> None:
    before = hashes(home)
    for step in range(2, MOST_STEPS, stride):
        number = ERRORS[step % len(ERRORS)]
        fault = DiskFault("error", step, number, lasting)
        run = forks.run(*TRAIN, "--resume", folder=home, fault=fault)
        for version in versions(home / "data", "tiny"):
            load_bundle(home / "data/models/tiny" / version, torch.device("cpu"))
        after = hashes(home)
        assert {name: after[name] for name in before} == before
        assert is_free(home / "data/models/tiny/.lock")
        assert strays(home) == []
        if run.code == 0 and len(run.steps) < step:
            break
        if run.code:
            assert_one_error(run, 1, os.strerror(number))
    assert step > 20


@EVERY_STEP
def test_a_forecast_that_cannot_be_written_leaves_the_old_file(
    home: Path, forks: ForkServer, stride: int
) -> None:
    (home / "out.csv").write_text("old")
    for step in range(stride, MOST_STEPS, stride):
        number = ERRORS[step % len(ERRORS)]
        options = ("predict", "--format", "csv", "-o", "out.csv", "--quiet")
        run = forks.run(*options, folder=home, fault=DiskFault("error", step, number))
        if run.code == 0 and len(run.steps) < step:
            break
        assert strays(home) == []
        failed = run.steps[step - 1]
        if run.code == 0:
            assert is_harmless(run, step), run
        else:
            assert_one_error(run, 1, "out.csv", os.strerror(number))
        if run.code == 0 or (failed.startswith("fsync") and not failed.endswith("tmp")):
            (home / "out.csv").write_text("old")  # it has the name, and may not survive a power cut
        assert (home / "out.csv").read_text() == "old"
    assert step >= 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_really_full_disk_is_reported_and_temporary_files_are_removed(
    yahoo: StandIn, forks: ForkServer, place: Path
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yahoo.serve("AAPL", BARS[:50])
        succeed(*FETCH, folder=place)
        before = hashes(place)
        yahoo.serve("AAPL", random_walk(400))
        run = forks.run(*FETCH, "--full", folder=place)
        assert_one_failed(run, errno.ENOSPC)
        assert hashes(place) == before
        assert strays(place) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("what", ["data/prices/1d", "data/prices", "data"])
def test_an_unwritable_folder_is_reported(fetched: Path, forks: ForkServer, what: str) -> None:
    (fetched / what).chmod(0o555)
    before = hashes(fetched)
    run = forks.run(*FETCH, folder=fetched, user=NOBODY)
    (fetched / what).chmod(0o755)
    assert_one_failed(run, errno.EACCES)
    assert hashes(fetched) == before


def wait_until_held(lock: Path) -> None:
    deadline = time.monotonic() + 20.0
    while is_free(lock):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_with_wait_starts_after_the_other(
    fetched: Path, yahoo: StandIn, forks: ForkServer
) -> None:
    yahoo.faults["AAPL"] = ["hang"]
    first = forks.start(*FETCH, folder=fetched)
    wait_until_held(fetched / "data/prices/.lock")
    second = forks.run(*FETCH, "--wait", "30", folder=fetched)
    assert (forks.wait(first).code, second.code) == (0, 0)
    assert holds((fetched / CSV).read_bytes(), AFTER)


def test_an_unreadable_file_is_reported(fetched: Path, forks: ForkServer) -> None:
    (fetched / CSV).chmod(0)
    run = forks.run("data", "show", "AAPL", folder=fetched, user=NOBODY)
    assert_one_error(run, 1, "AAPL.csv", "Permission denied")


def test_unreadable_model_folders_are_reported(home: Path, forks: ForkServer) -> None:
    (home / "data/models").chmod(0)
    run = forks.run("predict", folder=home, user=NOBODY)
    assert_one_error(run, 1, "cannot use (data/models)", "Permission denied")


@pytest.mark.parametrize("what", ["data/models", "data/models/tiny"])
def test_unreadable_folders_are_bad_in_a_status(home: Path, forks: ForkServer, what: str) -> None:
    (home / what).chmod(0)
    run = forks.run("status", folder=home, user=NOBODY)
    (home / what).chmod(0o755)
    assert run.code == 0, run.err
    assert re.search(r"^bad +model.*\nmodel.*Permission denied", run.out, re.M | re.S)


def test_a_forecast_from_a_read_only_data_folder_gives_no_warning(
    home: Path, forks: ForkServer
) -> None:
    (home / "data").chmod(0o555)
    before = sorted(home.rglob("*"))
    run = forks.run("predict", "--csv", "prices.csv", "--quiet", folder=home, user=NOBODY)
    assert (run.code, run.err) == (0, "")
    assert sorted(home.rglob("*")) == before
