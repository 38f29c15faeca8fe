"""Fetch as a user meets it: the real yfinance, a local server, a store on disk."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import LockedError, UsageError
from lstmcli.files.locks import hold
from lstmcli.market import yahoo
from lstmcli.workflows.fetch import FetchResult, fetch
from tests.yahoo_stand_in import Fault, StandIn, random_walk, split

BARS = random_walk(80)  # to 2024-04-22
NOW = datetime(2024, 6, 1, tzinfo=UTC)
STALE = "stale: Yahoo's last bar is 2024-04-22, 27 sessions ago"


@pytest.fixture
def run(run: Any) -> Any:
    return lambda *symbols, now=NOW, **options: run(*symbols, now=now, **options)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and time of writing."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def stored(folder: Path, symbol: str = "AAPL") -> pd.DataFrame:
    path = folder / "data" / "prices" / "1d" / f"{symbol}.csv"
    return pd.read_csv(path, index_col="Date", parse_dates=True)


def sidecar(folder: Path, symbol: str = "AAPL") -> dict[str, Any]:
    path = folder / "data" / "prices" / "1d" / f"{symbol}.json"
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def period(query: dict[str, str]) -> tuple[date, date]:
    begin, end = (datetime.fromtimestamp(int(query[name]), UTC) for name in ("period1", "period2"))
    return begin.date(), end.date()


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert list(left.index) == list(right.index)
    np.testing.assert_allclose(left["Close"], right["Close"], rtol=1e-6)
    np.testing.assert_allclose(left["Adj Close"], right["Adj Close"], rtol=1e-6)


def test_a_first_fetch_stores_all_of_history(server: StandIn, run: Any, tmp_path: Path) -> None:
    server.serve("0700.HK", BARS, zone="Asia/Hong_Kong", currency="HKD")
    report = run("0700.hk")
    assert report.exit_code == 0
    assert report.results == (
        FetchResult("0700.HK", "new", 80, 80, "2024-01-02", "2024-04-22", STALE, behind=27),
    )
    same(stored(tmp_path, "0700.HK"), BARS)
    facts = sidecar(tmp_path, "0700.HK")
    assert (facts["time_zone"], facts["currency"]) == ("Asia/Hong_Kong", "HKD")
    assert (facts["first"], facts["last"], facts["rows"]) == ("2024-01-02", "2024-04-22", 80)
    assert (facts["interval"], facts["fetched_at"]) == ("1d", "2024-06-01T00:00:00+00:00")
    assert (facts["restatements"], facts["partial"]) == ([], None)


def test_the_next_fetch_asks_once_for_ten_rows_and_what_follows(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS[:70])
    run("AAPL")
    server.forget()
    server.serve("AAPL", BARS)
    (result,) = run("AAPL").results
    assert (result.status, result.added, result.rows, result.last) == (
        "updated", 10, 80, "2024-04-22",
    )  # fmt: skip
    (query,) = server.asked("AAPL")
    assert period(query)[0] == BARS.index[60].date()
    same(stored(tmp_path), BARS)


@pytest.mark.parametrize(
    ("symbol", "stored_bars"),
    [("AAPL", BARS), ("^GSPC", BARS.assign(Volume=0.0)), ("^GSPC", BARS.assign(Volume=np.nan))],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_run_that_finds_nothing_new_writes_no_byte(
    server: StandIn, run: Any, tmp_path: Path, symbol: str, stored_bars: pd.DataFrame, full: bool
) -> None:
    server.serve(symbol, stored_bars)
    run(symbol)
    before = snapshot(tmp_path)
    server.serve(symbol, stored_bars * (1 + 2e-7))  # the seventh digit
    (result,) = run(symbol, full=full, now=datetime(2024, 7, 1, tzinfo=UTC)).results
    assert (result.status, result.added, result.rows) == ("unchanged", 0, 80)
    assert snapshot(tmp_path) == before


def test_a_split_makes_the_whole_history_new_and_says_so(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS[:70])
    run("AAPL")
    server.forget()
    after = split(BARS, "2024-04-15", 4)
    server.serve("AAPL", after)
    (result,) = run("AAPL").results
    assert (result.status, result.added, result.rows) == ("restated", 10, 80)
    assert result.note.startswith("restated: 4:1 split 2024-04-15")
    same(stored(tmp_path), after)
    begins = [period(query)[0].year for query in server.asked("AAPL")]
    assert begins == [2024, datetime.now(UTC).year - 99]
    assert sidecar(tmp_path)["restatements"] == [
        {"fetched": "2024-06-01", "reason": "4:1 split 2024-04-15"}
    ]
    assert run("AAPL").results[0].status == "unchanged"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (split(BARS, "2024-04-15", 4)[30:], "30 of 70 stored rows are not in Yahoo's answer"),
        (BARS.assign(Close=BARS["Close"].mask(BARS.index == BARS.index[75], -1.0)), "bad price"),
    ],
    ids=["part of a restated history", "impossible price"],
)
def test_an_answer_that_cannot_be_used_leaves_what_is_stored(
    server: StandIn, run: Any, tmp_path: Path, answer: pd.DataFrame, words: str
) -> None:
    server.serve("AAPL", BARS[:70])
    run("AAPL")
    before = snapshot(tmp_path)
    server.serve("AAPL", answer)
    report = run("AAPL")
    assert report.exit_code == 4
    assert words in report.results[0].reason
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("fault", "code", "word"),
    [
        ("404", 4, "no such symbol"),
        ("429", 6, "rate limited"),
        ("html", 6, "no chart in the answer"),
        ("cut", 6, "connection failed"),
        ("hang", 6, "timed out"),
        ("null", 4, "empty answer"),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_failure_keeps_what_is_stored_and_tells_the_truth(
    server: StandIn,
    run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    code: int,
    word: str,
    full: bool,
) -> None:
    server.serve("AAPL", BARS[:70])
    run("AAPL")
    before = snapshot(tmp_path)
    server.serve("AAPL", BARS)
    server.always["AAPL"] = fault
    monkeypatch.setattr(yahoo, "REQUEST_TIMEOUT", 0.2 if fault == "hang" else 10.0)
    report = run("AAPL", full=full)
    (result,) = report.results
    assert (result.status, result.exit_code, report.exit_code) == ("failed", code, code)
    assert word in result.reason
    assert fault == "404" or "delisted" not in result.reason
    assert snapshot(tmp_path) == before


def test_no_symbols_and_an_empty_range_are_usage_errors(run: Any) -> None:
    with pytest.raises(UsageError, match="no symbols"):
        run()
    with pytest.raises(UsageError, match="empty range"):
        run("AAPL", start=date(2024, 2, 1), end=date(2024, 1, 1))
    with pytest.raises(UsageError, match="up to 2024-06-01"):
        run("AAPL", start=date(2024, 6, 2))


def test_start_and_end_are_included_and_an_earlier_start_extends_backwards(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    assert run("AAPL", start=date(2024, 2, 1), end=date(2024, 2, 29)).results[0].rows == 21
    same(stored(tmp_path), BARS["2024-02-01":"2024-02-29"])
    server.forget()
    assert run("AAPL", end=date(2024, 2, 15)).results[0].status == "unchanged"
    assert server.charts == []
    (result,) = run("AAPL", start=date(2024, 1, 10)).results
    assert (result.status, result.first, result.last) == ("updated", "2024-01-10", "2024-04-22")
    assert sidecar(tmp_path)["asked_start"] == "2024-01-10"
    (result,) = run("AAPL", start=date(2024, 4, 1), full=True).results
    assert (result.status, result.rows) == ("unchanged", len(BARS["2024-01-10":]))
    (result,) = run("AAPL", full=True).results
    assert (result.status, result.first) == ("updated", "2024-01-02")


def test_a_split_replaces_only_the_range_that_was_asked_for(server: StandIn, run: Any) -> None:
    server.serve("AAPL", BARS[:70])
    run("AAPL", start=date(2024, 2, 1))
    server.serve("AAPL", split(BARS, "2024-04-15", 4))
    (result,) = run("AAPL").results
    assert (result.status, result.first) == ("restated", "2024-02-01")


def test_rows_without_a_price_are_left_out_told_and_fetched_later(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    holed = BARS.copy()
    holed.loc[BARS.index[[40, 79]], "Close"] = np.nan
    server.serve("AAPL", holed)
    (result,) = run("AAPL").results
    assert (result.rows, result.last) == (78, "2024-04-19")
    assert "2 rows without a price left out" in result.note
    server.serve("AAPL", BARS)
    (result,) = run("AAPL").results
    assert (result.status, result.added, result.last) == ("updated", 2, "2024-04-22")
    assert run("AAPL", full=True).results[0].added == 0
    same(stored(tmp_path), BARS)


def test_the_bar_of_an_open_session_is_left_out_until_it_is_done(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    half_made = BARS.copy()
    half_made.loc[BARS.index[-1], ["High", "Low", "Close", "Adj Close"]] = BARS["Open"].iloc[-1] + 9
    server.serve("AAPL", half_made)
    noon = datetime(2024, 4, 22, 16, 0, tzinfo=UTC)
    (result,) = run("AAPL", now=noon).results
    assert (result.rows, result.last) == (79, "2024-04-19")
    assert "unfinished bar of 2024-04-22 left out" in result.note
    server.serve("AAPL", BARS)
    assert run("AAPL", now=datetime(2024, 4, 22, 21, 0, tzinfo=UTC)).results[0].added == 1
    same(stored(tmp_path), BARS)


def test_an_unfinished_bar_that_was_asked_for_is_marked_and_replaced(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    half_made = BARS.copy()
    half_made.loc[BARS.index[-1], ["High", "Close", "Adj Close"]] += 30
    server.serve("AAPL", half_made)
    noon = datetime(2024, 4, 22, 16, 0, tzinfo=UTC)
    (result,) = run("AAPL", now=noon, include_partial=True).results
    assert (result.rows, sidecar(tmp_path)["partial"]) == (80, "2024-04-22")
    assert "unfinished bar of 2024-04-22 kept" in result.note
    server.serve("AAPL", BARS)
    assert run("AAPL").results[0].status == "updated"
    assert sidecar(tmp_path)["partial"] is None
    same(stored(tmp_path), BARS)


def test_a_share_whose_only_bar_is_unfinished_is_told_so(server: StandIn, run: Any) -> None:
    server.serve("NEWCO", BARS[-1:])
    report = run("NEWCO", now=datetime(2024, 4, 22, 16, 0, tzinfo=UTC))
    assert "found only an unfinished bar" in report.results[0].reason


def test_an_open_that_is_missing_next_to_a_corrected_close_is_left_empty_and_counted(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    early = BARS[:70].copy()
    early.loc[BARS.index[69], ["Close", "Adj Close"]] += 0.2
    server.serve("AAPL", early)
    run("AAPL")
    holed = BARS.copy()
    holed.loc[BARS.index[[65, 69]], "Open"] = np.nan  # the close of row 65 is as it was
    server.serve("AAPL", holed)
    (result,) = run("AAPL").results
    assert (result.status, result.added) == ("updated", 10)
    assert "stored values without a new one, left empty: 1" in result.note.split("; ")
    expected = BARS.copy()
    expected.loc[BARS.index[69], "Open"] = np.nan
    same(stored(tmp_path), expected)


def test_a_dry_run_tells_what_it_would_ask_and_touches_nothing(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    run("AAPL")
    before = snapshot(tmp_path)
    server.forget()
    known, unknown = run("AAPL", "MSFT", dry_run=True).results
    assert (known.status, known.rows) == ("updated", 80)
    assert known.note == f"would ask from {BARS.index[-10].date()}"
    assert (unknown.status, unknown.note) == ("new", "would ask from the first bar")
    assert run("AAPL", dry_run=True, full=True).results[0].note == "would ask from the first bar"
    assert server.charts == []
    assert snapshot(tmp_path) == before


def test_a_second_run_is_refused_while_the_first_holds_the_store(
    server: StandIn, tmp_path: Path
) -> None:
    with hold(tmp_path / "prices" / ".lock"), pytest.raises(LockedError):
        fetch(["AAPL"], data_dir=tmp_path, now=NOW)
    assert server.charts == []


def test_a_damaged_file_is_left_for_the_user_and_mended_by_full(
    server: StandIn, run: Any, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    run("AAPL")
    path = tmp_path / "data" / "prices" / "1d" / "AAPL.csv"
    path.write_bytes(path.read_bytes()[:-20])
    before = snapshot(tmp_path)
    assert run("AAPL").results[0].exit_code == 4
    assert snapshot(tmp_path) == before
    assert run("AAPL", full=True).exit_code == 0
    same(stored(tmp_path), BARS)


def test_a_sidecar_with_odd_facts_is_made_again(server: StandIn, run: Any, tmp_path: Path) -> None:
    server.serve("AAPL", BARS)
    run("AAPL")
    facts = sidecar(tmp_path)
    path = tmp_path / "data" / "prices" / "1d" / "AAPL.json"
    odd = {name: 7 for name in facts} | {"time_zone": "No/Where", "asked_start": "soon"}
    path.write_text(json.dumps(odd | {"source": "Yahoo", "currency": ""}))
    assert run("AAPL").results[0].status == "unchanged"
    assert sidecar(tmp_path)["time_zone"] == facts["time_zone"]
    assert run("AAPL", full=True).exit_code == 0


@pytest.mark.parametrize(("interval", "frequency"), [("1wk", "W-MON"), ("1mo", "MS")])
def test_weeks_and_months_have_files_of_their_own(
    server: StandIn, run: Any, tmp_path: Path, interval: str, frequency: str
) -> None:
    listed = random_walk(30, frequency=frequency)
    server.serve("AAPL", listed[:25])
    now = datetime(2027, 1, 1, tzinfo=UTC)
    assert run("AAPL", interval=interval, now=now).results[0].rows == 25
    server.serve("AAPL", listed)
    assert run("AAPL", interval=interval, now=now).results[0].added == 5
    assert (tmp_path / "data" / "prices" / interval / "AAPL.csv").exists()
