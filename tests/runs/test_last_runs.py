"""The record of the last runs: complete under concurrency, and no obstacle if damaged."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lstmcli.runs.last_runs import RunEnd, last_runs, note_end

GOOD = RunEnd(
    "fetch",
    "0011aabb",
    "2026-06-30T21:00:00+00:00",
    "2026-06-30T21:15:00+00:00",
    0,
    {"done": 497, "failed": 0, "seconds_waited": 1.5},
)
FAILED = replace(GOOD, run_id="ccdd2233", exit_code=6, error="no answer from Yahoo (AAPL)")
WRITER = """
import sys
from pathlib import Path
from lstmcli.runs.last_runs import RunEnd, note_end
for number in range(20):
    time = "2026-06-30T21:00:00+00:00"
    note_end(Path(sys.argv[1]), RunEnd(f"{sys.argv[2]}{number}", "id", time, time, 0))
"""


def test_a_good_run_is_the_last_and_the_last_good_one(tmp_path: Path) -> None:
    note_end(tmp_path, GOOD)
    (known,) = last_runs(tmp_path).values()
    assert (known.last, known.last_good) == (GOOD, GOOD)


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 130, 143])
def test_a_failed_run_leaves_the_last_good_one(tmp_path: Path, code: int) -> None:
    failed = replace(FAILED, exit_code=code)
    note_end(tmp_path, failed)
    assert last_runs(tmp_path)["fetch"].last_good is None
    note_end(tmp_path, GOOD)
    note_end(tmp_path, failed)
    known = last_runs(tmp_path)["fetch"]
    assert (known.last, known.last_good) == (failed, GOOD)


def test_a_partial_run_counts_as_good(tmp_path: Path) -> None:
    partial = replace(FAILED, exit_code=3)
    note_end(tmp_path, partial)
    assert last_runs(tmp_path)["fetch"].last_good == partial


def test_the_ends_of_concurrent_processes_are_all_kept(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), letter]) for letter in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    expected = {f"{letter}{number}" for letter in "abc" for number in range(20)}
    assert set(last_runs(tmp_path)) == expected


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"runs": []}',
        '{"runs": {"fetch": null}}',
        '{"runs": {"fetch": {"last": {}, "last_good": null}}}',
    ],
)
def test_a_damaged_record_is_replaced(tmp_path: Path, damage: str) -> None:
    (tmp_path / "runs.json").write_text(damage)
    assert last_runs(tmp_path) == {}
    note_end(tmp_path, GOOD)
    assert last_runs(tmp_path)["fetch"].last == GOOD


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ended", "yesterday"),
        ("ended", "2026-06-30T21:15:00"),
        ("exit_code", "well"),
        ("counts", {"done": "all"}),
        ("counts", {"done": float("nan")}),
        ("counts", 3),
    ],
)
def test_an_entry_with_invalid_values_is_damage(tmp_path: Path, key: str, value: object) -> None:
    note_end(tmp_path, GOOD)
    tree = json.loads((tmp_path / "runs.json").read_text())
    tree["runs"]["fetch"]["last"][key] = value
    (tmp_path / "runs.json").write_text(json.dumps(tree))
    assert last_runs(tmp_path) == {}


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    stray = tmp_path / ".runs.json.0011aabb.lstmcli-tmp"
    stray.write_text("{")
    other = tmp_path / ".other.0011aabb.lstmcli-tmp"
    other.write_text("")
    note_end(tmp_path, GOOD)
    assert (stray.exists(), other.exists()) == (False, True)


def test_a_record_that_links_out_of_the_data_folder_is_neither_read_nor_written(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    note_end(tmp_path, FAILED)
    before = (tmp_path / "runs.json").read_bytes()
    (data / "runs.json").symlink_to(tmp_path / "runs.json")
    assert last_runs(data) == {}
    note_end(data, GOOD)
    assert last_runs(data)["fetch"].last == GOOD
    assert (tmp_path / "runs.json").read_bytes() == before
