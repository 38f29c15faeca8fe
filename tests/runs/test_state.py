"""Stale marks: kept by symbol and column, and readable whatever happened to the file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lstmcli.errors import FileError, LockedError
from lstmcli.runs import state
from lstmcli.runs.locks import hold
from lstmcli.runs.registry import clear_strays, model_folder
from lstmcli.runs.state import StaleMark, mark_stale, stale_marks

MARK = StaleMark("AAA", "1d", "Adj Close", "2026-01-02T03:04:05+00:00", "4:1 split 2025-12-31")


def test_the_latest_mark_on_the_same_prices_stands_for_the_earlier_ones(tmp_path: Path) -> None:
    later = replace(MARK, restated="2026-02-02T03:04:05+00:00", reason="dividend 0.2 2026-02-01")
    close = replace(MARK, price="Close")
    weekly = replace(MARK, interval="1wk")
    mark_stale(tmp_path, [MARK, close])
    mark_stale(tmp_path, [weekly])
    mark_stale(tmp_path, [later])
    assert stale_marks(tmp_path) == (close, weekly, later)


def test_other_keys_of_the_state_are_kept(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"schema_version": 1, "other": true}')
    mark_stale(tmp_path, [MARK])
    assert json.loads((tmp_path / "state.json").read_text())["other"] is True
    assert stale_marks(tmp_path) == (MARK,)


def test_a_held_lock_and_an_unreadable_state_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_WAIT", 0.01)
    with hold(tmp_path / ".state.lock"), pytest.raises(LockedError):
        mark_stale(tmp_path, [MARK])
    (tmp_path / "state.json").mkdir()
    with pytest.raises(FileError, match="cannot read the file"):
        mark_stale(tmp_path, [MARK])


def test_a_mark_can_be_set_while_a_training_holds_the_name(tmp_path: Path) -> None:
    with hold(tmp_path / ".lock"):
        mark_stale(tmp_path, [MARK])
    assert stale_marks(tmp_path) == (MARK,)


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b'{"stale": 3}', b'{"stale": [3]}', b'{"stale": [{"symbol": "A"}]}']
)
def test_a_damaged_state_has_no_marks_and_is_put_aside_by_the_next_one(
    tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "state.json").write_bytes(damaged)
    assert stale_marks(tmp_path) == ()
    mark_stale(tmp_path, [MARK])
    assert stale_marks(tmp_path) == (MARK,)
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
    mark_stale(folder, [MARK])
    assert not stray.exists()
