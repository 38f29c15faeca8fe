"""Files that only grow: whole lines, from several runs at once, after any crash."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lstmcli.errors import FileError
from lstmcli.runs.append import append_lines

WRITER = """
import sys
from pathlib import Path
from lstmcli.runs.append import append_lines
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
def test_a_torn_last_line_is_cut_and_its_bytes_are_told(
    tmp_path: Path, whole: bytes, torn: bytes
) -> None:
    file = tmp_path / "log"
    file.write_bytes(whole + torn)
    assert append_lines(file, b"next\n") == len(torn)
    assert file.read_bytes() == whole + b"next\n"


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
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


def test_what_cannot_be_written_whole_leaves_the_file_as_it_was(
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
def test_what_is_no_file_is_refused(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="cannot append"):
        append_lines(tmp_path / place, b"one\n")


def test_every_line_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Any] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    append_lines(tmp_path / "log", b"one\n")
    append_lines(tmp_path / "log", b"two\n")
    assert len(synced) == 3  # with the folder that the file is new in
