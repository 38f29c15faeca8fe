"""Connecting to a cluster, in processes of their own too; what is wrong with an address."""

import importlib.util
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray

from lstmcli.cluster import connection
from lstmcli.cluster.connection import connected
from lstmcli.errors import LstmcliError, NetworkError, UsageError
from tests.cli.test_signals import wait_for
from tests.cluster.processes import stop_cluster
from tests.command_line import PROGRAM, assert_one_error, csv_text, environment, in_process, walk
from tests.rows import for_each


@pytest.fixture(autouse=True)
def unconnected() -> Iterator[None]:
    """Stop the cluster of other tests, which these would use."""
    if ray.is_initialized():
        stop_cluster()
    yield
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "prices.csv").write_text(csv_text(walk(300)))
    return folder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens at, and that nothing else takes."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def error_of(address: str, **how: Any) -> LstmcliError:
    with pytest.raises(LstmcliError) as caught, connected(address, **how):
        pass
    return caught.value


def processes_of(group: int) -> list[str]:
    """The processes of a session, which those of Ray are too."""
    done = subprocess.run(
        ["ps", "-s", str(group), "-o", "args="], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def test_a_cluster_that_does_not_answer_is_an_error_of_the_network(
    home: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (f"127.0.0.1:{closed_port}", f"ray://127.0.0.1:{closed_port}"):
        words = ("predict", "--csv", "prices.csv", "--ray", address)
        assert_one_error(in_process(*words, folder=home), 6, address, "refused", "--ray local")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    assert isinstance(error_of("auto"), NetworkError)


def test_ray_s_client_names_what_it_needs(home: Path) -> None:
    if importlib.util.find_spec("grpc"):
        pytest.skip("Ray's client is installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        done = in_process("predict", "--csv", "prices.csv", "--ray", address, folder=home)
    assert_one_error(done, 2, "ray[client]")


@for_each("address", ["head", "head:", ":6379", "head:port", "http://head:6379/x", ""])
def test_an_address_has_a_host_and_a_port(address: str) -> None:
    error = error_of(address)
    assert isinstance(error, UsageError)
    assert "expected auto, local, HOST:PORT or ray://HOST:PORT" in str(error)


def test_ray_is_an_extra(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = in_process("predict", "--csv", "prices.csv", "--ray", "local", folder=home)
    assert_one_error(done, 2, "ray is not installed", "pip install 'lstmcli[ray]'")


@for_each("text", ["half", "-1", "1.5", "nan", "inf", "0.5x"])
def test_gpus_of_a_task_are_a_fraction_or_a_whole_number(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connection.GPUS, text)
    assert "expected a fraction below 1, e.g. 0.25, or a whole number" in str(error_of("local"))


@pytest.mark.slow
def test_a_local_cluster_leaves_the_process_as_it_was() -> None:
    def now() -> list[object]:
        handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        return [*handlers, dict(os.environ), ray.is_initialized()]

    before = now()
    with connected("local", threads=1) as cluster:
        assert ray.is_initialized()
        assert cluster.slots >= 1
        assert signal.getsignal(signal.SIGTERM) is before[1]
        assert list(cluster.run(pow, [(2, number) for number in range(5)])) == [1, 2, 4, 8, 16]
        assert error_of("local", device="cuda").what == "no room for a task"
    assert now() == before


@contextmanager
def waiting_run(home: Path, pipe: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a forecast that waits for the writer of a pipe when it is connected."""
    os.mkfifo(pipe)
    words = [PROGRAM, "predict", "--csv", str(home / "prices.csv"), "--csv", f"B={pipe}"]
    with subprocess.Popen(
        [*words, "--ray", "local"],
        cwd=home,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def stopped_by(number: signal.Signals, started: "subprocess.Popen[bytes]") -> None:
    """Hold that a signal ends a run with its code, and every process that it started."""
    os.kill(started.pid, number)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out, err) == (128 + number, b"", b"")
    wait_for(lambda: not processes_of(started.pid))


def test_ctrl_c_ends_a_run_and_its_cluster(home: Path, tmp_path: Path) -> None:
    def is_read() -> bool:
        with suppress(OSError):
            os.close(os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    with waiting_run(home, tmp_path / "pipe") as started:
        wait_for(is_read)
        stopped_by(signal.SIGINT, started)


@pytest.mark.slow
def test_a_signal_while_a_cluster_starts_leaves_nothing_of_it(home: Path, tmp_path: Path) -> None:
    with waiting_run(home, tmp_path / "pipe") as started:
        wait_for(lambda: any("raylet" in each for each in processes_of(started.pid)))
        stopped_by(signal.SIGTERM, started)
