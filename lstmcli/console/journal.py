"""The event log of a run: JSON lines in --log-file, messages on stderr, and the run's outcome.

A process is one run, so the run is global to this module. When a fetch, train, predict, forecast or
evaluate ends, its outcome is recorded in the data folder for `status`.

If the log cannot be written at the start, the run fails; later it only warns once and continues. If
another process holds the log's lock, the run waits once and then warns.
"""

import json
import logging
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer

from lstmcli import __version__
from lstmcli.errors import FileError, LockedError, UsageError
from lstmcli.printable import json_text, printable, wrapped

_LOG_WAIT = 10.0  # seconds; other runs hold the lock for milliseconds


@dataclass
class _Run:
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)
    command: str = ""
    data_dir: Path | None = None
    has_warned: bool = False
    counts: dict[str, float] = field(default_factory=dict)
    error: str = ""


_run = _Run()
_events = logging.getLogger("lstmcli.events")
_events.setLevel(logging.INFO)
_events.propagate = False
_URL = r"(\w:/+|//)"  # `Path` collapses the two slashes into one
_USER = re.compile(_URL + "(.*)@", re.DOTALL)
_CUT_USER = re.compile(_URL + r"(?!\*\*\*@)[^/\s:]+:(?!\d{1,5}(?!\w))\S+")
_SECRET_FIELD = re.compile(
    r"([?&;][^?&;=\s]*(?:auth|crumb|key|pass|pwd|secret|sig|token)[^?&;=\s]*=)([^&;#\s]+)",
    re.IGNORECASE,
)
_SHORTEST = 3  # characters; shorter secrets are masked only inside their URL


class JsonFormatter(logging.Formatter):
    """Format an event, the record's `msg` and `facts`, as one line of printable JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the passwords in URLs masked."""
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "run_id": _run.run_id,
            "command": _run.command,
            "event": record.msg,
        }
        facts = json.loads(json.dumps(vars(record)["facts"], default=str), parse_constant=str)
        return json_text({**head, **_without_passwords(facts)}) + "\n"


class _LogFile(logging.Handler):
    """Handler that collects events until `append` writes them under one lock."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter())

    def append(self) -> int:
        """Append the events and sync them to disk; return the bytes of a removed partial line."""
        lines, self.lines = self.lines, []
        return _append(self.path, lines) if lines else 0

    def emit(self, record: logging.LogRecord) -> None:
        """Collect an event."""
        self.lines.append(self.format(record))


def whole_run(work: Callable[[], int]) -> int:
    """Do the work of a new run, and record its outcome however it ends."""
    global _run
    _run = _Run()
    _events.handlers.clear()
    code = 1  # for an unexpected exception, i.e. a bug
    try:
        code = work()
    except SystemExit as end:  # a signal
        code = int(end.code or 0)
        raise
    finally:
        _end(code)
    return code


def open_log(context: typer.Context, name: str | None) -> str | None:
    """Open the log as soon as its option is parsed. Raises FileError if it cannot be written."""
    if name is None or context.resilient_parsing:
        return name
    log = _LogFile(Path(name))
    if _is_foreign(log.path):
        raise UsageError(
            "not a log", where=name, why="it holds other content", next_step="Pass another file."
        )
    _run.command = context.command_path.partition(" ")[2]
    start = {"version": __version__, "arguments": sys.argv[1:], "environment": _variables()}
    log.emit(logging.makeLogRecord({"msg": "start", "facts": start}))
    try:
        torn = log.append()
    except LockedError as error:
        torn = 0
        _warn_missing(error)
    _events.addHandler(log)
    if torn:
        warn(f"{name}: removed an incomplete last line ({torn} bytes)")
    return name


def begin(command: str, data_dir: Path) -> str:
    """Set the command and data folder of the run, and return its id."""
    _run.command, _run.data_dir = command, data_dir
    return _run.run_id


def log(event: str, **facts: Any) -> None:
    """Log one event."""
    log_each(event, [facts])


def log_each(event: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Log one event per row, and sync them to disk."""
    for row in rows:
        _events.info(event, extra={"facts": row})
    for log in _events.handlers:
        assert isinstance(log, _LogFile)
        try:
            log.append()
        except (FileError, LockedError) as error:
            _warn_missing(error)


def logged(event: str, show: Callable[..., None]) -> Callable[..., None]:
    """Wrap a callback to log its first argument, a dataclass, before each call."""

    def call(fact: Any, *rest: Any) -> None:
        log(event, **asdict(fact))
        show(fact, *rest)

    return call


def count(*, error: str = "", **numbers: float) -> None:
    """Record counts for the run's end, e.g. `done` and `failed` symbols, and the first error."""
    _run.counts |= numbers
    _run.error = _run.error or _without_passwords(error)


def fail(text: str) -> None:
    """Log an error, and record it for the run's end unless an earlier one is recorded."""
    log("error", message=text)
    count(error=text)


def warn(text: str) -> None:
    """Log a warning and print it, even with --quiet."""
    log("warning", message=text)
    say(f"lstmcli: warning: {text}")


def say(line: str, *, end: str = "\n") -> None:
    """Print one line to stderr, with control characters escaped, wrapped at a terminal's width."""
    text = printable(line)
    if end == "\n" and sys.stderr.isatty():
        text = wrapped(text, shutil.get_terminal_size().columns, rest="  ")
    print(text, end=end, file=sys.stderr, flush=True)


def _warn_missing(error: Exception) -> None:
    """Warn once per run about events that cannot be logged."""
    if not _run.has_warned:
        _run.has_warned = True
        say(f"lstmcli: warning: events are missing from the log: {error}")


def _is_foreign(path: Path) -> bool:
    """Return whether the file exists and is not an event log."""
    with suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                return file.read(1) not in (b"", b"{")
    return False


def _end(code: int) -> None:
    if _run.data_dir is not None:
        _record(_run.data_dir, code)
    seconds = round(time.monotonic() - _run.clock, 3)
    log("end", exit_code=code, seconds=seconds, counts=_run.counts)


def _record(data_dir: Path, code: int) -> None:
    """Record the outcome in the data folder. If the folder is read-only, only log a warning."""
    from lstmcli.runs.last_runs import RunEnd, note_end

    started, ended = (
        each.isoformat(timespec="seconds") for each in (_run.started, datetime.now(UTC))
    )
    end = RunEnd(_run.command, _run.run_id, started, ended, code, _run.counts, _run.error)
    try:
        if data_dir.is_dir():
            note_end(data_dir, end)
    except (FileError, LockedError, OSError) as error:
        log("warning", message=f"this run is not recorded: {error}")


def _append(path: Path, lines: list[str]) -> int:
    from lstmcli.files.atomic import append_lines

    wait = 0.0 if _run.has_warned else _LOG_WAIT
    return append_lines(path, "".join(lines).encode("ascii"), wait=wait)


def _without_passwords(value: Any) -> Any:
    """Mask the users and passwords of URLs in every text; if in doubt, mask too much.

    The mask extends to the last @ of the text, because a password may contain any character,
    escaped or not. A URL truncated before its @ is recognised by a colon without a port.
    """
    if isinstance(value, dict):
        return {key: _without_passwords(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_passwords(each) for each in value]
    if not isinstance(value, str):
        return value
    value = _USER.sub(r"\1***@", value)
    value = _CUT_USER.sub(r"\1***", value)
    value = _SECRET_FIELD.sub(r"\1***", value)
    secrets = _secrets_of((*sys.argv[1:], *_variables().values()))
    return secrets.sub("***", value) if secrets else value


@lru_cache(maxsize=1)
def _secrets_of(texts: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return a pattern that matches the run's passwords, for messages with a part of a URL.

    It also matches the parts around each =, because `--csv NAME=FILE` is split there, and the
    percent-encoded form, because the store encodes file names.
    """
    found = [user.partition(":")[2] for text in texts for _, user in _USER.findall(text)]
    found += [secret for text in texts for _, secret in _SECRET_FIELD.findall(text)]
    parts = {part for secret in found for part in (secret, *secret.split("="))}
    parts |= {" ".join(part.split()) for part in parts} | {quote(part, safe="") for part in parts}
    long = sorted((part for part in parts if len(part) >= _SHORTEST), key=len, reverse=True)
    words = "|".join(map(re.escape, long))
    return re.compile(words, re.IGNORECASE) if words else None


def _variables() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith("LSTMCLI_")}
