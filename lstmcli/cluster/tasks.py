"""Run a plain function over many items as tasks of a Ray cluster; results in the items' order.

Arguments and results travel by Ray: no folder needs to be shared. They must be picklable, and the
function one of a module, or a `partial` of one. Arrays that come by Ray are read-only. Nothing but
the process that asks for the results writes to disk.
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
RETRIES = 5  # of a task whose worker is lost: killed, out of memory, or its machine is gone
_PAUSE = 0.5  # seconds between two looks for nodes
_AHEAD = 2  # tasks given out for each that can run at a time, so that no worker waits for its next


@dataclass(frozen=True)
class Cluster:
    """A connected Ray cluster, and the size of a task on it; see `connection.connected`.

    address : as asked for. threads : PyTorch's in a task, and its CPUs. gpus : of one task.
    lost : raises NetworkError once the cluster's head is lost.
    """

    address: str
    threads: int
    gpus: float
    lost: "Future[None]" = field(default_factory=Future[None])

    @property
    def device(self) -> str:
        """The device in a task, as `choose_device` takes it; Ray shows a task its own GPUs alone.

        A model that is shipped should be on the CPU, and moved to this device in the task.
        """
        return "cuda" if self.gpus else "cpu"

    @property
    def shares_folders(self) -> bool:
        """Whether a task sees the files of this process by their paths, the current folder too.

        So it is on this machine, and where LSTMCLI_RAY_SHARED=1 says so.
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
        """How many tasks run at a time on the nodes that there are now; at least 1."""
        nodes = [each["Resources"] for each in self._nodes()]
        slots = sum(each.get("CPU", 0.0) for each in nodes) / self.threads
        if self.gpus:
            slots = min(slots, sum(each.get("GPU", 0.0) for each in nodes) / self.gpus)
        return max(1, int(slots))

    def put(self, value: Any) -> Any:
        """Return a reference that, as an argument of a call, stands for the value.

        The value travels to each machine once, in place of once a call. Use it for settings, a
        model, price tables; as an argument itself, not inside another.
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
        """Yield `work(*call)` of each call in the order of the calls, each a task.

        Parameters
        ----------
        work : called on PyTorch threads as many as here, with the same version of lstmcli and
            PyTorch. An error of the house that it raises is yielded in place of its result; a
            TaskError where it raises anything else, or its worker is lost for the sixth time.
        calls : the arguments, made while the first tasks run. An error that making them raises is
            raised after the results of the calls before it.
        ahead : most calls given out and not yielded yet, which bounds the memory needed; None for
            twice as many as run at a time. Pass `len(calls)` where tasks take unequal time.

        Raises UsageError where a worker has another version, NetworkError where the head is lost.
        What still runs is cancelled when the iterator is closed or an exception, such as a
        signal's, goes through it.
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
        """Raise UsageError where no node can ever run a task, for which Ray would wait for ever.

        A cluster without any CPU yet may be about to start nodes.
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
        if isinstance(found, _Versions):  # others than expected
            raise refused(self.address, found)
        return found

    def wait_for(self, future: "Future[R]") -> R:
        """Return the result; raises NetworkError where the head is lost before there is one."""
        either: list[Future[Any]] = [future, self.lost]
        wait(either, return_when=FIRST_COMPLETED)
        if self.lost.done():
            self.lost.result()
        return future.result()

    def _nodes(self) -> list[dict[str, Any]]:
        """Return what Ray knows of each node: its Resources by name, its NodeManagerHostname."""
        import ray

        nodes = self.wait_for(in_thread(ray.nodes))  # which does not return without the head
        return [each for each in nodes if each["Alive"]]


def in_thread(work: Callable[[], R]) -> "Future[R]":
    """Call a function in a thread that ends with this process; return its result to be."""
    found = Future[R]()

    def run() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is used
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    return found


def refused(address: str, found: object, expected: object = None) -> UsageError:
    """Return the error of a worker with other versions than expected, those of this process."""
    return UsageError(
        "cannot use the Ray cluster",
        where=address,
        why=f"its workers have {found}, expected {expected or versions()}",
        next_step="Install the same versions on all nodes.",
    )


class _Versions(NamedTuple):
    """What must be the same here and in a worker for the same results."""

    lstmcli: str
    torch: str
    python: str

    def __str__(self) -> str:
        return f"lstmcli {self.lstmcli}, PyTorch {self.torch}, Python {self.python}"


def versions() -> _Versions:
    """Return the versions of this process."""
    import torch

    torch_version = torch.__version__.partition("+")[0]  # for CPUs or a version of CUDA
    return _Versions(__version__, torch_version, ".".join(platform.python_version_tuple()[:2]))


def _perform(expected: _Versions, number: int, work: Callable[..., Any], *call: Any) -> Any:
    """Do a task, in a worker; return its result, an error of the house, or versions that differ."""
    from lstmcli.training.device import threads

    if versions() != expected:
        return versions()
    try:
        with threads(number):
            return work(*call)
    except LstmcliError as error:
        return error


def _reason(error: Exception) -> str:
    """Return why Ray could not do a task, in one line."""
    import ray

    if isinstance(error, ray.exceptions.RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}".split("\n")[0]
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its machine ran out of memory"
    if isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.NodeDiedError):
        return f"its worker was lost {RETRIES + 1} times"
    return f"{type(error).__name__}: {error}".split("\n")[0]
