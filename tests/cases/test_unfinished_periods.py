"""Weekly and monthly files: a running period is no bar, nor is a second row of one period."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from lstmcli.config import Data
from lstmcli.errors import DataError
from lstmcli.market.prices import Prices
from lstmcli.market.store import read_stored, write_stored
from lstmcli.market.tables import read_prices
from lstmcli.sources.loading import load_prices
from lstmcli.sources.source import Source
from lstmcli.workflows.data_import import import_data
from tests.yahoo_stand_in import random_walk

TODAY = date(2026, 11, 26)  # a Thursday


def every_week(last: str, n: int = 120) -> list[str]:
    end = np.datetime64(last)
    return [str(end - 7 * k) for k in range(n)][::-1]


def every_month(pattern: str, last: str) -> list[str]:
    months = np.arange(np.datetime64("2018-01"), np.datetime64(last[:7]) + 1)
    days = months.astype("datetime64[D]")
    if pattern == "last":
        days = (months + 1).astype("datetime64[D]") - 1
    return days.astype(str).tolist()


def read(tmp_path: Path, dates: list[str], today: date = TODAY) -> Prices:
    path = tmp_path / "own.csv"
    path.write_text(
        "Date,Close\n" + "".join(f"{day},{100 + k % 2}\n" for k, day in enumerate(dates))
    )
    (prices,) = read_prices(path, today=today)
    return prices


@pytest.mark.parametrize(
    ("dates", "last", "note"),
    [
        # As Yahoo has it: the week by its Monday, and a live row of today or yesterday.
        (every_week("2026-11-23"), "2026-11-16", "2026-11-23: its week is not over"),
        ([*every_week("2026-11-23"), "2026-11-25"], "2026-11-16", "2026-11-23 and 2026-11-25"),
        ([*every_week("2026-11-16"), "2026-11-25"], "2026-11-16", "2026-11-25: its week"),
        # Dated by Fridays: that of this week lies ahead.
        (every_week("2026-11-27"), "2026-11-20", "2026-11-27: its week is not over"),
        ([*every_week("2026-11-20"), "2026-11-26"], "2026-11-20", "2026-11-26: its week"),
        # Dated by Sundays, at the beginning of the week.
        (every_week("2026-11-22"), "2026-11-15", "2026-11-22: its week is not over"),
        # And by the Sunday at its end, as pandas resamples.
        (every_week("2026-11-29"), "2026-11-22", "2026-11-29: its week is not over"),
        (every_month("first", "2026-11"), "2026-10-01", "2026-11-01: its month is not over"),
        ([*every_month("first", "2026-11"), "2026-11-25"], "2026-10-01", "and 2026-11-25"),
        (every_month("last", "2026-11"), "2026-10-31", "2026-11-30: its month is not over"),
        (every_month("first", "2026-10")[::3], "2026-07-01", "2026-10-01: its quarter is not over"),
        (every_month("last", "2026-12")[2::3], "2026-09-30", "2026-12-31: its quarter is not over"),
        (every_month("first", "2026-01")[::12], "2025-01-01", "2026-01-01: its year is not over"),
        (every_month("last", "2026-12")[5::6], "2026-06-30", "2026-12-31: its half-year is not"),
    ],
)  # fmt: skip
def test_a_period_that_is_not_over_is_left_out_and_named(
    dates: list[str], last: str, note: str, tmp_path: Path
) -> None:
    prices = read(tmp_path, dates)
    assert str(prices.frame.index[-1].date()) == last
    assert any(note in each for each in prices.notes)


@pytest.mark.parametrize(
    ("dates", "today"),
    [
        (every_week("2026-11-16"), TODAY),
        (every_week("2026-11-20"), TODAY),
        (every_week("2026-11-23"), date(2026, 11, 30)),
        (every_week("2026-11-20"), date(2026, 11, 21)),  # Fridays, on the Saturday after
        (every_month("first", "2026-10"), TODAY),
        (every_month("last", "2026-10"), date(2026, 11, 1)),
        (every_month("first", "2026-11"), date(2026, 12, 1)),
        (every_month("first", "2026-10")[::3], date(2027, 1, 1)),
        (every_month("last", "2026-10")[::3], TODAY),  # of a company's year
        (every_month("last", "2025-12")[11::12], TODAY),
    ],
)  # fmt: skip
def test_a_period_that_is_over_stays(dates: list[str], today: date, tmp_path: Path) -> None:
    prices = read(tmp_path, dates, today)
    assert len(prices.frame) == len(dates)
    assert prices.notes == ()


def test_a_second_row_of_a_past_period_is_left_out_and_named(tmp_path: Path) -> None:
    weeks = every_week("2026-11-16")
    prices = read(tmp_path, [*weeks[:-1], "2026-11-12", weeks[-1]])
    assert len(prices.frame) == len(weeks)
    assert prices.notes == ("Left out a second bar of one week, the last of 2026-11-12.",)
    months = every_month("first", "2026-10")
    prices = read(tmp_path, [*months[:-1], "2026-09-18", months[-1]])
    assert prices.notes == ("Left out a second bar of one month, the last of 2026-09-18.",)


def test_weeks_that_a_holiday_moves_and_four_weekly_bars_are_none_of_it(tmp_path: Path) -> None:
    fridays = every_week("2026-11-20")
    moved = [str(np.datetime64(day) - (n % 9 == 4)) for n, day in enumerate(fridays)]
    assert read(tmp_path, moved).notes == ()
    four_weekly = [str(np.datetime64("2026-11-02") - 28 * k) for k in range(60)][::-1]
    assert len(read(tmp_path, four_weekly, date(2026, 12, 1)).frame) == 60


def test_an_import_and_the_store_leave_it_out_alike(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    dates = [*every_week("2026-11-23"), "2026-11-25"]
    path.write_text(
        "Date,Close\n" + "".join(f"{day},{100 + k % 2}\n" for k, day in enumerate(dates))
    )
    source = Source(tmp_path / "data", TODAY, csv=(f"FUND={path}",))
    report = import_data(source, now=datetime(2026, 11, 26, tzinfo=UTC))
    assert report.imported[0].last == "2026-11-16"
    assert "its week is not over" in report.notes[0]
    # Bars that were stored before, by hand or by an earlier version.
    frame = random_walk(len(dates)).set_axis(np.array(dates, dtype="datetime64[s]"), axis=0)
    write_stored(tmp_path / "data", "AAPL", "1wk", frame, {"source": "Yahoo"})
    stored = Source(tmp_path / "data", TODAY, symbols=("AAPL",))
    (prices,), _ = load_prices(stored, Data(interval="1wk"))
    assert str(prices.frame.index[-1].date()) == "2026-11-16"
    # One that `fetch --include-partial` kept on purpose stays.
    facts = {"source": "Yahoo", "partial": "2026-11-23"}
    write_stored(tmp_path / "data", "MSFT", "1wk", frame[:-1], facts)
    kept = read_stored(tmp_path / "data", "MSFT", "1wk", today=TODAY)
    assert (str(kept.frame.index[-1].date()), kept.notes) == ("2026-11-23", ())


def test_a_series_of_nothing_but_a_running_month_is_refused(tmp_path: Path) -> None:
    frame = random_walk(1).set_axis(np.array(["2026-11-01"], dtype="datetime64[s]"), axis=0)
    write_stored(tmp_path, "AAPL", "1mo", frame, {"source": "Yahoo"})
    with pytest.raises(DataError, match=r"no finished bars .*its month is not over"):
        read_stored(tmp_path, "AAPL", "1mo", today=TODAY)
