"""Read the next files while one is used."""

from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def work_ahead(
    work: Callable[[T], R], items: Collection[T], *, most: int = 4
) -> Generator[R, None, None]:
    """Yield `work(item)` of every item, while the next ones are worked on, `most` at a time.

    What is not asked for any more is not started. Neither a signal nor the end of the process waits
    for the item at work, which may be a file that never ends.
    """
    results: Queue[Future[R] | None] = Queue(most - 1)
    abandoned = Event()

    def run() -> None:
        for item in items:
            future: Future[R] = Future()
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is used
                future.set_exception(error)
            results.put(future)
            if abandoned.is_set():
                return
        results.put(None)

    # No pool: the interpreter waits for a pool's threads before it exits.
    Thread(target=run, daemon=True).start()
    try:
        while (done := results.get()) is not None:
            yield done.result()
    finally:
        abandoned.set()
        with suppress(Empty):  # a thread that waits for room sees it then
            results.get_nowait()
