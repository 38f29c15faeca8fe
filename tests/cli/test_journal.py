"""The event log and the record of outcomes: complete, and never a reason to stop the run."""

import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lstmcli.console import journal
from lstmcli.errors import FileError
from lstmcli.runs.last_runs import last_runs
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    hashes,
    in_process,
    succeed,
    walk,
)
from tests.forked_runs import ForkServer
from tests.rows import for_each
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

TRAIN = ("train", "--config", "tiny.toml")
LOG = ("--log-file", "log.jsonl")


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        script.serve("AAPL", random_walk(80))
        yield script


def events(folder: Path) -> list[dict[str, Any]]:
    """The log's lines; every one has the four fields that all have."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for line in lines:
        assert list(line)[:4] == ["time", "run_id", "command", "event"]
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
    return lines


def line_of(event: str, facts: dict[str, Any]) -> str:
    record = logging.makeLogRecord({"msg": event, "facts": facts})
    return journal.JsonFormatter().format(record)


def names(folder: Path) -> list[str]:
    return [line["event"] for line in events(folder)]


def last(folder: Path, command: str) -> Any:
    return last_runs(folder / "data")[command].last


def fetch(*arguments: object, folder: Path) -> Outcome:
    return in_process("fetch", "--rate", 100, *arguments, *LOG, folder=folder)


def test_a_training_is_logged_from_start_to_end(home: Path) -> None:
    before = datetime.now(UTC)
    done = succeed(*TRAIN, *LOG, "--seed", 3, folder=home)
    assert done.err.startswith("lstmcli: You have evaluated 2 models on this period (")
    found = events(home)
    kinds = ["start", "epoch", "epoch", "note", "version", "end"]
    assert sorted(each["event"] for each in found) == sorted(kinds)
    start, first, *_, end = found
    (version,) = (each for each in found if each["event"] == "version")
    assert start["arguments"] == [*TRAIN, *LOG, "--seed", "3"]
    assert (first["epoch"], first["best"]) == (1, True)
    assert first["validation_loss"] > 0
    assert version["model"] == "tiny/v0002"
    assert version["promoted"] is False
    assert "RMSE" in version["why"]
    assert (end["exit_code"], end["counts"]) == (0, {"done": 1, "failed": 0})
    times = [datetime.fromisoformat(each["time"]) for each in found]
    assert [before, *times] == sorted([before, *times])
    metadata = json.loads((home / "data/models/tiny/v0002/metadata.json").read_text())
    assert {metadata["run_id"]} == {each["run_id"] for each in found}
    assert last(home, "train").run_id == metadata["run_id"]
    assert {each["command"] for each in found} == {"train"}


def test_a_log_that_another_process_keeps_locked_is_warned_of_once_and_costs_no_result(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_LOG_WAIT", 0.2)
    (home / "log.jsonl").touch()
    with open(home / "log.jsonl", "rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        began = time.monotonic()
        done = in_process("predict", *LOG, "--format", "csv", folder=home)
        assert time.monotonic() - began < 5.0
    assert done.code == 0
    assert done.out == in_process("predict", "--format", "csv", folder=home).out
    assert done.err.count("events are missing from the log") == 1
    assert "still held the lock after 0.2 s" in done.err
    assert (home / "log.jsonl").read_bytes() == b""


def test_a_fetch_is_logged_symbol_by_symbol(server: StandIn, tmp_path: Path) -> None:
    assert fetch("AAPL", "NOPE", "--quiet", folder=tmp_path).code == 3
    found = {each.get("symbol", each["event"]): each for each in events(tmp_path)}
    assert (found["AAPL"]["status"], found["AAPL"]["rows"]) == ("new", 80)
    assert (found["NOPE"]["status"], found["NOPE"]["failure"]) == ("failed", "not found")
    assert "no such symbol" in found["NOPE"]["reason"]
    counts = {"requests": server.requests, "seconds_waited": 0.0, "done": 1, "failed": 1}
    assert found["end"]["counts"] == counts | {"stale": 1, "unanswered": 0, "refused": 0}
    ended = last(tmp_path, "fetch")
    assert (ended.exit_code, ended.is_good) == (3, True)
    assert ended.error.startswith("1 of 2 symbols failed, first NOPE: no such symbol")


def test_notes_and_failed_symbols_of_a_batch_are_logged_also_when_quiet(home: Path) -> None:
    (home / "short.csv").write_text(csv_text(walk(5)))
    batch = ("predict", "--csv", "prices.csv", "--csv", "short.csv", "--model", "tiny", "--quiet")
    assert in_process(*batch, *LOG, folder=home).code == 3
    found = events(home)
    assert names(home) == ["start", "note", "symbol", "error", "end"]
    assert "sessions old" in found[1]["message"]
    assert (found[2]["symbol"], found[2]["status"], found[2]["exit_code"]) == ("short", "failed", 4)
    assert (found[-1]["exit_code"], found[-1]["counts"]) == (3, {"done": 1, "failed": 1})


def test_refits_and_the_end_of_an_evaluation_are_logged(home: Path) -> None:
    succeed("evaluate", "--refit", 4, *LOG, folder=home)
    assert names(home)[1] == "refit"
    assert names(home)[-1] == "end"
    assert last(home, "evaluate").counts == {"done": 1, "failed": 0}


def test_verbs_that_change_the_store_are_logged(home: Path) -> None:
    succeed("data", "import", "prices.csv", *LOG, folder=home)
    succeed("data", "remove", "PRICES", "--yes", *LOG, folder=home)
    assert {each["command"] for each in events(home)} == {"data import", "data remove"}
    assert set(last_runs(home / "data")) == {"train"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("predict", "--model", "absent"), 4, "no such model"),
        (("predict", "--horizon", "0"), 2, "--horizon"),
        (("predict", "--output", "data"), 1, "it is a folder"),
    ],
)
def test_an_error_is_logged_and_so_is_the_end(
    home: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = in_process(*arguments, *LOG, folder=home)
    assert_one_error(done, code, told)
    *_, error, end = events(home)
    assert error["event"] == "error"
    assert f"lstmcli: error: {error['message']}\n" in done.err
    assert (end["event"], end["exit_code"]) == ("end", code)


def test_a_run_in_which_all_failed_names_them_all(home: Path) -> None:
    for name in ("a", "b"):
        (home / f"{name}.csv").write_text(csv_text(walk(5)))
    assert in_process("predict", "--csv", "a.csv", "--csv", "b.csv", *LOG, folder=home).code == 4
    failed = [each["symbol"] for each in events(home) if each["event"] == "symbol"]
    assert failed == ["a", "b"]
    assert last(home, "predict").counts == {"done": 0, "failed": 2}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_run_that_is_stopped_logs_its_end(
    home: Path, forks: ForkServer, number: int, code: int
) -> None:
    long = (*TRAIN, "--set", "train.epochs=100000", "--set", "train.patience=100000", *LOG)
    pid = forks.start(*long, folder=home)
    deadline = time.monotonic() + 60
    while not (home / "log.jsonl").exists() or "epoch" not in names(home):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(pid, number)
    assert forks.wait(pid).code == code
    end = events(home)[-1]
    assert (end["event"], end["exit_code"]) == ("end", code)
    assert last(home, "train").exit_code == code
    assert last_runs(home / "data")["train"].last_good is not None


@pytest.mark.parametrize(
    ("place", "code", "told"),
    [
        ("absent/log", 1, "No such file"),
        ("data", 1, "it is not a regular file"),
        ("pipe", 1, "it is not a regular file"),
        ("prices.csv", 2, "not a log"),
    ],
)
def test_a_log_that_cannot_be_kept_is_refused_before_any_work(
    home: Path, place: str, code: int, told: str
) -> None:
    os.mkfifo(home / "pipe")
    before = hashes(home)
    assert_one_error(in_process(*TRAIN, "--log-file", place, folder=home), code, place, told)
    assert hashes(home) == before


def test_a_log_that_fails_later_is_reported_once_and_the_run_continues(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[str]] = []

    def fill_up(path: Path, lines: list[str]) -> int:
        if written:
            raise FileError("cannot append to the file", where=path, why="No space left on device")
        written.append(lines)
        return 0

    monkeypatch.setattr(journal, "_append", fill_up)
    done = succeed(*TRAIN, *LOG, "--quiet", folder=home)
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: warning: events are missing from the log: cannot append")
    assert last(home, "train").exit_code == 0


def test_an_incomplete_last_line_is_removed_and_reported_at_the_next_start(home: Path) -> None:
    (home / "log.jsonl").write_text(
        '{"time": "2026-01-01T00:00:00+00:00", "run_id": "00", "command": "train", "event": "end"}'
        '\n{"time": "2026-'
    )
    done = succeed("predict", *LOG, "--quiet", folder=home)
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: warning: log.jsonl: removed an incomplete last line")
    assert names(home) == ["end", "start", "warning", "note", "end"]


def test_the_environment_names_the_log_and_passwords_are_left_out(home: Path) -> None:
    env = {"LSTMCLI_LOG_FILE": "log.jsonl", "LSTMCLI_MODEL": "https://me:secret@example.org/x"}
    assert in_process("predict", folder=home, env=env).code == 4
    start, error, _ = events(home)
    assert start["environment"]["LSTMCLI_MODEL"] == "https://***@example.org/x"
    assert "no such model" in error["message"]
    assert "secret" not in (home / "log.jsonl").read_text()


@pytest.mark.parametrize(
    "secret", ["pa@ss", "pa/ss", "p:a?s#s", "p a\tss", 'p"a\\ss', "p%40\u00fcss", "pa=s=sword"]
)
def test_no_password_of_a_url_comes_into_the_log_or_the_record(home: Path, secret: str) -> None:
    url = f"https://me:{secret}@example.org/x?token=hush&n=1"
    for arguments in (
        ("predict", "--model", url),
        ("predict", "--csv", url),
        ("predict", url, "--csv", "prices.csv"),
        ("data", "show", url),
        ("data", "remove", url, "--yes"),
        ("predict", "--data-dir", url),
        ("predict", "--output", f"{url}/y"),
        ("train", "--config", url),
        ("train", "--set", url),
        ("train", "--set", f"model.network={url}"),
        ("fetch", url),
        ("status", "--max-age", url),
        (url,),
    ):
        assert in_process(*arguments, *LOG, folder=home).code != 0
    for path in (home / "log.jsonl", home / "data/runs.json"):
        text = path.read_text()
        for form in (secret, json.dumps(secret)[1:-1], secret[-5:], "hush"):
            assert form not in text, path
    assert "https://***@example.org" in (home / "log.jsonl").read_text()


@for_each(
    "text",
    ["http://127.0.0.1:8080/x", "https://example.org/a:b", "data//prices", "see https://a.org: b"],
)
def test_a_url_without_a_password_stays_as_it_is(text: str) -> None:
    assert json.loads(line_of("note", {"message": text}))["message"] == text


def test_a_url_truncated_within_its_password_is_masked() -> None:
    for text in ("found https://me:secr", "https:/me:secr...", ["//me:secret@host"]):
        assert "secr" not in line_of("note", {"message": text})


def test_figures_that_are_none_stay_json() -> None:
    line = line_of("epoch", {"loss": float("nan"), "best": float("inf")})
    found = json.loads(line, parse_constant=pytest.fail)
    assert (found["loss"], found["best"]) == ("NaN", "Infinity")


def test_without_the_option_there_is_a_record_and_no_log(home: Path) -> None:
    succeed("predict", folder=home)
    assert not (home / "log.jsonl").exists()
    assert last(home, "predict").exit_code == 0


def test_no_folder_is_made_for_a_record(tmp_path: Path) -> None:
    assert in_process("predict", folder=tmp_path).code == 4
    succeed("fetch", "AAPL", "--dry-run", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_written_stops_no_run(home: Path) -> None:
    (home / "data/runs.json").unlink()
    (home / "data/runs.json").mkdir()
    done = in_process("predict", "--quiet", *LOG, folder=home)
    assert (done.code, done.err) == (0, "")
    assert names(home) == ["start", "note", "warning", "end"]


def test_a_terminal_gets_lines_that_fit_and_commands_that_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = "lstmcli train AAPL MSFT --name pair --set train.epochs=30"
    words = "AAPL: the last bar, 2018-08-31, is 981 sessions old"
    line = f"lstmcli: {words}. Bring newer prices and train again: {command}."
    journal.say(line)
    assert capsys.readouterr().err == f"{line}\n"  # whole where another program reads
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    journal.say(line)
    shown = capsys.readouterr().err.splitlines()
    assert [len(each) <= 80 for each in shown] == [True] * len(shown)
    assert any(command in each for each in shown)
    assert " ".join(each.strip() for each in shown) == line
    journal.say(f"see {'x' * 200}")
    assert capsys.readouterr().err.split() == ["see", "x" * 200]
