"""The long table: one row a symbol, cutoff and step, in prices."""

import numpy as np
import pytest

from lstmcli.evaluation.backtest import Backtest
from lstmcli.forecasting.forecast import Forecast
from lstmcli.report.long_table import backtest_rows, forecast_rows

LEVELS = (0.025, 0.5, 0.975)
DATES = np.array(["2020-01-02", "2020-01-03"], dtype="datetime64[D]")
MEDIAN = np.log([[1.1, 1.2]])
FAN = Forecast(MEDIAN, MEDIAN[:, :, None] + np.array([-0.1, 0.0, 0.1]), LEVELS)
POINT = Forecast(np.log([[1.0, 1.0]]))
ACTUAL = np.array([np.log(0.9), np.nan])


def test_rows_are_prices_on_the_last_close() -> None:
    first, second = forecast_rows("X", np.datetime64("2020-01-01"), 50.0, DATES, ACTUAL, POINT)
    assert first == {
        "symbol": "X",
        "cutoff": "2020-01-01",
        "step": 1,
        "date": "2020-01-02",
        "last_close": 50.0,
        "actual": pytest.approx(45.0),
        "median": 50.0,
    }
    assert (second["step"], second["date"], second["actual"]) == (2, "2020-01-03", None)


def test_fan_has_a_column_a_level() -> None:
    first, second = forecast_rows("X", np.datetime64("2020-01-01"), 50.0, DATES, ACTUAL, FAN)
    assert list(first)[-4:] == ["median", "q0.025", "q0.5", "q0.975"]
    assert first["q0.5"] == first["median"] == pytest.approx(55.0)
    assert second["q0.025"] == pytest.approx(60.0 * np.exp(-0.1))


def test_models_without_a_fan_leave_the_columns_of_the_others_empty() -> None:
    backtest = Backtest(
        symbol=np.array(["X"]),
        cutoff=np.array(["2020-01-01"], dtype="datetime64[D]"),
        last_close=np.array([50.0]),
        sigma=np.array([0.01]),
        dates=DATES[None],
        actual=ACTUAL[None],
        forecasts={"point": POINT, "fan": FAN},
    )
    rows = list(backtest_rows(backtest))
    assert [row["model"] for row in rows] == ["point", "point", "fan", "fan"]
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["q0.025"] is None
    assert rows[2]["q0.025"] == pytest.approx(55.0 * np.exp(-0.1))
