"""`lstmcli fetch` end to end: symbols, answers of the feed, messages and stored prices."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import PROGRAM, Outcome, environment, hashes, in_process, lstmcli
from tests.yahoo_stand_in import StandIn, random_walk, split, stand_in

BARS = random_walk(80)
NAMES = ["AAPL", "MSFT", "IBM", "KO"]
SITE = Path(__file__).parents[1] / "stand_in_site"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        for symbol in NAMES:
            script.serve(symbol, BARS)
        yield script


def fetch(*arguments: object, folder: Path) -> Outcome:
    return in_process("fetch", "--rate", 100, *arguments, folder=folder)


def test_a_fetch_shows_a_table_and_says_nothing_else(server: StandIn, tmp_path: Path) -> None:
    done = fetch(*NAMES, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert re.search(r"AAPL +new +2024-01-02 +2024-04-22 +80 +80", done.out)
    assert done.out.splitlines()[-1] == f"4 symbols: 4 new. {server.requests} requests."
    server.forget()
    server.serve("MSFT", split(BARS, "2024-04-15", 4))
    server.always["IBM"] = "404"
    done = fetch(*NAMES, "NOPE", folder=tmp_path)
    assert done.code == 3
    assert "MSFT: restated: 4:1 split 2024-04-15" in done.out
    assert done.out.splitlines()[-1] == (
        "5 symbols: 2 unchanged, 1 restated, 2 failed (2 not found). 6 requests."
    )
    failed = [line.split(": ")[:3] for line in done.err.splitlines()]
    assert failed == [["lstmcli", "failed", "IBM"], ["lstmcli", "failed", "NOPE"]]


def test_symbols_that_fail_alike_are_one_line(server: StandIn, tmp_path: Path) -> None:
    unknown = [f"NOPE{number}" for number in range(7)]
    done = fetch("AAPL", *unknown, "--errors", "left.csv", folder=tmp_path)
    (line,) = done.err.splitlines()
    assert line.startswith(
        "lstmcli: failed: NOPE0, NOPE1, NOPE2, NOPE3, NOPE4 and 2 more: no such "
    )
    assert "(SYMBOL)" in line
    assert line.endswith(". --errors FILE lists them all.")
    assert len((tmp_path / "left.csv").read_text().splitlines()) == 8


def test_a_dry_run_sends_no_request_and_an_unknown_ticker_one_and_neither_writes(
    server: StandIn, tmp_path: Path
) -> None:
    done = fetch(*NAMES, "--dry-run", folder=tmp_path)
    assert done.code == 0
    assert "AAPL, MSFT, IBM and 1 more: would ask from the first bar" in done.out
    assert done.out.endswith("4 symbols: 4 new. 0 requests.\n")
    assert server.requests == 0
    done = fetch("NOPE", folder=tmp_path)
    assert (done.code, len(server.charts), hashes(tmp_path)) == (4, 1, {})
    assert "no such symbol at Yahoo (NOPE)" in done.err


def test_a_rate_limit_is_waited_out_and_reported(server: StandIn, tmp_path: Path) -> None:
    server.faults["MSFT"] = ["429"] * 3
    done = fetch(*NAMES, folder=tmp_path)
    assert done.code == 0
    assert done.err == "lstmcli: Yahoo limits the rate: waiting 0 s\n" * 3
    assert "4 symbols: 4 new. " in done.out
    server.faults["MSFT"] = ["429"]
    assert fetch(*NAMES, "--quiet", folder=tmp_path) == Outcome(0, "", "")


def test_an_endless_rate_limit_stops_at_the_timeout_and_resumes(
    server: StandIn, tmp_path: Path
) -> None:
    server.always = dict.fromkeys(NAMES[1:], "429")
    fetch("AAPL", folder=tmp_path)
    before = hashes(tmp_path)
    began = time.monotonic()
    done = fetch(*NAMES[1:], "--timeout", 0.3, folder=tmp_path)
    assert time.monotonic() - began < 10.0
    assert (done.code, hashes(tmp_path)) == (6, before)
    assert "3 symbols: 3 failed" in done.out
    assert done.err.count("lstmcli: failed: ") == 3
    assert "--timeout" in done.err
    server.always.clear()
    done = fetch(*NAMES, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "3 new" in done.out


def test_under_cron_a_fetch_is_silent_and_leaves_nothing_but_its_files(
    server: StandIn, tmp_path: Path
) -> None:
    """Without HOME, in a process of its own, from a folder where nothing else may be written."""
    for new in (80, 0):
        done = lstmcli("fetch", "AAPL", "--rate", 100, folder=tmp_path, env=cron(server, tmp_path))
        assert (done.code, done.err) == (0, "")
        assert re.search(rf"AAPL .* 80 +{new} *\n", done.out)
    assert sorted(hashes(tmp_path)) == ["data/prices/1d/AAPL.csv", "data/prices/1d/AAPL.json"]


def cron(server: StandIn, folder: Path) -> dict[str, str]:
    """The environment of a process that asks the stand-in, without HOME or a cache."""
    return {
        "LSTMCLI_TEST_YAHOO": server.url,
        "PYTHONPATH": os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")]),
        "XDG_CACHE_HOME": str(folder / "no" / "cache"),
        "HOME": "",
        "LC_ALL": "C",
    }


def test_a_signal_ends_a_pause_at_once_and_frees_the_lock(server: StandIn, tmp_path: Path) -> None:
    server.always["AAPL"], server.retry_after = "429", "500"
    with subprocess.Popen(
        [PROGRAM, "fetch", "AAPL"],
        cwd=tmp_path,
        env=environment(cron(server, tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"lstmcli: Yahoo limits the rate: waiting 500 s\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 143
    assert fetch("MSFT", folder=tmp_path).code == 0
