"""The ledger's files: only ever added to, by one run at a time, and read past any damage."""

import fcntl
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.errors import FileError, LockedError
from lstmcli.files import atomic as lines
from lstmcli.runs.ledger import Damage, append, read_ledger
from lstmcli.runs.ledger_line import Entry, encode, rounded
from tests.runs.test_ledger_line import ENTRY

WRITER = """
import sys
from pathlib import Path
from lstmcli.runs.ledger import append
from tests.runs.test_ledger_line import ENTRY
for number in range(30):
    batch = [ENTRY._replace(symbol=f"{sys.argv[2]}{number}-{k}") for k in range(20)]
    append(Path(sys.argv[1]), batch)
"""
PLACE = Path("ledger/2026-01.jsonl")


def entries(count: int, **changes: object) -> list[Entry]:
    found = [
        ENTRY._replace(symbol=f"S{number}", moves=rounded(ENTRY.moves)) for number in range(count)
    ]
    return [each._replace(**changes) for each in found]  # type: ignore[arg-type]


def read(folder: Path) -> tuple[list[Entry], list[Damage]]:
    found = list(read_ledger(folder))
    return (
        [each for each in found if isinstance(each, Entry)],
        [each for each in found if isinstance(each, Damage)],
    )


def test_entries_come_back_in_the_order_of_issue_from_a_file_a_month(tmp_path: Path) -> None:
    january, february = entries(3), entries(2, issued="2026-02-02T22:00:00Z")
    assert append(tmp_path, january[:2]) == ()
    append(tmp_path, january[2:])
    append(tmp_path, february)
    assert read(tmp_path) == (january + february, [])
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == [
        "2026-01.jsonl", "2026-02.jsonl",
    ]  # fmt: skip


def test_an_empty_ledger_is_no_error_and_nothing_makes_one(tmp_path: Path) -> None:
    assert append(tmp_path, []) == ()
    assert read(tmp_path) == ([], [])
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=300)
@given(data=st.data())
def test_any_byte_changed_costs_that_line_alone(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    written = entries(4)
    append(folder, written)
    raw = bytearray((folder / PLACE).read_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 255))
    (folder / PLACE).write_bytes(raw)
    hit = position // len(encode(written[0]))
    found, damages = read(folder)
    assert found == written[:hit] + written[hit + 1 :]
    assert damages
    assert {each.line for each in damages} <= {hit + 1, hit + 2}
    assert damages[0].line == hit + 1
    assert damages[0].path == folder / PLACE


def test_every_end_of_line_changed_in_turn_costs_that_line_alone(tmp_path: Path) -> None:
    written = entries(3)
    size = len(encode(written[0]))
    for hit in range(3):
        raw = bytearray(b"".join(map(encode, written)))
        raw[size * (hit + 1) - 1] = ord("x")
        (tmp_path / "ledger").mkdir(exist_ok=True)
        (tmp_path / PLACE).write_bytes(raw)
        found, damages = read(tmp_path)
        assert found == written[:hit] + written[hit + 1 :]
        assert len(damages) == 1


@given(cut=st.integers(1, len(encode(entries(1)[0])) - 1))
def test_a_torn_last_line_is_left_out_and_the_next_run_cuts_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    written = entries(3)
    append(folder, written[:2])
    whole = (folder / PLACE).read_bytes()
    (folder / PLACE).write_bytes(whole + encode(written[2])[:cut])
    found, (damage,) = read(folder)
    assert found == written[:2]
    assert str(damage) == f"{folder / PLACE} line 3 is left out: its end was never written"
    (note,) = append(folder, written[2:])
    assert note == (
        f"{folder / PLACE}: the last line was torn by a run that was killed; "
        f"its {cut} bytes are cut"
    )
    assert read(folder) == (written, [])


def test_a_line_torn_last_month_is_cut_too(tmp_path: Path) -> None:
    append(tmp_path, entries(2))
    os.truncate(tmp_path / PLACE, (tmp_path / PLACE).stat().st_size - 5)
    later = entries(1, issued="2026-02-02T22:00:00Z")
    (note,) = append(tmp_path, later)
    assert "2026-01.jsonl: the last line was torn" in note
    assert read(tmp_path) == (entries(1) + later, [])


def test_a_past_month_that_nobody_may_write_is_left_in_peace(tmp_path: Path) -> None:
    append(tmp_path, entries(1))
    (tmp_path / PLACE).chmod(0o400)
    before = (tmp_path / PLACE).stat().st_mtime_ns
    append(tmp_path, entries(1, issued="2026-02-02T22:00:00Z"))
    assert (tmp_path / PLACE).stat().st_mtime_ns == before


def test_a_record_reads_one_byte_of_the_ledger_and_no_other_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, entries(50, issued="2025-12-02T22:00:00Z"))
    append(tmp_path, entries(50))
    opened: list[str] = []
    sizes: list[int] = []

    class Watched(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            sizes.append(len(found))
            return found

    def watched(path: Path, mode: str = "r", **options: Any) -> Any:
        opened.append(path.name)
        return Watched(path, mode.replace("b", ""))

    monkeypatch.setattr(lines, "open", watched, raising=False)
    append(tmp_path, entries(1))
    assert set(opened) == {"2026-01.jsonl"}
    assert sizes == [1]


def test_a_ledger_that_another_run_keeps_locked_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, entries(1))
    monkeypatch.setattr(lines.append_lines, "__kwdefaults__", {"wait": 0.1})
    with open(tmp_path / PLACE, "rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="still held the lock"):
            append(tmp_path, entries(2))
    assert read(tmp_path) == (entries(1), [])


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_month_that_is_no_file_is_named_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "ledger").mkdir()
    os.mkfifo(tmp_path / PLACE) if kind == "pipe" else (tmp_path / PLACE).mkdir()
    with pytest.raises(FileError, match=r"cannot read the ledger .*2026-01.*it is no file"):
        read(tmp_path)
    with pytest.raises(FileError, match="it is no file"):
        append(tmp_path, entries(1))
    append(tmp_path, entries(1, issued="2026-02-02T22:00:00Z"))


def test_a_month_that_leads_out_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("kept")
    (tmp_path / "data/ledger").mkdir(parents=True)
    (tmp_path / "data" / PLACE).symlink_to(tmp_path / "mine.jsonl")
    for use in (lambda: append(tmp_path / "data", entries(1)), lambda: read(tmp_path / "data")):
        with pytest.raises(FileError, match="leads out of the data folder"):
            use()
    assert (tmp_path / "mine.jsonl").read_text() == "kept"


def test_two_runs_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name])
        for name in ("one", "two")
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    found, damages = read(tmp_path)
    assert damages == []
    symbols = [each.symbol for each in found]
    for name in ("one", "two"):
        own = [symbol for symbol in symbols if symbol.startswith(name)]
        assert own == [f"{name}{number}-{k}" for number in range(30) for k in range(20)]
    batches = [symbol.split("-")[0] for symbol in symbols]
    assert all(len(set(batches[at : at + 20])) == 1 for at in range(0, len(batches), 20))


def test_a_ledger_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger").touch()
    with pytest.raises(FileError, match=r"cannot write to the ledger .*ledger"):
        append(tmp_path, entries(1))


def test_a_ledger_that_leads_out_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ledger").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="leads out of the data folder"):
        append(tmp_path / "data", entries(1))
    with pytest.raises(FileError, match="leads out of the data folder"):
        read(tmp_path / "data")
