"""Prices that jump on the day of a split, or by a factor of 100: every reader reports it."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from lstmcli.workflows.data import Finding, check_data
from tests.cases.bar_files import bars, write
from tests.cases.fetching import run, server
from tests.command_line import in_process, sessions, succeed

__all__ = ["run", "server"]
DAYS = sessions(400)
ROW = 390  # among the rows that a forecast reads
TODAY = date(2018, 9, 1)


def jumping(factor: float, ratio: float, rows: slice = slice(ROW, None)) -> pd.DataFrame:
    """Return bars that jump by a factor, with a split of that ratio on the first day."""
    frame = bars().assign(**{"Dividends": 0.0, "Stock Splits": 0.0})
    frame.iloc[rows, :4] = (frame.iloc[rows, :4] * factor).round(4)
    frame.iloc[ROW, list(frame.columns).index("Stock Splits")] = ratio
    return frame


def check_of(folder: Path, frame: pd.DataFrame) -> list[Finding]:
    write(folder, "a.csv", frame)
    succeed("data", "import", "A=a.csv", "--replace", folder=folder)
    return list(check_data(folder / "data", today=TODAY).findings)


def test_import_train_predict_and_evaluate_name_day_ratio_and_move(fan_home: Path) -> None:
    write(fan_home, "a.csv", jumping(1 / 20, 20))
    train = ("train", "--config", "fan.toml", "--csv", "A=a.csv", "--name", "a")
    for command in (
        ("data", "import", "A=a.csv"),
        train,
        ("predict", "-m", "fan", "--csv", "A=a.csv"),
        ("evaluate", "-m", "fan", "--csv", "A=a.csv"),
    ):
        outcome = succeed(*command, folder=fan_home)
        (note,) = [line for line in outcome.err.splitlines() if "split" in line]
        assert note.startswith("lstmcli: A: Close moves by x0.0")
        assert note.endswith(f" on {DAYS[ROW]}, the day of a 20:1 split: prices are not adjusted.")


@pytest.mark.parametrize("rows", [slice(ROW, None), slice(ROW, 393)])
def test_pence_and_pounds_are_reported_as_such(tmp_path: Path, rows: slice) -> None:
    (found,) = check_of(tmp_path, jumping(0.01, 0.0, rows))
    assert (found.kind, found.date) == ("jump", DAYS[ROW])
    outcome = in_process("data", "import", "B=a.csv", folder=tmp_path)
    assert "looks like pence and pounds" in outcome.err
    assert ("and back" in outcome.err) == (rows.stop == 393)
