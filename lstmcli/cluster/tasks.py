"""Run a plain function over many items as tasks of a Ray cluster; results in the items' order.

Ray sends arguments and results, so no folder needs to be shared. They must be picklable, and the
function must be defined in a module, or be a `partial` of such a function. Arrays sent by Ray are
read-only. Only the process that requests the results writes to disk.
"""

import math
import os
import platform
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from lstmcli import __version__
from lstmcli.errors import LstmcliError, TaskError, UsageError

R = TypeVar("R")

LOCAL = "local"  # the address of a cluster that is started for this process
SHARED = "LSTMCLI_RAY_SHARED"
RETRIES = 5  # of a task whose worker is lost: killed, out of memory, or on a lost machine
_PAUSE = 0.5  # seconds between two checks for new nodes
_AHEAD = 2  # tasks submitted for each that can run at a time, so that no worker is idle


@dataclass(frozen=True)
class Cluster:
    """A connected Ray cluster, and the size of a task on it; see `connection.connected`.

    address : as requested. threads : PyTorch threads of a task, and its CPUs. gpus : of one task.
    lost : raises NetworkError once the cluster's head is lost.
    """

    address: str
    threads: int
    gpus: float
    lost: "Future[None]" = field(default_factory=Future[None])

    @property
    def device(self) -> str:
        """The device of a task, for `choose_device`; Ray shows a task only its own GPUs.

        Send a model to a task on the CPU, and move it to this device there.
        """
        return "cuda" if self.gpus else "cpu"

    @property
    def shares_folders(self) -> bool:
        """Whether a task sees the files of this process under the same paths.

        True if all nodes are on this machine, or if LSTMCLI_RAY_SHARED=1 is set.
        """
        if os.environ.get(SHARED, "0") not in ("", "0"):
            return True
        here = {socket.gethostname()}
        return (
            self.address == LOCAL
            and {each["NodeManagerHostname"] for each in self._nodes()} == here
        )

    @property
    def slots(self) -> int:
        """The number of tasks that can run at a time on the current nodes; at least 1."""
        nodes = [each["Resources"] for each in self._nodes()]
        slots = sum(each.get("CPU", 0.0) for each in nodes) / self.threads
        if self.gpus:
            slots = min(slots, sum(each.get("GPU", 0.0) for each in nodes) / self.gpus)
        return max(1, int(slots))

    def put(self, value: Any) -> Any:
        """Return a reference to pass as an argument of calls in place of the value.

        The value is sent once to each machine instead of once per call. Use it for settings, a
        model or price tables, as an argument of its own and not inside another one.
        """
        import ray

        return ray.put(value)

    def run(
        self,
        work: Callable[..., R],
        calls: Iterable[tuple[Any, ...]],
        *,
        ahead: int | None = None,
    ) -> Iterator[R | LstmcliError]:
        """Run `work(*call)` as a task for each call; yield the results in the order of the calls.

        Parameters
        ----------
        work : function to call, with `threads` PyTorch threads and the same versions of lstmcli and
            PyTorch as here. If it raises an LstmcliError, that is yielded as its result; if it
            raises anything else, or its worker is lost for the sixth time, a TaskError is yielded.
        calls : tuples of arguments, generated while the first tasks run. If the generator raises
            an error, that is raised after the results of the earlier calls.
        ahead : most calls submitted and not yet yielded, which bounds the memory; None for twice as
            many as run at a time. Pass `len(calls)` if tasks take unequal time.

        Raises UsageError if a worker has other versions, NetworkError if the head is lost. Running
        tasks are cancelled if the iterator is closed or an exception, such as that of a signal,
        passes through it.
        """
        import ray

        task = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=RETRIES)(_perform)
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        source, most, broken, asked = iter(calls), 0, None, -math.inf
        try:
            while True:
                if time.monotonic() - asked > _PAUSE:
                    most = ahead or _AHEAD * self.slots  # nodes may have joined
                    asked = time.monotonic()
                while waiting and (len(waiting) >= most or waiting[0][1].done()):
                    yield self._result(waiting.popleft()[1])
                try:
                    call = next(source)
                except StopIteration:
                    break
                except LstmcliError as error:
                    broken = error
                    break
                reference = task.remote(versions(), self.threads, work, *call)
                waiting.append((reference, reference.future()))
            while waiting:
                yield self._result(waiting.popleft()[1])
            if broken is not None:
                raise broken
        finally:
            for reference, _ in waiting if not self.lost.done() else ():
                ray.cancel(reference, force=True)

    def check_size(self) -> None:
        """Raise UsageError if no node is large enough for a task; Ray would wait forever.

        A cluster without CPUs passes, since it may still start nodes.
        """
        nodes = [each["Resources"] for each in self._nodes()]
        most = max((each.get("CPU", 0.0) for each in nodes), default=0.0)
        if 0 < most < self.threads:
            why = f"a task takes {self.threads} CPUs, the largest node has {most:g}"
            step = f"Pass --threads {most:g} or less."
            raise UsageError("no room for a task", where=self.address, why=why, next_step=step)
        gpus = sum(each.get("GPU", 0.0) for each in nodes)
        if gpus < self.gpus:
            why = f"a task takes {self.gpus:g} GPUs, the cluster has {gpus:g}"
            step = "Pass --device cpu, or add a node with a GPU."
            raise UsageError("no room for a task", where=self.address, why=why, next_step=step)

    def _result(self, future: "Future[Any]") -> Any:
        """Return the result or the error of a task."""
        import ray

        try:
            found = self.wait_for(future)
        except ray.exceptions.RayError as error:
            if "No module named 'lstmcli" in str(error):
                raise refused(self.address, "none") from error
            return TaskError("the task failed", where=self.address, why=_reason(error))
        if isinstance(found, _Versions):  # a worker returns its versions if they differ
            raise refused(self.address, found)
        return found

    def wait_for(self, future: "Future[R]") -> R:
        """Wait for a result; raises NetworkError if the head is lost first."""
        either: list[Future[Any]] = [future, self.lost]
        wait(either, return_when=FIRST_COMPLETED)
        if self.lost.done():
            self.lost.result()
        return future.result()

    def _nodes(self) -> list[dict[str, Any]]:
        """Return Ray's record of each live node: Resources by name, NodeManagerHostname, ..."""
        import ray

        nodes = self.wait_for(in_thread(ray.nodes))  # ray.nodes never returns without the head
        return [each for each in nodes if each["Alive"]]


def in_thread(work: Callable[[], R]) -> "Future[R]":
    """Call a function in a daemon thread; return a future of its result."""
    found = Future[R]()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is used
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    return found


def refused(address: str, found: object, expected: object = None) -> UsageError:
    """Return the error for a worker with wrong versions; expected : None for this process's."""
    return UsageError(
        "cannot use the Ray cluster",
        where=address,
        why=f"its workers have {found}, expected {expected or versions()}",
        next_step="Install the same versions on all nodes.",
    )


class _Versions(NamedTuple):
    """Versions that a worker must share with this process for the same results."""

    lstmcli: str
    torch: str
    python: str

    def __str__(self) -> str:
        return f"lstmcli {self.lstmcli}, PyTorch {self.torch}, Python {self.python}"


def versions() -> _Versions:
    """Return the versions of this process."""
    import torch

    torch_version = torch.__version__.partition("+")[0]  # without the build, e.g. +cpu
    return _Versions(__version__, torch_version, ".".join(platform.python_version_tuple()[:2]))


def _perform(expected: _Versions, number: int, work: Callable[..., Any], *call: Any) -> Any:
    """Run a task in a worker; return its result, its LstmcliError, or the worker's versions."""
    from lstmcli.training.device import threads

    if versions() != expected:
        return versions()
    try:
        with threads(number):
            return work(*call)
    except LstmcliError as error:
        return error


def _reason(error: Exception) -> str:
    """Return one line on why Ray could not run a task."""
    import ray

    if isinstance(error, ray.exceptions.RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}".split("\n")[0]
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its machine ran out of memory"
    if isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.NodeDiedError):
        return f"its worker was lost {RETRIES + 1} times"
    return f"{type(error).__name__}: {error}".split("\n")[0]
