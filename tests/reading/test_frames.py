"""A DataFrame is read like its CSV: the same prices, notes and errors."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.prices import Prices
from lstmcli.market.tables import read_prices
from lstmcli.reading.frames import frame_table
from tests.rows import for_each

TODAY = date(2026, 7, 24)
DAYS = pd.bdate_range("2024-01-02", periods=40, name="Date").drop(
    ["2024-01-15", "2024-02-19"]  # holidays of New York
)
MOVES = np.random.default_rng(3).normal(0, 0.01, len(DAYS))


def closes(price: float = 100.0) -> "pd.Series[float]":
    return pd.Series((price * np.exp(np.cumsum(MOVES))).round(4), index=DAYS)


def bars(price: float = 100.0) -> pd.DataFrame:
    close = closes(price)
    columns = {"Open": close, "High": close + 1, "Low": close - 1, "Close": close}
    return pd.DataFrame(columns | {"Adj Close": close / 2, "Volume": 1000.0})


def yfinance(*, by_ticker: bool = False) -> pd.DataFrame:
    """Return a frame like that of `yfinance.download` of two tickers, levels in either order."""
    found = pd.concat({"AAPL": bars(), "MSFT": bars(50.0)}, axis=1, names=["Ticker", "Price"])
    return found if by_ticker else found.swaplevel(axis=1).sort_index(axis=1)


def with_a_wrong_bar() -> pd.DataFrame:
    found = bars()
    found.loc[DAYS[5], "High"] = 1.0
    return found


SHAPES: dict[str, Callable[[], pd.DataFrame]] = {
    "open to volume": bars,
    "closes alone": lambda: bars()[["Close"]],
    "wide": lambda: pd.DataFrame({"AAPL": closes(), "MSFT": closes(50.0)}),
    "wide with gaps": lambda: pd.DataFrame({"AAPL": closes(), "MSFT": closes(50.0)[:-3]}),
    "yfinance, fields first": yfinance,
    "yfinance, tickers first": lambda: yfinance(by_ticker=True),
    "history with a zone": lambda: bars().tz_localize("America/New_York"),
    "index without a name": lambda: bars().rename_axis(None),
    "a zone of another exchange": lambda: bars().tz_localize("Europe/Berlin").tz_convert("UTC"),
    "unsorted": lambda: bars().sort_index(ascending=False),
    "repeated rows": lambda: pd.concat([bars(), bars().tail(2)]),
    "rows without values": lambda: bars().reindex(DAYS.union([pd.Timestamp("2024-03-09")])),
    "a contradicting bar": with_a_wrong_bar,
    "further columns": lambda: bars().assign(RSI=50.0, Note="text"),
    "field joined to ticker": lambda: bars().add_suffix("_AAPL"),
    "long": lambda: pd.concat({"AAPL": bars(), "MSFT": bars(50.0)}, names=["ticker"]),
    "long as of Nixtla": lambda: (
        pd.concat({"A": closes(), "B": closes(50.0)}, names=["unique_id"]).rename("y").to_frame()
    ),
    "numbers that may lack": lambda: bars().convert_dtypes(),
}


def of_csv(frame: pd.DataFrame, folder: Path, **options: Any) -> list[Prices]:
    path = folder / "frame.csv"
    frame.to_csv(path, **options)
    return read_prices(path, today=TODAY)


def of_frame(frame: "pd.DataFrame | pd.Series[Any]") -> list[Prices]:
    return read_prices(frame_table(frame), today=TODAY)


def assert_same(found: list[Prices], expected: list[Prices]) -> None:
    assert [each.symbol for each in found] == [each.symbol for each in expected]
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one.frame, other.frame, check_exact=True)
        assert [*one.notes] == [*other.notes]
        assert (one.interval, one.cut, one.left_out) == (other.interval, other.cut, other.left_out)


@for_each("shape", SHAPES)
def test_a_frame_and_its_csv_give_the_same_prices_and_notes(tmp_path: Path, shape: str) -> None:
    frame = SHAPES[shape]()
    assert_same(of_frame(frame), of_csv(frame, tmp_path))


@for_each("shape", SHAPES)
def test_the_dates_may_be_the_index_or_a_column(tmp_path: Path, shape: str) -> None:
    frame = SHAPES[shape]()
    if frame.index.nlevels == 1:
        frame = frame.rename_axis("Date")
    assert_same(of_frame(frame.reset_index()), of_frame(frame))


def test_dates_may_be_texts_or_dates_of_python() -> None:
    frame = bars()
    for index in (DAYS.astype(str), DAYS.date, DAYS.to_period("D")):
        assert_same(of_frame(frame.set_axis(index, axis=0).rename_axis("Date")), of_frame(frame))


def test_a_series_is_named_by_its_name() -> None:
    assert [each.symbol for each in of_frame(closes().rename("AAPL"))] == ["AAPL"]
    for name in (None, "Close", "close"):
        (found,) = of_frame(closes().rename(name))
        assert found.symbol == "frame"
        np.testing.assert_array_equal(found.frame["Close"], closes())
    (found,) = of_frame(yfinance()[("Close", "MSFT")])
    assert found.symbol == "MSFT"


def test_numbers_are_those_of_the_frame_and_not_of_their_text() -> None:
    frame = pd.DataFrame({"Close": closes() / 3})
    np.testing.assert_array_equal(of_frame(frame)[0].frame["Close"], frame["Close"])
    decimals = pd.DataFrame({"Close": [Decimal(str(each)) for each in closes()]}, index=DAYS)
    np.testing.assert_array_equal(of_frame(decimals)[0].frame["Close"], closes())


@for_each(
    "frame, words",
    [
        (
            pd.DataFrame({"Close": ["1", "x"]}, index=DAYS[:2]),
            "bad number in column Close.*DataFrame row 1",
        ),
        (pd.DataFrame({"Close": [True, False]}, index=DAYS[:2]), "column Close has no numbers"),
        (pd.DataFrame({"Close": [1.0, 2.0]}), "no Date column"),
        (bars()[["Volume"]], "no Close column"),
        (bars().iloc[:0], "no rows"),
        (pd.DataFrame(), "no rows .DataFrame.: it is empty"),
        (bars().set_axis(DAYS.to_period("W"), axis=0), "bad date"),
        (pd.concat([bars()] * 2, axis=1), "duplicate column"),
        (pd.concat({"a": yfinance()}, axis=1), "cannot use columns of 3 levels"),
        (pd.DataFrame({"Close": [1.0, 2.0]}, index=[DAYS[0]] * 2), "conflicting rows"),
    ],
)
def test_unreadable_frames_are_refused(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        of_frame(frame)
