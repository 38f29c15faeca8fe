"""Files that do not name an exchange: future holidays are inferred from the dates."""

import numpy as np
import pandas as pd
import pytest

from lstmcli.arrays import Days
from lstmcli.market.calendars import calendar_table, sessions_of
from lstmcli.market.prices import Prices
from lstmcli.market.sessions import future_dates, note_unknown
from tests.rows import for_each

HORIZON = 50
EXCHANGES = tuple(name for name in calendar_table().names if not name.startswith("24/"))
NINE = ("XHKG", "XLON", "XTKS", "XETR", "XSHG", "XASX", "XTSE", "BVMF", "XBOM")


def series(days: Days, name: str = "hkbank", *, from_feed: bool = False) -> Prices:
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="Date")
    frame = pd.DataFrame({"Close": np.ones(days.size)}, index=index)
    return Prices(name, frame, "1d", "own.csv", from_feed=from_feed)


def span(calendar: str, last: str, years: float) -> tuple[Days, Days]:
    """Return sessions up to a day, and those of the horizon after it."""
    days, end = sessions_of(calendar), np.datetime64(last)
    past = days[(days <= end) & (days > end - np.timedelta64(int(years * 365.25), "D"))]
    return past, days[days > end][:HORIZON]


@for_each("name", ["sp500", "hkbank", "MyStock", "AAPL", "SPX"])
@for_each("calendar", NINE)
def test_three_years_of_an_exchange_give_its_own_dates_whatever_the_name(
    calendar: str, name: str
) -> None:
    past, true = span(calendar, "2025-06-11", 3)
    np.testing.assert_array_equal(future_dates(series(past, name), HORIZON), true)


@pytest.mark.parametrize("years", [1, 3])
def test_the_dates_ahead_are_sessions_of_the_exchange_or_noted_as_weekdays(years: int) -> None:
    """If a calendar fits, no date ahead is a holiday: all exchanges, several end dates."""
    wrong, right = [], 0
    for calendar in EXCHANGES:
        for last in ("2022-12-20", "2023-03-30", "2024-11-26", "2025-06-11"):
            past, true = span(calendar, last, years)
            if past.size < 200:
                continue
            prices = series(past)
            ahead = future_dates(prices, HORIZON)
            notes = note_unknown(prices, ahead)
            right += int(np.array_equal(ahead, true))
            if not any("weekdays are used" in note for note in notes):
                later = sessions_of(calendar)[sessions_of(calendar) > past[-1]]
                differing = any("left out" in note for note in notes)
                if not (np.isin(ahead, later).all() if differing else np.array_equal(ahead, true)):
                    wrong.append((calendar, last, ahead[~np.isin(ahead, later)][:2]))
    assert wrong == []
    assert right >= {1: 225, 3: 270}[years]


@for_each("gone", [1, 3, 8, 20])
def test_removing_random_days_does_not_suggest_another_exchange(gone: int) -> None:
    random, wrong = np.random.default_rng(gone), []
    for calendar in EXCHANGES:
        past, _ = span(calendar, "2025-06-11", random.choice([1, 3]))
        later = sessions_of(calendar)[sessions_of(calendar) > past[-1]]
        kept = np.setdiff1d(past, random.choice(past[:-1], gone, replace=False))
        prices = series(kept)
        ahead = future_dates(prices, HORIZON)
        noted = any("weekdays are used" in note for note in note_unknown(prices, ahead))
        if not (noted or np.isin(ahead, later).all()):
            wrong.append((calendar, ahead[~np.isin(ahead, later)]))
    assert wrong == []


def test_weekdays_without_holidays_continue_as_weekdays_with_a_note() -> None:
    days = np.arange(np.datetime64("2023-01-02"), np.datetime64("2026-11-26"))
    prices = series(days[np.is_busday(days)], "sp500")
    ahead = future_dates(prices, 2)
    assert ahead.astype(str).tolist() == ["2026-11-26", "2026-11-27"]
    (note,) = note_unknown(prices, ahead)
    assert note.endswith("weekdays are used, holidays are not known")


def test_four_holidays_are_too_few_to_identify_an_exchange() -> None:
    days, end = sessions_of("XNYS"), np.datetime64("2026-11-25")
    short = days[(days <= end) & (days > np.datetime64("2026-05-26"))]
    assert "too few holidays" in note_unknown(series(short), future_dates(series(short), 5))[0]
    longer = days[(days <= end) & (days > np.datetime64("2026-02-20"))]
    assert str(future_dates(series(longer), 1)[0]) == "2026-11-27"
    # A share that Yahoo sent is New York's by its symbol.
    assert str(future_dates(series(short, "AAPL", from_feed=True), 1)[0]) == "2026-11-27"


def test_if_several_calendars_fit_only_their_common_sessions_are_used() -> None:
    past, true = span("XPAR", "2024-11-26", 1)
    prices = series(past)
    ahead = future_dates(prices, HORIZON)
    # Frankfurt's calendar fits a year without its holidays on weekends as well.
    assert np.setdiff1d(true, ahead).astype(str).tolist() == ["2024-12-24", "2024-12-31"]
    (note,) = note_unknown(prices, ahead)
    assert "which do not all trade on 2024-12-24, 2024-12-31: left out" in note
