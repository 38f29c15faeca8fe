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

    Where the process cannot start, or ends without one, the work is done here, and its error raised
    here. The process ends with the block. For the main thread, as signals are.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    # Handed down, so that Ctrl-C stops this process alone, which then ends the other.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):  # no process is free, or the current folder is gone: there is no end
        process.start()
    signal.signal(signal.SIGINT, interrupt)
    sender.close()  # so that the process alone holds it, and its end is seen

    def result() -> R:
        try:
            found: R = receiver.recv()
        except (EOFError, OSError):  # the latter in the middle of it
            return work()
        return found

    try:
        yield result
    finally:
        receiver.close()
        if process.pid is not None:
            process.kill()
            process.join()


def _send(work: Callable[[], object], sender: "Connection[object, object]") -> None:
    # What has no result is done again, and a process that is gone waits for none.
    with suppress(LstmcliError, BrokenPipeError):
        sender.send(work())
