"""Training under signals, kills and disk errors: the checkpoint resumes it exactly.

The runs are separate processes, stopped while they train.
"""

import errno
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lstmcli.runs.checkpoint import CHECKPOINT
from tests.command_line import assert_one_error, hashes, succeed
from tests.forked_runs import DiskFault, ForkServer, Run
from tests.store_state import is_free, strays

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes to stop")

LONG = (
    "train", "--config", "tiny.toml", "--promote", "never",
    "--set", "train.epochs=60", "--set", "train.patience=60",
)  # fmt: skip
MODEL = Path("data/models/tiny")


@pytest.fixture(scope="module")
def whole(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of an unbroken long run."""
    home = tmp_path_factory.mktemp("whole") / "home"
    shutil.copytree(trained_home, home)
    succeed(*LONG, folder=home)
    return weights(home / MODEL / "v0002")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def begin(forks: ForkServer, home: Path, *options: object) -> int:
    """Start a long training, and return its process once an epoch is done."""
    pid = forks.start(*LONG, *options, folder=home)
    wait_for(home / MODEL / CHECKPOINT)
    return pid


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60.0
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def stop(forks: ForkServer, pid: int, number: int) -> Run:
    os.kill(pid, number)
    return forks.wait(pid)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_training_reports_its_checkpoint_and_resumes_to_the_same_bytes(
    home: Path, forks: ForkServer, whole: bytes, number: int, code: int
) -> None:
    before = hashes(home)
    pid = begin(forks, home, "--quiet")
    run = stop(forks, pid, number)
    assert (run.code, run.out) == (code, "")
    (line,) = run.err.splitlines()
    assert line.startswith("lstmcli: stopped: epoch ")
    assert line.endswith(" of tiny is kept, --resume continues from there")
    assert strays(home) == []
    assert is_free(home / MODEL / ".lock")
    after = hashes(home)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {str(MODEL / CHECKPOINT)}
    done = forks.run(*LONG, "--resume", folder=home)
    assert done.code == 0, done.err
    assert "resumed after epoch" in done.err
    assert weights(home / MODEL / "v0002") == whole
    assert not (home / MODEL / CHECKPOINT).exists()


def test_a_training_stopped_before_its_first_epoch_keeps_nothing(
    home: Path, forks: ForkServer
) -> None:
    """It is stopped while it opens its prices, which come through a pipe."""
    before = hashes(home / MODEL)
    (home / "prices.csv").unlink()
    os.mkfifo(home / "prices.csv")
    run = stopped_while_reading(forks, home, *LONG)
    assert (run.code, run.out, run.err) == (143, "", "")
    assert hashes(home / MODEL) == before


def stopped_while_reading(
    forks: ForkServer, home: Path, *arguments: object, number: int = signal.SIGTERM
) -> Run:
    """Stop a run once it has opened the pipe that its prices are to come from."""
    (pipe,) = (path for path in home.glob("*.csv") if path.is_fifo())
    pid = forks.start(*arguments, folder=home)
    writer = open_for_a_reader(pipe)
    try:
        return stop(forks, pid, number)
    finally:
        os.close(writer)


def open_for_a_reader(pipe: Path) -> int:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        with suppress(OSError):  # nobody reads yet
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.002)
    raise TimeoutError


def test_a_concurrent_training_is_refused_and_a_kill_releases_the_lock(
    home: Path, forks: ForkServer, whole: bytes
) -> None:
    pid = begin(forks, home)
    second = forks.run(*LONG, "--resume", folder=home)
    assert_one_error(second, 5, "models/tiny")
    assert stop(forks, pid, signal.SIGKILL).code == -signal.SIGKILL
    assert is_free(home / MODEL / ".lock")
    assert forks.run(*LONG, "--resume", folder=home).code == 0
    assert weights(home / MODEL / "v0002") == whole


def test_a_training_with_wait_starts_after_the_other(
    home: Path, forks: ForkServer, whole: bytes
) -> None:
    pid = begin(forks, home)
    second = forks.run(*LONG, "--wait", "60", folder=home)
    assert forks.wait(pid).code == 0
    assert second.code == 0, second.err
    assert second.out.startswith("unchanged: tiny/v0002 ")
    assert weights(home / MODEL / "v0002") == whole


@pytest.mark.parametrize(
    ("what", "number"),
    [("open", errno.ENOSPC), ("write", errno.EIO), ("fsync", errno.ENOSPC), ("rename", errno.EIO)],
)
def test_a_checkpoint_that_cannot_be_written_ends_the_run_which_can_be_resumed(
    home: Path, forks: ForkServer, number: int, what: str
) -> None:
    """The one of the second epoch, so that there is an older one to go on from."""
    short = (*LONG, "--set", "train.epochs=4")
    shutil.copytree(home, home / "twin")
    steps = forks.run(*short, folder=home / "twin").steps
    hits = [at for at, step in enumerate(steps, 1) if step.startswith(what) and CHECKPOINT in step]
    before = hashes(home)
    run = forks.run(*short, "--quiet", folder=home, fault=DiskFault("error", hits[1], number))
    assert_one_error(run, 1, CHECKPOINT, os.strerror(number))
    assert strays(home) == []
    after = hashes(home)
    assert {name: after[name] for name in before} == before
    done = forks.run(*short, "--resume", folder=home)
    assert "resumed after epoch 1" in done.err
    assert weights(home / MODEL / "v0002") == weights(home / "twin" / MODEL / "v0002")
