from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.calendars import sessions_of
from lstmcli.market.prices import COLUMNS, Prices, price_column
from lstmcli.market.validate import bars_from_frame, check_bars
from tests.rows import for_each

TODAY = date(2024, 7, 1)


def raw(n: int = 60, **columns: Any) -> pd.DataFrame:
    """n sessions of a rising series with every column, some replaced."""
    days = sessions_of("XNYS")
    days = days[days <= np.datetime64(TODAY)][-n:]
    close = np.linspace(100, 110, n)
    made = {
        "Open": close - 0.1,
        "High": close + 1,
        "Low": close - 1,
        "Close": close,
        "Adj Close": close * 0.9,
        "Volume": np.full(n, 1e6),
        "Dividends": np.zeros(n),
        "Stock Splits": np.zeros(n),
    }
    frame = pd.DataFrame(made, index=pd.DatetimeIndex(days, name="Date"))
    return frame.assign(**columns)


def changed(column: str, row: int, value: float, n: int = 60) -> pd.DataFrame:
    frame = raw(n)
    frame.iloc[row, list(frame.columns).index(column)] = value
    return frame


def check(frame: pd.DataFrame, **options: Any) -> Prices:
    bars = replace(bars_from_frame(frame, "AAPL", "a.csv"), lines=np.arange(2, len(frame) + 2))
    return check_bars(bars, **{"today": TODAY, **options})


def test_a_clean_table_passes_without_notes_and_unchanged() -> None:
    frame = raw()
    prices = check(frame)
    assert prices.notes == ()
    assert prices.interval == "1d"
    assert prices.frame.index.name == "Date"
    assert tuple(prices.frame.columns) == COLUMNS
    assert (prices.frame.dtypes == np.float64).all()
    np.testing.assert_array_equal(prices.frame.to_numpy(), frame.to_numpy())


def test_the_raw_table_is_not_changed() -> None:
    frame = changed("Volume", 3, 0.0).iloc[::-1]
    before = frame.copy(deep=True)
    check(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_other_columns_are_left_out_and_the_order_is_fixed() -> None:
    prices = check(raw()[["Volume", "Close"]].assign(Name=1.0))
    assert list(prices.frame.columns) == ["Close", "Volume"]


def test_dates_lose_their_zone() -> None:
    frame = raw()
    frame.index = pd.DatetimeIndex(frame.index).tz_localize("America/New_York")
    expected = raw().index.to_numpy().astype("datetime64[D]")
    found = check(frame).frame.index.to_numpy().astype("datetime64[D]")
    np.testing.assert_array_equal(found, expected)


def test_no_rows_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no rows \(AAPL, a.csv\)"):
        check(raw().iloc[:0])


@pytest.mark.parametrize("order", [slice(None, None, -1), [2, 0, 1, *range(3, 60)]])
def test_rows_in_another_order_are_sorted_with_a_note(order: Any) -> None:
    prices = check(raw().iloc[order])
    assert prices.frame.index.is_monotonic_increasing
    assert any(note == "Sorted the rows by date." for note in prices.notes)
    np.testing.assert_array_equal(prices.frame.to_numpy(), raw().to_numpy())


def test_equal_rows_of_one_date_are_dropped_with_a_note() -> None:
    frame = changed("Open", 5, np.nan)
    prices = check(pd.concat([frame, frame.iloc[[5, 7, 7]]]))
    assert len(prices.frame) == 60
    assert any("3 rows that repeated" in note for note in prices.notes)


def test_conflicting_rows_of_one_date_are_an_error_with_the_date() -> None:
    frame = raw()
    twice = pd.concat([frame, frame.iloc[[7]] * 1.0001])
    with pytest.raises(DataError, match=str(frame.index[7].date())):
        check(twice)
    with pytest.raises(DataError, match="conflicting rows for"):
        check(pd.concat([frame, frame.iloc[[7]].assign(Volume=np.nan)]))


def test_a_date_after_tomorrow_is_an_error_and_tomorrow_is_not() -> None:
    frame = raw()
    days = frame.index.to_numpy().copy()
    days[-1] = np.datetime64("2024-07-02")
    assert len(check(frame.set_index(pd.DatetimeIndex(days))).frame) == 60
    days[-1] = np.datetime64("2024-07-03")
    with pytest.raises(DataError, match=r"date out of range \(.* line 61\).*2024-07-03"):
        check(frame.set_index(pd.DatetimeIndex(days)))


def test_a_missing_date_is_an_error() -> None:
    frame = raw()
    days = frame.index.to_numpy().copy()
    days[3] = np.datetime64("NaT", "D")
    with pytest.raises(DataError, match="missing date"):
        check(frame.set_index(pd.DatetimeIndex(days)))


@pytest.mark.parametrize("column", ["Close", "Adj Close"])
def test_rows_without_a_price_are_dropped_and_counted(column: str) -> None:
    prices = check(changed(column, 4, np.nan))
    assert len(prices.frame) == 59
    assert "1 row without a price" in prices.notes[0]
    assert str(raw().index[4].date()) in prices.notes[0]


def test_a_missing_adjusted_price_does_not_matter_where_it_is_not_used() -> None:
    assert len(check(changed("Adj Close", 4, np.nan), price="close").frame) == 60


def test_more_than_one_price_in_twenty_missing_is_an_error() -> None:
    frame = raw(100)
    frame.iloc[:5, 3] = np.nan
    assert len(check(frame).frame) == 95
    frame.iloc[:6, 3] = np.nan
    with pytest.raises(DataError, match="6 of 100 rows have no Close"):
        check(frame)


def test_all_prices_missing_is_an_error() -> None:
    with pytest.raises(DataError, match="no prices"):
        check(raw(Close=np.nan))


@for_each("column", ["Close", "Adj Close"])
@for_each("value", [0.0, -1.0, np.inf, -np.inf])
def test_a_bad_price_is_an_error_with_date_and_line(column: str, value: float) -> None:
    with pytest.raises(DataError, match=rf"line 10\): {column} is .* on {raw().index[8].date()}"):
        check(changed(column, 8, value))


def test_the_line_is_right_after_sorting_and_dropping() -> None:
    frame = changed("Close", 8, -1.0)
    frame.iloc[20, 3] = np.nan
    frame = pd.concat([frame.iloc[::-1], frame.iloc[[30]]])
    with pytest.raises(DataError, match="line 53"):
        check(frame)


@for_each("column", ["Open", "High", "Low", "Volume"])
@for_each("value", [0.0, -1.0, np.inf, np.nan])
def test_a_bad_feature_is_marked_missing_and_counted(column: str, value: float) -> None:
    prices = check(changed(column, 8, value))
    assert np.isnan(prices.frame[column].iloc[8])
    assert prices.frame.isna().to_numpy().sum() == 1
    [note] = prices.notes
    assert note.startswith(f"{column} is missing in 1 of 60 rows")


def test_columns_without_any_value_are_left_out_with_a_note() -> None:
    prices = check(raw(Open=np.nan, Dividends=np.nan))
    assert "Open" not in prices.frame.columns
    assert "Dividends" not in prices.frame.columns
    assert prices.notes == ("Open had no values and was left out.",)
    silent = check(raw(Volume=0.0))
    assert "Volume" not in silent.frame.columns
    assert silent.notes == ("Volume is missing in 60 of 60 rows (60 zero).",)


def test_an_empty_adjusted_column_falls_back_to_close() -> None:
    prices = check(raw().assign(**{"Adj Close": np.nan}))
    assert price_column(prices.frame, "auto") == "Close"


def test_monthly_bars_may_halve() -> None:
    index = pd.date_range("2020-01-01", periods=24, freq="MS")
    frame = pd.DataFrame({"Close": np.where(np.arange(24) % 12, 10.0, 30.0)}, index=index)
    assert check(frame).notes == ()


def test_yearly_bars_are_no_gaps() -> None:
    index = pd.date_range("1990-12-31", periods=30, freq="YE")
    prices = check(pd.DataFrame({"Close": np.arange(30) + 1.0}, index=index))
    assert (prices.interval, prices.notes) == ("1y", ())


def test_constant_prices_are_a_valid_table_with_a_note() -> None:
    (note,) = check(raw()[["Close"]].assign(Close=5.0)).notes
    assert note.startswith(f"The last 60 closes are equal, since {raw().index[0].date()}")


def test_the_interval_given_is_kept() -> None:
    assert check(raw(), interval="1wk").interval == "1wk"


def test_price_column_follows_the_choice() -> None:
    both, close = check(raw()), check(raw()[["Close"]])
    assert [price_column(both.frame, choice) for choice in ("auto", "close", "adj_close")] == [
        "Adj Close", "Close", "Adj Close",
    ]  # fmt: skip
    assert price_column(close.frame, "auto") == "Close"
    with pytest.raises(DataError, match=r"no Adj Close column \(AAPL, a.csv\)"):
        check(raw()[["Close"]], price="adj_close")
