"""Fetch through a feed that limits, refuses and fails: what arrives, what is left, what is next."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lstmcli.files.locks import hold
from lstmcli.market import refresh, yahoo
from lstmcli.market.yahoo import Answer
from lstmcli.workflows import fetch as module
from lstmcli.workflows.fetch import FetchReport, FetchResult
from tests.command_line import hashes, sessions
from tests.yahoo_stand_in import Fault, StandIn, random_walk

SYMBOLS = [f"S{letter}" for letter in "ABCDEFGHIJKL"]  # shaped like New York's
AFTER_CLOSE = datetime(2018, 8, 31, 22, tzinfo=UTC)


def on_sessions(rows: int) -> pd.DataFrame:
    """Bars of every New York session up to 2018-08-31, a Friday."""
    return random_walk(rows).set_axis(pd.DatetimeIndex(sessions(rows), name="Date"))


BARS = on_sessions(40)


@pytest.fixture
def server(server: StandIn) -> StandIn:
    for symbol in [*SYMBOLS, "AAPL", "MSFT"]:
        server.serve(symbol, BARS)
    return server


@pytest.fixture
def run(run: Any) -> Any:
    return lambda *symbols, now=AFTER_CLOSE, **options: run(*symbols, now=now, **options)


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORKERS", 1)


def statuses(report: FetchReport) -> list[str]:
    return [result.status for result in report.results]


def asked(server: StandIn) -> set[str]:
    return {symbol for symbol, _ in server.charts}


def test_symbols_that_are_refused_for_a_while_all_arrive_in_the_order_given(
    server: StandIn, run: Any
) -> None:
    for symbol in SYMBOLS[::3]:
        server.faults[symbol] = ["429"] * 2
    paused: list[float] = []
    # The wait that the command allows: how threads take turns decides how long the pauses grow.
    report = run(*SYMBOLS, max_wait=600.0, on_pause=lambda cause, seconds: paused.append(seconds))
    assert report.exit_code == 0
    assert [result.symbol for result in report.results] == SYMBOLS
    assert set(statuses(report)) == {"new"}
    assert report.requests == server.requests
    assert report.waited == sum(paused) > 0


@pytest.mark.usefixtures("one_worker")
def test_what_a_rate_limit_leaves_over_is_all_that_the_next_run_asks_for(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    for symbol in SYMBOLS[5:]:
        server.always[symbol] = "429"
    report = run(*SYMBOLS)
    assert report.exit_code == 3
    assert statuses(report) == ["new"] * 5 + ["failed"] * 7
    assert report.waited == pytest.approx(60.0)
    left = report.results[5:]
    assert {result.failure for result in left} == {"rate limited"}
    assert {result.exit_code for result in left} == {6}
    assert "paused for 60 s in all, --max-wait is 60 s" in left[-1].reason
    assert [failure.symbol for failure in report.failures] == SYMBOLS[5:]
    assert not asked(server) & set(SYMBOLS[6:])  # nobody is asked who cannot be answered
    before = hashes(tmp_path)

    server.always.clear()
    server.forget()
    report = run(*SYMBOLS)
    assert statuses(report) == ["unchanged"] * 5 + ["new"] * 7
    assert asked(server) == set(SYMBOLS[5:])
    assert report.requests == server.requests == 14
    assert before.items() <= hashes(tmp_path).items()


def test_a_refusal_of_everything_ends_with_the_code_of_the_network(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.always = dict.fromkeys(SYMBOLS, "429")
    report = run(*SYMBOLS, max_wait=0.0)
    assert (report.exit_code, report.waited) == (6, 0.0)
    assert len(server.charts) <= module.WORKERS
    assert hashes(tmp_path) == {}


@pytest.mark.parametrize("fault", ["503", "html", "reset"])
def test_an_outage_pauses_all_and_ends_by_the_longest_wait(
    server: StandIn, run: Any, fault: Fault
) -> None:
    server.always = dict.fromkeys(SYMBOLS, fault)
    report = run(*SYMBOLS)
    assert report.exit_code == 6
    assert {result.failure for result in report.results} == {"no answer"}
    assert report.waited == pytest.approx(60.0)
    assert len(server.charts) < 20
    assert not any("delisted" in result.reason for result in report.results)


def test_a_run_that_ended_early_has_one_code_whoever_was_asked_first(
    server: StandIn, run: Any
) -> None:
    server.always["AAPL"] = "429"
    for symbols in (("AAPL", "NOPE"), ("NOPE", "AAPL")):
        assert run(*symbols, max_wait=0.0).exit_code == 6


def test_a_symbol_that_hangs_holds_up_nobody_else(
    server: StandIn, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo, "REQUEST_TIMEOUT", 0.3)
    server.always["SA"], server.always["SB"] = "hang", "drip"
    report = run(*SYMBOLS)
    assert statuses(report) == ["failed"] * 2 + ["new"] * 10
    assert report.exit_code == 3
    assert report.results[0].failure == "no answer"


@pytest.mark.usefixtures("one_worker")
def test_the_runs_own_end_leaves_the_rest_for_the_next_one(server: StandIn, run: Any) -> None:
    report = run(*SYMBOLS, rate=1.0, timeout=9.5)
    done = statuses(report).count("new")
    assert 0 < done < len(SYMBOLS)
    assert statuses(report) == ["new"] * done + ["failed"] * (len(SYMBOLS) - done)
    assert report.requests == server.requests == 10
    assert report.exit_code == 3
    rest = report.results[-1]
    assert (rest.failure, rest.exit_code) == ("out of time", 6)
    assert "after the 9.5 s of --timeout" in rest.reason
    server.forget()
    again = run(*SYMBOLS)
    assert statuses(again) == ["unchanged"] * done + ["new"] * (len(SYMBOLS) - done)
    assert asked(server) == set(SYMBOLS[done:])


def test_nothing_is_asked_of_an_exchange_that_has_not_closed_since(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    run("AAPL")
    before = hashes(tmp_path)
    server.forget()
    monday_noon = datetime(2018, 9, 4, 16, tzinfo=UTC)  # the Tuesday after Labor Day
    for now in (AFTER_CLOSE, datetime(2018, 9, 3, 12, tzinfo=UTC), monday_noon):
        report = run("AAPL", now=now)
        assert statuses(report) == ["unchanged"]
        assert (report.requests, server.requests) == (0, 0)
        assert report.results[0].rows == 40
    assert hashes(tmp_path) == before
    assert "nothing to request" in run("AAPL", dry_run=True).results[0].note
    assert run("AAPL", full=True).requests == 1
    assert run("AAPL", include_partial=True, now=monday_noon).requests == 1
    assert run("AAPL", now=datetime(2018, 9, 4, 21, tzinfo=UTC)).requests == 1


@pytest.mark.usefixtures("one_worker")
def test_what_failed_or_is_older_is_asked_for_first(server: StandIn, run: Any) -> None:
    server.always["SB"] = "503"
    run("SA", "SB", "SC")
    del server.always["SB"]
    server.forget()
    later = datetime(2018, 9, 10, tzinfo=UTC)
    report = run("SA", "SD", "SC", "SB", now=later)
    assert [result.symbol for result in report.results] == ["SA", "SD", "SC", "SB"]
    order = list(dict.fromkeys(symbol for symbol, _ in server.charts))
    assert order == ["SD", "SB", "SA", "SC"]


def test_a_missing_session_of_late_is_told_and_asked_for_again(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    bars = on_sessions(250)
    server.serve("AAPL", bars.drop(bars.index[220])[:-1])
    now = datetime(2018, 8, 30, 22, tzinfo=UTC)
    (result,) = run("AAPL", now=now).results
    assert f"1 exchange session is missing: {bars.index[220].date()}" in result.note
    server.serve("AAPL", bars)
    (result,) = run("AAPL").results
    assert (result.status, result.added, result.rows) == ("updated", 2, 250)


def test_the_same_run_makes_the_same_bytes(server: StandIn, run: Any, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    reports = [run(*SYMBOLS, data_dir=folder) for folder in folders]
    assert reports[0].results == reports[1].results
    assert hashes(folders[0]) == hashes(folders[1])
    assert len(hashes(folders[0])) == 24


def test_an_interrupted_run_stops_at_once_frees_the_lock_and_keeps_what_arrived(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    def interrupt(result: FetchResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(*SYMBOLS, on_result=interrupt)
    assert threading.active_count() <= 2 + 2 * module.WORKERS  # the stand-in's
    arrived = {Path(name).stem for name in hashes(tmp_path)}
    assert len(arrived) < len(SYMBOLS)
    with hold(tmp_path / "data/prices/.lock"):
        pass
    assert set(statuses(run(*SYMBOLS))) <= {"new", "unchanged"}


def test_a_bug_is_no_failed_symbol(
    server: StandIn, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> Answer:
        raise ZeroDivisionError

    monkeypatch.setattr(refresh, "fetch_answer", broken)
    with pytest.raises(ZeroDivisionError):
        run(*SYMBOLS)


def test_the_kinds_of_failure_are_told_apart(server: StandIn, run: Any) -> None:
    server.always |= {"SA": "404", "SB": "empty", "SC": "html"}
    server.serve("SD", BARS.assign(Close=-1.0))
    report = run("SA", "SB", "SC", "SD")
    assert [each.failure for each in report.results] == [
        "not found", "no prices", "no answer", "bad data",
    ]  # fmt: skip
    assert json.dumps([each.exit_code for each in report.results]) == "[4, 4, 6, 4]"
    assert report.exit_code == 4
