"""The installed command from outside, as its own process or in this one, and what it leaves.

`lstmcli` starts a process and is for what only a process has: an interpreter that starts.
`in_process` calls the same entry point with streams of its own, two seconds quicker; for signals,
terminals and pipes there are `forked_runs`.
"""

import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, chdir, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import typer.main
from numpy.typing import NDArray

from lstmcli.cli.app import main
from lstmcli.market.calendars import sessions_of
from lstmcli.workflows.fetch import fetch

# Declaring every command takes longer than running most of them.
typer.main.get_command = cache(typer.main.get_command)
# Two requests a second, which a feed that the tests serve need not be spared.
fetch.__kwdefaults__["rate"] = 100.0
# What waits for the disk guards against a loss of power. No test brings one about, and to wait
# takes longer than most tests.
to_the_disk, os.fsync = os.fsync, os.fstat  # type: ignore[assignment]
_connect = sqlite3.connect


def _connect_without_waiting(*where: Any, **options: Any) -> sqlite3.Connection:
    connection = _connect(*where, **options)
    with suppress(sqlite3.Error):  # of a file that is damaged
        connection.execute("PRAGMA synchronous=OFF")
    return connection


sqlite3.connect = _connect_without_waiting  # type: ignore[assignment]

PROGRAM = str(Path(sys.executable).parent / "lstmcli")
LAST_DAY = np.datetime64("2018-08-31")
# A network that trains in half a second, as a recipe and as options.
TINY_RECIPE = """\
[data]
csv = ["prices.csv"]

[window]
context_length = 10
horizon = 5
features = ["close"]
scaling = "log_return"

[model]
head = "recursive"
hidden_sizes = [4]

[train]
epochs = 2
threads = 1
device = "cpu"
"""
TINY = (
    "--set=window.context_length=10",
    "--set=window.horizon=5",
    "--set=window.scaling=log_return",
    '--set=window.features=["close"]',
    "--set=model.head=recursive",
    "--set=model.hidden_sizes=[4]",
    "--set=train.epochs=1",
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it said."""

    code: int
    out: str
    err: str


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what would steer the command, and with the changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LSTMCLI_")}
    return {**kept, **(changes or {})}


def lstmcli(
    *arguments: object, folder: Path, env: Mapping[str, str] | None = None, stdin: bytes = b""
) -> Outcome:
    """Run the installed command in a folder as a process of its own."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=folder,
        env=environment(env),
        input=stdin,
        capture_output=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


_ONE_AFTER_ANOTHER = """\
import json
import sys
from importlib.metadata import entry_points

(command,) = entry_points(group="console_scripts", name="lstmcli")
main = command.load()
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lstmcli", *arguments]
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"{arguments} ended with {end.code}")
"""


def one_after_another(
    runs: Iterable[Iterable[object]],
    *,
    folder: Path,
    env: Mapping[str, str],
    python: Path | str = sys.executable,
) -> Outcome:
    """Run the installed command several times in one process; it ends with the first that fails.

    The libraries are imported once, by a fresh interpreter, in no other environment than this.
    """
    words = json.dumps([[str(argument) for argument in arguments] for arguments in runs])
    done = subprocess.run(
        [str(python), "-c", _ONE_AFTER_ANOTHER, words],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def in_process(
    *arguments: object,
    folder: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    encoding: str = "utf-8",
) -> Outcome:
    """Run the command's entry point in a folder, inside this process."""
    streams: dict[str, Any] = {
        name: io.TextIOWrapper(io.BytesIO(stdin if name == "stdin" else b""), encoding=encoding)
        for name in ("stdin", "stdout", "stderr")
    }
    code: object = None
    with ExitStack() as stack:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.getsignal(number))
        stack.enter_context(chdir(folder))
        stack.enter_context(patch.dict(os.environ, environment(env), clear=True))
        stack.enter_context(
            patch.multiple(
                sys, argv=["lstmcli", *map(str, arguments)], warnoptions=["error"], **streams
            )
        )
        try:
            main()
        except SystemExit as end:
            code = end.code
    texts = []
    for name in ("stdout", "stderr"):
        streams[name].flush()
        texts.append(streams[name].buffer.getvalue().decode())
    assert isinstance(code, int)
    return Outcome(code, *texts)


def succeed(*arguments: object, folder: Path, **options: Any) -> Outcome:
    """Run the command as `in_process` does, and see that all is well."""
    outcome = in_process(*arguments, folder=folder, **options)
    assert outcome.code == 0, outcome.err
    return outcome


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder but empty lock files, by path.

    The record of runs is left out too: every run that fails changes it.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "runs.json"
        if not path.name.endswith(".lock") or path.read_bytes()
    }


def assert_one_error(outcome: Outcome, code: int, *words: str) -> None:
    """Hold that a run failed as the design says: the code, one error line, nothing on stdout."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    errors = [line for line in lines if line.startswith("lstmcli: error: ")]
    assert len(errors) == 1, outcome.err
    assert lines[-1] == errors[0]
    assert all(line.startswith("lstmcli: ") for line in lines), outcome.err
    missing = [word for word in words if word not in errors[0]]
    assert not missing, (missing, errors[0])


def document_of(folder: Path, *arguments: object, **options: Any) -> dict[str, Any]:
    """Return the JSON that a command prints, which must succeed."""
    done = succeed(*arguments, "--format", "json", folder=folder, **options)
    found: dict[str, Any] = json.loads(done.out)
    return found


def words_of(text: str) -> str:
    """Return a screen's words, wherever its lines end."""
    return " ".join(text.split())


def sessions(rows: int, last: np.datetime64 = LAST_DAY) -> list[str]:
    """Return the last New York sessions up to a day, as ISO dates."""
    days = sessions_of("XNYS")
    return [str(day) for day in days[days <= last][-rows:]]


def walk(rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Return a random walk of prices near 100."""
    moves = np.random.default_rng(seed).normal(3e-4, 0.01, rows)
    return np.asarray(100 * np.exp(np.cumsum(moves))).round(6)


def csv_text(prices: NDArray[np.float64], last: np.datetime64 = LAST_DAY) -> str:
    """Return prices as a CSV of dates and closes."""
    rows = zip(sessions(len(prices), last), prices, strict=True)
    return "Date,Close\n" + "".join(f"{day},{price:.6f}\n" for day, price in rows)


def wide_csv(symbols: Sequence[str], rows: int = 60) -> str:
    """Return a CSV of closes with a column a symbol."""
    columns = {symbol: walk(rows, seed) for seed, symbol in enumerate(symbols)}
    days = pd.Index(sessions(rows), name="Date")
    return pd.DataFrame(columns, days).to_csv(float_format="%.6f")


def read_exactly(text: str) -> pd.DataFrame:
    """Read a CSV with every digit of its numbers, which pandas 2 does only when asked to."""
    options: dict[str, Any] = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}
    return pd.read_csv(io.StringIO(text), **options)
