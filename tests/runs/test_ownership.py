"""What another user may have written is told apart from what only its owner can write."""

import os
from pathlib import Path

import pytest

from lstmcli.runs.registry import ownership_doubt, warn_ownership


def test_what_is_ones_own_is_not_doubted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert warn_ownership([tmp_path, tmp_path / "file", tmp_path / "nowhere"]) == ()


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
def test_what_every_user_may_write_to_is_told(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    (note,) = warn_ownership([tmp_path])
    assert note == f"{tmp_path} may not be yours: every user may write to it"
    tmp_path.chmod(0o770)
    assert warn_ownership([tmp_path]) == ()


def test_what_belongs_to_another_is_told_unless_it_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    told = ownership_doubt(tmp_path)
    assert told == ("" if uid == 0 else f"it belongs to another user (uid {uid})")
    found = list(tmp_path.stat())
    found[4] = 4711
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result(found))
    assert ownership_doubt(tmp_path) == "it belongs to another user (uid 4711)"
