"""One table of shares and coins: days on which one of them rests are no rows of it."""

import io
from datetime import date

import numpy as np
import pytest

from lstmcli.arrays import Days
from lstmcli.errors import DataError
from lstmcli.market.calendars import sessions_of
from lstmcli.market.prices import Prices
from lstmcli.market.tables import read_prices
from tests.rows import for_each

FIRST, LAST = np.datetime64("2025-09-01"), np.datetime64("2026-11-25")


def of(calendar: str) -> Days:
    days = sessions_of(calendar)
    kept: Days = days[(days >= FIRST) & (days <= LAST)]
    return kept


def table(**series: Days) -> list[Prices]:
    every = np.unique(np.concatenate(list(series.values())))
    lines = [",".join(["Date", *series])]
    for k, day in enumerate(every):
        fields = [str(100.5 + k % 2) if np.isin(day, days) else "" for days in series.values()]
        lines.append(",".join([str(day), *fields]))
    stdin = io.BytesIO("\n".join([*lines, ""]).encode())
    return read_prices("-", today=date(2026, 11, 26), stdin=stdin)


@for_each("calendar", ["XNYS", "XHKG", "XTKS", "XLON", "XBOM", "XTAE"])
def test_a_share_next_to_a_coin_has_its_own_days(calendar: str) -> None:
    share, coin = table(**{"share": of(calendar), "BTC-USD": of("24/7")})
    np.testing.assert_array_equal(share.frame.index.to_numpy(), of(calendar))
    assert share.notes == ()
    assert len(coin.frame) == of("24/7").size


def test_shares_of_two_exchanges_each_have_their_own() -> None:
    found = table(**{"AAPL": of("XNYS"), "0700.HK": of("XHKG"), "VOD.L": of("XLON")})
    assert [len(each.frame) for each in found] == [
        of("XNYS").size, of("XHKG").size, of("XLON").size,
    ]  # fmt: skip
    assert all(each.notes == () for each in found)


def test_an_empty_field_on_a_session_is_a_hole_still() -> None:
    holed = np.delete(of("XNYS"), [100, 101])
    share, _ = table(**{"AAPL": holed, "BTC-USD": of("24/7")})
    assert len(share.frame) == holed.size
    assert share.notes[0].startswith("Dropped 2 rows without a price")
    assert share.notes[1].startswith("2 exchange sessions are missing")
    with pytest.raises(DataError, match="too many rows without a price"):
        table(**{"AAPL": np.delete(of("XNYS"), range(100, 140)), "BTC-USD": of("24/7")})


def test_the_holidays_of_an_exchange_that_is_not_known_are_no_rows_either() -> None:
    rest = ["2025-10-08", "2025-11-19", "2026-01-01", "2026-02-11", "2026-03-11", "2026-04-29",
            "2026-05-20", "2026-06-10", "2026-07-08", "2026-08-12", "2026-09-02"]  # fmt: skip
    days = of("24/7")
    days = np.setdiff1d(days[np.is_busday(days)], np.array(rest, dtype="datetime64[D]"))
    share, _ = table(**{"fund": days, "BTC-USD": of("24/7")})
    assert len(share.frame) == days.size
    assert "may be holidays" in share.notes[0]
