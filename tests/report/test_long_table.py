"""The long table: one row per symbol, cutoff and step, as rows, CSV and Parquet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import FileError, UsageError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.trend import Thresholds, Yardsticks
from lstmcli.forecasting.forecast import Forecast
from lstmcli.report.long_table import COLUMNS, backtest_rows, forecasts_file
from tests.command_line import read_exactly

LEVELS = (0.025, 0.5, 0.975)
DATES = np.array(["2020-01-02", "2020-01-03"], dtype="datetime64[D]")
MEDIAN = np.log([[1.1, 1.2]])
FAN = Forecast(MEDIAN, MEDIAN[:, :, None] + np.array([-0.3, 0.0, 0.1]), LEVELS)
POINT = Forecast(np.log([[1.0, 1.0]]))
ACTUAL = np.array([np.log(0.9), np.nan])
BACKTEST = Backtest(
    symbol=np.array(["X"]),
    cutoff=np.array(["2020-01-01"], dtype="datetime64[D]"),
    last_close=np.array([50.0]),
    sigma=np.array([0.01]),
    dates=DATES[None],
    actual=ACTUAL[None],
    forecasts={"point": POINT, "fan/v0001": FAN, "naive": POINT},
)
KNOWN = Yardsticks(
    mase_scales={"X": 0.75},
    thresholds={"point": Thresholds(np.array([-0.5, -0.4]), np.array([0.3, 0.2]))},
    base_rates=(0.55,),
    flat_band=0.25,
)


def test_rows_are_prices_on_the_last_close() -> None:
    first, second, *_ = backtest_rows(BACKTEST, KNOWN, ["point"])
    assert first == {
        "model": "point",
        "symbol": "X",
        "cutoff": "2020-01-01",
        "step": 1,
        "date": "2020-01-02",
        "last_close": 50.0,
        "actual": pytest.approx(45.0),
        "median": 50.0,
        "change": 0.0,
        "probability_of_rise": None,
        "base_rate_of_rise": 0.55,
        "sigma": 0.01,
        "flat_low": pytest.approx(50 * np.exp(-0.5 * 0.01)),
        "flat_high": pytest.approx(50 * np.exp(0.3 * 0.01)),
        "mase_scale": 0.75,
    }
    assert (second["step"], second["date"], second["actual"]) == (2, "2020-01-03", None)
    assert second["base_rate_of_rise"] is None
    assert second["flat_high"] == pytest.approx(50 * np.exp(0.2 * 0.01 * 2**0.5))


def test_a_fan_has_one_column_per_level_and_its_chance_of_a_rise() -> None:
    first, second = backtest_rows(BACKTEST, KNOWN, ["fan/v0001"], shown=True)
    assert list(first) == [*COLUMNS, "shown", "q0.025", "q0.5", "q0.975"]
    assert first["q0.5"] == first["median"] == pytest.approx(55.0)
    assert first["change"] == pytest.approx(0.1)
    assert second["q0.025"] == pytest.approx(60.0 * np.exp(-0.3))
    assert FAN.quantiles is not None
    below = np.interp(0.0, FAN.quantiles[0, 0], LEVELS)
    assert first["probability_of_rise"] == pytest.approx(1 - below)
    assert second["flat_low"] == pytest.approx(50 * np.exp(-0.25 * 0.01 * 2**0.5))
    assert first["shown"] is True


def test_models_without_a_fan_or_thresholds_leave_those_columns_empty() -> None:
    rows = list(backtest_rows(BACKTEST, KNOWN))
    assert [row["model"] for row in rows[::2]] == ["point", "fan/v0001", "naive"]
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["q0.025"] is None
    assert rows[4]["flat_low"] is None
    assert rows[2]["q0.025"] == pytest.approx(55.0 * np.exp(-0.3))


def test_thresholds_that_differ_by_window_go_to_their_windows() -> None:
    two = replace(
        BACKTEST,
        symbol=np.array(["X", "Y"]),
        cutoff=np.repeat(BACKTEST.cutoff, 2),
        last_close=np.array([50.0, 20.0]),
        sigma=np.array([0.01, 0.02]),
        dates=np.tile(DATES, (2, 1)),
        actual=np.tile(ACTUAL, (2, 1)),
        forecasts={"point": Forecast(np.zeros((2, 2)))},
    )
    low = np.array([[-0.5, -0.4], [-0.1, -0.2]])
    known = replace(KNOWN, thresholds={"point": Thresholds(low, -low)})
    rows = list(backtest_rows(two, known))
    assert rows[2]["flat_low"] == pytest.approx(20 * np.exp(-0.1 * 0.02))
    assert (rows[0]["mase_scale"], rows[2]["mase_scale"]) == (0.75, None)


@pytest.mark.parametrize("name", ["long.csv", "long.parquet", "long.PARQUET"])
def test_file_holds_the_rows_with_every_digit(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with forecasts_file(str(path)) as on_windows:
        on_windows(BACKTEST, KNOWN, True)
        on_windows(BACKTEST, KNOWN, False)
        assert not path.exists()
    table = written(path)
    rows = [row for shown in (True, False) for row in backtest_rows(BACKTEST, KNOWN, shown=shown)]
    assert list(table.columns) == list(rows[0])
    for row, (_, found) in zip(rows, table.iterrows(), strict=True):
        assert {key: None if pd.isna(each) else each for key, each in found.items()} == row


def written(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return read_exactly(path.read_text())
    table = pd.read_parquet(path)
    assert table["sigma"].dtype == np.float64
    return table.assign(**{day: table[day].astype(str) for day in ("cutoff", "date")})


def test_names_with_commas_and_quotes_are_read_back(tmp_path: Path) -> None:
    named = replace(BACKTEST, symbol=np.array(['A,"B"']))
    with forecasts_file(str(tmp_path / "long.csv")) as on_windows:
        on_windows(named, KNOWN, True)
    assert set(pd.read_csv(tmp_path / "long.csv")["symbol"]) == {'A,"B"'}


def test_control_characters_in_names_are_escaped_in_a_csv(tmp_path: Path) -> None:
    named = replace(
        BACKTEST,
        symbol=np.array(["A\n\x1b[31m"]),
        forecasts={"\u202em": Forecast(np.zeros((1, 2)))},
    )
    for name, symbol, model in (
        ("long.csv", r"A\n\x1b[31m", r"\u202em"),
        ("long.parquet", "A\n\x1b[31m", "\u202em"),
    ):
        with forecasts_file(str(tmp_path / name)) as on_windows:
            on_windows(named, KNOWN, True)
        table = written(tmp_path / name)
        assert (set(table["symbol"]), set(table["model"])) == ({symbol}, {model})
    assert (tmp_path / "long.csv").read_text().replace("\n", "").isprintable()


@pytest.mark.parametrize("name", ["long.csv", "long.parquet"])
def test_an_error_in_the_evaluation_is_not_reported_as_a_file_error(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("old")

    def evaluation() -> None:
        with forecasts_file(str(path)) as on_windows:
            on_windows(BACKTEST, KNOWN, True)
            raise OSError(5, "Input/output error", "prices")

    with pytest.raises(OSError, match="prices"):
        evaluation()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("name", ["full", "full.parquet"])
def test_a_file_error_is_reported_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/full")

    def evaluation() -> None:
        with forecasts_file(str(tmp_path / name)) as on_windows:
            for _ in range(1000):
                on_windows(BACKTEST, KNOWN, True)

    with pytest.raises(FileError, match=rf"{name}\): No space left"):
        evaluation()


def test_only_models_that_are_named_are_written_with_their_levels(tmp_path: Path) -> None:
    def columns(*only: str) -> tuple[list[Any], list[str]]:
        with forecasts_file(str(tmp_path / "some.csv"), only) as on_windows:
            on_windows(BACKTEST, KNOWN, True)
        table = pd.read_csv(tmp_path / "some.csv")
        return list(table["model"].unique()), list(table.columns)

    assert columns("naive") == (["naive"], [*COLUMNS, "shown"])
    models, names = columns("naive", "fan")
    assert models == ["fan/v0001", "naive"]
    assert names[-1] == "q0.975"


def test_an_unknown_name_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("old")
    words = "expected point, fan/v0001, naive"
    with pytest.raises(UsageError, match=words), forecasts_file(str(path), ["drfit"]) as on_windows:
        on_windows(BACKTEST, KNOWN, True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
