"""The record of looks: identity of looks, overlap of periods, damage."""

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lstmcli.errors import FileError, LockedError
from lstmcli.files.locks import hold
from lstmcli.runs import looks as module
from lstmcli.runs.looks import MOST_DAYS, Look, Looks, Sketch, record_looks, sketch

DAYS = np.arange("2000-01-03", "2019-12-31", dtype="datetime64[D]")
DAYS = DAYS[np.is_busday(DAYS)]
MOVES = np.random.default_rng(0).normal(0.0003, 0.01, len(DAYS))


def series(
    symbol: str = "AAA", moves: NDArray[np.float64] = MOVES, rows: slice = slice(None)
) -> Sketch:
    return sketch(symbol, DAYS[rows], np.cumsum(moves)[rows])


LOOK = Look("m1", "mine/v0001", "evaluate", "h=5", "2016-01-04", "2018-08-31", (series(),))


def record(data_dir: Path, **changes: Any) -> Looks:
    found, note = record_looks(data_dir, [replace(LOOK, **changes)])
    assert note is None
    return found


def same(one: Sketch, other: Sketch) -> bool:
    """Whether the record takes two series for one."""
    known: dict[int, Sketch] = {}
    return module._numbers(known, [one]) == module._numbers(known, [other])


def test_the_same_model_span_and_settings_count_as_one_look(tmp_path: Path) -> None:
    first = record(tmp_path)
    assert first == Looks(1, 1, {"evaluate": 1}, at_least=False)
    assert record(tmp_path, name="copied/v0007") == first
    # With the bars that came since.
    assert record(tmp_path, last="2018-09-14") == first
    found = json.loads((tmp_path / "looks.json").read_text())
    assert [each["last"] for each in found["looks"]] == ["2018-09-14"]
    assert record(tmp_path, first="2016-02-01", last="2018-01-31") == first
    (kept,) = json.loads((tmp_path / "looks.json").read_text())["looks"]
    assert (kept["first"], kept["last"]) == ("2016-01-04", "2018-09-14")
    assert len(found["series"]) == 1


def test_other_settings_or_models_count_as_other_looks(tmp_path: Path) -> None:
    record(tmp_path)
    assert record(tmp_path, settings="h=1") == Looks(1, 2, {"evaluate": 1}, at_least=False)
    assert record(tmp_path, model="m2").models == 2
    found = record(tmp_path, model="m3", by="train", settings="promotion")
    assert found == Looks(3, 4, {"evaluate": 2, "train": 1}, at_least=False)
    # What evaluate has shown is no longer train's alone.
    assert record(tmp_path, model="m3").by == {"evaluate": 3}


def test_looks_belong_to_one_period_only_if_they_share_days_and_series(tmp_path: Path) -> None:
    record(tmp_path)
    for name, changes, models in (
        ("another split", {"first": "2017-01-02", "last": "2019-06-28"}, 2),
        ("days before", {"first": "2015-01-02", "last": "2015-12-31"}, 1),
        ("another series", {"series": (series("BBB", MOVES[::-1]),)}, 1),
        ("one of several", {"series": (series("BBB", MOVES[::-1]), series())}, 2),
    ):
        folder = tmp_path / name
        record(folder)
        assert record(folder, model="m2", **changes).models == models, name


def test_a_series_is_recognised_by_its_moves_whatever_its_name_length_and_level() -> None:
    paying = MOVES.copy()
    paying[::63] += 0.005  # as an adjusted close differs from the close
    assert same(series(), series("BBB"))
    assert same(series(), series("BBB", paying))
    for rows in (slice(400), slice(-400, None), slice(3000), slice(0, -1)):
        assert same(series(), series("BBB", rows=rows)), rows
        assert same(series("BBB", rows=rows), series()), rows
    prices = np.exp(np.cumsum(MOVES)) * 9000.0  # in cents, rounded
    assert same(series(), sketch("C", DAYS, np.log(prices.round(0))))


def test_different_series_of_the_same_name_are_distinguished() -> None:
    generator = np.random.default_rng(1)
    alike = MOVES + generator.normal(0.0, 0.001, len(MOVES))
    assert not same(series(), series(moves=alike))
    assert not same(series(), series(moves=MOVES[::-1]))
    half = np.where(np.arange(len(MOVES)) % 2, MOVES, alike)
    assert not same(series(), series(moves=half))


def test_the_symbol_decides_if_no_moves_can_be_compared() -> None:
    flat, early, late = np.zeros(len(MOVES)), slice(300), slice(-300, None)
    assert same(series(moves=flat), series(moves=flat))
    assert not same(series(moves=flat), series("BBB", flat))
    assert same(series(rows=early), series(rows=late))
    assert not same(series(rows=early), series("BBB", rows=late))
    assert not same(series(rows=slice(1)), series("BBB", rows=slice(1)))
    assert not same(series(), series(moves=flat))


def test_the_choice_of_days_depends_on_the_days_alone_and_is_small() -> None:
    whole, part = series(), series(rows=slice(2000, None))
    assert len(whole.days) == len(part.days) == MOST_DAYS
    first = int(DAYS[2000].astype(int))
    assert {day for day in whole.days if day > first} <= set(part.days)
    weekdays = np.array(whole.days) % 7
    assert len(set(weekdays.tolist())) == 5


def test_the_record_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOOKS", 3)
    monkeypatch.setattr(module, "MOST_SERIES", 2)
    found = [record(tmp_path, model=f"m{number}") for number in range(5)]
    assert [each.models for each in found] == [1, 2, 3, 4, 4]
    assert [each.at_least for each in found] == [False, False, False, False, True]
    kept = json.loads((tmp_path / "looks.json").read_text())
    assert (len(kept["looks"]), kept["dropped"]) == (3, 2)
    panel = tuple(series(f"S{k}", np.roll(MOVES, 50 * k + 7)) for k in range(5))
    record(tmp_path, series=panel)
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    record(tmp_path, model="m9", series=panel)
    kept = json.loads((tmp_path / "looks.json").read_text())
    assert len(kept["series"]) == 2
    assert {len(each["series"]) for each in kept["looks"]} == {2}


@pytest.mark.parametrize("models", [True, False])
def test_a_deleted_record_is_reported_if_models_exist(tmp_path: Path, models: bool) -> None:
    if models:
        (tmp_path / "models").mkdir()
    record(tmp_path)
    record(tmp_path, model="m2")
    (tmp_path / "looks.json").unlink()
    for _ in range(2):
        found, note = record_looks(tmp_path, [LOOK])
        assert found == Looks(1, 1, {"evaluate": 1}, at_least=models)
        assert (note is not None) == models
        if note is not None:
            assert f"{tmp_path / 'looks.json'} was deleted or damaged" in note
            assert "2 or more earlier looks at test spans are not counted" in note


def test_an_older_copy_of_the_record_is_reported_too(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    record(tmp_path)
    older = (tmp_path / "looks.json").read_bytes()
    record(tmp_path, model="m2")
    (tmp_path / "looks.json").write_bytes(older)
    _, note = record_looks(tmp_path, [replace(LOOK, model="m3")])
    assert note is not None
    assert "1 or more earlier looks" in note


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"looks": []}',
        b'{"series": {}, "looks": [3], "dropped": 0, "lost": 0}',
        b'{"series": {}, "looks": [], "dropped": 0, "lost": Infinity}',
        b'{"series": {"1": {"symbol": "A", "days": [1], "moves": []}}, "looks": [], "dropped": 0}',
        b'{"series": {}, "looks": [{"model": "m", "name": "n", "by": "evaluate", "settings": "", '
        b'"first": "", "last": "", "series": [1]}], "dropped": 0, "lost": 0}',
        b'{"series": {}, "looks": [], "dropped": 0, "lost": -1}',
        b'{"series": {"1": {"symbol": "A", "days": [9223372036854775808], "moves": [1]}}, '
        b'"looks": [], "dropped": 0, "lost": 0}',
        b'{"series": {"1": {"symbol": "A", "days": [1], "moves": [-1e30]}}, '
        b'"looks": [], "dropped": 0, "lost": 0}',
    ],
)
def test_a_damaged_record_is_put_aside_and_reported(tmp_path: Path, damaged: bytes) -> None:
    for aside in ("looks.json.damaged", "looks.json.damaged1"):
        (tmp_path / "looks.json").write_bytes(damaged)
        found, note = record_looks(tmp_path, [LOOK])
        assert found == Looks(1, 1, {"evaluate": 1}, at_least=True)
        assert note is not None
        assert note.endswith(f"the rest of it is kept as {aside}")
        assert "1 or more earlier looks" in note
        assert "\n" not in note
        assert (tmp_path / aside).read_bytes() == damaged


def test_a_held_lock_and_an_unwritable_record_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.01)
    with hold(tmp_path / ".looks.lock"), pytest.raises(LockedError):
        record_looks(tmp_path, [LOOK])


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "link to nothing"])
def test_a_record_that_is_not_a_file_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "data/looks.json", tmp_path / "elsewhere.json"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        record(tmp_path)
        (tmp_path / "looks.json").rename(elsewhere)
        path.symlink_to(elsewhere if kind == "link" else tmp_path / "absent")
    before = path.lstat()
    with pytest.raises(FileError, match="cannot read the file"):
        record_looks(path.parent, [LOOK])
    assert path.lstat() == before
    assert [each.name for each in path.parent.iterdir() if not each.name.startswith(".")] == [
        "looks.json"
    ]


def test_a_pipe_in_place_of_the_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    os.mkfifo(tmp_path / "models/.looks")
    assert record(tmp_path) == Looks(1, 1, {"evaluate": 1}, at_least=False)


def test_a_linked_folder_of_models_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/models").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="leads out of the data folder"):
        record_looks(tmp_path / "data", [LOOK])
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_killed_writer_leaves_the_old_record_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each step in turn; never is a look reported as lost."""
    (tmp_path / "models").mkdir()
    record(tmp_path)
    steps = [0, 0]

    class Killed(BaseException):
        pass

    def killable(done: Any) -> Any:
        def act(*arguments: Any) -> Any:
            steps[0] += 1
            if steps[0] == steps[1]:
                raise Killed
            return done(*arguments)

        return act

    monkeypatch.setattr(os, "replace", killable(os.replace))
    monkeypatch.setattr(os, "fsync", killable(os.fsync))
    counts = []
    for number in range(1, 9):
        steps[:] = [0, number]
        try:
            record_looks(tmp_path, [replace(LOOK, model=f"n{number}")])
        except Killed:
            pass
        else:
            break
        steps[:] = [0, 0]
        counts.append(record(tmp_path).models)
    assert len(counts) >= 4
    assert counts[0] == 1
    assert all(later - former in (0, 1) for former, later in pairwise(counts))
    assert counts[-1] > 1


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    strays = [
        tmp_path / ".looks.json.0a1b2c3d.lstmcli-tmp",
        tmp_path / "models/..looks.0a1b2c3d.lstmcli-tmp",
    ]
    for stray in strays:
        stray.touch()
    record(tmp_path)
    assert not any(stray.exists() for stray in strays)
