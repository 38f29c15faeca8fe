"""The shipped table of sessions equals the calendars of exchange_calendars."""

from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest

from lstmcli.market import calendars
from lstmcli.market.calendars import (
    FIRST_TRUSTED,
    LAST_KNOWN,
    TABLE,
    calendar_table,
    known_until,
    sessions_of,
    special_days,
)
from tests.calendar_table import RECORDED_UNTIL, made, names
from tests.rows import for_each

# Calendars that exchange_calendars cannot build under pandas 3.
NOT_MADE = {"ASEX", "XBEL", "XBSE", "XCYS", "XTAE"}


def is_other_library() -> bool:
    with np.load(TABLE) as stored:
        return str(stored["version"]) != version("exchange_calendars")


def differing(name: str) -> list[str]:
    """Return the differences between a calendar of the table and of the library.

    Under pandas 3 the library loses all special weekend sessions: Seoul's Saturdays until 1998,
    Moscow's and Bombay's make-up days. The table has them.
    """
    found = made(name)
    if found is None:
        return [] if name in NOT_MADE else [f"{name} cannot be made"]
    days, until = found
    odd = np.setxor1d(sessions_of(name), days)
    if pd.__version__ >= "3":
        odd = odd[np.is_busday(odd) | np.isin(odd, days)]
    return [
        *odd.astype(str).tolist(),
        *([] if until == known_until(name) else [f"{name} ends {until}"]),
    ]


@pytest.mark.skipif(is_other_library(), reason="the table is of another exchange_calendars")
@for_each("name", ["XNYS", "XLON", "XHKG", "XSHG", "XBOM", "XIDX"])
def test_the_table_equals_the_calendars_of_the_library(name: str) -> None:
    assert differing(name) == []


@pytest.mark.slow
@pytest.mark.skipif(is_other_library(), reason="the table is of another exchange_calendars")
def test_the_table_has_all_calendars_of_the_library() -> None:
    assert set(calendar_table().names) == {*names(), "24/5", "24/7"}
    assert [odd for name in names() for odd in differing(name)] == []


def test_every_calendar_has_sessions_in_its_known_range() -> None:
    table = calendar_table()
    assert table.is_session.shape == (71, int((LAST_KNOWN - FIRST_TRUSTED).astype(int)) + 1)
    assert set(names()) | {"24/5", "24/7"} == set(table.names)
    assert set(RECORDED_UNTIL) <= set(table.names)
    for name in table.names:
        days = sessions_of(name)
        assert 0 <= (days[0] - table.first[table.row(name)]).astype(int) <= 1
        assert days[-1] >= known_until(name) - np.timedelta64(5, "D")


def test_no_calendar_lacks_holidays_in_its_known_range() -> None:
    """The last three known years have as many holidays as earlier ones; see RECORDED_UNTIL."""
    thin = []
    for name in calendar_table().names[2:]:
        end = min(int(str(known_until(name))[:4]), 2048)
        days = np.arange(np.datetime64(f"{end - 12}-01-01"), np.datetime64(f"{end + 1}-01-01"))
        closed = days[np.is_busday(days) & ~np.isin(days, sessions_of(name))]
        years = np.unique(closed.astype("datetime64[Y]"), return_counts=True)[1]
        if name not in ("XTAE", "XSAU") and years[-3:].mean() < 0.6 * years[:-3].mean():
            thin.append((name, years.tolist()))
    assert thin == []


def test_a_later_library_extends_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    later = np.array(["2026-12-31", "2027-01-04"], dtype="datetime64[D]")
    monkeypatch.setattr(calendars, "_library_is_another", lambda: True)
    made_of = {"XSHG": np.datetime64("2027-12-31"), "XIDX": LAST_KNOWN}
    monkeypatch.setattr(calendars, "library_sessions", lambda name: (later, made_of[name]))
    fresh = calendars._sessions.__wrapped__
    assert fresh("XSHG")[1] == np.datetime64("2027-12-31")
    # LAST_KNOWN as the end does not prove that holidays were added.
    assert fresh("XIDX")[1] == np.datetime64("2025-12-31")
    assert fresh("XNYS")[1] == LAST_KNOWN


def test_the_library_is_not_imported_for_sessions() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from lstmcli.market.calendars import sessions_of; sessions_of('XTAE'); "
        "sys.exit('exchange_calendars' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_special_days_are_dates_in_order() -> None:
    days = special_days("XBOM")
    assert (np.diff(days) > np.timedelta64(0, "D")).all()
    assert special_days("XNYS").size == 0
