"""What the store holds, seen through the workflows: listed, shown, removed."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.store import write_stored
from lstmcli.market.symbols import price_path, sidecar_path
from lstmcli.workflows.data import list_data
from tests.command_line import sessions
from tests.yahoo_stand_in import random_walk

TODAY = date(2018, 9, 6)
FACTS = {
    "source": "Yahoo",
    "time_zone": "America/New_York",
    "currency": "USD",
    "fetched_at": "2018-08-31T22:00:00+00:00",
    "restatements": [{"fetched": "2018-08-31", "reason": "4:1 split 2018-08-30"}],
}


def bars(rows: int = 40) -> pd.DataFrame:
    """Bars of the last New York sessions up to 2018-08-31."""
    return random_walk(rows).set_axis(pd.DatetimeIndex(sessions(rows)), axis=0)


def store(folder: Path, symbol: str, interval: str = "1d", **facts: Any) -> pd.DataFrame:
    frame = bars()
    if interval != "1d":
        step = {"1wk": "7D", "1mo": "MS"}[interval]
        frame.index = pd.date_range(end="2018-08-27", periods=len(frame), freq=step)
    span = {"first": str(frame.index[0].date()), "last": str(frame.index[-1].date())}
    write_stored(folder, symbol, interval, frame, {**FACTS, **span, "rows": len(frame)} | facts)
    return frame


def test_a_list_has_every_series_with_its_age(tmp_path: Path) -> None:
    for symbol, interval in (("MSFT", "1d"), ("AAPL", "1mo"), ("AAPL", "1d"), ("AAPL", "1wk")):
        store(tmp_path, symbol, interval)
    listed = list_data(tmp_path, today=TODAY).series
    assert [(each.symbol, each.interval) for each in listed] == [
        ("AAPL", "1d"), ("AAPL", "1wk"), ("AAPL", "1mo"), ("MSFT", "1d"),
    ]  # fmt: skip
    first = listed[0]
    # 2018-09-03 was Labor Day, and the session of the day itself is not over.
    assert (first.rows, first.last, first.behind) == (40, "2018-08-31", 2)
    assert (first.source, first.restatements, first.fetched_at[:10]) == ("Yahoo", 1, "2018-08-31")
    weekly = list_data(tmp_path, interval="1wk", today=TODAY).series
    assert [(each.symbol, each.interval) for each in weekly] == [("AAPL", "1wk")]


@pytest.mark.parametrize("damage", ["", "[]", '{"rows": "many", "restatements": 3}'])
def test_a_list_reads_the_bars_where_the_sidecar_does_not_say(tmp_path: Path, damage: str) -> None:
    store(tmp_path, "AAPL")
    expected = list_data(tmp_path, today=TODAY).series[0]
    sidecar_path(tmp_path, "AAPL").write_text(damage)
    (found,) = list_data(tmp_path, today=TODAY).series
    assert (found.rows, found.first, found.last) == (expected.rows, expected.first, expected.last)
    assert (found.source, found.fetched_at, found.restatements) == ("", "", 0)


def test_a_sidecar_of_other_bars_is_not_believed(tmp_path: Path) -> None:
    store(tmp_path, "AAPL", rows=7, last="1999-01-04")
    assert list_data(tmp_path, today=TODAY).series[0].rows == 7  # it is, where it belongs to them
    with open(price_path(tmp_path, "AAPL"), "a") as file:
        file.write("2018-09-04,1,1,1,1,1,1,0,0\n")
    (found,) = list_data(tmp_path, today=TODAY).series
    assert (found.rows, found.last) == (41, "2018-09-04")


def test_a_damaged_series_is_named_and_the_others_are_listed(tmp_path: Path) -> None:
    for symbol in ("AAPL", "MSFT"):
        store(tmp_path, symbol)
    price_path(tmp_path, "AAPL").write_text("x")
    report = list_data(tmp_path, today=TODAY)
    assert [each.symbol for each in report.series] == ["MSFT"]
    assert [(each.symbol, each.exit_code) for each in report.failures] == [("AAPL", 4)]
    with pytest.raises(DataError, match="no prices stored"):
        list_data(tmp_path, interval="1wk", today=TODAY)
