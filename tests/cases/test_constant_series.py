"""Halted and pegged series are reported, and constants get no direction or signed zero."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from lstmcli.report.tables import move, number, percent
from lstmcli.workflows.data import check_data
from tests.cases.bar_files import bars, write
from tests.cases.fetching import run, server
from tests.command_line import document_of, in_process, sessions, succeed
from tests.conftest import CONTEXT

__all__ = ["run", "server"]
DAYS = sessions(400)


def halted(still: int, rows: int = 400) -> pd.DataFrame:
    """Return bars whose last `still` closes are equal."""
    frame = bars(rows)
    frame.iloc[-still:, :4] = round(
        1.01 * frame["Close"].iloc[-still - 1 if still < rows else 0], 2
    )
    return frame


def test_import_check_train_and_predict_report_twenty_equal_closes(fan_home: Path) -> None:
    write(fan_home, "a.csv", halted(20))
    note = f"The last 20 closes are equal, since {DAYS[-20]}"
    train = ("train", "--config", "fan.toml", "--csv", "A=a.csv", "--name", "a")
    for command in (
        ("data", "import", "A=a.csv"),
        train,
        ("predict", "-m", "fan", "A"),
        ("predict", "-m", "fan", "--csv", "A=a.csv"),
    ):
        outcome = succeed(*command, folder=fan_home)
        assert f"lstmcli: A: {note}" in outcome.err
    (found,) = check_data(fan_home / "data", today=date(2018, 9, 1)).findings
    assert (found.symbol, found.kind, found.date) == ("A", "still", DAYS[-20])
    assert "the last 20 closes are equal" in found.what


def test_nineteen_equal_closes_and_earlier_ones_are_not_reported(tmp_path: Path) -> None:
    frame = halted(19)
    frame.iloc[100:160, :4] = frame["Close"].iloc[100]
    write(tmp_path, "a.csv", frame)
    outcome = in_process("data", "import", "A=a.csv", folder=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert check_data(tmp_path / "data", today=date(2018, 9, 1)).findings == ()


def test_a_halt_as_long_as_a_window_is_forecast_from_the_moves_before_it(fan_home: Path) -> None:
    write(fan_home, "a.csv", halted(CONTEXT))
    predict = ("predict", "-m", "fan", "--csv", "A=a.csv", "--format", "json")
    (found,) = json.loads(in_process(*predict, folder=fan_home).out)["forecasts"]
    for step in found["steps"]:
        assert step["q0.1"] < step["median"] < step["q0.9"]
        assert 0 < step["probability_of_rise"] < 1


def test_a_forecast_of_a_constant_has_no_chance_of_a_rise_and_no_signed_zero(
    fan_home: Path,
) -> None:
    write(fan_home, "a.csv", halted(400))
    predict = ("predict", "-m", "fan", "--csv", "A=a.csv", "--horizon", "5", "--all-steps")
    outcome = succeed(*predict, folder=fan_home)
    rows = [line.split() for line in outcome.out.splitlines() if line[:4].strip().isdigit()]
    assert len(rows) == 5
    for row in rows:
        _, _, forecast, *rest = row
        still = ["0.0", "%", forecast, "to", forecast]
        assert rest == [*still, "-", "50", "%", "0.00", "%"]  # no chance; the members agree
    found = document_of(fan_home, *predict)["forecasts"]
    assert [step["probability_of_rise"] for step in found[0]["steps"]] == [None] * 5


def test_one_move_in_the_context_is_enough_for_a_chance(fan_home: Path) -> None:
    write(fan_home, "a.csv", halted(CONTEXT - 1))
    predict = ("predict", "-m", "fan", "--csv", "A=a.csv", "--format", "json")
    (forecast,) = json.loads(in_process(*predict, folder=fan_home).out)["forecasts"]
    assert all(0 <= step["probability_of_rise"] <= 1 for step in forecast["steps"])


def test_a_rounded_zero_has_no_sign() -> None:
    assert [move(value) for value in (-1e-9, 1e-9, 0.0, -0.0)] == ["0.00 %"] * 4
    assert number(-1e-9) == number(-0.0) == "0.000"
    assert [move(value) for value in (-0.0001, 0.0001)] == ["-0.01 %", "+0.01 %"]
    assert percent(-1e-9) == "0.00 %"
    assert percent(np.float64(-0.0006), 1) == "-0.1 %"
