"""An interrupted write leaves the old file and nothing else."""

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lstmcli.errors import FileError
from lstmcli.files import atomic
from lstmcli.files.locks import hold
from lstmcli.runs.ledger import append
from tests.runs.test_ledger import ENTRY


def test_a_write_creates_the_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "prices.csv"
    atomic.write_text(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["block", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_stream_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    def stream() -> None:
        with atomic.replacing(path) as file:
            file.write(b"new")
            assert path.read_bytes() == b"old"
            if step == "block":
                fail()

    with monkeypatch.context() as patch:
        if step != "block":
            patch.setattr(os, step, fail)
        own = isinstance(error, OSError) and step != "block"
        with pytest.raises(FileError if own else type(error)):
            stream()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file", "/dev/full"])
def test_only_the_errors_of_the_file_itself_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name  # the device's own where it is absolute
    with pytest.raises(OSError, match="elsewhere") as caught, atomic.writing(path):
        raise OSError(5, "Input/output error", "elsewhere")
    assert caught.value.filename == "elsewhere"
    if name == "file":
        monkeypatch.setattr(os, "fsync", lambda handle: os.fstat(-1))
    with pytest.raises(FileError) as named, atomic.writing(path) as file:
        file.write(b"x" * 100_000)
    assert f"({path})" in str(named.value)


def test_the_bytes_reach_the_disk_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    atomic.write_bytes(tmp_path / "file", b"data")
    assert done[:2] == ["fsync", "replace"]


def test_an_unwritable_path_is_a_file_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="cannot write the file") as caught:
        atomic.write_bytes(tmp_path / "file" / "inside", b"data")
    assert caught.value.exit_code == 1
    assert str(tmp_path / "file" / "inside") in str(caught.value)


@pytest.mark.parametrize("letter", ["x", "ß", "株", "📈"])
def test_files_with_the_longest_possible_names_can_be_written(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * (250 // len(letter.encode())))
    atomic.write_bytes(path, b"data")
    assert path.read_bytes() == b"data"


def test_several_files_are_replaced_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, replace = [], os.replace

    def watched(source: Path, target: Path) -> None:
        order.append(target.name)
        assert len(list(tmp_path.glob(f".*{atomic.TEMPORARY_SUFFIX}"))) == 3 - len(order)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    atomic.write_files([(tmp_path / "b", b"1"), (tmp_path / "a", b"2")])
    assert order == ["b", "a"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"2", "b": b"1"}


def test_no_file_is_replaced_if_there_is_no_space_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        atomic.write_text(tmp_path / name, "old")
    calls, fsync = iter(range(9)), os.fsync

    def full(handle: int) -> None:
        if next(calls) == 1:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"b\): No space left on device"):
        atomic.write_files([(tmp_path / "a", b"new"), (tmp_path / "b", b"new")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "old"


def left_over(path: Path) -> Path:
    """Make what a run that was killed in the middle of an output leaves."""
    left = path.with_name(f".{path.name[:50]}.0123abcd{atomic.TEMPORARY_SUFFIX}")
    left.write_text("half")
    return left


def write_output(path: Path) -> None:
    with atomic.replacing(path) as file:
        file.write(b"new")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_an_output_keeps_the_mode_of_the_file_that_it_replaces(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(mode)
    write_output(path)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_output_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_output(tmp_path / "out.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_an_output_that_root_replaces_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    os.chown(path, 4711, 4712)
    write_output(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)


@pytest.mark.parametrize("name", ["out.csv", "a[1]*.csv", "x" * 80])
def test_partial_outputs_of_a_killed_run_are_removed_by_the_next_run(
    tmp_path: Path, name: str
) -> None:
    path, other = tmp_path / name, tmp_path / "other.csv"
    kept = left_over(other), tmp_path / f".{name[:50]}.mine{atomic.TEMPORARY_SUFFIX}"
    kept[1].write_text("no temporary file of ours")
    left_over(path)
    write_output(path)
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])


def test_a_file_that_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with atomic.replacing(path) as first:
        first.write(b"first")
        write_output(path)
        assert path.read_bytes() == b"new"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_with_the_name_of_a_leftover_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    left_over(tmp_path / "out.csv").unlink()
    (tmp_path / f".out.csv.0123abcd{atomic.TEMPORARY_SUFFIX}").symlink_to(tmp_path / "precious")
    write_output(tmp_path / "out.csv")
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: atomic.write_text(folder / "file", "x"),
        lambda folder: atomic.make_folder(folder),
        lambda folder: append(folder.parent.parent, [ENTRY]),
        lambda folder: stack(hold(folder / ".lock")),
    ],
    ids=["file", "folder", "ledger", "lock"],
)
def test_every_new_folder_is_flushed_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    make(tmp_path / "a/ledger")
    new = (tmp_path / "a", tmp_path / "a/ledger", tmp_path / "ledger")
    made = [each.parent for each in new if each.is_dir()]
    assert made
    assert [each for each in synced if each in made][: len(made)] == made


def stack(held: AbstractContextManager[None]) -> None:
    with held:
        pass
