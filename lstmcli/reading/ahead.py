"""Read the next files while one is used."""

import os
from collections import deque
from collections.abc import Callable, Collection, Generator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 3  # threads for small files: pyarrow parses without the interpreter's lock, the rest holds it


def work_ahead(
    work: Callable[[T], R], items: Collection[T], *, most: int = 4, threads: int = 1
) -> Generator[R, None, None]:
    """Yield `work(item)` of every item in order, while the next `most` are worked on by threads.

    What is not asked for any more is not started. Neither a signal nor the end of the process waits
    for an item at work, which may be a file that never ends.
    """
    tasks: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
    left, ahead = iter(items), deque[Future[R]]()

    def run() -> None:
        while (task := tasks.get()) is not None:
            item, future = task
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is used
                future.set_exception(error)
            del task, item, future  # a large result is not kept while there is nothing to do

    def begin(count: int) -> None:
        for item in islice(left, count):
            ahead.append(Future())
            tasks.put((item, ahead[-1]))

    started = min(threads, os.cpu_count() or 1, most, len(items))
    for _ in range(started):
        # No pool: the interpreter waits for a pool's threads before it exits.
        Thread(target=run, daemon=True).start()
    try:
        begin(most)
        while ahead:
            future = ahead.popleft()
            begin(1)
            yield future.result()
    finally:
        with suppress(Empty):
            while True:
                tasks.get_nowait()
        for _ in range(started):
            tasks.put(None)
