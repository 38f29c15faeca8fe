"""`lstmcli status` as a command: its output in every format, and its exit codes."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lstmcli.runs.last_runs import RunEnd, note_end
from tests.command_line import assert_one_error, document_of, hashes, in_process, succeed


def ended(folder: Path, command: str, hours_ago: float, code: int = 0, error: str = "") -> None:
    time = (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat(timespec="seconds")
    counts = {"done": 497, "failed": 3}
    note_end(folder / "data", RunEnd(command, "0011aabb", time, time, code, counts, error))


def lines(folder: Path) -> dict[str, str]:
    """The screen's lines by their names; "" is the heading."""
    done = in_process("status", folder=folder)
    assert (done.code, done.err) == (0, "")
    heading, *rest = done.out.splitlines()
    found = [re.fullmatch(r"(ok|old|bad|none) +(\S+( tiny)?) +(.*)", line) for line in rest]
    return {"": heading, **{each[2]: f"{each[1]}: {each[4]}" for each in found if each}}


def test_a_line_for_each_part_and_last_run(home: Path) -> None:
    ended(home, "fetch", 3.0)
    shown = lines(home)
    assert shown[""].endswith(": no problems")
    assert list(shown) == ["", "prices", "model tiny", "device", "fetch", "train"]
    assert shown["model tiny"].startswith("ok: v0001 of 1, trained on 1 symbol up to 2018-08-31, ")
    assert shown["fetch"] == "ok: 497 done, 3 failed, 3.0 h ago"
    assert re.fullmatch(r"ok: 1 done, (just now|\d+ min ago)", shown["train"])


def test_failed_runs_show_the_last_good_run(home: Path) -> None:
    ended(home, "predict", 72.0)
    ended(home, "predict", 0.5, 143)
    ended(home, "fetch", 1.0, 6, "too many requests")
    ended(home, "evaluate", 1.0)
    shown = lines(home)
    assert shown["predict"] == "bad: stopped, 30 min ago; last good run 3 days ago"
    assert shown["fetch"] == "bad: 497 done, 3 failed, exit code 6, 1.0 h ago; last good run never"
    assert shown["evaluate"].startswith("ok")


def test_a_symbol_that_fails_in_every_command_is_one_problem(home: Path) -> None:
    failed = "3 of 500 symbols failed, first NOPE: "
    ended(home, "fetch", 3.0, 3, f"{failed}no such symbol. Check its spelling.")
    ended(home, "predict", 2.0, 3, f"{failed}no prices stored. Run: lstmcli fetch NOPE.")
    succeed("data", "import", "prices.csv", folder=home)
    shown = in_process("status", folder=home).out
    assert lines(home)["fetch"].startswith("bad: 497 done, 3 failed, ")
    assert "fetch, predict  NOPE: no such symbol. Check its spelling." in shown
    assert "no prices stored" not in shown
    assert "2 problems" in shown.splitlines()[0]  # the prices are old too


def test_many_models_without_problems_share_one_line(home: Path) -> None:
    for number in range(7):
        shutil.copytree(home / "data/models/tiny", home / f"data/models/m{number}")
    (home / "data/models/m3/champion").write_text("v0007\n")
    shown = lines(home)
    assert shown["models"].startswith("ok: 7 without problems, the last trained ")
    assert "the champion is missing" in in_process("status", folder=home).out


def test_one_document_holds_parts_runs_and_what_is_too_old(home: Path) -> None:
    ended(home, "fetch", 30.0)
    done = in_process("status", "--max-age", "26h", "--format", "json", folder=home)
    assert done.code == 4
    found = json.loads(done.out)
    assert found["parts"][-1]["age_hours"] == pytest.approx(30.0, abs=0.1)
    assert found["runs"]["fetch"]["last_good"]["exit_code"] == 0
    (old,) = found["too_old"]
    assert done.err == (
        f"lstmcli: error: the last good run is too old (data): {old}. "
        "See lstmcli status, and the log of the runs since.\n"
    )


@pytest.mark.parametrize("age", ["h", "-1h", "26 h", "1w", "inf", "9999999d", ""])
def test_an_age_in_another_format_is_a_usage_error(tmp_path: Path, age: str) -> None:
    done = in_process("status", f"--max-age={age}", folder=tmp_path)
    assert_one_error(done, 2, "--max-age", "26h")


def test_commands_can_be_named(home: Path) -> None:
    ended(home, "fetch", 30.0)
    assert in_process("status", "--max-age", "1h", folder=home).code == 4
    succeed("status", "train", "--max-age", "1h", folder=home)
    assert in_process("status", "train", "fetch", "--max-age", "1h", folder=home).code == 4
    assert_one_error(in_process("status", "data", folder=home), 2, "data", "fetch")


def model(folder: Path) -> dict[str, Any]:
    document = document_of(folder, "status")
    (found,) = [each for each in document["parts"] if each["part"] == "model tiny"]
    return dict(found)


def test_a_champion_is_loaded_to_see_whether_it_is_whole(home: Path) -> None:
    found = model(home)
    assert (found["state"], found["next_step"]) == ("ok", "")
    assert found["found"] == "v0001 of 1, trained on 1 symbol up to 2018-08-31"
    assert 0 <= found["age_hours"] < 1
    weights = home / "data/models/tiny/v0001/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    found = model(home)
    assert (found["state"], found["next_step"]) == ("bad", "Train it again: lstmcli train.")
    assert "does not match the hash" in found["found"]


def test_versions_without_a_champion_are_reported(home: Path) -> None:
    (home / "data/models/tiny/champion").unlink()
    found = model(home)
    assert (found["state"], found["found"]) == ("none", "no champion among 1 version")
    assert found["next_step"] == "Run: lstmcli models promote tiny/v0001."


def test_a_model_that_leads_out_of_the_folder_is_bad_and_the_rest_is_shown(home: Path) -> None:
    (home / "data/models/tiny").rename(home / "elsewhere")
    (home / "data/models/tiny").symlink_to(home / "elsewhere")
    found = model(home)
    assert (found["state"], found["next_step"]) == ("bad", "Remove the link.")


def test_nothing_is_written(home: Path) -> None:
    before = (hashes(home), sorted(home.rglob("*")))
    succeed("status", "--max-age", "26h", folder=home)
    assert (hashes(home), sorted(home.rglob("*"))) == before


def test_an_empty_folder_is_not_an_error_without_a_limit(tmp_path: Path) -> None:
    done = in_process("status", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "nothing here yet" in done.out.splitlines()[0]
    assert "prices  Bring some: lstmcli fetch SYMBOL" in done.out
    assert in_process("status", "--max-age", "26h", folder=tmp_path).code == 4
