from datetime import date

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market.prices import dates_after, infer_interval, weekmask
from tests.rows import for_each


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def made(freq: str, n: int = 40, start: str = "2020-01-01") -> np.ndarray:
    return pd.date_range(start, periods=n, freq=freq).to_numpy().astype("datetime64[D]")


@for_each(
    ("freq", "interval"),
    [
        ("D", "1d"), ("B", "1d"), ("W-FRI", "1wk"), ("7D", "1wk"), ("MS", "1mo"), ("ME", "1mo"),
        ("BME", "1mo"), ("QS", "3mo"), ("QE", "3mo"), ("YE", "1y"), ("YS", "1y"), ("14D", "14D"),
    ],
)  # fmt: skip
def test_the_interval_is_inferred_from_the_dates(freq: str, interval: str) -> None:
    assert infer_interval(made(freq)) == interval
    assert infer_interval(pd.DatetimeIndex(made(freq))) == interval


def test_holes_do_not_change_the_interval() -> None:
    assert infer_interval(np.delete(made("B", 300), range(50, 170))) == "1d"


def test_two_dates_count_as_daily() -> None:
    assert infer_interval(days("2020-01-01", "2020-06-01")) == "1d"


@for_each("freq", ["MS", "ME", "BME", "BMS", "W-MON", "W-FRI", "B", "D", "QE", "QS", "YE", "14D"])
@for_each("cut", [20, 27, 33])
def test_a_regular_series_continues_its_pattern(freq: str, cut: int) -> None:
    whole = made(freq, 45)
    past, future = whole[:cut], whole[cut:]
    np.testing.assert_array_equal(dates_after(past, future.size, infer_interval(past)), future)


def test_the_31st_is_clamped_to_short_months() -> None:
    past = days("2023-01-30", "2023-02-28", "2023-03-30", "2023-04-30", "2023-05-30", "2023-06-30")
    expected = days("2023-07-30", "2023-08-30", "2023-09-30")
    np.testing.assert_array_equal(dates_after(past, 3, "1mo"), expected)
    assert dates_after(past, 8, "1mo")[-1] == np.datetime64("2024-02-29")


def test_a_weekly_bar_moved_by_a_holiday_does_not_move_the_next() -> None:
    past = made("W-FRI", 20, "2024-01-05")
    past[-1] -= np.timedelta64(1, "D")
    assert dates_after(past, 1, "1wk")[0] == made("W-FRI", 21, "2024-01-05")[-1]


def test_weekmask_follows_the_weekdays_in_use() -> None:
    assert weekmask(made("B", 300)) == [True] * 5 + [False] * 2
    assert weekmask(made("D", 300)) == [True] * 7
    assert weekmask(days("2024-01-02", "2024-01-03")) == [True] * 5 + [False] * 2
    every = made("D", 400)
    sunday_to_thursday = every[np.is_busday(every, weekmask="Sun Mon Tue Wed Thu")]
    assert weekmask(sunday_to_thursday) == [True] * 4 + [False, False, True]


@given(
    st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    st.sampled_from(["1d", "1wk", "1mo", "3mo", "1y", "10D"]),
    st.integers(1, 60),
)
def test_dates_after_always_move_forward(last: date, interval: str, n: int) -> None:
    following = dates_after(np.array([last], dtype="datetime64[D]"), n, interval)
    assert following.shape == (n,)
    assert following[0] > np.datetime64(last)
    assert (np.diff(following) > np.timedelta64(0, "D")).all()
