"""Answers with another symbol, interval or currency, and old or incomplete answers."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cases.fetching import (
    BARS,
    LATER,
    Run,
    assert_holds,
    files,
    note_fetch,
    only,
    part,
    run,
    server,
)
from tests.command_line import document_of, succeed
from tests.yahoo_stand_in import StandIn, random_walk

__all__ = ["run", "server"]


def test_an_answer_for_another_symbol_is_refused_and_keeps_the_stored_bars(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS[:70])
    run()
    before = files(tmp_path)
    server.serve("AAPL", BARS, named="MSFT")
    for full in (False, True):
        result = only(run(full=full))
        assert (result.status, result.exit_code, result.failure) == ("failed", 6, "no answer")
        assert "found an answer for MSFT, expected one for AAPL" in result.reason
    assert files(tmp_path) == before
    server.serve("AAPL", BARS, named="aapl")
    assert only(run()).rows == 80


def test_daily_bars_are_refused_if_weekly_ones_are_requested(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    result = only(run(interval="1wk"))
    assert "found a bar every 1 days, expected 1wk bars" in result.reason
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("first", "then", "what"),
    [
        ({"currency": "GBp"}, {"currency": "GBP"}, "currency"),
        ({"zone": "America/New_York"}, {"zone": "Asia/Tokyo"}, "time zone"),
    ],
)
def test_another_currency_or_time_zone_than_the_stored_one_requires_full(
    server: StandIn,
    run: Run,
    tmp_path: Path,
    first: dict[str, str],
    then: dict[str, str],
    what: str,
) -> None:
    server.serve("AAPL", BARS[:70], **first)
    run()
    before = files(tmp_path)
    server.serve("AAPL", BARS, **then)
    report = run()
    result = only(report)
    assert (result.exit_code, result.failure) == (4, "refused")
    assert f"prices in another {what}" in result.reason
    assert "lstmcli fetch AAPL --full" in result.reason
    assert files(tmp_path) == before
    note_fetch(tmp_path, report)
    assert part(tmp_path, "feed").state == "old"
    assert ", 1 refused" in part(tmp_path, "feed").what
    assert only(run(full=True)).rows == 80
    assert_holds(tmp_path, BARS)
    assert only(run(now=LATER)).status == "unchanged"


def test_a_renamed_time_zone_is_the_same(server: StandIn, run: Run) -> None:
    server.serve("AAPL", BARS[:70], zone="Europe/Kiev")
    run()
    server.serve("AAPL", BARS, zone="Europe/Kyiv")
    assert only(run()).added == 10


def test_a_missing_currency_changes_nothing(server: StandIn, run: Run) -> None:
    server.serve("AAPL", BARS[:70])
    run()
    server.serve("AAPL", BARS, currency=None)
    assert only(run()).added == 10


@pytest.mark.parametrize(("missing", "words"), [(1, "1 session ago"), (4, "4 sessions ago")])
def test_an_answer_that_ends_early_is_noted_and_out_of_date_in_status(
    server: StandIn, run: Run, tmp_path: Path, missing: int, words: str
) -> None:
    server.serve("AAPL", BARS[: 80 - missing])
    report = run()
    last = BARS.index[79 - missing].date()
    assert f"stale: Yahoo's last bar is {last}, {words}" in only(report).note
    note_fetch(tmp_path, report)
    assert part(tmp_path, "feed").state == "old"
    assert "1 stale" in part(tmp_path, "feed").what
    server.serve("AAPL", BARS)
    report = run()
    assert (only(report).note, only(report).behind) == ("", 0)
    note_fetch(tmp_path, report)
    assert part(tmp_path, "feed").state == "ok"


@pytest.mark.parametrize("missing", [0, 1])
def test_an_answer_whose_last_bar_is_left_out_ends_with_that_bar(
    server: StandIn, run: Run, missing: int
) -> None:
    odd = BARS[: 80 - missing].copy()
    odd.loc[odd.index[-1], "Close"] /= 2
    server.serve("AAPL", odd)
    result = only(run())
    assert (result.rows, result.behind) == (79 - missing, missing)
    assert "Left out 1 bar with an impossible close" in result.note
    stale = f"stale: Yahoo's last bar is {odd.index[-1].date()}, 1 session ago"
    assert (stale in result.note) == ("stale" in result.note) == bool(missing)


def test_the_record_of_a_run_keeps_that_an_answer_was_stale(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    succeed("fetch", "AAPL", "--rate", 100, folder=tmp_path)
    feed = document_of(tmp_path, "status")["parts"][-1]
    assert (feed["part"], feed["state"]) == ("feed", "old")
    assert "1 stale" in feed["found"]


def test_days_not_requested_or_not_over_are_not_missing(server: StandIn, run: Run) -> None:
    server.serve("AAPL", BARS)
    assert only(run(end=date(2024, 3, 28))).behind == 0
    server.serve("MSFT", BARS[:-1])
    noon = datetime(2024, 4, 22, 16, 0, tzinfo=UTC)
    assert only(run("MSFT", now=noon)).behind == 0
    server.serve("X1.ZZ", BARS[:-9])  # no calendar tells
    assert only(run("X1.ZZ")).behind == 0


ELEVEN = datetime(2024, 4, 22, 15, 0, tzinfo=UTC).timestamp()  # in New York
CLOSE = datetime(2024, 4, 22, 20, 0, 1, tzinfo=UTC).timestamp()


def test_a_bar_of_part_of_a_session_waits_for_the_next_opening(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    half = BARS.copy()
    half.loc[BARS.index[-1], ["High", "Close", "Adj Close"]] += 3.0
    server.serve("AAPL", half, market_time=ELEVEN)
    result = only(run())
    assert (result.rows, result.last, result.behind) == (79, "2024-04-19", 1)
    assert "the unfinished bar of 2024-04-22 left out" in result.note
    assert only(run(now=datetime(2024, 4, 23, 13, 29, tzinfo=UTC))).rows == 79
    server.serve("AAPL", BARS, market_time=CLOSE)
    assert only(run()).added == 1
    assert_holds(tmp_path, BARS)


def test_a_bar_without_a_later_trade_is_final_once_the_next_session_opens(
    server: StandIn, run: Run
) -> None:
    server.serve("AAPL", BARS, market_time=ELEVEN)
    assert only(run(now=datetime(2024, 4, 23, 13, 31, tzinfo=UTC))).rows == 80


@pytest.mark.parametrize("market_time", [CLOSE, CLOSE - 31, None, "soon", -5, 1e300, [1]])
def test_a_last_trade_at_the_close_or_an_invalid_one_delays_nothing(
    server: StandIn, run: Run, market_time: Any
) -> None:
    server.serve("AAPL", BARS, market_time=market_time)
    assert only(run()).rows == 80


def test_a_week_whose_last_trade_was_on_wednesday_is_not_over(server: StandIn, run: Run) -> None:
    weeks = random_walk(30, frequency="W-MON", start="2023-10-02")  # to 2024-04-22
    wednesday = datetime(2024, 4, 24, 20, 0, 1, tzinfo=UTC).timestamp()
    server.serve("AAPL", weeks, market_time=wednesday)
    night = datetime(2024, 4, 29, 5, 0, tzinfo=UTC)
    assert only(run(interval="1wk", now=night)).last == "2024-04-15"
    opened = datetime(2024, 4, 29, 14, 0, tzinfo=UTC)
    assert only(run(interval="1wk", now=opened)).last == "2024-04-22"
