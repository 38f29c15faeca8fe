"""Weekly prices for a daily model, daily prices for a weekly one, and a mix of both."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lstmcli.errors import Failure
from lstmcli.market.prices import (
    Prices,
    are_alike,
    as_read,
    bars_of,
    may_be,
    most_common_interval,
)
from tests.command_line import TINY, Outcome, assert_one_error, in_process, walk
from tests.rows import for_each

SPACINGS = {"daily": "B", "weekly": "W-MON", "monthly": "MS", "fortnightly": "14D"}


def prices_of(spacing: str, rows: int, symbol: str = "A", source: str = "a.csv") -> Prices:
    index = pd.date_range("2012-01-02", periods=rows, freq=spacing, name="Date")
    frame = pd.DataFrame({"Close": walk(rows)}, index=index)
    return Prices(symbol, frame, "?", source)


def run(folder: Path, *words: str) -> Outcome:
    return in_process(*words, folder=folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a model of each spacing; not to be changed."""
    folder = tmp_path_factory.mktemp("spacings")
    for name, spacing in SPACINGS.items():
        prices_of(spacing, 130).frame.to_csv(folder / f"{name}.csv")
        done = run(folder, "train", "--csv", f"X={name}.csv", "--name", name, *TINY)
        assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize(
    ("model", "file", "has"),
    [
        ("weekly", "daily", "daily bars"),
        ("daily", "weekly", "weekly bars"),
        ("daily", "monthly", "monthly bars"),
        ("monthly", "weekly", "weekly bars"),
        ("weekly", "fortnightly", "bars every 14 days"),
        ("fortnightly", "weekly", "weekly bars"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_prices_of_another_interval_than_the_models_are_refused_with_both_intervals(
    home: Path, command: str, model: str, file: str, has: str
) -> None:
    done = run(home, command, "--model", model, "--csv", f"D={file}.csv")
    reads = "bars every 14 days" if model == "fortnightly" else f"{model} bars"
    assert_one_error(done, 4, f"the model reads {reads}, D has {has}")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_in_a_batch_only_the_series_of_another_interval_fails(home: Path, command: str) -> None:
    files = ("--csv", "D=daily.csv", "--csv", "W=weekly.csv")
    done = run(home, command, "--model", "weekly", *files, "--format", "json")
    assert done.code == 3
    (failure,) = json.loads(done.out)["failures"]
    assert (failure["symbol"], failure["exit_code"]) == ("D", 4)


def test_each_model_forecasts_bars_of_its_interval_in_their_unit(home: Path) -> None:
    units = {"daily": "sessions", "weekly": "weeks", "monthly": "months", "fortnightly": "bars"}
    for name, unit in units.items():
        done = run(home, "predict", "--model", name)
        assert done.code == 0, done.err
        assert f"X, next 5 {unit}, by {name}/v0001" in done.out
        assert f"  In 5 {unit} " in done.out


def test_models_of_different_intervals_are_not_evaluated_together(home: Path) -> None:
    done = run(home, "evaluate", "--model", "daily", "--model", "weekly")
    assert_one_error(done, 2, "daily/v0001 reads daily bars, weekly/v0001 reads weekly bars")


def test_training_from_a_model_of_another_interval_is_refused(home: Path) -> None:
    done = run(home, "train", "--from", "weekly", "--csv", "D=daily.csv", "--name", "new")
    assert_one_error(done, 4, "weekly/v0001 reads weekly bars, D has daily bars")


def test_series_of_an_uncommon_interval_are_not_trained_on(home: Path, tmp_path: Path) -> None:
    names = {"W1": "weekly", "D1": "daily", "D2": "daily"}
    files = [
        word for name, file in names.items() for word in ("--csv", f"{name}={home}/{file}.csv")
    ]
    done = run(tmp_path, "train", *files, *TINY, "--format", "json")
    assert done.code == 3
    found = json.loads(done.out)
    assert found["metadata"]["interval"] == "1d"
    assert [each["symbol"] for each in found["failures"]] == ["W1"]
    assert "the other series are daily bars, W1 has weekly bars" in found["failures"][0]["reason"]


def test_a_model_of_a_weekly_file_reads_weekly_bars_from_the_store(
    home: Path, tmp_path: Path
) -> None:
    prices_of("B", 60).frame.to_csv(tmp_path / "d.csv")
    prices_of("W-MON", 60).frame.to_csv(tmp_path / "w.csv")
    data = ("--data-dir", str(tmp_path))
    assert run(tmp_path, "data", "import", "D=d.csv", "W=w.csv", *data).code == 0
    model = ("--model", str(home / "data/models/weekly/v0001"), *data)
    weekly = run(tmp_path, "predict", "W", *model)
    assert weekly.code == 0, weekly.err
    daily = run(tmp_path, "predict", "D", *model)
    assert_one_error(daily, 4, "no weekly bars stored (D)", "only daily bars are stored")


def test_issued_forecasts_are_not_graded_by_bars_of_another_interval(
    home: Path, tmp_path: Path
) -> None:
    data = ("--data-dir", str(tmp_path))
    model = ("--model", str(home / "data/models/weekly/v0001"))
    last = pd.Timestamp.now().normalize() - pd.Timedelta(days=1)
    for name, spacing in (("w", "7D"), ("d", "D")):
        index = pd.date_range(end=last, periods=60, freq=spacing, name="Date")
        pd.DataFrame({"Close": walk(60)}, index=index).to_csv(tmp_path / f"{name}.csv")
    issued = run(tmp_path, "predict", "--csv", "X=w.csv", *model, "--record", *data)
    assert issued.code == 0, issued.err
    graded = run(tmp_path, "evaluate", "--issued", "--csv", "X=d.csv", *data)
    assert_one_error(graded, 4, "X has daily bars")


@for_each(("rows", "interval"), [(2, "1wk"), (2, "1mo"), (4, "1d"), (9, "1d")])
def test_a_few_dates_do_not_rule_out_an_interval(rows: int, interval: str) -> None:
    days = pd.DatetimeIndex(pd.bdate_range("2024-07-05", periods=rows)[:: 2 if rows > 2 else 1])
    prices = Prices("A", pd.DataFrame({"Close": walk(len(days))}, index=days), "3D", "a.csv")
    found = as_read(prices, interval)
    assert isinstance(found, Prices)
    assert found.interval == interval


def test_three_weekly_dates_rule_out_daily_bars() -> None:
    days = pd.date_range("2024-01-01", periods=3, freq="W")
    assert not may_be(days, "1d")
    assert not may_be(pd.date_range("2024-01-01", periods=12, freq="2D"), "1d")


def test_bars_twice_a_month_are_15_or_16_days_apart_and_alike() -> None:
    assert are_alike("15D", "16D")
    assert not are_alike("14D", "1wk")
    assert not are_alike("10D", "14D")
    assert bars_of("45D") == "bars every 45 days"


def test_a_tie_takes_the_first_interval_and_weekly_bars_in_the_daily_folder_are_weekly() -> None:
    daily, weekly = (prices_of(spacing, 40) for spacing in ("B", "W"))
    series = [Prices("W", weekly.frame, "1wk", "w"), Prices("D", daily.frame, "1d", "d")]
    assert most_common_interval(series) == "1wk"
    assert most_common_interval([]) is None
    misplaced = Prices("W", weekly.frame, "1d", "store")
    assert isinstance(as_read(misplaced, "1d"), Failure)
    thin = pd.DataFrame(
        {"Close": walk(40)}, index=pd.date_range("2020-01-01", periods=40, freq="2D")
    )
    assert isinstance(as_read(Prices("T", thin, "1d", "store"), "1d"), Prices)
