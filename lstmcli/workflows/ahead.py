"""Work done ahead of its use, by a thread, in the order given and a few items at most."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def work_ahead(work: Callable[[T], R], items: Iterable[T], *, most: int = 4) -> Iterator[R]:
    """Yield `work(item)` of every item, while the next ones are worked on, `most` at a time.

    What is not asked for any more is not begun. A process that ends waits for the item at work, so
    the work must be short.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
