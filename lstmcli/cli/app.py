"""The command `lstmcli`: its subcommands, and the one place that turns errors into exit codes.

A signal stops a run promptly, even during a blocking call, and leaves no temporary files. Python
runs signal handlers in the main thread, between bytecode instructions. If a signal arrives just
before a blocking call (a pipe or a lock), its handler runs only after that call returns, which may
be never. A thread therefore reads each signal from a pipe, interrupts the main thread until the
handler has run, and ends the process if that does not help.
"""

import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from lstmcli import __version__
from lstmcli.cli import config, data, models
from lstmcli.cli.anomalies import anomalies
from lstmcli.cli.evaluate import evaluate
from lstmcli.cli.fetch import fetch
from lstmcli.cli.forecast import forecast
from lstmcli.cli.predict import predict
from lstmcli.cli.status import status
from lstmcli.cli.train import train
from lstmcli.cli.tune import tune
from lstmcli.console import journal
from lstmcli.console.help import Program, TyperUsageError, explain_usage
from lstmcli.console.messages import log_failures
from lstmcli.errors import AllFailedError, LstmcliError
from lstmcli.printable import printable_stream

_EXIT_CODES = """
Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 some symbols failed; 4 no or unsuitable
data; 5 another run holds the lock; 6 network or rate limit; 7 a move was found (anomalies --fail);
129, 130, 143 stopped by SIGHUP, SIGINT (Ctrl-C), SIGTERM.

Environment: LSTMCLI_DATA_DIR, LSTMCLI_CONFIG, LSTMCLI_MODEL, LSTMCLI_DEVICE, LSTMCLI_THREADS,
LSTMCLI_SEED, LSTMCLI_RAY, LSTMCLI_LOG_FILE and LSTMCLI_FORMAT set the options with these names;
NO_COLOR turns colours off. Options override the environment, which overrides the recipe, which
overrides the defaults. Write durations as 90s, 15m, 26h or 8d.
"""
_START = """\
Forecast stock prices with an LSTM, and measure how good the forecasts are.

Start: lstmcli forecast AAPL    fetch prices, forecast the next 50 sessions
       lstmcli train AAPL       train the symbol's own model on them
       lstmcli evaluate AAPL    compare past forecasts with the actual prices

Your own prices: lstmcli predict --csv prices.csv
Help:            lstmcli --help, or lstmcli help predict
"""

# A closed terminal, Ctrl-C, and the end of a job or the machine.
_STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_WAKING = signal.SIGURG  # ignored by default, so it does no harm without a handler
_LONGEST_END = 10.0  # seconds after a signal in which the run may save its work
_PAUSE = 0.05  # seconds

# A forked process must not write to its parent's pipe.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

app = Program(name="lstmcli", epilog=_EXIT_CODES)
for command in (fetch, train, predict, forecast, evaluate, tune, anomalies, status):
    app.command()(command)
for group in (data, models, config):
    app.add_typer(group.app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Forecast stock prices with an LSTM, and measure how good the forecasts are.

    This is not investment advice.

    Examples:
        lstmcli forecast AAPL
        lstmcli train AAPL
        lstmcli evaluate AAPL
        lstmcli help forecast
    """
    if version:
        print(f"lstmcli {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(_START, end="")


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # A stream is None if the caller closed it.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Escape characters that the terminal cannot encode.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout, sys.stderr = printable_stream(sys.stdout), printable_stream(sys.stderr)
    if not sys.warnoptions:  # set by python -W and PYTHONWARNINGS
        warnings.simplefilter("ignore")
    logging.lastResort = logging.NullHandler()  # drops the logs of libraries that have no handler
    # Importing PyTorch creates some 400,000 permanent objects. Scanning them for garbage took a
    # third of a short run's CPU time; `OutputOptions.check` enables the collector again.
    gc.disable()
    # NumPy's matrix products are small here: a second OpenBLAS thread mostly waited, which cost a
    # tenth of the CPU time of `train`. PyTorch has its own threads (`train.threads`).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with stoppable():
            code = journal.whole_run(_run)
    except StoppedError as stop:
        # A normal exit would wait for threads that are blocked on the network.
        os._exit(stop.code)
    finally:
        gc.unfreeze()  # for a run inside another program, such as the tests
        gc.enable()
    sys.exit(code)


class StoppedError(SystemExit):
    """Raised when a signal stops the run."""

    code: int


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError inside the block on a signal; after it, restore the default actions.

    Call this from the main thread. Signals that are ignored stay ignored: shells ignore SIGINT for
    background jobs, and nohup ignores SIGHUP.
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


def _run() -> int:
    """Run the command, flush its output and return the exit code."""
    code = 0
    try:
        code = _dispatch()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe (`| head`), which is not an error.
        _discard_output()
    except SystemExit as end:
        if end.code != 1:  # a signal
            raise
        _discard_output()  # typer and rich exit with 1 if the pipe closes while they write
    except OSError as error:
        _discard_output()
        what = f"cannot use ({error.filename})" if error.filename else "cannot write the output"
        text = f"{what}: {error.strerror or error}"
        if error.errno == errno.ENOENT and not error.filename:  # os.getcwd names no file
            text = "cannot use the current folder: it is gone. Change to another folder."
        return _fail(error, text, 1)
    return code


def _dispatch() -> int:
    """Run the command; print its errors as one line on standard error and return the exit code."""
    try:
        _load_torch_elsewhere()
        return int(app(prog_name="lstmcli", standalone_mode=False) or 0)
    except LstmcliError as error:
        if isinstance(error, AllFailedError):
            log_failures(error.failures, done=0)
        return _fail(error, str(error), error.exit_code)
    except TyperUsageError as error:
        return _fail(error, str(explain_usage(error)), 2)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except SystemExit as stop:
        for note in getattr(stop, "__notes__", ()):  # lists the work that the run saved
            journal.say(f"lstmcli: {note}")
            journal.log("note", message=note)
        raise


def _load_torch_elsewhere() -> None:
    """Import PyTorch from the root folder if the current folder was deleted, to avoid a crash.

    Afterwards relative paths still refer to the deleted folder and are not found.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        here = os.open(".", os.O_RDONLY)
        os.chdir(os.sep)
        import torch._dynamo  # noqa: F401 - optimizers import it, and it reads the current folder

        os.fchdir(here)
        os.close(here)


def _discard_output() -> None:
    """Redirect stdout to the null device, so that the flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: BaseException, text: str, code: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    journal.fail(text)
    journal.say(f"lstmcli: error: {text}")
    return code


def _watch(reader: int, heeded: list[signal.Signals], seen: list[int]) -> None:
    """Wait for a signal, and end the process if the run does not stop in time."""
    main = threading.main_thread().ident
    assert main is not None
    # Keep the pipe open until the end, because interrupting the main thread writes to it too.
    with open(reader, "rb", buffering=0) as numbers:
        while (found := numbers.read(1)) and found[0] not in heeded:
            pass
        if not found:
            return
        until = time.monotonic() + _LONGEST_END
        while time.monotonic() < until:
            if not seen:
                signal.pthread_kill(main, _WAKING)
            time.sleep(_PAUSE)
    os._exit(128 + found[0])
