"""Own inputs: how they are written, transformed, scaled and lagged, and joined as known then."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.dataset.inputs import fit_inputs, join_known, raw_inputs, scale_inputs, with_inputs
from lstmcli.dataset.series import make_series
from lstmcli.dataset.windows import context_extras, join
from lstmcli.errors import DataError
from lstmcli.features import OwnInput
from lstmcli.market.calendars import library_calendar, sessions_of
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.market.tables import read_prices
from tests.rows import for_each
from tests.synthetic import make_prices, random_walk

NEW_YORK, TOKYO, COIN = "^GSPC", "^N225", "BTC-USD"
CALENDARS = {NEW_YORK: "XNYS", TOKYO: "XTKS", COIN: "24/7", "^GSPTSE": "XTSE", "^FTSE": "XLON"}


def sessions(symbol: str, first: str = "2023-01-02", last: str = "2024-06-28") -> Any:
    days = sessions_of(CALENDARS[symbol])
    return days[(days >= np.datetime64(first)) & (days <= np.datetime64(last))]


def series_on(symbol: str, days: NDArray[np.datetime64], interval: str = "1d") -> Prices:
    """Return prices whose close is the number of days since 1970, so that it tells its day."""
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="Date")
    close = days.astype("datetime64[D]").astype(np.int64).astype(np.float64)
    return Prices(symbol, pd.DataFrame({"Close": close}, index=index), interval, f"{symbol}.csv")


def joined(own: Prices, other: Prices) -> NDArray[np.datetime64]:
    """Return the day of the other bar that is joined to each own bar, NaT where none is."""
    found = join_known(own, other)
    days = np.nan_to_num(found, nan=-1e9).astype(np.int64).astype("datetime64[D]")
    return np.where(np.isnan(found), np.datetime64("NaT"), days)


def at(own: Prices, days: NDArray[np.datetime64], day: str) -> str:
    return str(days[own.frame.index.get_loc(day)])


@for_each(
    "text, expected",
    [
        ("column:RSI", ("column", "RSI", "zscore", 0)),
        ("column:RSI@5", ("column", "RSI", "zscore", 5)),
        ("column:put call:level", ("column", "put call", "level", 0)),
        ("symbol:^VIX:log@20", ("symbol", "^VIX", "log", 20)),
        ("symbol:EURUSD=X:change", ("symbol", "EURUSD=X", "change", 0)),
        ("column:a:b", ("column", "a:b", "zscore", 0)),
    ],
)
def test_an_input_is_written_as_kind_name_transform_and_lag(
    text: str, expected: tuple[str, str, str, int]
) -> None:
    assert OwnInput.parse(text) == (*expected, text)


@for_each("text", ["RSI", "column:", "symbol: x", "column:RSI@1001", "col:RSI", "column:R\x1bSI"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected close, open, .*column:NAME or symbol:NAME"):
        OwnInput.parse(text)


def test_tokyo_is_known_in_new_york_the_same_day_and_new_york_in_tokyo_the_day_after() -> None:
    york, tokyo = series_on(NEW_YORK, sessions(NEW_YORK)), series_on(TOKYO, sessions(TOKYO))
    assert at(york, joined(york, tokyo), "2024-03-06") == "2024-03-06"
    assert at(york, joined(york, tokyo), "2024-03-20") == "2024-03-19"  # a holiday in Tokyo
    assert at(tokyo, joined(tokyo, york), "2024-03-06") == "2024-03-05"
    assert at(tokyo, joined(tokyo, york), "2024-03-11") == "2024-03-08"  # a Monday


def test_a_calendar_that_is_not_known_counts_the_day_before() -> None:
    days = np.busday_offset(np.datetime64("2023-01-02"), np.arange(300))
    own, other = series_on("own series", days), series_on("other series", days)
    assert joined(own, other)[1:].tolist() == days[:-1].tolist()
    assert np.isnat(joined(own, other)[0])


def test_an_old_value_is_held_for_ten_days_and_then_missing() -> None:
    own = series_on(NEW_YORK, sessions(NEW_YORK))
    other = series_on("^VIX", sessions(NEW_YORK, last="2024-06-03"))
    found = joined(own, other)
    assert at(own, found, "2024-06-13") == "2024-06-03"
    assert at(own, found, "2024-06-14") == "NaT"
    noted = with_inputs(own, [OwnInput.parse("symbol:^VIX")], lambda name, prices: other)
    old, missing = noted.notes
    assert old.startswith("^VIX, which is read with it, ends on 2024-06-03, 18 bars before it")
    words = "symbol:^VIX has no value in 10 of 374 rows, the last among them: read as its average."
    assert missing == words


def test_weeks_and_months_are_joined_by_their_last_day_and_lengths_are_not_mixed() -> None:
    weeks = np.arange(np.datetime64("2023-01-02"), np.datetime64("2024-06-28"), 7)
    own = series_on(NEW_YORK, weeks, "1wk")
    assert joined(own, series_on("^VIX", weeks, "1wk")).tolist() == weeks.tolist()
    assert joined(own, series_on(TOKYO, weeks, "1wk"))[1:].tolist() == weeks[:-1].tolist()
    fridays = weeks + 4  # New York's close of a Friday comes after Tokyo's
    found = joined(series_on(TOKYO, weeks, "1wk"), series_on(NEW_YORK, fridays, "1wk"))
    assert found[1:].tolist() == fridays[:-1].tolist()
    months = np.arange("2020-01", "2022-01", dtype="datetime64[M]").astype("datetime64[D]")
    own, other = series_on(NEW_YORK, months, "1mo"), series_on("^VIX", months + 27, "1mo")
    assert joined(own, other).tolist() == (months + 27).tolist()
    with pytest.raises(DataError, match=r"cannot join \^VIX .*\^VIX has daily bars"):
        join_known(own, series_on("^VIX", sessions(NEW_YORK)))


def closing(symbol: str, day: np.datetime64) -> datetime:
    """Return when a session ends, as the library of exchange calendars has it."""
    if symbol == COIN:
        return datetime.fromisoformat(f"{day + np.timedelta64(1, 'D')}T00:00:00+00:00")
    calendar = library_calendar(CALENDARS[symbol])
    return calendar.session_close(str(day)).to_pydatetime()


@given(
    own=st.sampled_from(list(CALENDARS)),
    other=st.sampled_from(list(CALENDARS)),
    gaps=st.sets(st.integers(0, 300), max_size=40),
    start=st.integers(0, 60),
)
def test_no_join_takes_a_bar_whose_session_had_not_closed(
    own: str, other: str, gaps: set[int], start: int
) -> None:
    ours, theirs = sessions(own)[start : start + 120], np.delete(sessions(other), sorted(gaps))
    taken = joined(series_on(own, ours), series_on(other, theirs))
    for day, found in zip(ours, taken, strict=True):
        then = closing(own, day)
        known = [each for each in theirs[theirs <= day][-3:] if closing(other, each) <= then]
        if known and day - known[-1] <= np.timedelta64(10, "D"):
            assert found == known[-1]
        else:
            assert np.isnat(found)


def test_of_bars_within_a_day_the_last_value_is_that_of_the_day(tmp_path: Path) -> None:
    times = [f"{day} {hour}:00" for day in sessions(NEW_YORK)[:5] for hour in (10, 12, 15)]
    lines = [f"{time},{100 + row},{row}\n" for row, time in enumerate(times)]
    (tmp_path / "bars.csv").write_text("Date,Close,Mood\n" + "".join(lines))
    [prices] = read_prices(
        tmp_path / "bars.csv",
        reading=Reading(resample="1d"),
        today=date(2026, 1, 1),
        extras=["Mood"],
    )
    assert prices.frame["column:Mood"].tolist() == [2, 5, 8, 11, 14]


def with_column(values: NDArray[np.float64]) -> Prices:
    prices = make_prices(Close=random_walk(len(values)))
    return replace(prices, frame=prices.frame.assign(**{"column:X": values}))


def test_transforms_are_those_of_the_formulas() -> None:
    values = np.array([2.0, 4.0, np.nan, 8.0, 16.0, 32.0])
    texts = ("column:X", "column:X:level", "column:X:log", "column:X:change")
    made = raw_inputs(with_column(values), [OwnInput.parse(each) for each in texts])
    np.testing.assert_array_equal(made[:, 0], values)
    np.testing.assert_array_equal(made[:, 1], values)
    np.testing.assert_array_equal(made[:, 2], np.log(values))
    np.testing.assert_array_equal(made[:, 3], [np.nan, 2, np.nan, np.nan, 8, 16])


def test_the_change_of_a_series_is_its_log_return() -> None:
    prices = make_prices(Close=random_walk(6))
    close = prices.frame["Close"].to_numpy()
    prices = replace(prices, frame=prices.frame.assign(**{"symbol:^VIX": close}))
    made = raw_inputs(prices, [OwnInput.parse("symbol:^VIX:change")])
    np.testing.assert_array_equal(made[1:, 0], np.diff(np.log(close)))


@for_each("text", ["column:X:log", "column:Y", "column:Close"])
def test_what_cannot_be_made_is_an_error_that_names_the_column(text: str) -> None:
    words = {
        "column:X:log": r"cannot take the log of column:X .*found -1 on 2000-01-04",
        "column:Y": r"no column Y, which the model reads \(AAA in AAA.csv\): found Close, column:X",
        "column:Close": r'found it among their fields. Write "close" in window.features',
    }
    with pytest.raises(DataError, match=words[text]):
        raw_inputs(with_column(np.array([1.0, -1.0, 2.0])), [OwnInput.parse(text)])


def test_scales_are_of_training_rows_and_a_level_keeps_its_zero() -> None:
    inputs = [OwnInput.parse(each) for each in ("column:X", "column:X:level")]
    rows = np.array([[1.0, 1.0], [3.0, 3.0], [np.nan, np.nan]])
    fitted = fit_inputs([rows], inputs)
    assert fitted.loc.tolist() == [2.0, 0.0]
    np.testing.assert_allclose(fitted.scale.numpy(), [1.0, np.sqrt(5.0)])
    later = scale_inputs(np.array([[4.0, 0.0], [np.nan, np.nan], [1e9, -1e9]]), fitted)
    assert later.tolist() == [[2.0, 0.0], [0.0, 0.0], [8.0, -8.0]]
    with pytest.raises(DataError, match="no value of column:X in the rows to train on"):
        fit_inputs([np.full((3, 2), np.nan)], inputs)


def test_a_lag_reads_earlier_bars_of_its_own_series_and_none_of_another() -> None:
    inputs = [OwnInput.parse("column:X@2"), OwnInput.parse("column:X:level")]
    series = [
        make_series(with_column(start + np.arange(8.0)), features=["close"], inputs=inputs)
        for start in (10.0, 20.0)
    ]
    fitted = fit_inputs([np.zeros((2, 2))], inputs)  # neither moved nor scaled
    fitted = replace(fitted, loc=fitted.loc + 15.0)
    windows = join(series, inputs=inputs, fitted=fitted)
    cutoffs = np.array([3, 11])  # row 3 of each
    read = context_extras(windows, torch.from_numpy(cutoffs), 4, ahead=3)
    assert read is not None
    first, second = read[..., 0].tolist()
    assert first == [0, 0, -5, -4, -3, -2, -2]
    assert second == [0, 0, 5, 6, 7, 8, 8]


def test_of_bars_to_come_only_what_is_known_at_the_cutoff_is_read() -> None:
    inputs = [OwnInput.parse("column:X@2"), OwnInput.parse("column:X")]
    values = np.arange(8.0) / 2
    series = make_series(with_column(values), features=["close"], inputs=inputs)
    fitted = fit_inputs([np.zeros((2, 2))], inputs)
    windows = join([series], inputs=inputs, fitted=fitted)
    read = context_extras(windows, torch.tensor([5]), 3, ahead=4)
    assert read is not None
    assert read[0, :, 0].tolist() == [0.5, 1.0, 1.5, 2.0, 2.5, 2.5, 2.5]
    assert read[0, :, 1].tolist() == [1.5, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5]
