"""What goes to standard error besides errors: notes, warnings, failed symbols. All is logged."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lstmcli.cli import journal
from lstmcli.errors import AllFailedError, Failure, PartialError
from lstmcli.report.output import rows_csv, write_file

_MOST_NOTES = 5


def tell(lines: Sequence[str], *, quiet: bool, every: bool = True) -> None:
    """Log lines, and print them to stderr: the first few, or with `every` all and their details."""
    journal.log_each("note", [{"message": line} for line in lines])
    if quiet:
        return
    shown = lines if every else lines[:_MOST_NOTES]
    for line in shown:
        journal.say(f"lstmcli: {line}")
        if every and (details := getattr(line, "details", "")):
            journal.say(f"lstmcli: {details}")
    if len(shown) < len(lines):
        journal.say(f"lstmcli: {len(lines) - len(shown)} more notes with --verbose")


def confirmed(question: str) -> bool:
    """Ask on stderr, so that stdout stays the result's; no is the answer unless it is yes."""
    journal.say(f"{question} [y/N]: ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def failures_listed(errors: str | None) -> Iterator[None]:
    """List the symbols in the file asked for also when all of them failed."""
    try:
        yield
    except AllFailedError as error:
        list_failures(errors, error.failures)
        raise


def list_failures(errors: str | None, failures: Sequence[Failure]) -> None:
    """Write the symbols that failed to the file `errors` as CSV, if one was asked for."""
    if errors is None:
        return
    rows = [
        {"symbol": each.symbol, "exit_code": each.exit_code, "reason": each.reason}
        for each in failures
    ]
    write_file(Path(errors), rows_csv(rows, columns=("symbol", "exit_code", "reason")))


def finish(failures: Sequence[Failure], done: int) -> None:
    """Name the symbols that failed, and end with exit code 3 if there are any."""
    log_failures(failures, done)
    if failures:
        print_failures(failures)
        told = f"{len(failures)} of {len(failures) + done} symbols failed"
        raise PartialError(told, why="see above")


def print_failures(failures: Sequence[Failure]) -> None:
    """Print a line for every symbol that failed."""
    for failure in failures:
        journal.say(f"lstmcli: failed: {failure.symbol}: {failure.reason}")


def log_failures(failures: Sequence[Failure], done: int) -> None:
    """Log the symbols that failed, and keep how many did and how many were done."""
    journal.log_each("symbol", [{"status": "failed", **asdict(each)} for each in failures])
    count_failures(failures, done)


def count_failures(failures: Sequence[Failure], done: int) -> None:
    """Keep how many symbols failed and were done, and why the first of them failed."""
    journal.count(done=done, failed=len(failures))
    if failures:
        first = f"first {failures[0].symbol}: {failures[0].reason}"
        told = f"{len(failures)} of {len(failures) + done} symbols failed, {first}"
        journal.count(error=told)
