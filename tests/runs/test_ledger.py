"""The ledger: append-only, one writer at a time, readable past a damaged line."""

import io
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import FileError
from lstmcli.files import atomic as lines
from lstmcli.runs.ledger import Damage, Entry, append, decode, encode, read_ledger, rounded
from tests.rows import for_each

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
ENTRY = Entry(
    issued="2026-01-05T22:10:03Z",
    model="default",
    version="v0003",
    symbol="AAPL",
    interval="1d",
    price="Adj Close",
    cutoff="2026-01-05",
    last_close=187.42,
    context_length=250,
    steps=[1, 5, 20, 50],
    dates=["2026-01-06", "2026-01-12", "2026-02-03", "2026-03-18"],
    levels=list(LEVELS),
    moves=[[-0.0123456789 * step * (0.5 - level) for level in LEVELS] for step in (1, 2, 4, 7)],
    data="9f86d081884c7d65",
    weights="60303ae22b998861",
    lstmcli="0.1.0",
)
NUMBERS = st.floats(-99, 99)
WRITER = """
import sys
from pathlib import Path
from lstmcli.runs.ledger import append
from tests.runs.test_ledger import ENTRY
for number in range(30):
    batch = [ENTRY._replace(symbol=f"{sys.argv[2]}{number}-{k}") for k in range(20)]
    append(Path(sys.argv[1]), batch)
"""
PLACE = Path("ledger/2026-01.jsonl")


def entries(count: int, **changes: Any) -> list[Entry]:
    found = [
        ENTRY._replace(symbol=f"S{number}", moves=rounded(ENTRY.moves)) for number in range(count)
    ]
    return [each._replace(**changes) for each in found]


def read(folder: Path) -> tuple[list[Entry], list[Damage]]:
    found = list(read_ledger(folder))
    return (
        [each for each in found if isinstance(each, Entry)],
        [each for each in found if isinstance(each, Damage)],
    )


def test_entries_are_read_in_order_of_issue_from_monthly_files(tmp_path: Path) -> None:
    january, february = entries(3), entries(2, issued="2026-02-02T22:00:00Z")
    assert append(tmp_path, january[:2]) == ()
    append(tmp_path, january[2:])
    append(tmp_path, february)
    assert read(tmp_path) == (january + february, [])
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == [
        "2026-01.jsonl", "2026-02.jsonl",
    ]  # fmt: skip


def test_an_empty_ledger_is_no_error_and_reading_creates_none(tmp_path: Path) -> None:
    assert append(tmp_path, []) == ()
    assert read(tmp_path) == ([], [])
    assert list(tmp_path.iterdir()) == []


@for_each("byte", [b"\n", b"x", b""])
def test_a_changed_byte_loses_only_its_line(tmp_path: Path, byte: bytes) -> None:
    """It becomes an end of a line, a letter, or the one with another last bit."""
    written = entries(3)
    whole = b"".join(map(encode, written))
    (tmp_path / "ledger").mkdir(exist_ok=True)
    ends = [len(whole) * line // 3 - 1 for line in (1, 2, 3)]
    for position in (*range(0, len(whole), 13), *ends):
        other = byte[0] if byte else whole[position] ^ 1
        if other == whole[position]:
            continue
        raw = whole[:position] + bytes([other]) + whole[position + 1 :]
        (tmp_path / PLACE).write_bytes(raw)
        hit = 3 * position // len(whole)
        found, damages = read(tmp_path)
        assert found == written[:hit] + written[hit + 1 :]
        assert {each.line for each in damages} <= {hit + 1, hit + 2}
        assert (damages[0].path, damages[0].line) == (tmp_path / PLACE, hit + 1)


@for_each("link", ["ledger", PLACE])
def test_a_link_out_of_the_data_folder_is_refused(
    tmp_path_factory: pytest.TempPathFactory, link: str | Path
) -> None:
    folder = tmp_path_factory.mktemp("out")
    append(folder, entries(1))
    before = (folder / PLACE).read_bytes()
    (folder / "data" / link).parent.mkdir(parents=True)
    (folder / "data" / link).symlink_to(folder / link)
    for use in (lambda: append(folder / "data", entries(1)), lambda: read(folder / "data")):
        with pytest.raises(FileError, match="leads out of the data folder"):
            use()
    assert (folder / PLACE).read_bytes() == before


@given(cut=st.integers(1, len(encode(entries(1)[0])) - 1))
def test_a_torn_last_line_is_skipped_and_cut_by_the_next_run(
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
        f"{folder / PLACE}: a killed run left a torn last line; its {cut} bytes are cut"
    )
    assert read(folder) == (written, [])


def test_a_torn_line_in_the_file_of_last_month_is_cut_too(tmp_path: Path) -> None:
    append(tmp_path, entries(2))
    os.truncate(tmp_path / PLACE, (tmp_path / PLACE).stat().st_size - 5)
    later = entries(1, issued="2026-02-02T22:00:00Z")
    (note,) = append(tmp_path, later)
    assert "2026-01.jsonl: a killed run left a torn last line" in note
    assert read(tmp_path) == (entries(1) + later, [])


def test_a_read_only_file_of_a_past_month_is_left_unchanged(tmp_path: Path) -> None:
    append(tmp_path, entries(1))
    (tmp_path / PLACE).chmod(0o400)
    before = (tmp_path / PLACE).stat().st_mtime_ns
    append(tmp_path, entries(1, issued="2026-02-02T22:00:00Z"))
    assert (tmp_path / PLACE).stat().st_mtime_ns == before


def test_an_append_reads_one_byte_of_the_ledger_and_no_other_month(
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


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_month_that_is_not_a_file_is_named_without_blocking(tmp_path: Path, kind: str) -> None:
    (tmp_path / "ledger").mkdir()
    os.mkfifo(tmp_path / PLACE) if kind == "pipe" else (tmp_path / PLACE).mkdir()
    with pytest.raises(
        FileError, match=r"cannot read the ledger .*2026-01.*it is not a regular file"
    ):
        read(tmp_path)
    with pytest.raises(FileError, match="it is not a regular file"):
        append(tmp_path, entries(1))
    append(tmp_path, entries(1, issued="2026-02-02T22:00:00Z"))


def test_concurrent_runs_do_not_mix_their_lines(tmp_path: Path) -> None:
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


def test_a_ledger_that_is_not_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger").touch()
    with pytest.raises(FileError, match=r"cannot write to the ledger .*ledger"):
        append(tmp_path, entries(1))


@given(
    symbol=st.text(max_size=12),
    last_close=st.floats(1e-6, 1e6),
    moves=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_an_entry_is_one_line_of_ascii_and_survives_a_round_trip(
    symbol: str, last_close: float, moves: list[list[float]]
) -> None:
    entry = ENTRY._replace(
        symbol=symbol,
        last_close=last_close,
        steps=list(range(1, len(moves) + 1)),
        dates=[f"2026-01-{6 + step:02}" for step in range(len(moves))],
        levels=[0.1, 0.5, 0.9],
        moves=moves,
    )
    line = encode(entry)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert decode(line.removesuffix(b"\n")) == entry._replace(moves=rounded(moves))


@given(st.floats(-1.0, 1.0))
def test_a_move_keeps_five_digits_whatever_its_size(move: float) -> None:
    ((kept,),) = rounded([[move]])
    assert abs(kept - move) <= 5e-5 * abs(move)


def test_a_line_of_a_whole_fan_is_short() -> None:
    assert len(encode(ENTRY)) < 800


def test_a_line_is_standard_json() -> None:
    found = json.loads(encode(ENTRY))
    assert found["ledger"] == 1
    assert found["dates"] == ENTRY.dates
    assert found["moves"] == rounded(ENTRY.moves)
    assert len(found["crc32"]) == 8


@pytest.mark.parametrize("move", [float("nan"), float("inf")])
def test_a_move_that_is_not_finite_is_never_written(move: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(ENTRY._replace(moves=[[move] * 7] * 4))


def forged(**changes: object) -> bytes:
    """A line with a true checksum and other content."""
    facts = {**json.loads(encode(ENTRY)), **changes}
    del facts["crc32"]
    facts = {name: value for name, value in facts.items() if value is not None}
    body = json.dumps(facts).removesuffix("}").encode()
    return body + b',"crc32":"%08x"}' % zlib.crc32(body)


@for_each(
    ("changes", "why"),
    [
        ({"ledger": 2}, "schema version 2, expected 1"),
        ({"symbol": None}, "symbol is missing"),
        ({"more": 1}, "more is unknown"),
        ({"dates": ["2026-01-06"]}, "differ in length"),
        ({"moves": [[0.1]] * 4}, "differ in length"),
        ({"steps": [], "dates": [], "moves": []}, "steps found"),
        ({"levels": [0.1 + 0.01 * each for each in range(7)]}, "no median"),
        ({"levels": [0.5] * 7}, "levels do not ascend"),
    ],
)
def test_an_invalid_line_gives_the_reason(changes: dict[str, object], why: str) -> None:
    assert decode(forged()).symbol == "AAPL"
    with pytest.raises(ValueError, match=why):
        decode(forged(**changes))
