"""Stale marks of earlier versions: readable whatever happened to the file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lstmcli.runs.stale import EarlierState, StaleMark, earlier_state

MARK = StaleMark("AAA", "1d", "Adj Close", "2026-01-02T03:04:05+00:00", "4:1 split 2025-12-31")


def test_marks_of_earlier_versions_are_read(tmp_path: Path) -> None:
    marks = (MARK, replace(MARK, price="Close"))
    tree = {"schema_version": 1, "looks": [], "stale": [asdict(mark) for mark in marks]}
    (tmp_path / "state.json").write_text(json.dumps(tree))
    assert earlier_state(tmp_path).stale == marks


@pytest.mark.parametrize(
    "damaged",
    [
        b"", b"{", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"stale": 3}', b'{"stale": [3]}',
        b'{"stale": [{"symbol": "A"}]}',
    ],
)  # fmt: skip
def test_a_damaged_state_has_no_marks(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "state.json").write_bytes(damaged)
    assert earlier_state(tmp_path) == EarlierState()


def test_where_nothing_was_marked_there_is_no_mark(tmp_path: Path) -> None:
    assert earlier_state(tmp_path) == EarlierState()
    assert earlier_state(tmp_path / "nowhere") == EarlierState()
