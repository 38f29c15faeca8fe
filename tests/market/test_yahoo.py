"""The real yfinance with a local server in Yahoo's place: the result of each kind of answer."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError, NetworkError
from lstmcli.market import yahoo
from lstmcli.market.prices import COLUMNS
from lstmcli.market.throttle import Gate, RateLimited, Transient
from lstmcli.market.yahoo import NotFound, NothingInRange
from tests.clockwork import Clockwork
from tests.command_line import hashes
from tests.yahoo_stand_in import Fault, StandIn, dividend, random_walk, split, stand_in

NEW_YORK = "America/New_York"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script, yahoo.quiet_yfinance():
        yield script


def ask(
    symbol: str = "AAPL",
    *,
    start: date | None = None,
    end: date | None = None,
    interval: yahoo.Interval = "1d",
    time_zone: str = "",
    gate: Gate | None = None,
) -> yahoo.Answer:
    gate = gate or Clockwork().gate()
    return yahoo.fetch_bars(
        symbol, start=start, end=end, interval=interval, time_zone=time_zone, gate=gate
    )


def test_bars_have_our_columns_a_time_zone_and_a_currency(server: StandIn) -> None:
    listed = dividend(split(random_walk(60), "2024-02-05", 4), "2024-03-01", 0.25)
    server.serve("0700.HK", listed, zone="Asia/Hong_Kong", currency="HKD")
    bars = ask("0700.HK")
    assert tuple(bars.frame.columns) == COLUMNS
    assert bars.frame.index.name == "Date"
    assert pd.DatetimeIndex(bars.frame.index).tz is None
    assert (bars.time_zone, bars.currency, bars.notes) == ("Asia/Hong_Kong", "HKD", ())
    assert (bars.frame.dtypes == "float64").all()
    assert list(bars.frame.index) == list(listed.index)
    np.testing.assert_allclose(bars.frame.to_numpy(), listed.to_numpy(), rtol=1e-7)


def test_start_and_end_are_both_included(server: StandIn) -> None:
    server.serve("AAPL", random_walk(60))
    frame = ask(start=date(2024, 1, 10), end=date(2024, 1, 12)).frame
    assert [str(day.date()) for day in frame.index] == ["2024-01-10", "2024-01-11", "2024-01-12"]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
def test_session_dates_are_correct_in_every_time_zone(server: StandIn, zone: str) -> None:
    server.serve("X", random_walk(200), zone=zone)
    frame = ask("X", start=date(2024, 3, 1), end=date(2024, 4, 30)).frame
    assert list(frame.index) == list(random_walk(200)["2024-03-01":"2024-04-30"].index)


def test_a_known_time_zone_saves_the_look_up(server: StandIn) -> None:
    server.serve("AAPL", random_walk(60))
    ask()
    assert len(server.asked("AAPL")) == 2
    server.forget()
    ask(time_zone=NEW_YORK)
    assert len(server.asked("AAPL")) == 1


@pytest.mark.parametrize("interval", ["1wk", "1mo"])
def test_weekly_and_monthly_bars_are_requested_as_such(
    server: StandIn, interval: yahoo.Interval
) -> None:
    frequency = {"1wk": "W-MON", "1mo": "MS"}[interval]
    server.serve("AAPL", random_walk(24, frequency=frequency))
    bars = ask(interval=interval)
    assert len(bars.frame) == 24
    assert server.asked("AAPL")[-1]["interval"] == interval


def test_rows_without_a_price_are_dropped_and_counted(server: StandIn) -> None:
    listed = random_walk(20)
    listed.iloc[5, :5] = np.nan
    listed.loc[listed.index[7], "Close"] = np.nan
    listed.loc[listed.index[9], "Open"] = np.nan
    server.serve("AAPL", listed)
    bars = ask()
    assert bars.notes == ("2 rows without a price left out",)
    assert len(bars.frame) == 18
    assert bars.frame["Close"].notna().all()
    assert np.isnan(bars.frame.loc[listed.index[9], "Open"])
    server.serve("AAPL", listed.assign(Close=np.nan))
    with pytest.raises(NothingInRange, match="20 rows without a price"):
        ask()


def test_a_past_range_is_requested_again_and_shows_a_restatement(server: StandIn) -> None:
    server.serve("AAPL", random_walk(60))
    before = ask(start=date(2024, 1, 2), end=date(2024, 1, 31)).frame
    server.serve("AAPL", split(random_walk(60), "2024-02-05", 4))
    after = ask(start=date(2024, 1, 2), end=date(2024, 1, 31)).frame
    np.testing.assert_allclose(before["Close"] / 4, after["Close"], rtol=1e-6)


def test_an_unknown_symbol_is_not_found_after_one_request(server: StandIn) -> None:
    with pytest.raises(NotFound, match=r"no such symbol at Yahoo \(NOPE\)") as caught:
        ask("NOPE")
    assert len(server.asked("NOPE")) == 1
    assert isinstance(caught.value, DataError)


def test_a_rate_limit_without_time_to_wait_is_reported_after_one_request(server: StandIn) -> None:
    server.always["AAPL"] = "429"
    with pytest.raises(RateLimited, match="rate limited"):
        ask(gate=Clockwork().gate(max_wait=0.0))
    assert len(server.asked("AAPL")) == 1


@pytest.mark.parametrize("time_zone", ["", NEW_YORK])
def test_a_rate_limited_request_waits_and_is_repeated(server: StandIn, time_zone: str) -> None:
    server.serve("AAPL", random_walk(60))
    server.faults["AAPL"] = ["429"] * 3
    clockwork = Clockwork()
    gate = clockwork.gate()
    assert len(ask(gate=gate, time_zone=time_zone).frame) == 60
    assert len(server.asked("AAPL")) == 3 + (1 if time_zone else 2)
    assert gate.requests == server.requests
    assert 17.5 <= gate.waited <= 35.0


def test_the_pause_that_the_feed_requests_is_respected(server: StandIn) -> None:
    server.serve("AAPL", random_walk(60))
    server.faults["AAPL"], server.retry_after = ["429"], "77"
    gate = Clockwork().gate()
    ask(gate=gate)
    assert gate.waited == 77.0


PASSING: list[Fault] = ["500", "html", "blank", "truncated", "cut", "reset", "ragged"]


@pytest.mark.parametrize("fault", ["404 page", "503", *PASSING])
@pytest.mark.parametrize("time_zone", ["", NEW_YORK])
def test_a_temporary_failure_is_tried_three_times_and_never_called_delisted(
    server: StandIn, fault: Fault, time_zone: str
) -> None:
    server.always["AAPL"] = fault
    clockwork = Clockwork()
    with pytest.raises(Transient, match="AAPL") as caught:
        ask(time_zone=time_zone, gate=clockwork.gate(rate=1e9))
    assert 3.0 <= clockwork.now - 1000.0 <= 6.0 + 1e-6
    tries = 6 if fault == "ragged" and not time_zone else 3
    assert len(server.asked("AAPL")) == tries
    assert isinstance(caught.value, NetworkError)
    assert "delisted" not in str(caught.value)


@pytest.mark.parametrize("fault", [*PASSING, "refused"])
def test_a_fetch_recovers_from_a_passing_fault(server: StandIn, fault: Fault) -> None:
    server.serve("AAPL", random_walk(60))
    server.faults["AAPL"] = [fault]
    assert len(ask().frame) == 60


NONE = "no prices from Yahoo"


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        *(("refused", Transient, "access refused"), ("null", NothingInRange, NONE)),
        *(("empty", NothingInRange, NONE), ("no data", NothingInRange, NONE)),
    ],
)
@pytest.mark.parametrize("time_zone", ["", NEW_YORK])
def test_repeated_access_refusals_are_transient_and_an_empty_answer_is_nothing_in_range(
    server: StandIn, fault: Fault, error: type[Exception], match: str, time_zone: str
) -> None:
    server.always["AAPL"] = fault
    with pytest.raises(error, match=match):
        ask(time_zone=time_zone)


@pytest.mark.parametrize(("fault", "time_zone"), [("hang", ""), ("drip", NEW_YORK)])
def test_each_request_has_a_timeout_including_the_time_zone(
    server: StandIn, fault: Fault, time_zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo, "REQUEST_TIMEOUT", 0.2)
    server.serve("AAPL", random_walk(60))
    server.always["AAPL"] = fault
    began = time.monotonic()
    with pytest.raises(Transient, match="timed out"):
        ask(time_zone=time_zone)
    assert time.monotonic() - began < 10.0


def test_the_deadline_of_the_run_ends_a_hanging_request(server: StandIn) -> None:
    server.always["AAPL"] = "hang"
    gate = Gate(rate=1000.0, max_wait=0.0, timeout=0.3, clock=time.monotonic, random=Random(7))
    began = time.monotonic()
    with pytest.raises(NetworkError, match="AAPL"):
        ask(gate=gate)
    assert time.monotonic() - began < yahoo.REQUEST_TIMEOUT


SCRIPT = """
import time
from random import Random
from lstmcli.market.throttle import Gate
from lstmcli.market.yahoo import fetch_bars, quiet_yfinance
gate = Gate(rate=100.0, max_wait=0.0, timeout=60.0, clock=time.monotonic, random=Random())
with quiet_yfinance():
    for _ in range(2):
        bars = fetch_bars("AAPL", start=None, end=None, interval="1d", gate=gate)
print(len(bars.frame), gate.requests)
"""


def test_hanging_cookie_hosts_leave_time_for_the_prices() -> None:
    # In a new process: this one may have a cookie already.
    script = SCRIPT.replace("import time", "import time, lstmcli.market.yahoo as yahoo", 1)
    script = script.replace("gate =", "yahoo.HELPER_TIMEOUT = 0.3\ngate =", 1)
    with stand_in() as server:
        server.serve("AAPL", random_walk(30))
        server.helpers_hang = True
        done = run_python(script, server)
        assert len(server.asked("AAPL")) == 4
        assert len(server.others) == len(set(server.others))  # each asked once, though in vain
    assert (done.stdout, done.stderr) == (f"30 {server.requests}\n", "")


@pytest.mark.parametrize("cache", ["read-only", "locked"])
def test_no_home_and_no_cache_folder_are_needed(tmp_path: Path, cache: str) -> None:
    """Deprecation warnings of pandas and yfinance are not printed either."""
    folder = tmp_path / "py-yfinance"
    folder.mkdir()
    holder = sqlite3.connect(folder / "tkr-tz.db", isolation_level=None)
    if cache == "locked":
        holder.execute("BEGIN EXCLUSIVE")
    else:
        tmp_path.chmod(0o555)
    before = hashes(tmp_path)
    with stand_in() as server:
        server.serve("AAPL", dividend(random_walk(30), "2024-01-10", 0.2))
        done = run_python(SCRIPT, server, XDG_CACHE_HOME=str(tmp_path), cwd=tmp_path)
        assert done.stdout == f"30 {server.requests}\n"
    assert done.stderr == ""
    assert hashes(tmp_path) == before
    assert len([place for place in server.others if "fc.yahoo.com" in place]) == 1
    holder.close()


def test_yfinance_prints_nothing_and_its_warning_filters_do_not_leak(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with stand_in() as server:
        server.serve("AAPL", random_walk(5))
        with caplog.at_level(logging.DEBUG, logger="yfinance"), yahoo.quiet_yfinance():
            ask()
    assert caplog.records == []
    with pytest.warns(DeprecationWarning, match="still heard"):
        warnings.warn("still heard", DeprecationWarning, stacklevel=1)


def test_importing_the_package_does_not_import_yfinance() -> None:
    script = "import sys, lstmcli.market.yahoo; print('yfinance' in sys.modules)"
    assert run_python(script).stdout == "False\n"


def run_python(
    script: str, server: StandIn | None = None, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a new process without HOME, with yfinance directed to the local server."""
    environment = {name: value for name, value in os.environ.items() if name != "HOME"} | variables
    if server:
        environment["LSTMCLI_TEST_YAHOO"] = server.url
        site = str(Path(__file__).parents[1] / "stand_in_site")
        environment["PYTHONPATH"] = os.pathsep.join([site, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
