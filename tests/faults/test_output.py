"""Rows 44 and 45 for the commands of the store: where their results go, and through what."""

import subprocess
from pathlib import Path

import pytest

from tests.command_line import (
    PROGRAM,
    assert_one_error,
    csv_text,
    environment,
    hashes,
    in_process,
    lstmcli,
    walk,
)

FULL = Path("/dev/full")
COMMANDS = {
    "list": ("data", "list"),
    "show": ("data", "show", "MINE"),
    "check": ("data", "check"),
    "import": ("data", "import", "other.csv"),
    "fetch": ("fetch", "AAPL", "--dry-run"),
}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("mine", "other"):
        (tmp_path / f"{name}.csv").write_text(csv_text(walk(300)))
    assert in_process("data", "import", "mine.csv", folder=tmp_path).code == 0
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("output", "code", "reason"),
    [("data", 1, "folder"), ("absent/result", 2, "no such folder")],
    ids=["a folder", "no such folder"],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    shelf: Path, command: str, output: str, code: int, reason: str
) -> None:
    before = hashes(shelf)
    outcome = in_process(*COMMANDS[command], "--output", output, folder=shelf)
    assert_one_error(outcome, code, f"({output})", reason)
    assert hashes(shelf) == before


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda name: f"44-full-device-{name}")
def test_a_full_device_is_an_error(shelf: Path, command: str) -> None:
    outcome = in_process(*COMMANDS[command], "--quiet", "-o", "/dev/full", folder=shelf)
    if "--quiet" in outcome.err:  # a command that has nothing to keep quiet about
        outcome = in_process(*COMMANDS[command], "-o", "/dev/full", folder=shelf)
    assert_one_error(outcome, 1, "(/dev/full)", "No space left")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_standard_output_on_a_full_device_is_an_error(shelf: Path) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [PROGRAM, "data", "show", "MINE", "--rows", "300", "--format", "csv"],
            cwd=shelf,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line == "lstmcli: error: cannot write the output: No space left on device"


def test_a_closed_pipe_is_no_error(shelf: Path) -> None:
    command = f"{PROGRAM} data show MINE --rows 300 --format csv | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=shelf,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_closed_standard_streams_are_no_error(shelf: Path) -> None:
    command = f"{PROGRAM} data show MINE --format csv -o kept <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], cwd=shelf, env=environment()).returncode == 0
    assert (shelf / "kept").read_text().startswith("Date,Open,")


@pytest.mark.parametrize("command", ["list", "show", "check", "fetch"])
def test_a_poor_terminal_gets_whole_numbers_in_ascii(shelf: Path, command: str) -> None:
    plain = in_process(*COMMANDS[command], folder=shelf, env={"COLUMNS": "200"}).out
    poor = {"COLUMNS": "20", "LC_ALL": "C", "LANG": "C", "TERM": "dumb"}
    found = in_process(*COMMANDS[command], folder=shelf, env=poor).out
    assert found == plain
    assert found.isascii()
    if command == "show":  # once as a process, whose locale is real
        assert lstmcli(*COMMANDS[command], folder=shelf, env=poor).out == plain
