"""The table of time zones against exchange_calendars, and the dates of stamps one by one."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from exchange_calendars import calendar_utils
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.market import calendars
from lstmcli.market.stamps import ZONES, session_days
from lstmcli.reading.dates import NO_OFFSET, Stamps
from tests.rows import for_each

BY_YAHOO = {"24/5", "24/7", "CMES"}  # their sessions begin at another place's midnight


def test_every_exchange_of_a_symbol_has_a_zone() -> None:
    asked = {*calendars._SUFFIXES.values(), *calendars._INDICES.values(), "XNYS", "CMES"}
    assert asked - set(ZONES) == set()


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


def test_dates_without_times_are_given_back_as_they_are() -> None:
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
