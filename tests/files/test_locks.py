"""Locks: refused, waited for, and released when their holder dies."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lstmcli.errors import FileError, LockedError
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.files.locks import hold
from lstmcli.market.symbols import hold_store

HOLDER = (
    "import sys, time; from pathlib import Path; from lstmcli.files.locks import hold\n"
    "with hold(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(float(sys.argv[2]))"
)


@contextmanager
def another_holder(path: Path, seconds: float = 60.0) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", HOLDER, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_lock_creates_its_folder_and_is_released_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "prices" / ".lock"
    for _ in range(2):
        with hold(path):
            assert path.exists()


def test_an_error_inside_the_block_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hold(tmp_path / ".lock"):
        raise KeyboardInterrupt
    with hold(tmp_path / ".lock"):
        pass


def test_a_held_lock_is_refused_at_once_and_released_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with another_holder(path) as holder:
        with pytest.raises(LockedError, match="another run is at work here") as caught, hold(path):
            pass
        assert caught.value.exit_code == 5
        holder.kill()
        holder.wait()
        with hold(path):
            pass


def test_waiting_ends_with_the_holder_or_at_the_time_limit(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with another_holder(path, 0.5), hold(path, wait=20.0):
        pass
    with another_holder(path):
        began = time.monotonic()
        with pytest.raises(LockedError, match=r"after 0\.2 s"), hold(path, wait=0.2):
            pass
        assert time.monotonic() - began < 5.0


def test_a_folder_that_cannot_be_created_is_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot lock"), hold(tmp_path / "file" / ".lock"):
        pass


def test_a_lock_that_is_a_link_is_refused_and_its_target_is_untouched(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(FileError, match=r"cannot lock .*it is a link"), hold(tmp_path / ".lock"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_the_store_has_one_lock_and_leftovers_of_a_killed_writer_are_removed(
    tmp_path: Path,
) -> None:
    stray = tmp_path / f"prices/1d/.AAPL.csv.0a1b{TEMPORARY_SUFFIX}"
    stray.parent.mkdir(parents=True)
    stray.write_text("half")
    with another_holder(tmp_path / "prices" / ".lock"):
        with pytest.raises(LockedError), hold_store(tmp_path):
            pass
        assert stray.exists()  # it may be the other run's
    with hold_store(tmp_path):
        assert not stray.exists()
        with pytest.raises(LockedError), hold_store(tmp_path):
            pass
