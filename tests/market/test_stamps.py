"""Time zones compared with exchange_calendars, and session dates of single stamps."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from exchange_calendars import calendar_utils
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market import calendars
from lstmcli.market.calendars import ZONES, calendar_table
from lstmcli.market.prices import Bars
from lstmcli.market.stamps import join_sessions, session_days
from lstmcli.reading.dates import NO_OFFSET, Stamps
from tests.rows import for_each

BY_YAHOO = {"24/5", "24/7", "CMES"}  # their sessions begin at another place's midnight


def test_every_exchange_with_symbols_has_a_time_zone() -> None:
    asked = {*calendars._SUFFIXES.values(), *calendars._INDICES.values(), "XNYS", "CMES"}
    assert asked - set(ZONES) == asked - set(calendar_table().names) == set()


def test_the_zones_are_those_of_the_library_for_the_last_twenty_years() -> None:
    hours = pd.date_range("2004-01-01", "2024-01-01", freq="12h", tz="UTC")
    wrong = []
    for name in sorted(set(ZONES) & set(calendar_utils._default_calendar_factories) - BY_YAHOO):
        theirs = calendar_utils._default_calendar_factories[name].tz
        ours = hours.tz_convert(ZoneInfo(ZONES[name])).tz_localize(None)
        if not ours.equals(hours.tz_convert(theirs).tz_localize(None)):
            wrong.append((name, ZONES[name], str(theirs)))
    assert wrong == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20_000), st.integers(0, 1439), st.sampled_from([-300, 0, 60, 545])
        ),
        min_size=1,
        max_size=9,
    )
)
def test_instants_are_those_of_the_standard_library(rows: list[tuple[int, int, int]]) -> None:
    days, minutes, offsets = (np.array(each) for each in zip(*rows, strict=True))
    stamps = Stamps(days.astype("datetime64[D]"), minutes, offsets)
    base = np.datetime64("1970-01-01", "m")
    expected = [base + np.timedelta64(d * 1440 + m - o, "m") for d, m, o in rows]
    assert stamps.instants().tolist() == [each.item() for each in expected]


def test_dates_without_times_are_unchanged() -> None:
    days = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]")
    none = np.zeros(days.size, dtype=np.int64)
    stamps = Stamps(days, none, none + NO_OFFSET)
    found, notes = session_days(stamps, none == 0, "^GDAXI", "x")
    assert found is days
    assert notes == []


@for_each(("offset", "shown"), [(0, "23:00 UTC"), (NO_OFFSET, "23:00 is"), (-210, "19:30-03:30")])
def test_the_note_shows_a_stamp_as_it_was_written(offset: int, shown: str) -> None:
    days = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]")
    minutes = np.full(2, 23 * 60 + (offset if offset != NO_OFFSET else 0))
    stamps = Stamps(days, minutes, np.full(2, offset))
    found, [note] = session_days(stamps, np.ones(2, dtype=bool), "^GDAXI", "x")
    assert found.astype(str).tolist() == ["2024-01-02", "2024-01-03"]
    assert shown in note


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 1439), st.integers(1, 99), st.integers(0, 9)),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[:2],
    )
)
def test_sessions_of_intraday_bars_equal_those_of_pandas(
    rows: list[tuple[int, int, int, int]],
) -> None:
    days, minutes, closes, volumes = (np.array(each) for each in zip(*rows, strict=True))
    stamps = Stamps(days.astype("datetime64[D]"), minutes, np.full(days.size, NO_OFFSET))
    price = closes.astype(float)
    columns = {"Open": price - 0.5, "High": price + 1, "Low": price - 1, "Close": price}
    columns |= {"Adj Close": price / 2, "Volume": np.where(volumes == 9, np.nan, volumes)}
    made = join_sessions(Bars("A", "a.csv", stamps.days, columns), stamps, date(1999, 1, 1))
    frame = pd.DataFrame(columns, index=stamps.instants()).sort_index()
    ways = {"Open": "first", "High": "max", "Low": "min", "Close": "last", "Adj Close": "last"}
    grouped = frame.groupby(frame.index.to_numpy().astype("datetime64[D]"))
    counts = grouped["Close"].size().to_numpy()
    expected = grouped.agg(ways).assign(Volume=grouped["Volume"].sum(min_count=1))
    whole = np.ones(counts.size, dtype=bool)
    whole[[0, -1]] = counts[[0, -1]] >= np.median(counts) / 2
    assert made.days.tolist() == expected.index.to_numpy().astype("datetime64[D]")[whole].tolist()
    for name, values in made.columns.items():
        np.testing.assert_array_equal(values, expected[name].to_numpy()[whole])
