"""Looks at a test span: counted across retrainings, and never in the way of anything."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lstmcli.errors import FileError, LockedError
from lstmcli.runs import state
from lstmcli.runs.locks import hold
from lstmcli.runs.registry import clear_strays, model_folder
from lstmcli.runs.state import Look, StaleMark, count_look, stale_marks

LOOK = Look(("AAA", "BBB"), "Close", "2016-01-04", "2018-08-31")
START = "2016-01-01"


def count(folder: Path, look: Look = LOOK, start: str = START) -> int:
    number, note = count_look(folder, look, start)
    assert note is None
    return number


def test_every_look_at_the_same_is_counted_in_one_entry(tmp_path: Path) -> None:
    assert [count(tmp_path) for _ in range(3)] == [1, 2, 3]
    found = json.loads((tmp_path / "state.json").read_text())
    assert found["schema_version"] == 1
    (entry,) = found["looks"]
    assert entry == {
        "symbols": ["AAA", "BBB"],
        "price": "Close",
        "first": "2016-01-04",
        "last": "2018-08-31",
        "count": 3,
    }


@pytest.mark.parametrize(
    ("look", "start", "expected"),
    [
        # Another split after training again: it was seen all the same.
        (Look(("AAA", "BBB"), "Close", "2017-01-04", "2018-12-31"), "2017-01-01", 2),
        # The earlier look ended before this span.
        (Look(("AAA", "BBB"), "Close", "2019-01-04", "2019-12-31"), "2018-09-01", 1),
        (Look(("AAA", "BBB"), "Close", "2018-08-31", "2019-12-31"), "2018-08-31", 2),
        # One symbol is enough, none is too few; another column is another series.
        (Look(("BBB", "CCC"), "Close", "2016-01-04", "2018-08-31"), START, 2),
        (Look(("CCC",), "Close", "2016-01-04", "2018-08-31"), START, 1),
        (Look(("AAA", "BBB"), "Adj Close", "2016-01-04", "2018-08-31"), START, 1),
    ],
)
def test_an_earlier_look_counts_when_it_saw_any_of_the_same_days_and_symbols(
    tmp_path: Path, look: Look, start: str, expected: int
) -> None:
    count(tmp_path)
    assert count(tmp_path, look, start) == expected
    assert len(json.loads((tmp_path / "state.json").read_text())["looks"]) == 2


def test_what_else_stands_in_the_state_stays(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"schema_version": 1, "other": true}')
    assert count(tmp_path) == 1
    assert json.loads((tmp_path / "state.json").read_text())["other"] is True


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"looks": 3}',
        b'{"looks": [3]}',
        b'{"looks": [{"symbols": 3}]}',
        b'{"looks": [{"symbols": ["A"], "price": "Close", "first": "", "last": ""}]}',
        b'{"looks": [{"symbols": [], "price": "", "first": "", "last": "", "count": Infinity}]}',
        b'{"looks": [{"symbols": [], "price": "", "first": "", "last": "", "count": NaN}]}',
    ],
)
def test_a_damaged_state_is_named_kept_aside_and_begun_anew(tmp_path: Path, damaged: bytes) -> None:
    for number, aside in enumerate(["state.json.damaged", "state.json.damaged1"]):
        (tmp_path / "state.json").write_bytes(damaged)
        found, note = count_look(tmp_path, LOOK, START)
        assert found == 1, number
        assert note is not None
        assert str(tmp_path / "state.json") in note
        assert f"kept as {aside};" in note
        assert "\n" not in note
        assert (tmp_path / aside).read_bytes() == damaged
    assert count(tmp_path) == 2


def test_a_held_lock_and_an_unwritable_state_are_errors_to_go_on_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_WAIT", 0.01)
    with hold(tmp_path / ".state.lock"), pytest.raises(LockedError):
        count_look(tmp_path, LOOK, START)
    (tmp_path / "state.json").mkdir()
    with pytest.raises(FileError, match="cannot read the file"):
        count_look(tmp_path, LOOK, START)
    assert count(tmp_path / "new") == 1


MARK = StaleMark("AAA", "1d", "Adj Close", "2026-01-02T03:04:05+00:00", "4:1 split 2025-12-31")


def marked(folder: Path, *marks: StaleMark) -> None:
    """Write a state as earlier versions of the tool did."""
    tree = {"schema_version": 1, "stale": [asdict(mark) for mark in marks]}
    (folder / "state.json").write_text(json.dumps(tree))


def test_marks_of_earlier_versions_are_read_and_kept(tmp_path: Path) -> None:
    marked(tmp_path, MARK, replace(MARK, price="Close"))
    assert stale_marks(tmp_path) == (MARK, replace(MARK, price="Close"))
    assert count(tmp_path) == 1
    assert len(stale_marks(tmp_path)) == 2


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b'{"stale": 3}', b'{"stale": [3]}', b'{"stale": [{"symbol": "A"}]}']
)
def test_a_damaged_state_has_no_marks_and_is_put_aside_by_the_next_one(
    tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "state.json").write_bytes(damaged)
    assert stale_marks(tmp_path) == ()
    count_look(tmp_path, LOOK, START)
    assert (tmp_path / "state.json.damaged").read_bytes() == damaged


def test_where_nothing_was_marked_there_is_no_mark(tmp_path: Path) -> None:
    assert stale_marks(tmp_path) == ()
    assert stale_marks(tmp_path / "nowhere") == ()


def test_what_a_killed_writer_left_is_cleared_by_the_next_writer_alone(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "mine")
    folder.mkdir(parents=True)
    stray = folder / ".state.json.0a1b.lstmcli-tmp"
    stray.touch()
    clear_strays(folder)  # a training may do so while another run writes the state
    assert stray.exists()
    count(folder)
    assert not stray.exists()
