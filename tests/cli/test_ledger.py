"""`predict --record` and `evaluate --issued` from the shell."""

import csv
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmcli import __version__
from lstmcli.forecasting.forecast import Forecast
from lstmcli.market.calendars import sessions_of
from lstmcli.runs.ledger import LEVELS, Entry, nearest_columns, read_ledger
from lstmcli.sources.source import Source
from lstmcli.workflows.predict import predict, recorded
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    in_process,
    sessions,
    succeed,
    walk,
)
from tests.rows import for_each

FILES = ("--csv", "one.csv", "--csv", "two.csv")
ROWS = 700


def last_session() -> np.datetime64:
    days = sessions_of("XNYS")
    return np.datetime64(days[days < np.datetime64(datetime.now(UTC).date())][-1])


@pytest.fixture
def fresh(fan_home: Path) -> Path:
    """Prices that end with the last session."""
    for seed, name in enumerate(("one", "two")):
        (fan_home / f"{name}.csv").write_text(csv_text(walk(ROWS, seed), last_session()))
    return fan_home


def entries(home: Path) -> list[Entry]:
    return [each for each in read_ledger(home / "data") if isinstance(each, Entry)]


def record(home: Path, *options: object) -> Outcome:
    return in_process("predict", *FILES, "--record", *options, folder=home)


def issue_daily(home: Path, days: Sequence[str], names: Sequence[str] = ("one", "two")) -> None:
    """Record on each day what could be forecast on it, from files that end there."""
    whole = {name: (home / f"{name}.csv").read_text().splitlines(keepends=True) for name in names}
    for day in days:
        for name, lines in whole.items():
            kept = [line for line in lines if line[:4] == "Date" or line[:10] <= day]
            (home / f"{name}.csv").write_text("".join(kept))
        now = datetime.fromisoformat(f"{day}T22:00:00+00:00")
        files = tuple(str(home / f"{name}.csv") for name in names)
        report = predict(Source(home / "data", now.date(), csv=files), model="fan")
        list(recorded(report, home / "data", now).forecasts)
        assert all("hindsight: " in each for each in report.warnings)
    for name, lines in whole.items():
        (home / f"{name}.csv").write_text("".join(lines))


def test_forecasts_are_recorded_at_the_steps_and_levels_that_a_grade_needs(fresh: Path) -> None:
    outcome = record(fresh, "--format", "json")
    assert outcome.code == 0
    assert outcome.err.startswith("lstmcli: one, two: it begins on")
    assert outcome.err.count("\n") == 1
    shown = json.loads(outcome.out)["forecasts"]
    found = entries(fresh)
    assert [each.symbol for each in found] == ["one", "two"]
    for each, forecast in zip(found, shown, strict=True):
        assert each.model == "fan"
        assert each.version == "v0001"
        assert (each.interval, each.price) == ("1d", forecast["price"])
        assert each.cutoff == forecast["cutoff"]
        assert each.last_close == forecast["last_close"]
        assert each.steps == [1, 5, 10]
        assert each.levels == list(LEVELS)
        steps = [forecast["steps"][step - 1] for step in each.steps]
        assert each.dates == [step["date"] for step in steps]
        moves = np.log([[step[f"q{level:g}"] for level in LEVELS] for step in steps])
        assert np.allclose(each.moves, moves - np.log(each.last_close), rtol=1e-4, atol=1e-12)
        assert each.lstmcli == __version__
        assert datetime.fromisoformat(each.issued).date() == datetime.now(UTC).date()
    metadata = json.loads((fresh / "data/models/fan/v0001/metadata.json").read_text())
    assert {each.weights for each in found} == {metadata["weights_sha256"][:16]}


def test_fingerprint_of_the_data_is_that_of_the_rows_seen(fresh: Path) -> None:
    record(fresh)
    lines = (fresh / "one.csv").read_text().splitlines(keepends=True)
    context_length = entries(fresh)[0].context_length
    assert context_length == 60
    # A fan rests on all rows, not on those of its window alone.
    for row in (-context_length, 1):
        changed = list(lines)
        changed[row] = changed[row].split(",")[0] + ",77.0\n"
        for text, same in ((changed, False), (lines, True)):
            (fresh / "one.csv").write_text("".join(text))
            record(fresh)
            found = [each.data for each in entries(fresh) if each.symbol == "one"]
            assert (found[-1] == found[0]) == same


def test_point_model_is_recorded_by_its_median_alone(home: Path) -> None:
    (home / "prices.csv").write_text(csv_text(walk(300), last_session()))
    outcome = succeed("predict", "--csv", "prices.csv", "--record", "--format", "json", folder=home)
    (found,) = entries(home)
    assert (found.levels, found.steps) == ([], [1, 5])
    (shown,) = json.loads(outcome.out)["forecasts"]
    expected = [np.log(shown["steps"][step - 1]["median"] / found.last_close) for step in (1, 5)]
    assert np.allclose([row[0] for row in found.moves], expected, rtol=1e-4)


def test_the_nearest_levels_replace_those_that_a_model_lacks() -> None:
    tenths = tuple(round(0.05 * k, 2) for k in range(1, 20))
    assert [tenths[k] for k in nearest_columns(tenths)] == [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    assert nearest_columns((0.1, 0.5, 0.9)) == [0, 1, 2]


def test_hindsight_is_not_recorded(fan_home: Path) -> None:
    outcome = record(fan_home, "--as-of", "2018-08-01")
    assert_one_error(outcome, 2, "--record --as-of", "hindsight")
    outcome = record(fan_home)  # the bars end in 2018
    assert outcome.code == 0
    assert outcome.err.splitlines()[-1] == (
        "lstmcli: not recorded, since the first session had already ended: one, two"
    )
    assert not (fan_home / "data/ledger").exists()


@pytest.mark.parametrize(("behind", "is_recorded"), [(0, True), (1, False)])
def test_forecast_counts_as_late_once_its_first_session_is_over(
    fan_home: Path, behind: int, is_recorded: bool
) -> None:
    days = sessions_of("XNYS")
    today = days[days < np.datetime64("2018-09-20")][-1]
    last = days[days < today][-1 - behind]
    (fan_home / "one.csv").write_text(csv_text(walk(ROWS), last))
    now = datetime.fromisoformat(f"{today}T12:00:00+00:00")
    source = Source(fan_home / "data", now.date(), csv=(str(fan_home / "one.csv"),))
    list(recorded(predict(source), fan_home / "data", now).forecasts)
    assert bool(entries(fan_home)) == is_recorded


@pytest.mark.parametrize("move", [np.nan, np.inf, 301.0])
def test_a_forecast_that_is_not_a_number_is_not_recorded(fresh: Path, move: float) -> None:
    report = predict(
        Source(fresh / "data", datetime.now(UTC).date(), csv=(str(fresh / "one.csv"),))
    )
    (each,) = report.forecasts
    broken = replace(each, forecast=Forecast(np.full((1, 10), move)))
    shown = recorded(replace(report, forecasts=(broken,)), fresh / "data", datetime.now(UTC))
    assert list(shown.forecasts) == [broken]
    assert report.warnings[-1] == "not recorded, since the forecast is not a usable number: one"
    assert entries(fresh) == []


def test_what_cannot_be_recorded_is_not_shown_either(fresh: Path) -> None:
    (fresh / "data/ledger").touch()
    outcome = record(fresh, "--format", "csv", "--output", "out.csv")
    assert_one_error(outcome, 1, "cannot write to the ledger")
    assert not (fresh / "out.csv").exists()
    assert record(fresh).out == ""


def test_an_incomplete_line_is_removed_and_reported_by_the_next_run(fresh: Path) -> None:
    record(fresh)
    (path,) = (fresh / "data/ledger").iterdir()
    os.truncate(path, path.stat().st_size - 7)
    assert "a killed run left a torn last line" in record(fresh).err
    assert [each.symbol for each in entries(fresh)] == ["one", "one", "two"]


ISSUED = ("evaluate", "--issued", *FILES)


@pytest.fixture(scope="module")
def issued(trained_fan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of forecasts, the last of them still to come in part; not to be changed."""
    folder = tmp_path_factory.mktemp("issued") / "home"
    shutil.copytree(trained_fan, folder)
    issue_daily(folder, sessions(ROWS)[-45:-5])
    return folder


@pytest.fixture
def issued_home(issued: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the same in it."""
    shutil.copytree(issued, tmp_path / "issued")
    return tmp_path / "issued"


def test_table_shows_counts_scores_and_verdicts(issued: Path) -> None:
    outcome = in_process(*ISSUED, "--details", folder=issued)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "Issued by fan/v0001: Close, 1d, steps 1, 5, 10"
    assert lines[2].split() == ["v0001", "80", "70", "10", "0", "0", "0"]
    assert "The next session to be graded is 2018-09-04." in outcome.out
    assert "Scores over steps 1, 5, 10, in % of the last price" in outcome.out
    assert "What the ranges held" in outcome.out
    shown = in_process(*ISSUED, folder=issued).out.splitlines()
    assert len(shown) <= 45
    assert "80 forecasts over steps 1, 5, 10" in shown
    assert "80 forecasts over step 1" in shown
    assert len([line for line in shown if line.startswith("Verdict  ")]) == 2
    assert len([line for line in shown if line.startswith("naive (no change)")]) == 2
    assert "on 4 dates that do not overlap, 2 symbols; a test needs 20." in " ".join(
        " ".join(shown).split()
    )


def test_rows_are_the_graded_forecasts_and_the_file_adds_the_baselines(issued_home: Path) -> None:
    options = ("--format", "csv", "--forecasts", "all.csv")
    outcome = in_process(*ISSUED, *options, folder=issued_home)
    rows = list(csv.DictReader(outcome.out.splitlines()))
    assert len(rows) == 80 * 3
    assert {row["model"] for row in rows} == {"fan/v0001"}
    every = list(csv.DictReader((issued_home / "all.csv").read_text().splitlines()))
    assert [row for row in every if row["model"] == "fan/v0001"] == rows
    assert {"naive", "drift", "gaussian_cone", "ewma_cone", "scaled_climatology"} < {
        row["model"] for row in every
    }
    some = ("--forecasts", "some.parquet", "--forecasts-of", "drift")
    succeed(*ISSUED, *some, folder=issued_home)
    drift = pd.read_parquet(issued_home / "some.parquet")
    assert drift["median"].tolist() == [
        float(row["median"]) for row in every if row["model"] == "drift"
    ]
    assert sum(row["actual"] == "" for row in rows) == 10


def test_nothing_graded_yet_is_a_table_with_a_header_and_no_error(fresh: Path) -> None:
    record(fresh)
    outcome = in_process(*ISSUED, folder=fresh)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Verdict" not in outcome.out
    rows = in_process(*ISSUED, "--format", "csv", "--forecasts", "all.csv", folder=fresh)
    assert rows.out == (
        "model,symbol,cutoff,step,date,last_close,actual,median,change,probability_of_rise,"
        "base_rate_of_rise,sigma,flat_low,flat_high,mase_scale,shown\n"
    )
    assert (fresh / "all.csv").read_text() == rows.out


def test_prices_come_from_the_store_where_no_file_is_named(issued_home: Path) -> None:
    succeed("data", "import", "one.csv", folder=issued_home)
    outcome = in_process("evaluate", "--issued", "--format", "json", folder=issued_home)
    assert outcome.code == 3
    assert "lstmcli: failed: TWO: no prices stored" in outcome.err
    (found,) = json.loads(outcome.out)["issued"]
    assert found["counts"]["left_out"] == {"no prices of the symbol": 40}
    only = in_process("evaluate", "--issued", "ONE", "--format", "json", folder=issued_home)
    assert (only.code, only.err) == (0, "")


def test_names_that_no_symbol_can_have_are_graded_from_files_alone(issued_home: Path) -> None:
    (issued_home / "my fund.csv").write_text((issued_home / "one.csv").read_text())
    issue_daily(issued_home, sessions(ROWS)[-45:-43], ["my fund"])
    for name in ("one", "two"):
        succeed("data", "import", f"{name}.csv", folder=issued_home)
    outcome = in_process("evaluate", "--issued", "--format", "json", folder=issued_home)
    assert outcome.code == 3
    assert "lstmcli: failed: my fund: " in outcome.err
    (found,) = json.loads(outcome.out)["issued"]
    assert found["counts"]["left_out"] == {"no prices of the symbol": 2}
    files = (*ISSUED, "--csv", "my fund.csv", "--format", "json")
    succeed(*files, folder=issued_home)


def test_damaged_line_is_named_and_does_not_fail_the_run(issued_home: Path) -> None:
    path = min((issued_home / "data/ledger").iterdir())
    raw = bytearray(path.read_bytes())
    raw[10] ^= 1
    path.write_bytes(raw)
    outcome = succeed(*ISSUED, "--format", "json", folder=issued_home)
    assert outcome.err == (
        f"lstmcli: data/ledger/{path.name} line 1 is left out: its checksum does not match\n"
    )
    assert json.loads(outcome.out)["issued"][0]["versions"] == {"v0001": 79}


@for_each(
    "option",
    [
        "--horizon 5", "--step-size 5", "--n-windows 5", "--refit 5", "--refit-window rolling",
        "--baselines gjr_garch", "--report a.html", "--plot -", "--audit", "--audit-epochs 1",
        "--device cpu", "--threads 1",
    ],
)  # fmt: skip
def test_options_without_effect_on_grading_are_refused(issued: Path, option: str) -> None:
    name, *value = option.split()
    assert_one_error(in_process(*ISSUED, name, *value, folder=issued), 2, f"({name})")


def test_options_that_the_environment_sets_for_all_commands_are_not_refused(
    issued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTMCLI_DEVICE", "cpu")
    monkeypatch.setenv("LSTMCLI_THREADS", "1")
    succeed(*ISSUED, folder=issued)


def test_empty_ledger_and_unknown_models_say_what_to_do(issued: Path, tmp_path: Path) -> None:
    empty = in_process("evaluate", "--issued", folder=tmp_path)
    assert_one_error(empty, 4, "no forecast was issued", "it is empty", "predict --record")
    other = in_process(*ISSUED, "--model", "fan/v0002", folder=issued)
    assert_one_error(other, 4, "no such forecast was issued", "fan/v0001")


def test_grading_needs_no_model_and_counts_no_look(issued_home: Path) -> None:
    shutil.rmtree(issued_home / "data/models")
    succeed(*ISSUED, folder=issued_home)
    assert not (issued_home / "data/models").exists()
