"""The calendar of a series is inferred from its symbol, its source and its dates."""

import numpy as np

from lstmcli.arrays import Days
from lstmcli.market.calendars import Schedule, own_calendar
from lstmcli.market.sessions import schedule_of
from tests.cases.bar_files import exchange_days
from tests.rows import for_each


def days(calendar: str, first: str = "2022-06-01") -> Days:
    return exchange_days(calendar, first, "2025-06-11")


@for_each(
    ("symbol", "from_feed", "expected"),
    [
        ("AAPL", True, "XNYS"), ("AAPL", False, None), ("BRK-B", False, None),
        ("^GSPC", False, "XNYS"), ("VOD.L", False, "XLON"), ("BTC-USD", False, "24/7"),
        ("hkbank", False, None), ("hkbank", True, None), ("TEVA.TA", True, "XTAE"),
    ],
)  # fmt: skip
def test_a_bare_word_names_an_exchange_only_for_bars_from_yahoo(
    symbol: str, from_feed: bool, expected: str | None
) -> None:
    assert own_calendar(symbol, from_feed=from_feed) == expected


def test_a_holiday_traded_every_year_rules_out_a_calendar_but_one_bad_bar_does_not() -> None:
    odd = np.array(["2022-12-26", "2023-12-25", "2024-12-25"], dtype="datetime64[D]")
    assert schedule_of(np.union1d(days("XNYS"), odd), "own").calendars == ()
    assert "XNYS" in schedule_of(np.union1d(days("XNYS"), odd[:1]), "own").calendars


def test_breaks_longer_than_any_closure_are_ignored() -> None:
    whole = days("XNYS")
    holed = whole[(whole < np.datetime64("2023-03-01")) | (whole > np.datetime64("2024-02-01"))]
    assert schedule_of(holed, "own").calendars == schedule_of(whole, "own").calendars


def test_dates_of_another_exchange_override_a_file_symbol_but_not_yahoos() -> None:
    hong_kong = days("XHKG", "2024-06-11")
    assert schedule_of(hong_kong, "VOD.L").calendars == ("XHKG",)
    assert schedule_of(hong_kong, "VOD.L", from_feed=True).calendars == ("XLON",)


def test_a_series_with_bars_every_day_uses_the_calendar_of_all_days() -> None:
    every = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-03-01"))
    assert schedule_of(every, "coin") == Schedule(("24/7",))


def test_no_dates_give_weekdays() -> None:
    schedule = schedule_of(days("XNYS")[:0], "own")
    assert (schedule.calendars, schedule.weekdays) == ((), (True,) * 5 + (False,) * 2)


def test_a_schedule_survives_a_sidecar() -> None:
    for known in (Schedule(("XHKG", "XNYS")), Schedule((), (True,) * 6 + (False,))):
        assert Schedule.noted(known.facts()) == known


@for_each(
    "facts",
    [
        None, [], {}, {"calendars": ["XNYS"]}, {"calendars": "XNYS", "weekdays": [True] * 7},
        {"calendars": ["ATLANTIS"], "weekdays": [True] * 7},
        {"calendars": [["XNYS"]], "weekdays": [True] * 7},
        {"calendars": [], "weekdays": [1] * 7}, {"calendars": [], "weekdays": [True] * 6},
        {"calendars": [], "weekdays": [False] * 7},
    ],
)  # fmt: skip
def test_a_damaged_sidecar_gives_no_schedule(facts: object) -> None:
    assert Schedule.noted(facts) is None


def test_weekdays_are_used_outside_the_recorded_years() -> None:
    far = np.arange(np.datetime64("2101-01-01"), np.datetime64("2101-02-01"))
    old = np.arange(np.datetime64("1960-01-01"), np.datetime64("1960-02-01"))
    for span in (far, old):
        np.testing.assert_array_equal(Schedule(("XNYS",)).is_session(span), np.is_busday(span))
    coming = np.arange(np.datetime64("2027-02-01"), np.datetime64("2027-03-01"))
    assert Schedule(("XSHG",)).between(coming[0], coming[-1]).size == 20
