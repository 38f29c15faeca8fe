from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.calendars import sessions_of
from lstmcli.market.prices import COLUMNS, Prices, as_days, price_column
from lstmcli.market.validate import bars_from_frame, check_bars
from tests.rows import for_each

TODAY = date(2024, 7, 1)


def raw(n: int = 60, **columns: Any) -> pd.DataFrame:
    """Return n sessions of a rising series with all columns, some replaced."""
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


def changed(column: str, row: int | slice, value: float, n: int = 60) -> pd.DataFrame:
    frame = raw(n)
    frame.loc[frame.index[row], column] = value
    return frame


DAYS = as_days(raw().index).astype(str).tolist()


def check(frame: pd.DataFrame, **options: Any) -> Prices:
    bars = replace(bars_from_frame(frame, "AAPL", "a.csv"), lines=np.arange(2, len(frame) + 2))
    return check_bars(bars, **{"today": TODAY, **options})


def dated(row: int, day: str) -> pd.DataFrame:
    """Return the series with the date of one row replaced."""
    days = raw().index.to_numpy().copy()
    days[row] = np.datetime64(day)
    return raw().set_index(pd.DatetimeIndex(days))


def test_a_clean_table_passes_without_notes_and_unchanged() -> None:
    frame = raw()
    prices = check(frame)
    assert (prices.notes, prices.interval, prices.frame.index.name) == ((), "1d", "Date")
    assert tuple(prices.frame.columns) == COLUMNS
    assert (prices.frame.dtypes == np.float64).all()
    np.testing.assert_array_equal(prices.frame.to_numpy(), frame.to_numpy())
    assert check(raw(), interval="1wk").interval == "1wk"


def test_the_raw_table_is_not_changed() -> None:
    frame = changed("Volume", 3, 0.0).iloc[::-1]
    before = frame.copy(deep=True)
    check(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_other_columns_are_left_out_and_the_order_is_fixed() -> None:
    prices = check(raw()[["Volume", "Close"]].assign(Name=1.0))
    assert list(prices.frame.columns) == ["Close", "Volume"]


def test_time_zones_are_dropped_from_dates() -> None:
    found = check(raw().tz_localize("America/New_York")).frame
    assert as_days(found.index).astype(str).tolist() == DAYS


FRAME = raw()
HOLED = changed("Open", 5, np.nan)


@for_each(
    ("frame", "rows", "note"),
    [
        (FRAME.iloc[::-1], 60, "Sorted the rows by date."),
        (FRAME.iloc[[2, 0, 1, *range(3, 60)]], 60, "Sorted the rows by date."),
        (pd.concat([HOLED, HOLED.iloc[[5, 7, 7]]]), 60, "Dropped 3 duplicate rows"),
        (changed("Close", 4, np.nan), 59, f"1 row without a price, the first on {DAYS[4]}"),
        (changed("Adj Close", 4, np.nan), 59, f"1 row without a price, the first on {DAYS[4]}"),
        (changed("Close", slice(5), np.nan, 100), 95, "5 rows without a price"),
        (dated(-1, "2024-07-02"), 60, ""),
    ],
    ids=range(7),
)
def test_rows_are_sorted_and_dropped_with_a_note(frame: pd.DataFrame, rows: int, note: str) -> None:
    prices = check(frame)
    assert len(prices.frame) == rows
    assert prices.frame.index.is_monotonic_increasing
    assert note in " ".join(prices.notes)
    if rows == 60 and "Sorted" in note:
        np.testing.assert_array_equal(prices.frame.to_numpy(), FRAME.to_numpy())


@for_each(
    ("frame", "match"),
    [
        (FRAME.iloc[:0], r"no rows \(AAPL, a.csv\)"),
        (pd.concat([FRAME, FRAME.iloc[[7]] * 1.0001]), f"conflicting rows for {DAYS[7]}"),
        (pd.concat([FRAME, FRAME.iloc[[7]].assign(Volume=np.nan)]), "conflicting rows for"),
        (dated(-1, "2024-07-03"), r"date out of range \(.* line 61\).*2024-07-03"),
        (dated(3, "NaT"), "missing date"),
        (changed("Close", slice(6), np.nan, 100), "6 of 100 rows have no Close"),
        (raw(Close=np.nan), "no prices"),
    ],
    ids=range(7),
)
def test_invalid_tables_are_refused(frame: pd.DataFrame, match: str) -> None:
    with pytest.raises(DataError, match=match):
        check(frame)


def test_a_missing_adjusted_price_does_not_matter_if_it_is_not_used() -> None:
    assert len(check(changed("Adj Close", 4, np.nan), price="close").frame) == 60


def test_line_numbers_survive_sorting_and_dropping() -> None:
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


def test_yearly_bars_are_no_gaps() -> None:
    index = pd.date_range("1990-12-31", periods=30, freq="YE")
    prices = check(pd.DataFrame({"Close": np.arange(30) + 1.0}, index=index))
    assert (prices.interval, prices.notes) == ("1y", ())


def test_price_column_follows_the_choice() -> None:
    both, close = check(raw()), check(raw()[["Close"]])
    assert [price_column(both.frame, choice) for choice in ("auto", "close", "adj_close")] == [
        "Adj Close", "Close", "Adj Close",
    ]  # fmt: skip
    assert price_column(close.frame, "auto") == "Close"
    with pytest.raises(DataError, match=r"no Adj Close column \(AAPL, a.csv\)"):
        check(raw()[["Close"]], price="adj_close")
