"""A write that breaks off leaves the old file and nothing else."""

import os
from pathlib import Path

import pytest

from lstmcli import atomic
from lstmcli.errors import FileError


def test_a_write_makes_the_folders_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "prices.csv"
    atomic.write_text(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_write_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"a long old text")
    atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            atomic.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["block", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_stream_that_breaks_off_leaves_the_old_file(
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
        expected = FileError if isinstance(error, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            stream()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a long old text")
    with atomic.replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_reach_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    atomic.write_bytes(tmp_path / "file", b"data")
    assert done[:2] == ["fsync", "replace"]


def test_a_place_that_cannot_be_written_is_a_file_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="cannot write the file") as caught:
        atomic.write_bytes(tmp_path / "file" / "inside", b"data")
    assert caught.value.exit_code == 1
    assert str(tmp_path / "file" / "inside") in str(caught.value)


@pytest.mark.parametrize("letter", ["x", "ß", "株", "📈"])
def test_the_longest_names_a_folder_takes_can_be_written(tmp_path: Path, letter: str) -> None:
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


def test_of_several_files_none_is_replaced_where_one_has_no_room(
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
