"""Time stamps in UTC: midnights and closes of an exchange become its session dates."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.market.calendars import ZONES, calendar_of
from lstmcli.market.prices import Prices
from lstmcli.market.sessions import future_dates
from lstmcli.market.tables import read_prices
from tests.rows import for_each

NOW = datetime(2024, 7, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
Index = pd.DatetimeIndex
FORMATS: dict[str, Callable[[Index], list[str]]] = {
    "+00:00": lambda index: [f"{stamp:%Y-%m-%d %H:%M:%S}+00:00" for stamp in index],
    "Z": lambda index: [f"{stamp:%Y-%m-%dT%H:%M:%S}Z" for stamp in index],
    "+0000": lambda index: [f"{stamp:%Y-%m-%d %H:%M:%S.%f}+0000" for stamp in index],
    "naive": lambda index: [f"{stamp:%Y-%m-%d %H:%M:%S}" for stamp in index],
    "-05:00": lambda index: [
        f"{stamp:%Y-%m-%d %H:%M}-05:00" for stamp in index - pd.Timedelta(hours=5)
    ],
}


def weekdays(rows: int = 270, last: str = "2024-06-28") -> Index:
    return pd.bdate_range(end=last, periods=rows)


def in_utc(days: Index, zone: str, time: str = "00:00") -> Index:
    """Return the instants of a local time on each day."""
    local = days + pd.Timedelta(f"{time}:00")
    every = np.ones(len(days), dtype=bool)
    return local.tz_localize(zone, ambiguous=every, nonexistent="shift_forward").tz_convert("UTC")


def text_of(stamps: list[str], name: str = "Date,Close") -> str:
    lines = [f"{stamp},{100 + i % 7}" for i, stamp in enumerate(stamps)]
    return "\n".join([name, *lines, ""])


def read(stamps: list[str], name: str | None = None, header: str = "Date,Close") -> Prices:
    text = io.BytesIO(text_of(stamps, header).encode())
    [prices] = read_prices("-", name=name, stdin=text, today=TODAY)
    return prices


def days_of(prices: Prices) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in Index(prices.frame.index)]


def expected(days: Index) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in days]


@for_each("form", FORMATS)
@for_each("symbol", ["^GDAXI", "BMW.DE", "DAX", "my fund", None])
def test_frankfurts_midnights_are_its_dates(symbol: str | None, form: str) -> None:
    days = weekdays()
    prices = read(FORMATS[form](in_utc(days, "Europe/Berlin")), symbol)
    assert days_of(prices) == expected(days)
    assert prices.notes[0].startswith("Dates are those of the time zone Europe/Berlin: 2024-06-2")
    ahead = future_dates(prices, 50)
    assert ahead[0] == np.datetime64("2024-07-01")
    assert np.is_busday(ahead).all()


@given(
    st.sampled_from(sorted(set(ZONES.values()) - {"UTC"})),
    st.sampled_from(["00:00", "close"]),
    st.integers(20, 300),
    st.dates(date(2001, 1, 1), date(2024, 6, 20)).map(str),
    st.sampled_from(["+00:00", "Z"]),
)
@example("America/Sao_Paulo", "00:00", 20, "2004-11-02", "Z")  # a day without a midnight
@settings(max_examples=60, deadline=None)
def test_every_exchange_is_detected_without_a_symbol(
    zone: str, time: str, rows: int, last: str, form: str
) -> None:
    days = weekdays(rows, last)
    stamps = in_utc(days, zone, "16:00" if time == "close" else time)
    assert days_of(read(FORMATS[form](stamps))) == expected(days)


@for_each(
    "symbol", ["AAPL", "^GSPC", "7203.T", "0700.HK", "RELIANCE.NS", "VOD.L", "BHP.AX", "AIR.NZ"]
)
@for_each("time", ["00:00", "09:30", "16:00"])
def test_a_symbol_names_its_exchange(symbol: str, time: str) -> None:
    zone = ZONES[str(calendar_of(symbol))]
    days = weekdays()
    for rows in (1, 3, 270):
        stamps = FORMATS["Z"](in_utc(days[-rows:], zone, time))
        assert days_of(read(stamps, symbol)) == expected(days[-rows:])


@for_each("symbol", ["^GDAXI", None])
@for_each("frequency", ["W-MON", "MS"])
def test_weekly_and_monthly_stamps_become_dates_too(symbol: str | None, frequency: str) -> None:
    days = pd.date_range("2014-01-01", "2024-06-20", freq=frequency)
    prices = read(FORMATS["Z"](in_utc(days, "Europe/Berlin")), symbol)
    assert days_of(prices) == expected(days)
    assert prices.interval == ("1wk" if frequency == "W-MON" else "1mo")


def test_a_week_from_sunday_to_thursday_is_valid_in_riyadh() -> None:
    days = pd.date_range(end="2024-06-27", periods=400)
    days = days[~days.day_name().isin(["Friday", "Saturday"])]
    for name in ("2222.SR", "aramco"):
        for time in ("00:00", "15:00"):
            stamps = FORMATS["Z"](in_utc(days, "Asia/Riyadh", time))
            assert days_of(read(stamps, name)) == expected(days)


def test_currencies_keep_their_dates() -> None:
    every = pd.date_range(end="2024-06-29", periods=400)
    for name in ("BTC-USD", "bitcoin"):
        for time in ("00:00", "23:59"):
            assert days_of(read(FORMATS["Z"](in_utc(every, "UTC", time)), name)) == expected(every)
    days = weekdays()
    for name in ("EURUSD=X", "EURUSD"):  # Yahoo's currencies begin at midnight in London
        stamps = in_utc(days, "Europe/London")
        assert set(stamps.hour) == {0, 23}
        assert days_of(read(FORMATS["+00:00"](stamps), name)) == expected(days)
    stamps = in_utc(days, "America/New_York")
    assert days_of(read(FORMATS["+00:00"](stamps), "ES=F")) == expected(days)


def test_local_midnights_and_dates_with_constant_times_are_unchanged() -> None:
    days = weekdays()
    local = [f"{stamp:%Y-%m-%d %H:%M:%S%z}" for stamp in days.tz_localize("America/New_York")]
    for stamps in (local, FORMATS["Z"](Index(days)), FORMATS["naive"](Index(days))):
        for name in ("AAPL", "^GDAXI", None):
            prices = read(stamps, name)
            assert days_of(prices) == expected(days)
            assert not any("time zone" in note for note in prices.notes)
    closes = FORMATS["naive"](days + pd.Timedelta(hours=15))
    assert days_of(read(closes, "7203.T")) == expected(days)


def test_the_last_row_may_have_the_current_time() -> None:
    stamps = FORMATS["Z"](in_utc(weekdays(), "Europe/Berlin"))
    stamps.append("2024-07-01T14:21:07Z")
    for name in ("^GDAXI", None):
        assert days_of(read(stamps, name))[-2:] == ["2024-06-28", "2024-07-01"]


@for_each(
    "stamps",
    [
        # a close in New York, or a midnight in Dubai
        [f"2024-06-{day} 20:00:00+00:00" for day in (18, 19, 20)],
        # Sundays to Thursdays, at no exchange's time
        FORMATS["Z"](in_utc(weekdays() - pd.Timedelta(days=1), "UTC", "21:30")),
        FORMATS["naive"](in_utc(weekdays() - pd.Timedelta(days=1), "UTC", "21:30")),
    ],
)
def test_ambiguous_stamps_are_refused(stamps: list[str]) -> None:
    with pytest.raises(DataError, match=r"cannot tell the session.*YYYY-MM-DD.*NAME\.DE") as caught:
        read(stamps)
    assert stamps[-1][:10] in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_symbol_decides_ambiguous_stamps() -> None:
    stamps = [f"2024-06-{day} 20:00:00+00:00" for day in (18, 19, 20)]
    assert days_of(read(stamps, "AAPL"))[-1] == "2024-06-20"


def test_a_table_of_two_exchanges_has_the_dates_of_each() -> None:
    ours, theirs = weekdays(), weekdays()
    new_york, tokyo = in_utc(ours, "America/New_York"), in_utc(theirs, "Asia/Tokyo")
    values = {"AAPL": pd.Series(100.0, new_york), "7203.T": pd.Series(2000.0, tokyo)}
    frame = pd.DataFrame(values).rename_axis("Datetime")
    found = read_prices("-", stdin=io.BytesIO(frame.to_csv().encode()), today=TODAY)
    assert [days_of(prices) for prices in found] == [expected(ours), expected(theirs)]
    assert [len(prices.frame) for prices in found] == [270, 270]
