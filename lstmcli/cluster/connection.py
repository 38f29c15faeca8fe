"""Connect to a Ray cluster, or start one on this machine's cores, and disconnect again.

A separate thread connects and disconnects. In the main thread Ray would replace the handler of
SIGTERM and turn the exceptions of other signals into its own. The same thread must do both, since
the processes of a local cluster end with the thread that started them.
"""

import importlib.util
import logging
import math
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from threading import Event, Thread

from lstmcli.cluster.tasks import LOCAL, Cluster
from lstmcli.errors import LstmcliError, NetworkError, UsageError
from lstmcli.learning.workers import Here, Workers

GPUS = "LSTMCLI_RAY_GPUS"  # GPUs per task, a fraction or a whole number
AUTO = "auto"
_LONGEST_START = 60.0  # seconds to connect; Ray itself would try for minutes
_LONGEST_ANSWER = 10.0  # seconds
_LONGEST_LOSS = 40.0  # seconds without the head; after 60 Ray would end the process silently
_BETWEEN = 5.0  # seconds between two checks of the head, and its time to answer
_LONGEST_END = 8.0  # seconds to disconnect; a signal ends the process after 10


@contextmanager
def connected(address: str, *, threads: int = 1, device: str = "auto") -> Iterator[Cluster]:
    """Yield a cluster to run tasks on; disconnect at the end, also if a signal stops the block.

    If this process is already connected to a cluster, that one is used and stays connected.

    Parameters
    ----------
    address : `local` starts a cluster on this machine's cores and stops it at the end; `auto` uses
        the cluster on this machine or the one in RAY_ADDRESS; else HOST:PORT, or ray://HOST:PORT
        through Ray's client.
    threads : PyTorch threads in each task, and the CPUs it takes; 0 for PyTorch's own choice in
        this process. device : as `--device`. A task gets LSTMCLI_RAY_GPUS GPUs (e.g. 0.25) unless
        the device is cpu; if that is not set, one if the device is cuda, else none.

    Raises
    ------
    UsageError : Ray is not installed, the address is not valid, or the cluster has another version
        of Ray or Python, needs another token, or has no node large enough for a task.
    NetworkError : nothing answers at the address, or the head is lost while the block waits for
        results. LstmcliError : no local cluster can be started.
    """
    if importlib.util.find_spec("ray") is None:
        step = "Install it: pip install 'lstmcli[ray]'."
        raise UsageError("the package ray is not installed", where="--ray", next_step=step)
    cluster = Cluster(address, _threads(threads), _gpus(device))
    with _connection(address, cluster.lost), _silent():
        cluster.check_size()
        yield cluster


def workers_of(
    address: str | None, *, threads: int = 1, device: str = "auto"
) -> AbstractContextManager[Workers]:
    """Return a context with the workers: the cluster at the address, or this process if None."""
    if address is None:
        return nullcontext(Here(device))
    return connected(address, threads=threads, device=device)


def check_used(address: str | None, option: str, value: object) -> None:
    """Raise UsageError if an option that needs `--ray` has a value without it."""
    if value is not None and address is None:
        why, step = "it is for --ray", "Pass --ray too."
        raise UsageError("option not used", where=option, why=why, next_step=step)


@contextmanager
def _connection(address: str, lost: "Future[None]") -> Iterator[None]:
    import ray

    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    before = {name: text for name, text in os.environ.items() if _is_of_ray(name)}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started, over = Future[None](), Event()
    keeper = Thread(target=_keep_connected, args=(address, started, over, lost), daemon=True)
    keeper.start()
    try:
        if error := _result_of(started, address):
            raise error
        yield
    finally:
        over.set()
        if started.done() or address == LOCAL:  # a local cluster's processes must be stopped
            keeper.join(_LONGEST_END)
        for name in [each for each in os.environ if _is_of_ray(each)]:
            del os.environ[name]
        os.environ.update(before)


def _is_of_ray(name: str) -> bool:
    """Whether Ray stores details of its connection in this environment variable."""
    return name.startswith("RAY_") or name == "PYTHONBREAKPOINT"


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray from printing lost workers to standard output; `tasks` reports them."""
    import ray._private.worker as worker

    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *data, **how: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def _keep_connected(
    address: str, started: "Future[None]", over: Event, lost: "Future[None]"
) -> None:
    """Connect; disconnect when `over` is set or the head is lost."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    try:
        if (named := _named(address)) and "://" not in named:
            GcsClient(address=named)  # refuses a wrong token at once, ray.init after 20 s
        ray.init(
            address, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
        )
    except BaseException as error:  # noqa: BLE001 - raised where the connection is used
        started.set_exception(error)
        return
    started.set_result(None)
    host, port = _host_and_port(_named(address) or ray.get_runtime_context().gcs_address)
    answered = time.monotonic()
    while not over.wait(_BETWEEN):
        with suppress(OSError), socket.create_connection((host, port), _BETWEEN):
            answered = time.monotonic()
        if time.monotonic() - answered > _LONGEST_LOSS:
            why, step = "its head does not answer any more", "Run the command again when it does."
            lost.set_exception(
                NetworkError("lost the Ray cluster", where=address, why=why, next_step=step)
            )
            break
    ray.shutdown(wait_for_processes=True)


def _result_of(started: "Future[None]", address: str) -> LstmcliError | None:
    """Wait for the connection; return its error, if any, as an LstmcliError."""
    import ray

    try:
        error = started.exception(_LONGEST_START)
    except TimeoutError:
        return _unreachable(address, f"no answer within {_LONGEST_START:g} s")
    if error is None:
        return None
    text = str(error).strip().split("\n")[0]
    if isinstance(error, ray.exceptions.AuthenticationError):
        step = "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token as on the cluster."
        why = "the token is missing or wrong"
        return UsageError("no access to the Ray cluster", where=address, why=why, next_step=step)
    if "Version mismatch" in str(error):
        why, step = " ".join(str(error).split()), "Install the same versions on all nodes."
        return UsageError("cannot use the Ray cluster", where=address, why=why, next_step=step)
    if isinstance(error, ValueError):  # an invalid address, or a part of Ray is not installed
        return UsageError("cannot use the Ray cluster", where=f"--ray {address}", why=text)
    return _unreachable(address, text)


def _unreachable(address: str, why: str) -> LstmcliError:
    if address == LOCAL:
        return LstmcliError("cannot start Ray on this machine", where=address, why=why)
    step = "Check the address, start a cluster with ray start --head, or pass --ray local."
    return NetworkError("cannot reach the Ray cluster", where=address, why=why, next_step=step)


def _named(address: str) -> str | None:
    """Return the host and port of the address, or None if Ray locates or starts the cluster."""
    named = os.environ.get("RAY_ADDRESS", AUTO) if address == AUTO else address
    return None if named in (LOCAL, AUTO) else named


def _check_reachable(address: str) -> None:
    """Raise NetworkError at once if no port answers; Ray would wait for minutes."""
    named = _named(address)
    if named is None:
        return
    host, port = _host_and_port(named)
    hosts = [host]
    if host in ("localhost", "127.0.0.1"):
        with suppress(OSError):  # the head listens on the address of its machine
            hosts.append(socket.gethostbyname(socket.gethostname()))
    why = ""
    for each in hosts:
        try:
            with closing(socket.create_connection((each, port), _LONGEST_ANSWER)):
                return
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
    raise _unreachable(address, why)


def _host_and_port(named: str) -> tuple[str, int]:
    host, _, port = named.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        why = "expected auto, local, HOST:PORT or ray://HOST:PORT"
        raise UsageError("not the address of a Ray cluster", where=f"--ray {named}", why=why)
    return host, int(port)


def _threads(number: int) -> int:
    if number:
        return number
    import torch

    return torch.get_num_threads()


def _gpus(device: str) -> float:
    """Return the GPUs of a task: from the environment, else one if the device is cuda."""
    text = os.environ.get(GPUS, "")
    if device == "cpu" or not text:
        return float(device.startswith("cuda"))
    with suppress(ValueError):
        number = float(text)
        if 0 <= number < 1 or (math.isfinite(number) and number == int(number) > 0):
            return number
    why = f"found {text!r}, expected a fraction below 1, e.g. 0.25, or a whole number"
    raise UsageError("not a number of GPUs", where=GPUS, why=why)
