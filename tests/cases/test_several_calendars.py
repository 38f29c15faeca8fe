"""One table of series whose exchanges are open on different days."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lstmcli as lc
from lstmcli.api import Evaluation
from lstmcli.arrays import Floats
from lstmcli.errors import DataError
from lstmcli.evaluation.scores import Scores
from lstmcli.evaluation.verdict import Summary
from lstmcli.market.calendars import calendar_of, sessions_of
from lstmcli.market.prices import Prices
from lstmcli.market.tables import read_prices
from lstmcli.report.score_tables import directions
from tests.rows import for_each

TODAY = date(2024, 7, 1)
EVERY_DAY = pd.date_range("2023-01-02", "2024-06-28", name="Date")
SHAPES = ("wide", "flattened", "yfinance", "filled volumes")


def open_days(symbol: str, calendar: str | None = None) -> pd.DatetimeIndex:
    sessions = sessions_of(str(calendar or calendar_of(symbol)))
    return EVERY_DAY[np.isin(EVERY_DAY.to_numpy().astype("datetime64[D]"), sessions)]


def closes(days: pd.DatetimeIndex) -> "pd.Series[float]":
    return pd.Series(100.0 + np.arange(len(days)) % 9, index=days)


def table(shape: str = "wide", **calendars: str | None) -> pd.DataFrame:
    """Put series next to each other as `shape` has them; name -> its calendar, or its own."""
    columns = {name: closes(open_days(name, calendar)) for name, calendar in calendars.items()}
    frame = pd.DataFrame(columns).rename_axis("Date")
    if shape == "wide":
        return frame
    both = pd.concat({"Close": frame, "Volume": frame * 1000}, axis=1, names=["Price", "Ticker"])
    if shape == "yfinance":
        return both
    pairs: Any = both.columns
    full = [f"{field}_{name}" for field, name in pairs]
    flat = both.set_axis(full, axis=1)
    return flat.fillna({name: 0 for name in full if "Volume" in name}) if "f" in shape[:2] else flat


def read(frame: pd.DataFrame, **options: Any) -> dict[str, Prices]:
    text = io.BytesIO(frame.to_csv().encode())
    found = read_prices("-", stdin=text, today=TODAY, **options)
    return {prices.symbol: prices for prices in found}


PAIRS = [
    ("AAPL", "BTC-USD"),
    ("AAPL", "7203.T"),
    ("AAPL", "EURUSD=X"),
    ("AAPL", "7203.T", "BTC-USD", "VOD.L"),
    ("^GDAXI", "^GSPC", "600519.SS"),
    ("ETH-EUR", "BMW.DE", "GC=F"),
]


@for_each("shape", SHAPES)
@for_each("symbols", PAIRS, ids=str)
def test_each_series_has_the_days_of_its_own_exchange(shape: str, symbols: list[str]) -> None:
    frame = table(shape, **dict.fromkeys(symbols))
    found = read(frame)
    assert list(found) == list(symbols)
    for symbol, prices in found.items():
        assert prices.frame.index.equals(open_days(symbol)), symbol
        assert prices.notes == ()


def test_the_order_of_rows_and_a_choice_of_columns_change_nothing() -> None:
    frame = table(**dict.fromkeys(["AAPL", "BTC-USD"]))
    [prices] = read(frame.iloc[::-1], symbols=["AAPL"]).values()
    assert prices.frame.index.equals(open_days("AAPL"))
    assert prices.notes == ("Sorted the rows by date.",)


@for_each(
    "names",
    [
        {"sp500": "XNYS", "bitcoin": "24/7"},
        {"csi300": "XSHG", "BTC-USD": None},
        {"nikkei": "XTKS", "7203.T": None, "ether": "24/7"},
        {"csi300": "XSHG", "BTC-USD": None, "dax": "XETR", "nikkei": "XTKS", "sp500": "XNYS"},
    ],
    ids=str,
)
def test_names_that_tell_no_exchange_lose_their_weekends_and_common_holidays(
    names: dict[str, str | None],
) -> None:
    found = read(table(**names))
    for name, calendar in names.items():
        days = open_days(name, calendar)
        assert set(found[name].frame.index) == set(days), name
        assert len(found[name].frame) == len(days)


def test_a_price_missing_on_a_session_is_counted_and_a_hole() -> None:
    frame = table(**dict.fromkeys(["AAPL", "BTC-USD"]))
    days = open_days("AAPL")
    frame.loc[days[[40, 90]], "AAPL"] = np.nan
    notes = read(frame)["AAPL"].notes
    assert notes == (
        f"Dropped 2 rows without a price, the first on {days[40]:%Y-%m-%d}.",
        f"2 exchange sessions are missing: {days[40]:%Y-%m-%d}, {days[90]:%Y-%m-%d}.",
    )
    with pytest.raises(DataError, match=r"missing sessions .AAPL"):
        read(frame, strict=True)
    frame.loc[days[100:120], "AAPL"] = np.nan
    match = rf"too many rows without a price .AAPL.*22 of {len(days)} rows"
    with pytest.raises(DataError, match=match):
        read(frame)


def test_the_holidays_of_an_exchange_that_is_not_known_are_no_rows_either() -> None:
    closed = ["2023-10-11", "2023-11-22", "2024-01-01", "2024-02-14", "2024-03-13", "2024-05-01"]
    days = EVERY_DAY[EVERY_DAY.day_of_week < 5].difference(pd.DatetimeIndex(closed))
    frame = pd.DataFrame({"fund": closes(days), "BTC-USD": closes(EVERY_DAY)}).rename_axis("Date")
    fund = read(frame)["fund"]
    assert fund.frame.index.equals(days)
    assert "may be holidays" in fund.notes[0]


@pytest.mark.parametrize("names", [("fund", "bitcoin"), ("fund", "other")], ids=str)
def test_a_long_hole_is_no_holiday(names: tuple[str, str]) -> None:
    frame = table(**{names[0]: "XNYS", names[1]: "24/7" if names[1] == "bitcoin" else "XETR"})
    frame.loc[open_days("AAPL")[100:140], "fund"] = np.nan
    with pytest.raises(DataError, match=r"too many rows without a price .fund"):
        read(frame)


def test_weekly_columns_with_weekdays_of_their_own_go_together() -> None:
    mondays = pd.date_range("2020-01-06", "2024-06-24", freq="W-MON", name="Date")
    columns = {"AAPL": closes(mondays), "fund": closes(mondays[:-1] + pd.Timedelta(days=4))}
    found = read(pd.DataFrame(columns).rename_axis("Date"))
    assert [len(prices.frame) for prices in found.values()] == [len(mondays), len(mondays) - 1]
    assert {prices.interval for prices in found.values()} == {"1wk"}


def test_a_single_column_on_calendar_days_has_no_rows_on_weekends() -> None:
    frame = closes(open_days("AAPL")).reindex(EVERY_DAY).rename("Close").to_frame()
    for name in ("AAPL", "my fund"):
        [prices] = read(frame, name=name).values()
        assert prices.frame.index.equals(open_days("AAPL"))
        left_out = len(frame) - len(prices.frame)
        assert prices.notes == (f"Empty rows on days without a session are left out: {left_out}.",)


def test_empty_rows_on_sessions_at_the_end_are_not_called_days_without_one() -> None:
    frame = closes(open_days("AAPL")).rename("Close").to_frame()
    frame.iloc[-5:] = np.nan
    for name in ("AAPL", "my fund"):
        [prices] = read(frame, name=name).values()
        assert prices.notes == ("Empty rows before or after all prices are left out: 5.",)


def test_the_constant_answer_next_to_counts_is_that_with_the_most_of_them(tmp_path: Path) -> None:
    days = pd.date_range("2018-01-01", "2020-12-31", name="Date")
    step = np.random.default_rng(0).normal(0.0, 1e-3, len(days)).cumsum()
    coin = np.exp(step - 2e-3 * np.arange(len(days)))  # falls, in more windows than the share has
    frame = pd.DataFrame({"coin": 100.0 * coin, "AAPL": 100.0 / coin}, index=days)
    frame.loc[~np.isin(days.to_numpy().astype("datetime64[D]"), sessions_of("XNYS")), "AAPL"] = None
    found = lc.evaluate(frame, models=["base"], data_dir=tmp_path)
    falls = int((found.windows["actual"] < found.windows["last_close"]).sum())
    assert 2 * falls > len(found.windows)
    assert found.summary["always_right"] == falls
    screen = "\n".join(map(str, directions(*_scored(found))))
    assert f'always "down": {falls} of {len(found.windows)}' in screen


def _scored(found: Evaluation) -> tuple[Summary, Scores, Floats]:
    (report,) = found.reports
    return report.summaries[0], report.scores, report.backtest.actual[:, -1]
