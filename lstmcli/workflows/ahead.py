"""Work done ahead of its use, by a thread, in the order given and a few items at most."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def work_ahead(work: Callable[[T], R], items: Iterable[T], *, most: int = 4) -> Iterator[R]:
    """Yield `work(item)` of every item, while the next ones are worked on, `most` at a time.

    What is not asked for any more is not started. Neither a signal nor the end of the process waits
    for the item at work, which may be a file that never ends.
    """
    waiting: deque[Future[R]] = deque()
    jobs: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()
    # No pool: the interpreter waits for a pool's threads before it exits.
    Thread(target=_serve, args=(work, jobs), daemon=True).start()
    try:
        for item in items:
            future: Future[R] = Future()
            jobs.put((future, item))
            waiting.append(future)
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        jobs.put(None)


def _serve(work: Callable[[T], R], jobs: "SimpleQueue[tuple[Future[R], T] | None]") -> None:
    while (job := jobs.get()) is not None:
        future, item = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(work(item))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            future.set_exception(error)
