"""A signal stops a run soon, whatever it waits for, and leaves no temporary files.

Python runs its handlers between two steps of the main thread. A signal that comes just before a
step that waits, for a pipe or a lock, is seen when that wait ends, which may be never. So a thread
reads of each signal from a pipe, wakes the main thread until it has seen it, and ends the process
where that does not help.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

# A closed terminal, Ctrl-C, and the end of a job or the machine.
_STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_WAKING = signal.SIGURG  # ignored wherever it is not handled
_LONGEST_END = 10.0  # seconds after a signal, to write what must be kept
_PAUSE = 0.05  # seconds

# A forked process must not write to the pipe of the one that forked it.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


class StoppedError(SystemExit):
    """A signal has stopped the run."""

    code: int


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError in the block when a signal stops it; after the block a signal ends all.

    For the main thread. A signal that is ignored stays ignored: a shell does so for a job in the
    background, and nohup for a closed terminal.
    """
    seen: list[int] = []

    def stop(number: int, frame: object) -> NoReturn:
        seen.append(number)
        raise StoppedError(128 + number)

    heeded = [each for each in _STOPPING if signal.getsignal(each) is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, stop)
    waking = signal.signal(_WAKING, lambda number, frame: None)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader, heeded, seen), daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        os.close(writer)
        signal.signal(_WAKING, waking)
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def _watch(reader: int, heeded: list[signal.Signals], seen: list[int]) -> None:
    """Wait for a signal that stops the run, and end the process if the run does not end itself."""
    main = threading.main_thread().ident
    assert main is not None
    with open(reader, "rb", buffering=0) as numbers:
        while (found := numbers.read(1)) and found[0] not in heeded:
            pass
        if not found:
            return
        until = time.monotonic() + _LONGEST_END
        while time.monotonic() < until:  # the pipe stays open: Python writes each signal to it
            if not seen:
                signal.pthread_kill(main, _WAKING)
            time.sleep(_PAUSE)
    os._exit(128 + found[0])
