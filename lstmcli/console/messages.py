"""The options for results and messages, and what they print: notes, failed symbols, the result.

Notes and failures go to standard error and, with --log-file, to the log.
"""

import gc
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

from lstmcli.console import journal
from lstmcli.errors import AllFailedError, Failure, FoundError, PartialError, UsageError
from lstmcli.printable import count_of, first_few, grouped
from lstmcli.report import Format, View

if TYPE_CHECKING:
    from lstmcli.workflows.batches import SymbolForecast
    from lstmcli.workflows.predict import PredictReport

_MOST_NOTES = 5
_MOST_ALIKE = 3  # failed symbols with one reason that have a line each
_FORMATS: dict[str, Format] = {
    **{".csv": "csv", ".json": "json", ".jsonl": "jsonl"},
    **{".parquet": "parquet", ".txt": "table"},
}
_OTHER_FORMATS = {  # than that of tables written besides a result
    *(".json", ".jsonl", ".parquet", ".feather", ".xlsx", ".xls", ".html", ".png", ".svg"),
    *(".gz", ".bz2", ".xz", ".zip"),
}


class Report(Protocol):
    """What a workflow returns: notes and the symbols that failed, and sometimes `warnings`."""

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def failures(self) -> Sequence[Failure]: ...


@dataclass(frozen=True)
class LogOptions:
    """How much a command says besides its result.

    Output:
        --quiet -q: Print results and failures only.
        --verbose -v: Print every epoch, refit, trial and note.

    Advanced:
        --log-file FILE: Append each event as a line of JSON.
        --debug: Show the traceback of an error.
    """

    quiet: bool = False
    verbose: bool = False
    log_file: Annotated[str | None, dict(is_eager=True, callback=journal.open_log)] = None
    debug: bool = False

    def announce(self, lines: Sequence[str]) -> None:
        """Print lines that are no notes on the result, at once."""
        for line in lines if not self.quiet else ():
            journal.say(f"lstmcli: {line}")

    def note(self, lines: Sequence[str], *, every: bool = False) -> None:
        """Log lines and print them once for all their symbols, the first few or with `every` all.

        With --verbose each is printed, with details.
        """
        journal.log_each("note", [{"message": line} for line in lines])
        if self.quiet:
            return
        once = lines if self.verbose else grouped(lines)
        shown = once if every or self.verbose else once[:_MOST_NOTES]
        for line in shown:
            journal.say(f"lstmcli: {line}")
            if self.verbose and (details := getattr(line, "details", "")):
                journal.say(f"lstmcli: {details}")
        if len(shown) < len(once):
            journal.say(f"lstmcli: {count_of(len(once) - len(shown), 'more note')} with --verbose")


@dataclass(frozen=True)
class OutputOptions(LogOptions):
    """Where a result goes and in which format.

    Output:
        --format FORMAT: table, json (--json), jsonl, csv or parquet.
        --output -o FILE: Write to a file, in the format of its suffix.
    """

    format_: Format | None = None
    output: str | None = None

    @property
    def form(self) -> Format:
        """The format: that asked for, or that of the file's name."""
        suffix = Path(self.output or "").suffix.lower()
        return self.format_ or _FORMATS.get(suffix, "table")

    def check(self, *files: str | None) -> None:
        """Start the work: raise if a result or further file could not be written later.

        The collector, off during the imports before it (see `main`), is on from here. Imported
        objects stay for the whole run and are never searched.
        """
        from lstmcli.report.output import check_file, check_output

        gc.freeze()
        gc.enable()
        suffix = Path(self.output or "").suffix.lower()
        if self.format_ is None and suffix and suffix not in _FORMATS:
            raise UsageError(
                "not a kind of output",
                where=f"--output {self.output}",
                why=f"found {suffix}, expected {', '.join(_FORMATS)}",
                next_step="Name the file so, or pass --format.",
            )
        check_output(self.output, self.form)
        for file in files:
            check_file(file)

    def emit(self, view: View, *, unless_quiet: bool = False) -> None:
        """Write the result, and say on stderr which file holds it.

        unless_quiet : the result only says that the work is done; --quiet leaves out its table.
        """
        from lstmcli.report.output import emit

        if unless_quiet and self.quiet and self.form == "table" and self.output is None:
            return
        emit(view, self.form, self.output)
        if not self.quiet and self.output and Path(self.output).is_file():
            journal.say(f"lstmcli: wrote {self.output} ({self.form})")


def check_kind(option: str, name: str | None, *kinds: str) -> None:
    """Raise UsageError where a file's name says that it is of another format than will be in it."""
    suffix = Path(name or "").suffix.lower()
    if suffix in _OTHER_FORMATS and suffix not in kinds:
        raise UsageError(
            "not a kind of table",
            where=f"{option} {name}",
            why=f"found {suffix}, expected {' or '.join(kinds)}",
            next_step="Name the file so.",
        )


@dataclass(frozen=True)
class BatchOptions(OutputOptions):
    """The output of a command that can fail for some symbols.

    Output:
        --errors FILE: List failed symbols with reasons, as CSV.
    """

    errors: str | None = None

    def check(self, *files: str | None) -> None:
        """Start the work, as `OutputOptions.check`."""
        check_kind("--errors", self.errors, ".csv")
        super().check(self.errors, *files)

    @contextmanager
    def failures_listed(self) -> Iterator[None]:
        """Write the file of failed symbols also if all of them failed."""
        try:
            yield
        except AllFailedError as error:
            self.list_failures(error.failures)
            raise

    def list_failures(self, failures: Sequence[Failure]) -> None:
        """Write the symbols that failed to the --errors file."""
        if self.errors is None:
            return
        from lstmcli.report.output import emit

        columns = ("symbol", "exit_code", "reason")
        emit(View(list, dict, lambda: failures, columns), "csv", self.errors)

    def show_notes(self, report: Report) -> None:
        """Write the file of failed symbols and print the notes, before the result."""
        self.list_failures(report.failures)
        self.note(getattr(report, "warnings", ()), every=True)
        self.note(report.notes)

    def finish(self, view: View, report: Report, done: int, **how: bool) -> None:
        """Write notes, result and failed symbols; raise PartialError if any failed."""
        self.show_notes(report)
        self.emit(view, **how)
        report_failures(report.failures, done)


def before_end(report: "PredictReport", *acts: Callable[[], object]) -> "PredictReport":
    """Return the report as a stream that acts when all is made: before a result is shown."""

    def forecasts() -> Iterator["SymbolForecast"]:
        yield from report.forecasts
        for act in acts:
            act()

    return replace(report, forecasts=forecasts())


def confirm(question: str) -> bool:
    """Ask on stderr and return whether the answer is yes."""
    journal.say(f"{question} [y/N]: ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report_failures(failures: Sequence[Failure], done: int) -> None:
    """Log and print the symbols that failed; raise PartialError if there are any."""
    log_failures(failures, done)
    if failures:
        print_failures(failures)
        raise PartialError(_summary(failures, done), why="see above")


def fail_if_found(asked: bool, found: str, failures: Sequence[Failure], done: int) -> None:
    """Raise FoundError where that was asked for; failed symbols are printed before it."""
    if asked and found:
        log_failures(failures, done)
        print_failures(failures)
        raise FoundError(found)


def print_failures(failures: Sequence[Failure], kind: str = "failed") -> None:
    """Print a line for every symbol that failed; one for many that failed alike."""
    alike: dict[str, list[Failure]] = {}
    for each in failures:
        reason = re.sub(rf"(?<!\w){re.escape(each.symbol)}(?!\w)", "SYMBOL", each.reason)
        alike.setdefault(reason, []).append(each)
    for reason, found in alike.items():
        if len(found) > _MOST_ALIKE:
            names = first_few((each.symbol for each in found), _MOST_NOTES)
            text = f"{names}: {reason.rstrip('.')}. --errors FILE lists them all."
            journal.say(f"lstmcli: {kind}: {text}")
            continue
        for each in found:
            journal.say(f"lstmcli: {kind}: {each.symbol}: {each.reason}")


def log_failures(failures: Sequence[Failure], done: int) -> None:
    """Log the symbols that failed, and count them for the end of the run."""
    journal.log_each("symbol", [{"status": "failed", **asdict(each)} for each in failures])
    count_failures(failures, done)


def count_failures(failures: Sequence[Failure], done: int) -> None:
    """Record for the end of the run how many symbols failed, and the first reason."""
    journal.count(done=done, failed=len(failures))
    if failures:
        first = f"first {failures[0].symbol}: {failures[0].reason}"
        journal.count(error=f"{_summary(failures, done)}, {first}")


def _summary(failures: Sequence[Failure], done: int) -> str:
    return f"{len(failures)} of {len(failures) + done} symbols failed"
