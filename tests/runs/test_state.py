"""Looks at a test span: counted across retrainings, and never in the way of anything."""

import json
from pathlib import Path

import pytest

from lstmcli.errors import FileError, LockedError
from lstmcli.runs.locks import hold
from lstmcli.runs.state import Look, count_look

LOOK = Look(("AAA", "BBB"), "Close", "2016-01-04", "2018-08-31")
START = "2016-01-01"


def count(folder: Path, look: Look = LOOK, start: str = START) -> int:
    number, note = count_look(folder, look, start)
    assert note is None
    return number


def test_every_look_at_the_same_is_counted_in_one_entry(tmp_path: Path) -> None:
    assert [count(tmp_path) for _ in range(3)] == [1, 2, 3]
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["schema_version"] == 1
    (entry,) = state["looks"]
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
    (tmp_path / "state.json").write_text('{"schema_version": 1, "stale": true}')
    assert count(tmp_path) == 1
    assert json.loads((tmp_path / "state.json").read_text())["stale"] is True


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


def test_a_held_lock_and_an_unwritable_state_are_errors_to_go_on_after(tmp_path: Path) -> None:
    with hold(tmp_path / ".lock"), pytest.raises(LockedError):
        count_look(tmp_path, LOOK, START)
    (tmp_path / "state.json").mkdir()
    with pytest.raises(FileError, match="cannot read the file"):
        count_look(tmp_path, LOOK, START)
    assert count(tmp_path / "new") == 1
