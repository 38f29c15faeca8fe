"""Which bars are final at a given moment."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from lstmcli.market.calendars import calendar_of, drop_unfinished, library_calendar
from lstmcli.market.prices import Prices
from lstmcli.market.sessions import bars_due
from lstmcli.market.validate import note_last
from tests.rows import for_each


def last_kept(
    dates: list[str],
    now: str,
    symbol: str = "AAPL",
    interval: str = "1d",
    zone: str = "America/New_York",
    traded: str | None = None,
) -> str:
    frame = pd.DataFrame({"Close": 1.0}, index=pd.DatetimeIndex(dates, name="Date"))
    kept = drop_unfinished(
        frame,
        symbol,
        interval,
        zone,
        now=datetime.fromisoformat(now).replace(tzinfo=UTC),
        market_time=datetime.fromisoformat(traded).replace(tzinfo=UTC) if traded else None,
    )
    return str(kept.index[-1].date()) if len(kept) else "none"


TOKYO = {"symbol": "7203.T", "zone": "Asia/Tokyo"}
WEEKS, MONTHS = {"interval": "1wk"}, {"interval": "1mo"}
# The two last dates, the time in UTC, and whether the last of them is final.
MOMENTS: list[tuple[str, str, bool, dict[str, str]]] = [
    ("2024-06-28 2024-07-01", "2024-07-01 19:59", False, {}),  # before the close in New York
    ("2024-06-28 2024-07-01", "2024-07-01 20:15", False, {}),  # quotes lag
    ("2024-06-28 2024-07-01", "2024-07-01 20:31", True, {}),
    ("2024-06-28 2024-07-01", "2024-07-02 09:00", True, {}),
    ("2024-07-02 2024-07-03", "2024-07-03 17:31", True, {}),  # a half day
    ("2024-07-02 2024-07-03", "2024-07-03 17:00", False, {}),
    # Tokyo closed at 06:00 UTC (15:00 there), while it is still Monday evening in New York.
    ("2024-07-01 2024-07-02", "2024-07-02 06:31", True, TOKYO),
    ("2024-07-01 2024-07-02", "2024-07-02 05:00", False, TOKYO),
    ("2024-07-01 2024-07-02", "2024-07-02 03:00", False, {}),
    ("2024-07-03 2024-07-04", "2024-07-04 23:00", False, {}),  # a holiday
    ("2024-07-03 2024-07-04", "2024-07-05 04:00", True, {}),
    ("2024-06-24 2024-07-01", "2024-07-07 23:00", False, WEEKS),
    ("2024-06-24 2024-07-01", "2024-07-08 05:00", True, WEEKS),
    ("2024-06-01 2024-07-01", "2024-07-31 23:00", False, MONTHS),
    ("2024-06-01 2024-07-01", "2024-08-01 04:00", True, MONTHS),
    ("2024-06-28 2024-07-09", "2024-07-01 12:00", False, {}),  # of the future
    ("2099-06-30 2099-07-01", "2099-07-02 04:00", True, {}),
    # Without a closing time the day has to end.
    *(
        ("2024-06-28 2024-07-01", f"2024-07-{time}", time[1] == "2", {"symbol": name, "zone": zone})
        for name in ("BTC-USD", "UNKNOWN.ZZ", "EURUSD=X")
        for time, zone in (("01 23:59", "UTC"), ("02 00:00", ""), ("02 00:00", "No/Where"))
    ),
]


@for_each(("dates", "now", "is_final", "options"), MOMENTS, ids=range(len(MOMENTS)))
def test_a_bar_is_final_once_its_exchange_or_its_period_has_closed(
    dates: str, now: str, is_final: bool, options: dict[str, str]
) -> None:
    before, last = dates.split()
    assert last_kept([before, last], now, **options) == (last if is_final else before)
    assert last_kept([last], now, **options) == (last if is_final else "none")


NO_HOURS = {
    "XTAE": ("TEVA.TA", "Asia/Jerusalem", "2024-07-01 21:00"),
    "ASEX": ("OPAP.AT", "Europe/Athens", "2024-07-01 21:00"),
    None: ("UNKNOWN.ZZ", "UTC", "2024-07-02 00:00"),
}


@for_each("calendar", NO_HOURS)
def test_where_no_library_knows_the_hours_the_day_has_to_end_and_no_bar_waits(
    calendar: str | None,
) -> None:
    symbol, zone, midnight = NO_HOURS[calendar]
    if calendar is not None and library_calendar(calendar) is not None:
        pytest.skip(f"with this pandas the library makes {calendar}")
    assert calendar_of(symbol) == calendar
    dates, traded = ["2024-06-27", "2024-07-01"], "2024-07-01 08:00"
    before = f"{datetime.fromisoformat(midnight) - timedelta(minutes=1)}"
    assert last_kept(dates, before, symbol, zone=zone, traded=traded) == "2024-06-27"
    assert last_kept(dates, midnight, symbol, zone=zone, traded=traded) == "2024-07-01"


@for_each(
    ("last", "now", "symbol", "interval", "zone", "expected"),
    [
        ("2024-07-01", "2024-07-02 20:00", "AAPL", "1d", "America/New_York", True),
        ("2024-07-01", "2024-07-02 20:30", "AAPL", "1d", "America/New_York", False),
        ("2024-07-03", "2024-07-05 20:00", "AAPL", "1d", "America/New_York", True),  # a holiday
        ("2024-07-05", "2024-07-08 12:00", "^GSPC", "1d", "America/New_York", True),  # a weekend
        ("2024-06-28", "2024-07-02 01:00", "AAPL", "1d", "America/New_York", False),
        ("2024-07-04", "2024-07-05 20:00", "AAPL", "1d", "America/New_York", False),  # no session
        ("2024-07-01", "2024-07-02 12:00", "AAPL", "1d", "No/Where", False),
        ("2024-07-01", "2024-07-02 12:00", "X1.ZZ", "1d", "UTC", False),  # no calendar
        ("2024-07-05", "2024-07-06 23:59", "BTC-USD", "1d", "UTC", True),
        ("2024-07-05", "2024-07-07 00:00", "BTC-USD", "1d", "UTC", False),
        ("2024-07-05", "2024-07-08 20:00", "EURUSD=X", "1d", "Europe/London", True),
        ("2200-01-03", "2200-01-03 20:00", "AAPL", "1d", "America/New_York", False),
        ("2024-07-01", "2024-07-14 12:00", "AAPL", "1wk", "America/New_York", True),
        ("2024-07-01", "2024-07-15 12:00", "AAPL", "1wk", "America/New_York", False),
        ("2024-07-01", "2024-08-31 12:00", "AAPL", "1mo", "America/New_York", True),
        ("2024-07-01", "2024-09-01 12:00", "AAPL", "1mo", "America/New_York", False),
    ],
)
def test_a_history_is_up_to_date_until_the_next_bar_is_final(
    last: str, now: str, symbol: str, interval: str, zone: str, expected: bool
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    due = bars_due(date.fromisoformat(last), symbol, interval, zone, moment)
    assert (due == 0) == expected


@for_each(
    ("last", "symbol", "now", "said"),
    [
        ("2026-11-27", "AAPL", "2026-11-27 13:20", "is not over"),  # a half day, to 18:00 in UTC
        ("2026-11-27", "AAPL", "2026-11-27 18:10", "may not be over"),  # quotes lag
        ("2026-11-27", "AAPL", "2026-11-27 18:31", ""),
        ("2026-11-26", "AAPL", "2026-11-27 00:01", ""),
        ("2026-11-27", "BTC-USD", "2026-11-27 23:59", "is not over"),
        ("2026-11-28", "7203.T", "2026-11-27 20:00", "may not be over"),  # a Saturday
        ("2026-11-27", "my fund", "2026-11-27 13:20", "may not be over"),
    ],
)
def test_a_last_bar_is_named_until_its_session_is_over(
    last: str, symbol: str, now: str, said: str
) -> None:
    freq = "D" if symbol == "BTC-USD" else "B"
    days = pd.date_range("2026-10-05", last, freq=freq).drop("2026-11-26", errors="ignore")
    days = days.union([pd.Timestamp(last)])
    frame = pd.DataFrame({"Close": 1.0}, index=days.as_unit("ns").rename("Date"))
    prices = Prices(symbol, frame, "1d", "own.csv", from_feed=symbol != "my fund")
    note = note_last(prices, datetime.fromisoformat(now).replace(tzinfo=UTC))
    text = f"the session of the last bar, {last}, {said}: its close may change"
    assert note == (text if said else None)
    assert note_last(replace(prices, interval="1wk"), datetime(2026, 11, 27, tzinfo=UTC)) is None
