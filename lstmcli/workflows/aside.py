"""Work that a process of its own does while this one does other work.

Threads share one processor where the work is Python's own. The process starts bare, as on every
system, so what it works with is copied to it and what it finds is copied back.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from lstmcli.errors import LstmcliError

R = TypeVar("R")


@contextmanager
def aside(work: Callable[[], R]) -> Iterator[Callable[[], R]]:
    """Begin the work; what is yielded waits for its result.

    Where the process ends without one the work is done here, and its error raised here. The process
    ends with the block.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    process.start()
    sender.close()  # so that the process alone holds it, and its end is seen

    def result() -> R:
        try:
            found: R = receiver.recv()
        except EOFError:
            return work()
        return found

    try:
        yield result
    finally:
        receiver.close()
        process.kill()
        process.join()


def _send(work: Callable[[], object], sender: "Connection[object, object]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    # What has no result is done again, and a process that is gone waits for none.
    with suppress(LstmcliError, BrokenPipeError):
        sender.send(work())
