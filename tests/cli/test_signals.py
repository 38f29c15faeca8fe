"""A signal ends every wait at once, with its exit code, and releases locks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lstmcli.market.symbols import hold_store
from tests.cli.test_fetch import cron
from tests.command_line import PROGRAM, csv_text, environment, succeed, walk
from tests.forked_runs import ForkServer
from tests.yahoo_stand_in import random_walk, stand_in

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
SOON = 5.0  # seconds, on a machine with other work to do


@pytest.fixture(params=CODES, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    chosen: signal.Signals = request.param
    return chosen


def stopped(pid: int, number: signal.Signals, forks: ForkServer) -> int:
    """Send the signal and return the exit code, which comes soon."""
    began = time.monotonic()
    os.kill(pid, number)
    code = forks.wait(pid).code
    assert time.monotonic() - began < SOON
    return code


def wait_for(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def process(
    *words: object, folder: Path, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Run a program that is killed where it does not end."""
    with subprocess.Popen(
        list(map(str, words)),
        cwd=folder,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def ends(started: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Hold that a process ends soon, with the signal's code and without a traceback."""
    began = time.monotonic()
    started.send_signal(number)
    _, err = started.communicate(timeout=60)
    assert started.returncode == CODES[number]
    assert time.monotonic() - began < SOON
    assert "Traceback" not in err


def test_a_pipe_without_a_writer(home: Path, forks: ForkServer, number: signal.Signals) -> None:
    os.mkfifo(home / "pipe.csv")
    pid = forks.start("predict", "--csv", "pipe.csv", folder=home)
    with (home / "pipe.csv").open("w") as writer:  # opened, so the run waits for what it says
        writer.write("Date,Close\n")
        writer.flush()
        assert stopped(pid, number, forks) == CODES[number]


def test_a_lock_that_another_run_holds(
    tmp_path: Path, forks: ForkServer, number: signal.Signals
) -> None:
    log = tmp_path / "log.jsonl"
    with hold_store(tmp_path / "data"):
        options = ("--wait", "600", "--log-file", "log.jsonl")
        pid = forks.start("fetch", "AAPL", *options, folder=tmp_path)
        wait_for(log.exists)
        time.sleep(0.05)
        assert stopped(pid, number, forks) == CODES[number]
    assert f'"exit_code": {CODES[number]}' in log.read_text()


@pytest.mark.parametrize("form", ["csv", "table"])
def test_a_reader_that_reads_no_more(home: Path, forks: ForkServer, form: str) -> None:
    """More than the pipe holds is still to be written."""
    number = signal.SIGTERM
    (home / "long.csv").write_text(csv_text(walk(5000)))
    os.mkfifo(home / "pipe")
    own = ("evaluate", "--model", "tiny", "--csv", "long.csv", "--start", "2000-01-03")
    command = (*own, "--details", "--format", form)
    pid = forks.start(*command, folder=home, streams={"stdout": "pipe"})
    with (home / "pipe").open() as pipe:
        assert pipe.read(10)
        time.sleep(0.2)
        assert stopped(pid, number, forks) == CODES[number]


READER = """\
import sys, time
from lstmcli.sources import loading

def read(file, **rest):
    print("reading", flush=True)
    time.sleep(600)

loading.read_prices = read
from lstmcli.cli.app import main
main()
"""


def test_a_thread_that_reads_a_file_without_an_end(home: Path) -> None:
    files = ("--csv", "prices.csv", "--csv", "tiny.toml")
    with process(sys.executable, "-c", READER, "predict", *files, folder=home) as started:
        assert started.stdout
        assert started.stdout.readline() == "reading\n"
        ends(started, signal.SIGTERM)


UNSEEN = """\
import _thread, os, threading
from lstmcli.cli.app import stoppable

# As a signal that comes just before the read begins: it is noted, but interrupts nothing.
threading.Timer(0.2, _thread.interrupt_main, [15]).start()
with stoppable():
    os.read(os.pipe()[0], 1)
"""


def test_a_signal_just_before_a_wait(tmp_path: Path) -> None:
    with process(sys.executable, "-c", UNSEEN, folder=tmp_path) as started:
        started.communicate(timeout=60)
        assert started.returncode == 143


def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    with stand_in() as server:
        server.serve("AAPL", random_walk(80))
        server.always["AAPL"] = "hang"
        env = cron(server, tmp_path)
        with process(PROGRAM, "fetch", "AAPL", "MSFT", folder=tmp_path, env=env) as started:
            wait_for(lambda: server.asked("AAPL"))
            ends(started, signal.SIGTERM)
        server.always.clear()
        succeed("fetch", "AAPL", "--dry-run", folder=tmp_path)


def test_a_run_that_a_shell_leaves_behind_outlives_its_terminal(home: Path) -> None:
    os.mkfifo(home / "pipe.csv")
    command = ("nohup", PROGRAM, "predict", "--csv", "pipe.csv")
    with process(*command, folder=home) as started, (home / "pipe.csv").open("w") as writer:
        writer.write("Date,Close\n")
        writer.flush()
        started.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert started.poll() is None
        ends(started, signal.SIGTERM)
