"""Work that a forked process does while this one does other work.

It has all that this one has read, computed and cached so far, and nothing of what follows.
"""

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from lstmcli.errors import LstmcliError

R = TypeVar("R")


@contextmanager
def aside(work: Callable[[], R]) -> Iterator[Callable[[], R]]:
    """Start the work; what is yielded waits for its result.

    Where the process cannot start, or ends without a result, the work is done here, and its error
    raised here. The process ends with the block. For the main thread, as signals are.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    # Handed down, so that Ctrl-C stops this process alone, which then ends the other.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with warnings.catch_warnings(), suppress(OSError):  # no process is free
            # Of threads that a fork lacks: NumPy's know of forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
    finally:
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


def can_fork() -> bool:
    """Whether a fork is safe: on Linux, and where PyTorch starts no threads for an accelerator.

    PyTorch is to use one thread in the fork, which has none of the others of a pool.
    """
    import torch

    main = threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and main and not torch.cuda.is_available()


def _send(work: Callable[[], object], sender: "Connection[object, object]") -> None:
    # What has no result is done again, and a process that is gone waits for none.
    with suppress(LstmcliError, BrokenPipeError):
        sender.send(work())
