"""Negative and zero prices: an error with a remedy, or only the rows after them are used."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cases.bar_files import changed, write
from tests.cases.fetching import BARS, LATER, Run, files, only, run, server
from tests.command_line import assert_one_error, in_process, sessions, succeed, walk
from tests.conftest import CONTEXT
from tests.yahoo_stand_in import StandIn

__all__ = ["run", "server"]
DAYS = sessions(400)
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def closes(*rows: int, value: float = -37.63) -> pd.DataFrame:
    frame = pd.DataFrame({"Close": walk(400)}, index=pd.Index(DAYS, name="Date"))
    for row in rows:
        frame = changed(frame, row, Close=value)
    return frame


def test_train_and_import_name_the_day_to_start_from_and_start_there(fan_home: Path) -> None:
    write(fan_home, "oil.csv", closes(100, 120))
    for command in (
        ("train", "--config", "fan.toml", "--csv", "OIL=oil.csv", "--name", "oil"),
        ("data", "import", "OIL=oil.csv"),
    ):
        outcome = in_process(*command, folder=fan_home)
        assert_one_error(outcome, 4, "bad price", DAYS[100], "2 such rows", f"--start {DAYS[121]}")
        succeed(*command, "--start", DAYS[121], folder=fan_home)
    stored = (fan_home / "data/prices/1d/OIL.csv").read_text().splitlines()
    assert (len(stored), stored[1].split(",")[0]) == (1 + 400 - 121, DAYS[121])


def test_a_model_trained_from_a_day_on_forecasts_its_own_data_from_there(fan_home: Path) -> None:
    write(fan_home, "oil.csv", closes(100))
    train = ("train", "--config", "fan.toml", "--csv", "OIL=oil.csv", "--name", "oil")
    succeed(*train, "--start", DAYS[101], folder=fan_home)
    outcome = in_process("predict", "-m", "oil", folder=fan_home)
    assert (outcome.code, "are read" in outcome.err) == (0, False)
    succeed("evaluate", "-m", "oil", folder=fan_home)


def test_predict_reads_from_the_first_row_after_the_last_unusable_one(fan_home: Path) -> None:
    predict = ("predict", "-m", "fan", "--format", "json", "--csv", "OIL=oil.csv")
    write(fan_home, "oil.csv", closes())
    sound = json.loads(in_process(*predict, folder=fan_home).out)
    write(fan_home, "oil.csv", closes(20, 100))
    outcome = succeed(*predict, folder=fan_home)
    (found,), (expected,) = json.loads(outcome.out)["forecasts"], sound["forecasts"]
    # The scale of MASE and the fan are based on the training rows that are read.
    aside = {"mase_scale": None, "steps": None}
    assert found | aside == expected | aside
    for one, other in zip(found["steps"], expected["steps"], strict=True):
        assert one["median"] == pytest.approx(other["median"], rel=0.01)
    note = f"Only the rows after {DAYS[100]} are read: Close is -37.63 on {DAYS[100]}"
    assert note in outcome.err
    assert any(note in each for each in json.loads(outcome.out)["notes"])


def test_predict_fails_if_a_row_that_it_reads_is_unusable(fan_home: Path) -> None:
    predict = ("predict", "-m", "fan", "--csv", "OIL=oil.csv")
    write(fan_home, "oil.csv", closes(-1, value=0.0))
    assert_one_error(in_process(*predict, folder=fan_home), 4, "bad price", DAYS[-1])
    write(fan_home, "oil.csv", closes(400 - CONTEXT, value=0.0))
    words = (f"has {CONTEXT - 1} after the unusable one of", "Correct that row, or train with")
    outcome = in_process(*predict, folder=fan_home)
    assert_one_error(outcome, 4, *words, DAYS[400 - CONTEXT])
    succeed(*predict, "--as-of", DAYS[300], folder=fan_home)


def test_evaluate_reads_the_rows_after_it_and_never_scores_against_it(fan_home: Path) -> None:
    evaluate = ("evaluate", "-m", "fan", "--format", "json", "--csv", "OIL=oil.csv")
    write(fan_home, "oil.csv", closes(100))
    outcome = succeed(*evaluate, folder=fan_home)
    assert f"Only the rows after {DAYS[100]} are read" in outcome.err
    write(fan_home, "oil.csv", closes(365))
    outcome = in_process(*evaluate, folder=fan_home)
    assert_one_error(outcome, 4, DAYS[365], f"--start {DAYS[366]}")
    succeed(*evaluate, "--end", DAYS[350], folder=fan_home)


def test_fetch_names_the_day_to_start_from_and_starts_there(server: StandIn, run: Run) -> None:
    bars = BARS.copy()
    bars.iloc[30, :5] = -37.63
    server.serve("CL=F", bars)
    after = bars.index[31].date()
    result = only(run("CL=F", now=LATER))
    assert result.exit_code == 4
    assert "Close is -37.63" in result.reason
    assert result.reason.endswith(f"To leave it out: lstmcli fetch CL=F --start {after}.")
    result = only(run("CL=F", now=LATER, start=after))
    assert (result.status, result.first, result.rows) == ("new", str(after), 49)


def test_a_new_negative_price_keeps_the_stored_bars_and_suggests_a_remedy(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("CL=F", BARS[:70])
    run("CL=F", now=LATER)
    before = files(tmp_path)
    bad = BARS.copy()
    bad.iloc[75, :5] = -37.63
    server.serve("CL=F", bad)
    way = f"lstmcli data remove CL=F, then: lstmcli fetch CL=F --start {bad.index[76].date()}"
    assert way in only(run("CL=F", now=LATER)).reason
    assert files(tmp_path) == before
    bad.iloc[-1, :5] = np.float64(-1.0)
    server.serve("CL=F", bad)
    assert only(run("CL=F", now=LATER)).reason.endswith("Wait for later bars.")
