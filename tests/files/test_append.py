"""Append-only files: whole lines, from concurrent runs, after any crash."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import lstmcli
from lstmcli.errors import FileError, LockedError
from lstmcli.files.atomic import append_lines, is_torn

WRITER = """
import sys
from pathlib import Path
from lstmcli.files.atomic import append_lines
for number in range(200):
    append_lines(Path(sys.argv[1]), (sys.argv[2] * (1 + number * 97 % 9000) + "\\n").encode())
"""


def test_lines_are_added_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert append_lines(file, b"one\n") == 0
    assert append_lines(file, b"two\nthree\n") == 0
    assert file.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("torn", [b"t", b"torn", b"t" * 200_000])
@pytest.mark.parametrize("whole", [b"", b"one\n", b"one\n" * 40_000])
def test_a_torn_last_line_is_cut_and_its_size_is_returned(
    tmp_path: Path, whole: bytes, torn: bytes
) -> None:
    file = tmp_path / "log"
    file.write_bytes(whole + torn)
    assert append_lines(file, b"next\n") == len(torn)
    assert file.read_bytes() == whole + b"next\n"


def test_lines_of_concurrent_processes_stay_whole(tmp_path: Path) -> None:
    file = tmp_path / "log"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), letter]) for letter in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = file.read_text().splitlines()
    assert len(lines) == 600
    assert all(len(set(line)) == 1 for line in lines)
    lengths = [1 + number * 97 % 9000 for number in range(200)]
    for letter in "abc":
        assert [len(line) for line in lines if line[0] == letter] == lengths


def test_a_failed_append_leaves_the_file_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    append_lines(file, b"one\n")

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(FileError, match=r"cannot append .*log.*No space left"):
            append_lines(file, b"two\n")
    assert file.read_bytes() == b"one\n"


@pytest.mark.parametrize("place", ["absent/log", ".", "pipe"])
def test_a_path_that_is_not_a_regular_file_is_refused(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="cannot append"):
        append_lines(tmp_path / place, b"one\n")


def test_every_line_is_flushed_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Any] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    append_lines(tmp_path / "log", b"one\n")
    append_lines(tmp_path / "log", b"two\n")
    assert len(synced) == 3  # with the folder that the file is new in


def test_the_wait_for_a_locked_file_is_limited(tmp_path: Path) -> None:
    file = tmp_path / "log"
    append_lines(file, b"one\n")
    with open(file, "rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(LockedError, match=r"log\): it still held the lock after 0\.2 s"):
            append_lines(file, b"two\n", wait=0.2)
        assert 0.2 <= time.monotonic() - began < 5.0
    append_lines(file, b"two\n", wait=0.0)
    assert file.read_bytes() == b"one\ntwo\n"


def test_no_wait_in_the_package_is_unlimited() -> None:
    """By its source: no blocking flock, and no lock file without a time limit."""
    package = Path(lstmcli.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"flock\([^()]*(\([^()]*\))?, fcntl\.LOCK_[ES][XH]\)", text), path
        assert not re.search(r"FileLock\((?![^\n]*timeout=max)", text), path


def test_a_signal_ends_the_wait_for_a_lock(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.touch()
    with open(file, "rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(143))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.monotonic()
        with pytest.raises(SystemExit):
            append_lines(file, b"two\n")
        assert time.monotonic() - began < 5.0


def test_a_torn_end_is_detected_from_one_byte(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for data, torn in ((b"", False), (b"one\n", False), (b"one\ntw", True)):
        file.write_bytes(data)
        assert is_torn(file) is torn
