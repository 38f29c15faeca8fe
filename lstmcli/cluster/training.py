"""Train one network with several processes of a cluster, each on its share of every batch.

Ray Train starts the processes and connects them, with gloo on CPUs and NCCL on GPUs. If one is
lost, it restarts all of them from the last epoch that this process has received. Only this process
writes checkpoints; an actor passes them and the epochs on to it.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch

from lstmcli.cluster.connection import connected
from lstmcli.cluster.tasks import RETRIES, Cluster, in_thread, refused, versions
from lstmcli.config import Settings
from lstmcli.errors import LstmcliError, TaskError, UsageError
from lstmcli.learning.fit import UNWATCHED, Course, Fit, Fitting, fit
from lstmcli.learning.plan import Plan
from lstmcli.learning.transfer import Donor
from lstmcli.runs.checkpoint import Checkpoint
from lstmcli.training.device import choose_device
from lstmcli.training.device import threads as on_threads
from lstmcli.training.group import Group

_WITHOUT_GPU = 2  # default number of processes, so that results do not depend on the cluster's size
_PAUSE = 0.1  # seconds between two polls of the actor
_LONGEST_END = 10.0  # seconds for Ray Train to detect that all processes are done


@contextmanager
def group_of(
    address: str | None, size: int | None, *, threads: int, device: str
) -> Iterator[tuple[Fitting, torch.device, int]]:
    """Yield the function that fits a network, its device, and the number of processes.

    Without an address this process fits alone.

    size : number of processes; None for one per GPU if tasks get GPUs, else 2.

    Raises UsageError if the cluster has no room for so many processes.
    """
    if address is None:
        yield fit, choose_device(device), 1
        return
    if address.startswith("ray://"):
        why, step = "training does not run through Ray's client", "Pass HOST:PORT, on a node."
        raise UsageError("cannot train at this address", where=address, why=why, next_step=step)
    with connected(address, threads=threads, device=device) as cluster:
        number = size or (cluster.slots if cluster.gpus else _WITHOUT_GPU)
        if number > cluster.slots:
            why = f"the cluster has room for {cluster.slots} of {cluster.threads} CPUs"
            why += f" and {cluster.gpus:g} GPUs each" if cluster.gpus else ""
            step = f"Pass --workers {cluster.slots}, or add nodes."
            raise UsageError("no room", where=f"{number} workers", why=why, next_step=step)
        yield partial(fit_together, cluster, number), torch.device(cluster.device), number


def fit_together(
    cluster: Cluster,
    size: int,
    plan: Plan,
    settings: Settings,
    device: torch.device,
    course: Course = UNWATCHED,
    donor: Donor | None = None,
) -> Fit:
    """Fit as `learning.fit.fit` with `size` processes; the network is returned on the CPU.

    Raises the errors of `fit`, and TaskError if processes fail or are lost more than five times.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    shared = _Shared(plan, settings, donor, Course(has_time=course.has_time), cluster.threads)
    box = ray.remote(num_cpus=0)(_Box).remote(course.start)
    given = {
        **{"box": box, "shared": ray.put(shared), "versions": versions()},
        **{"address": cluster.address, "gpus": cluster.gpus},
    }
    with tempfile.TemporaryDirectory(prefix="lstmcli-") as folder:
        trainer = TorchTrainer(
            _take_part,
            train_loop_config=given,
            # NCCL refuses two processes on one GPU.
            torch_config=TorchConfig(backend="nccl" if cluster.gpus >= 1 else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=size,
                use_gpu=cluster.gpus > 0,
                resources_per_worker={"CPU": cluster.threads}
                | ({"GPU": cluster.gpus} if cluster.gpus else {}),
            ),
            run_config=RunConfig(
                name="train",
                storage_path=folder,  # required, but nothing is kept there
                failure_config=FailureConfig(max_failures=RETRIES),
            ),
        )
        ended = in_thread(trainer.fit)  # in the main thread Ray Train would handle Ctrl-C
        try:
            how = _follow(cluster, box, ended, course)
            wait([ended], _LONGEST_END)
        finally:
            if not cluster.lost.done():
                _stop(box, ended)
    if isinstance(how, LstmcliError):
        raise how
    return how


class _Shared(NamedTuple):
    """The arguments that all processes share."""

    plan: Plan
    settings: Settings
    donor: Donor | None
    course: Course
    threads: int


class _News(NamedTuple):
    """Reports of the processes since the last poll: epochs, and the end of the fit."""

    checkpoints: list[Checkpoint]
    end: Fit | LstmcliError | None


class _Box:
    """An actor that passes checkpoints on from the training processes, and outlives them."""

    def __init__(self, start: Checkpoint | None) -> None:
        self.last, self.is_over = start, False
        self.news, self.workers = _News([], None), list[Any]()

    def begin(self, worker: Any) -> tuple[bool, Checkpoint | None]:
        """Register a worker; return whether training is over, and the checkpoint to start from."""
        self.workers.append(worker)
        return self.is_over, self.last

    def keep(self, checkpoint: Checkpoint) -> None:
        self.last = checkpoint
        self.news.checkpoints.append(checkpoint)

    def end(self, how: Fit | LstmcliError) -> None:
        self.news = self.news._replace(end=self.news.end or how)

    def look(self) -> _News:
        news, self.news = self.news, _News([], None)
        return news

    def stop(self) -> list[Any]:
        self.is_over = True
        return self.workers


def _take_part(given: dict[str, Any]) -> None:
    """Fit as one of the processes; rank 0 reports epochs and the result, every rank its errors."""
    import ray
    from ray import train
    from ray.train.torch import get_device

    box, context = given["box"], train.get_context()
    group = Group(context.get_world_rank(), context.get_world_size())
    try:
        is_over, start = ray.get(box.begin.remote(ray.get_runtime_context().current_actor))
    except ray.exceptions.RayActorError:  # the command no longer waits for the result
        return
    if is_over:
        return
    expected = given["versions"]
    if versions() != expected:
        ray.get(box.end.remote(refused(given["address"], versions(), expected)))
        return
    plan, settings, donor, course, number = ray.get(given["shared"])
    course = replace(course, group=group, start=start)
    if group.rank == 0:
        course = replace(course, keep=lambda checkpoint: ray.get(box.keep.remote(checkpoint)))
    device = get_device() if given["gpus"] else torch.device("cpu")
    how: Fit | LstmcliError
    try:
        with on_threads(number):
            found = fit(plan, settings, device, course, donor)
        how = replace(found, model=found.model.to(torch.device("cpu")))
    except LstmcliError as error:
        how = error
    if group.rank == 0 or isinstance(how, LstmcliError):
        ray.get(box.end.remote(how))


def _follow(cluster: Cluster, box: Any, ended: "Future[Any]", course: Course) -> Fit | LstmcliError:
    """Store reported checkpoints until the fit ends; return its result or error."""
    import ray

    while True:
        is_last = ended.done()
        try:
            news: _News = cluster.wait_for(box.look.remote().future())
        except ray.exceptions.RayError as error:
            why = str(error).strip().split("\n")[0]
            raise TaskError("training failed", where=cluster.address, why=why) from error
        for checkpoint in news.checkpoints:
            course.keep(checkpoint)
            course.on_epoch(checkpoint.history[-1])
        if news.end is not None:
            return news.end
        if is_last:
            cause = ended.exception()
            why = str(cause).strip().split("\n")[-1]
            raise TaskError("training failed", where=cluster.address, why=why) from cause
        time.sleep(_PAUSE)


def _stop(box: Any, ended: "Future[Any]") -> None:
    """Stop running training processes; those that Ray Train starts in their place end at once."""
    import ray

    with suppress(ray.exceptions.RayError):  # the actor may be lost
        if not ended.done():
            for worker in ray.get(box.stop.remote()):
                ray.kill(worker)
        ray.kill(box)
