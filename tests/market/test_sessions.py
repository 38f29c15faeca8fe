from datetime import date

import numpy as np
import pandas as pd

from lstmcli.market.calendars import Schedule, calendar_of
from lstmcli.market.prices import Prices, infer_interval
from lstmcli.market.sessions import future_dates, missing_sessions, sessions_behind
from tests.cases.bar_files import exchange_days as sessions
from tests.rows import for_each


def history(days: np.ndarray, symbol: str) -> Prices:
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="Date")
    frame = pd.DataFrame({"Close": np.ones(len(days))}, index=index)
    return Prices(symbol, frame, infer_interval(index), "test")


def shown(days: np.ndarray) -> list[str]:
    return days.astype(str).tolist()


WEEKDAYS = pd.bdate_range("2022-01-01", "2024-07-03").to_numpy().astype("datetime64[D]")
# An index from years with Saturday sessions in New York.
SATURDAYS = np.arange(np.datetime64("1949-01-01"), np.datetime64("1952-01-01"))
SATURDAYS = SATURDAYS[np.is_busday(SATURDAYS, weekmask="Mon Tue Wed Thu Fri Sat")]


@for_each(
    ("days", "symbol", "expected"),
    [
        # The clocks change on the Sunday between; a leap day; New Year; Thanksgiving, then a half
        # day; Good Friday.
        (sessions("XNYS", "2022-01-01", "2024-03-08"), "AAPL", "2024-03-11 2024-03-12"),
        (sessions("XNYS", "2022-01-01", "2024-02-28"), "^GSPC", "2024-02-29 2024-03-01"),
        (sessions("XNYS", "2022-01-01", "2024-12-31"), "SPX", "2025-01-02 2025-01-03"),
        (sessions("XNYS", "2022-01-01", "2024-11-27"), "sp500", "2024-11-29 2024-12-02"),
        (sessions("XNYS", "2022-01-01", "2024-03-28"), "my series", "2024-04-01 2024-04-02"),
        (sessions("XNYS", "2098-01-01", "2100-12-31"), "AAPL", "2101-01-03 2101-01-04"),
        (sessions("24/7", "2023-01-01", "2024-02-28"), "BTC-USD", "2024-02-29 2024-03-01"),
        (sessions("24/5", "2023-01-01", "2024-12-24"), "EURUSD=X", "2024-12-26 2024-12-27"),
        (WEEKDAYS, "AAPL", "2024-07-04 2024-07-05"),  # which ignore holidays
        (WEEKDAYS, "BTC-USD", "2024-07-04 2024-07-05"),
        (SATURDAYS, "^GSPC", "1952-01-01 1952-01-02"),
        (pd.date_range("1980-01-01", "1994-08-01", freq="MS"), "wine", "1994-09-01 1994-10-01"),
        (pd.date_range("2024-01-01", periods=60, freq="7D"), "AAPL", "2025-02-24 2025-03-03"),
    ],
    ids=range(13),
)
def test_the_next_dates_are_those_of_the_calendar_or_the_interval(
    days: np.ndarray, symbol: str, expected: str
) -> None:
    assert shown(future_dates(history(np.asarray(days), symbol), 2)) == expected.split()


def test_a_long_horizon_goes_years_beyond_the_default_calendar() -> None:
    prices = history(sessions("XNYS", "2022-01-01", "2024-06-28"), "AAPL")
    expected = sessions("XNYS", "2024-06-29", "2044-12-31")
    np.testing.assert_array_equal(future_dates(prices, expected.size), expected)
    known = history(sessions("XSHG", "2023-01-01", "2026-12-30"), "600519.SS")
    following = future_dates(known, 300)  # weekdays, beyond the last session that is known
    assert (following.size, np.is_busday(following).all()) == (300, True)


def test_missing_sessions_are_the_removed_ones() -> None:
    days = sessions("XNYS", "2020-01-01", "2023-12-31")
    gone = [3, 100, 101, 700]
    missing = missing_sessions(np.delete(days, gone), "AAPL")
    np.testing.assert_array_equal(missing, days[gone])
    assert missing_sessions(days, "AAPL").size == 0


def test_dates_outside_the_calendar_are_not_an_error() -> None:
    days = sessions("XNYS", "2020-01-01", "2023-12-31")
    with_saturday = np.sort(np.append(days, np.datetime64("2021-05-08")))
    assert missing_sessions(with_saturday, "AAPL").size == 0


def test_nothing_is_missing_without_a_trusted_calendar() -> None:
    weekdays = pd.bdate_range("1930-01-01", "1960-01-01").to_numpy().astype("datetime64[D]")
    assert missing_sessions(weekdays[::2], "^GSPC", infer_interval(weekdays[::2])).size == 0
    monthly = pd.date_range("1980-01-01", periods=100, freq="MS").to_numpy()
    assert missing_sessions(monthly, "wine", "1mo").size == 0
    assert missing_sessions(monthly[:0], "AAPL").size == 0


@for_each(
    ("last", "symbol", "interval", "today", "behind"),
    [
        (date(2024, 7, 3), "AAPL", "1d", date(2024, 7, 3), 0),
        (date(2024, 7, 3), "AAPL", "1d", date(2024, 7, 5), 0),  # a holiday between
        (date(2024, 7, 3), "AAPL", "1d", date(2024, 7, 8), 1),
        (date(2024, 7, 5), "AAPL", "1d", date(2024, 7, 8), 0),  # a weekend between
        (date(2024, 7, 3), "BTC-USD", "1d", date(2024, 7, 8), 4),
        (date(2024, 7, 3), "no calendar", "1d", date(2024, 7, 8), 2),
        (date(2024, 7, 8), "AAPL", "1d", date(2024, 7, 3), 0),
        (date(1960, 7, 1), "AAPL", "1d", date(1960, 7, 6), 2),
        (date(2024, 7, 1), "AAPL", "1wk", date(2024, 7, 14), 0),
        (date(2024, 7, 1), "AAPL", "1wk", date(2024, 7, 15), 1),
        (date(2024, 7, 1), "AAPL", "1mo", date(2024, 8, 31), 0),
        (date(2024, 7, 1), "AAPL", "1mo", date(2024, 9, 1), 1),
        (date(2024, 1, 31), "AAPL", "14D", date(2024, 3, 1), 1),
    ],
)
def test_sessions_behind_counts_complete_bars(
    last: date, symbol: str, interval: str, today: date, behind: int
) -> None:
    schedule = Schedule((calendar_of(symbol) or "24/5",))
    assert sessions_behind(last, schedule, interval, today) == behind
