"""Read files ahead in background threads while the current one is used."""

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

FEW = 3  # threads for small files: only pyarrow's parsing releases the interpreter lock


def work_ahead(
    work: Callable[[T], R], items: Collection[T], *, most: int = 4, threads: int = 1
) -> Generator[R, None, None]:
    """Yield `work(item)` in order, while threads process the next `most` items.

    Closing the generator cancels items that have not started. Neither a signal nor the exit of the
    process waits for a running item, which may be a file that never ends.
    """
    tasks: SimpleQueue[tuple[T, Future[R]] | None] = SimpleQueue()
    left, ahead = iter(items), deque[Future[R]]()

    def run() -> None:
        while (task := tasks.get()) is not None:
            item, future = task
            try:
                future.set_result(work(item))
            except BaseException as error:  # noqa: BLE001 - raised again by future.result()
                future.set_exception(error)
            del task, item, future  # an idle thread must not keep a large result alive

    def begin(count: int) -> None:
        for item in islice(left, count):
            ahead.append(Future())
            tasks.put((item, ahead[-1]))

    started = min(threads, os.cpu_count() or 1, most, len(items))
    for _ in range(started):
        # Not a ThreadPoolExecutor: the interpreter waits for its threads before it exits.
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
