"""The output options of a command, and the printing of notes, failed symbols and results.

Notes and failures go to stderr and, with --log-file, to the log.
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
_MOST_ALIKE = 3  # failed symbols with the same reason that get one line each
_FORMATS: dict[str, Format] = {
    **{".csv": "csv", ".json": "json", ".jsonl": "jsonl"},
    **{".parquet": "parquet", ".txt": "table"},
}
_OTHER_FORMATS = {  # suffixes refused for a table file that lacks this format
    *(".json", ".jsonl", ".parquet", ".feather", ".xlsx", ".xls", ".html", ".png", ".svg"),
    *(".gz", ".bz2", ".xz", ".zip"),
}


class Report(Protocol):
    """The result of a workflow: notes, failed symbols and, for some, `warnings`."""

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def failures(self) -> Sequence[Failure]: ...


@dataclass(frozen=True)
class LogOptions:
    """Options for messages and the log.

    Output:
        --quiet -q: Print only results and failures.
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
        """Print lines at once, without logging them as notes on the result."""
        for line in lines if not self.quiet else ():
            journal.say(f"lstmcli: {line}")

    def note(self, lines: Sequence[str], *, every: bool = False) -> None:
        """Log notes and print the first few, grouping those that differ only in the symbol.

        every : print all groups. With --verbose, each note is printed on its own, with details.
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
    """Options for the destination and format of a result.

    Output:
        --format FORMAT: table, json (--json), jsonl, csv or parquet.
        --output -o FILE: Write to a file, in the format of its suffix.
    """

    format_: Format | None = None
    output: str | None = None

    @property
    def form(self) -> Format:
        """The requested format, or else the format of the file's suffix."""
        suffix = Path(self.output or "").suffix.lower()
        return self.format_ or _FORMATS.get(suffix, "table")

    def check(self, *files: str | None) -> None:
        """Raise before the work starts if the result or another file cannot be written.

        Also enables the garbage collector, which `main` disables during the imports. Imported
        objects are frozen, since they live for the whole run.
        """
        from lstmcli.report.output import check_file, check_output

        gc.freeze()
        gc.enable()
        suffix = Path(self.output or "").suffix.lower()
        if self.format_ is None and suffix and suffix not in _FORMATS:
            raise UsageError(
                "unsupported output format",
                where=f"--output {self.output}",
                why=f"found {suffix}, expected {', '.join(_FORMATS)}",
                next_step="Rename the file, or pass --format.",
            )
        check_output(self.output, self.form)
        for file in files:
            check_file(file)

    def emit(self, view: View, *, unless_quiet: bool = False) -> None:
        """Write the result, and report the output file on stderr.

        unless_quiet : omit the table with --quiet, for a result that only confirms the work.
        """
        from lstmcli.report.output import emit

        if unless_quiet and self.quiet and self.form == "table" and self.output is None:
            return
        emit(view, self.form, self.output)
        if not self.quiet and self.output and Path(self.output).is_file():
            journal.say(f"lstmcli: wrote {self.output} ({self.form})")


def check_kind(option: str, name: str | None, *kinds: str) -> None:
    """Raise UsageError if the suffix of a table file belongs to an unsupported format."""
    suffix = Path(name or "").suffix.lower()
    if suffix in _OTHER_FORMATS and suffix not in kinds:
        raise UsageError(
            "unsupported table format",
            where=f"{option} {name}",
            why=f"found {suffix}, expected {' or '.join(kinds)}",
            next_step="Rename the file.",
        )


@dataclass(frozen=True)
class BatchOptions(OutputOptions):
    """Output options of a command that can fail for some symbols.

    Output:
        --errors FILE: Write failed symbols and their reasons as CSV.
    """

    errors: str | None = None

    def check(self, *files: str | None) -> None:
        """Check the --errors file too, like `OutputOptions.check`."""
        check_kind("--errors", self.errors, ".csv")
        super().check(self.errors, *files)

    @contextmanager
    def failures_listed(self) -> Iterator[None]:
        """Write the --errors file even if all symbols fail in the block."""
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
        """Write the --errors file and print the notes, before the result."""
        self.list_failures(report.failures)
        self.note(getattr(report, "warnings", ()), every=True)
        self.note(report.notes)

    def finish(self, view: View, report: Report, done: int, **how: bool) -> None:
        """Write notes, result and failed symbols; raise PartialError if any failed."""
        self.show_notes(report)
        self.emit(view, **how)
        report_failures(report.failures, done)


def before_end(report: "PredictReport", *acts: Callable[[], object]) -> "PredictReport":
    """Return the report with callbacks that run after its last forecast, before it is shown."""

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
    """Log and print the failed symbols; raise PartialError if there are any."""
    log_failures(failures, done)
    if failures:
        print_failures(failures)
        raise PartialError(_summary(failures, done), why="see above")


def fail_if_found(asked: bool, found: str, failures: Sequence[Failure], done: int) -> None:
    """With --fail, print failed symbols and raise FoundError if moves were found."""
    if asked and found:
        log_failures(failures, done)
        print_failures(failures)
        raise FoundError(found)


def print_failures(failures: Sequence[Failure], kind: str = "failed") -> None:
    """Print one line per failed symbol, or one line for many with the same reason."""
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
    """Log the failed symbols, and count them for the end of the run."""
    journal.log_each("symbol", [{"status": "failed", **asdict(each)} for each in failures])
    count_failures(failures, done)


def count_failures(failures: Sequence[Failure], done: int) -> None:
    """Record the number of failed symbols and the first reason for the end of the run."""
    journal.count(done=done, failed=len(failures))
    if failures:
        first = f"first {failures[0].symbol}: {failures[0].reason}"
        journal.count(error=f"{_summary(failures, done)}, {first}")


def _summary(failures: Sequence[Failure], done: int) -> str:
    return f"{len(failures)} of {len(failures) + done} symbols failed"
