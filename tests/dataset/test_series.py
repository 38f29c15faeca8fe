"""A price table becomes columns: the forecast price first, features in the requested order."""

from typing import Any

import numpy as np
import pytest

from lstmcli.dataset.series import make_series
from lstmcli.errors import DataError
from tests.synthetic import make_prices, random_walk

CLOSE = random_walk(6)
TABLE: dict[str, Any] = {
    "Open": CLOSE - 1,
    "High": CLOSE + 2,
    "Low": CLOSE - 2,
    "Close": CLOSE,
    "Adj_Close": CLOSE / 2,
    "Volume": np.array([10.0, 20, np.nan, 40, 50, 60]),
}


def test_the_price_alone_is_one_column() -> None:
    series = make_series(make_prices(Close=CLOSE), features=["close"])
    assert series.values.shape == (6, 1)
    assert series.values.dtype == np.float64
    np.testing.assert_array_equal(series.values[:, 0], CLOSE)
    np.testing.assert_array_equal(series.last_close, CLOSE)
    assert (series.inputs, series.price, series.symbol) == ((0,), "Close", "AAA")
    assert series.dates.dtype == np.dtype("datetime64[D]")
    assert str(series.dates[0]) == "2000-01-03"


def test_features_keep_their_order_and_bars_are_adjusted_like_the_price() -> None:
    prices = make_prices(**TABLE)
    series = make_series(prices, features=["volume", "close", "high", "low", "open"])
    assert series.price == "Adj Close"
    assert series.inputs == (1, 0, 2, 3, 4)
    expected = [CLOSE / 2, TABLE["Volume"], (CLOSE + 2) / 2, (CLOSE - 2) / 2, (CLOSE - 1) / 2]
    np.testing.assert_allclose(series.values, np.column_stack(expected), rtol=1e-15)
    np.testing.assert_array_equal(series.last_close, CLOSE)


def test_the_price_is_a_column_even_if_the_network_does_not_read_it() -> None:
    series = make_series(make_prices(**TABLE), features=["volume"], price="close")
    assert (series.inputs, series.price) == ((1,), "Close")
    np.testing.assert_array_equal(series.values[:, 0], CLOSE)


def test_the_table_is_not_changed_and_not_shared() -> None:
    prices = make_prices(**TABLE)
    before = prices.frame.copy()
    series = make_series(prices, features=["close", "volume"])
    series.values[:] = 0.0
    assert prices.frame.equals(before)


def test_a_missing_column_is_a_data_error_that_names_symbol_and_setting() -> None:
    with pytest.raises(DataError, match=r"no Volume column \(AAA in AAA.csv\).*window.features"):
        make_series(make_prices(Close=CLOSE), features=["close", "volume"])
    with pytest.raises(DataError, match="no Adj Close column"):
        make_series(make_prices(Close=CLOSE), features=["close"], price="adj_close")


def test_until_ends_with_the_latest_row_given() -> None:
    series = make_series(make_prices(**TABLE), features=["close", "volume"])
    cut = series.until(np.array([1, 3, 2]))
    assert len(cut) == len(cut.values) == len(cut.last_close) == 4
    assert (cut.symbol, cut.inputs, cut.price) == (series.symbol, series.inputs, series.price)
    assert len(series.until(np.array([], dtype=np.int64))) == 0


def test_log_prices_are_of_the_forecast_price() -> None:
    series = make_series(make_prices(**TABLE), features=["close"])
    np.testing.assert_allclose(series.log_prices, np.log(CLOSE / 2))
