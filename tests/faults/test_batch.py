"""Batches of many symbols survive bad symbols, signals and full disks (`predict` and `train`)."""

import csv
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tests.command_line import PROGRAM, Outcome, csv_text, environment, hashes, in_process, walk
from tests.forked_runs import DiskFault, ForkServer
from tests.store_state import strays

ENOSPC = 28
LENGTH = 40
Ending = TypeVar("Ending", bound=Outcome)
MODEL = ("--model", "tiny")  # its prices are others than the batch has
BATCH = ("predict", "--symbols-file", "list.txt", *MODEL, "--format", "csv")
BAD: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "short": (lambda path: path.write_text(csv_text(walk(9))), 4, "needs 10 rows"),
    "absent": (lambda path: path.unlink(), 4, "no prices stored"),
    "empty": (lambda path: path.write_text(""), 4, "no rows"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-6]), 4, "the last line"),
    "binary": (lambda path: path.write_bytes(b"\x00\xff\xfe" * 99), 4, "not a table of prices"),
    "negative": (
        lambda path: path.write_text(",-".join(path.read_text().rsplit(",", 1))), 4, "bad price",
    ),
    "folder": (lambda path: (path.unlink(), path.mkdir()), 4, "no prices stored"),
    "outside": (lambda path: (path.unlink(), path.symlink_to("/etc/hosts")), 1, "leads out"),
}  # fmt: skip


@dataclass(frozen=True)
class Ended(Outcome):
    """How a process ended, what it said, and the memory that it took at most, in KiB."""

    peak: int


def names(count: int) -> list[str]:
    return [
        f"T{chr(65 + k // 676)}{chr(65 + k // 26 % 26)}{chr(65 + k % 26)}" for k in range(count)
    ]


def stock(trained_home: Path, home: Path, count: int) -> list[str]:
    """Put a model and so many symbols into a folder, and a list of them."""
    shutil.copytree(trained_home, home)
    prices = home / "data" / "prices" / "1d"
    prices.mkdir(parents=True)
    header, *lines = csv_text(walk(LENGTH + 20)).splitlines()
    for number, name in enumerate(names(count)):
        rows = lines[number % 10 : number % 10 + LENGTH]
        (prices / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    (home / "list.txt").write_text("\n".join(names(count)) + "\n")
    return names(count)


def spoil(home: Path, symbols: list[str], every: int = 17) -> dict[str, str]:
    """Spoil every so many symbols, in every way; returns how each was."""
    spoiled = {}
    kinds = list(BAD)
    for number, symbol in enumerate(symbols[every // 2 :: every]):
        kind = kinds[number % len(kinds)]
        BAD[kind][0](home / "data" / "prices" / "1d" / f"{symbol}.csv")
        spoiled[symbol] = kind
    return spoiled


def measured(*arguments: str, folder: Path) -> Ended:
    """Run the command as a process whose memory is all its own."""
    command = [PROGRAM, *arguments]
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Ended(process.returncode, out.read(), err.read(), usage.ru_maxrss)


def check_batch(home: Path, count: int, trained_home: Path, run: Callable[..., Ending]) -> Ending:
    """Hold row 47 for a batch of so many symbols; returns how it ended."""
    symbols = stock(trained_home, home, count)
    spoiled = spoil(home, symbols)
    assert set(spoiled.values()) == set(BAD)
    before = hashes(home / "data")
    files = ("--output", "forecast.csv", "--errors", "errors.csv")
    found = run(*BATCH, *files, "--quiet", folder=home)
    assert found.code == 3
    assert found.out == ""
    last = found.err.splitlines()[-1]
    assert last == f"lstmcli: error: {len(spoiled)} of {count} symbols failed: see above"
    assert hashes(home / "data") == before
    assert strays(home) == []
    rows = list(csv.DictReader((home / "forecast.csv").read_text().splitlines()))
    good = [symbol for symbol in symbols if symbol not in spoiled]
    assert [row["symbol"] for row in rows[::5]] == good
    assert all(float(row["median"]) > 0 for row in rows)
    errors = list(csv.DictReader((home / "errors.csv").read_text().splitlines()))
    assert [row["symbol"] for row in errors] == list(spoiled)
    for row in errors:
        _, code, reason = BAD[spoiled[row["symbol"]]]
        assert row["exit_code"] == str(code)
        assert reason in row["reason"]
        assert f"lstmcli: failed: {row['symbol']}: {row['reason']}" in found.err
    return found


def test_bad_symbols_are_listed_and_the_others_are_forecast(
    tmp_path: Path, trained_home: Path, forks: ForkServer
) -> None:
    check_batch(tmp_path / "home", 140, trained_home, forks.run)


@pytest.mark.slow
def test_two_thousand_symbols_take_no_more_memory_than_two_hundred(
    tmp_path: Path, trained_home: Path
) -> None:
    few = check_batch(tmp_path / "few", 200, trained_home, measured)
    many = check_batch(tmp_path / "many", 2000, trained_home, measured)
    assert many.peak < 1.2 * few.peak


def test_a_bad_batch_differs_from_a_good_one_only_in_its_bad_symbols(
    tmp_path: Path, trained_home: Path
) -> None:
    symbols = stock(trained_home, tmp_path / "home", 40)
    good = in_process(*BATCH, "--quiet", folder=tmp_path / "home").out.splitlines()
    spoiled = spoil(tmp_path / "home", symbols, every=5)
    bad = in_process(*BATCH, "--quiet", folder=tmp_path / "home").out.splitlines()
    assert bad == [line for line in good if line.split(",")[1] not in spoiled]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_batch_ends_it_and_leaves_the_old_file(
    tmp_path: Path, trained_home: Path, forks: ForkServer, number: signal.Signals
) -> None:
    home = tmp_path / "home"
    stock(trained_home, home, 600)
    (home / "forecast.csv").write_text("old")
    before = hashes(home)
    pid = forks.start(*BATCH, "-o", "forecast.csv", "--errors", "errors.csv", folder=home)
    deadline = time.monotonic() + 60
    while not strays(home):  # the first forecasts are written
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(pid, number)
    done = forks.wait(pid)
    with pytest.raises(ProcessLookupError):  # nobody of its group is left
        os.killpg(pid, 0)
    assert done.code == 128 + number
    assert done.out == ""
    assert "Traceback" not in done.err
    assert hashes(home) == before


def test_a_disk_that_fills_up_during_a_batch_is_an_error_and_leaves_the_old_file(
    tmp_path: Path, trained_home: Path, forks: ForkServer
) -> None:
    home = tmp_path / "home"
    stock(trained_home, home, 40)
    (home / "forecast.csv").write_text("old")
    before = hashes(home)
    options = ["predict", "--symbols-file", "list.txt", *MODEL, "--format", "jsonl"]
    options += ["-o", "forecast.csv"]
    done = forks.run(*options, "--quiet", "-o", "whole.jsonl", folder=home)
    steps = [step for step in done.steps if "whole.jsonl" in step]  # and not of the record of runs
    (home / "whole.jsonl").unlink()
    assert len(steps) > 80  # it is written in many parts
    for at in (1, len(steps) // 2, len(steps) - 2):
        fault = DiskFault("error", at, ENOSPC, lasting=True)
        found = forks.run(*options, "--quiet", folder=home, fault=fault)
        assert found.code == 1, found
        assert found.out == ""
        (line,) = found.err.splitlines()
        assert line.startswith("lstmcli: error: cannot write the file (forecast.csv): No space")
        assert hashes(home) == before


def test_a_batch_is_streamed_to_a_pipe(
    tmp_path: Path, trained_home: Path, forks: ForkServer
) -> None:
    home = tmp_path / "home"
    stock(trained_home, home, 40)
    os.mkfifo(home / "pipe")
    pid = forks.start(*BATCH, "--output", "pipe", "--quiet", folder=home)
    piped = (home / "pipe").read_text()
    assert forks.wait(pid).code == 0
    assert piped == in_process(*BATCH, "--quiet", folder=home).out
    assert piped.count("\n") == 1 + 5 * 40
