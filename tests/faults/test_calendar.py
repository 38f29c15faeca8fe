"""Wrong clocks, and days on which exchanges do not keep their usual hours."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from lstmcli.workflows.fetch import FetchReport, fetch
from tests.clockwork import Clockwork
from tests.command_line import hashes, sessions
from tests.yahoo_stand_in import StandIn, random_walk

BARS = random_walk(40).set_axis(pd.DatetimeIndex(sessions(40), name="Date"))  # to 2018-08-31


@pytest.fixture
def run(yahoo: StandIn, tmp_path: Path) -> Any:
    def run(symbol: str, now: datetime) -> FetchReport:
        clockwork = Clockwork()
        return fetch(
            [symbol],
            data_dir=tmp_path,
            rate=1000.0,
            now=now,
            clock=clockwork.clock,
            sleep=clockwork.sleep,
            random=Random(7),
        )

    return run


@pytest.mark.parametrize("year", [1970, 2017])
def test_a_clock_set_to_the_past_loses_no_bar(
    yahoo: StandIn, run: Any, tmp_path: Path, year: int
) -> None:
    yahoo.serve("AAPL", BARS)
    assert run("AAPL", datetime(2018, 9, 1, tzinfo=UTC)).exit_code == 0
    before = hashes(tmp_path)
    report = run("AAPL", datetime(year, 1, 1, tzinfo=UTC))
    assert report.exit_code == 4
    assert "date out of range" in report.results[0].reason
    assert hashes(tmp_path) == before
    assert run("AAPL", datetime(2018, 9, 1, tzinfo=UTC)).results[0].status == "unchanged"


def test_a_clock_set_to_the_future_does_no_harm(yahoo: StandIn, run: Any, tmp_path: Path) -> None:
    yahoo.serve("AAPL", BARS[:30])
    assert run("AAPL", datetime(2099, 1, 1, tzinfo=UTC)).exit_code == 0
    yahoo.serve("AAPL", BARS)
    (result,) = run("AAPL", datetime(2018, 9, 1, tzinfo=UTC)).results
    assert (result.status, result.last) == ("updated", "2018-08-31")


@pytest.mark.parametrize(
    ("last", "now", "kept"),
    [
        # New York closes at 16:00, half an hour on its bar is final: 20:30 or 21:30 in UTC.
        pytest.param("2018-03-09", "2018-03-09T21:15", False, id="46-winter-time"),
        pytest.param("2018-03-12", "2018-03-12T20:45", True, id="46-after-the-night-of-dst"),
        pytest.param("2018-11-05", "2018-11-05T20:45", False, id="46-after-the-night-back"),
        pytest.param("2018-07-03", "2018-07-03T17:45", True, id="46-half-day"),
        pytest.param("2016-02-29", "2016-02-29T21:45", True, id="46-leap-day"),
        pytest.param("2018-12-31", "2019-01-01T00:30", True, id="46-new-year"),
    ],
)
def test_a_bar_counts_once_its_exchange_has_closed(
    yahoo: StandIn, run: Any, last: str, now: str, kept: bool
) -> None:
    days = sessions(20, last=pd.Timestamp(last).to_datetime64().astype("datetime64[D]"))
    yahoo.serve("AAPL", random_walk(20).set_axis(pd.DatetimeIndex(days, name="Date")))
    (result,) = run("AAPL", datetime.fromisoformat(f"{now}+00:00")).results
    assert days[-1] == last
    assert result.last == (last if kept else days[-2])


def test_a_fetch_on_a_holiday_sends_no_request_for_a_closed_exchange(
    yahoo: StandIn, run: Any
) -> None:
    yahoo.serve("AAPL", BARS)
    run("AAPL", datetime(2018, 9, 1, tzinfo=UTC))
    yahoo.forget()
    labor_day = datetime(2018, 9, 3, 23, 0, tzinfo=UTC)
    assert run("AAPL", labor_day).results[0].status == "unchanged"
    assert yahoo.requests == 0
