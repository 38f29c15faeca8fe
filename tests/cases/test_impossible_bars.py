"""Bars that contradict themselves: no forecast starts from a wrong close."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market import yahoo
from lstmcli.market.refresh import fetch_answer
from lstmcli.market.store import read_stored, write_stored
from lstmcli.workflows.data import check_data
from tests.cases.bar_files import bars, changed, write
from tests.cases.fetching import BARS, LATER, Run, only, run, server
from tests.clockwork import Clockwork
from tests.command_line import in_process, sessions, succeed
from tests.yahoo_stand_in import StandIn

__all__ = ["run", "server"]
DAYS = sessions(400)
LAST, MIDDLE = -1, 100
TODAY = date(2018, 9, 1)


def halved(row: int) -> pd.DataFrame:
    return changed(bars(), row, Close=lambda close: round(close / 2, 2))


def test_an_odd_feature_is_counted_and_verbose_lists_its_dates(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", changed(changed(bars(), 50, Low=1e6), 60, Low=1e6))
    told = "lstmcli: A: Low is missing in 2 of 400 rows (2 contradicting the rest of the bar)."
    first = succeed("data", "import", "A=a.csv", folder=tmp_path)
    assert first.err == f"{told}\n"
    again = in_process("data", "import", "A=a.csv", "--verbose", folder=tmp_path)
    dated = f"lstmcli: A: Low contradicts the rest of its bar on {DAYS[50]}, {DAYS[60]}."
    assert again.err == f"{told}\n{dated}\n"


def test_a_check_reports_a_bad_close_that_an_older_version_stored(tmp_path: Path) -> None:
    frame = halved(MIDDLE)
    write_stored(tmp_path, "A", "1d", frame.set_axis(pd.DatetimeIndex(frame.index)), {})
    (found,) = [
        each for each in check_data(tmp_path, today=TODAY).findings if each.kind == "bad row"
    ]
    assert found.date == DAYS[MIDDLE]
    assert found.what.startswith(f"impossible close: Close {frame['Close'].iloc[MIDDLE]:.10g} with")


def spoilt(row: int) -> pd.DataFrame:
    return changed(BARS, row, Close=lambda close: close / 2)


def stored_days(folder: Path) -> list[str]:
    lines = (folder / "prices/1d/AAPL.csv").read_text().splitlines()
    return [line.split(",")[0] for line in lines[1:]]


def test_fetch_leaves_out_the_bar_with_a_note_and_stores_it_once_corrected(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    bad = spoilt(70)
    day = f"{bad.index[70]:%Y-%m-%d}"
    server.serve("AAPL", bad)
    result = only(run(now=LATER))
    assert (result.status, result.rows) == ("new", 79)
    assert f"Left out 1 bar with an impossible close ({day}: Close " in result.note
    assert day not in stored_days(tmp_path)
    server.serve("AAPL", BARS)
    result = only(run(now=LATER))
    assert (result.status, result.added) == ("updated", 1)
    assert day in stored_days(tmp_path)


@pytest.mark.parametrize("row", [5, 75, 79])
def test_fetch_replaces_a_bad_close_that_an_older_version_stored(
    server: StandIn, run: Run, tmp_path: Path, row: int
) -> None:
    bad = spoilt(row)
    day = f"{bad.index[row]:%Y-%m-%d}"
    write_stored(tmp_path, "AAPL", "1d", bad, {"source": "Yahoo", "asked_start": None})
    server.serve("AAPL", BARS)
    result = only(run(now=LATER))
    assert (result.status, result.added, result.rows) == ("updated", 0, 80)
    assert f"replaced stored bars with an impossible close: {day}" in result.note
    assert "impossible" not in only(run(now=LATER)).note


def test_fetch_removes_a_bad_close_that_yahoo_still_has_with_a_note(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    bad = spoilt(5)
    day = f"{bad.index[5]:%Y-%m-%d}"
    write_stored(tmp_path, "AAPL", "1d", bad, {"source": "Yahoo", "asked_start": None})
    server.serve("AAPL", bad)
    result = only(run(now=LATER))
    assert (result.status, result.rows) == ("updated", 79)
    assert f"removed stored bars with an impossible close: {day}" in result.note
    assert day not in stored_days(tmp_path)


def test_fetch_removes_stored_opens_highs_and_lows_of_another_basis_once(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    bad = BARS.copy()
    bad.iloc[:60, :3] *= 2
    write_stored(tmp_path, "AAPL", "1d", bad, {"source": "Yahoo", "asked_start": None})
    with pytest.raises(DataError, match="do not belong together"):
        read_stored(tmp_path, "AAPL", today=LATER.date())
    server.serve("AAPL", bad)
    note = "removed stored opens, highs and lows that contradict the closes"
    assert note in only(run(now=LATER)).note
    assert note not in only(run(now=LATER)).note
    prices = read_stored(tmp_path, "AAPL", today=LATER.date())
    assert len(prices.frame) == 80
    assert prices.frame["High"].isna().sum() == 60


def test_an_answer_with_only_impossible_closes_is_an_error(server: StandIn) -> None:
    bad = BARS[:1].copy()
    bad["Close"] /= 2
    bad["Adj Close"] /= 2
    server.serve("AAPL", bad)
    with yahoo.quiet_yfinance(), pytest.raises(DataError):
        fetch_answer("AAPL", None, None, "", Clockwork().task(LATER))
