"""Forecasts as of days in the training data, or after the end of the data."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.runs.evidence import hindsight
from lstmcli.runs.metadata import Metadata
from tests.command_line import TINY, Outcome, assert_one_error, csv_text, in_process, sessions, walk
from tests.synthetic import version_facts

ROWS = 300
DAYS = sessions(ROWS)
LAST = round(0.85 * ROWS) - 1
LAST_FITTED = DAYS[LAST]


def run(folder: Path, *words: str) -> Outcome:
    return in_process(*words, folder=folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prices and a model of the first 85 % of them; not to be changed."""
    folder = tmp_path_factory.mktemp("hindsight")
    (folder / "daily.csv").write_text(csv_text(walk(ROWS)))
    done = run(folder, "train", "--csv", "B=daily.csv", "--name", "mine", *TINY)
    assert done.code == 0, done.err
    return folder


def forecast(home: Path, *options: str) -> dict[str, Any]:
    done = run(home, "predict", "--model", "mine", "--format", "json", *options)
    assert done.code == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return {**document, **document["forecasts"][0], "err": done.err}


def split_of(home: Path) -> dict[str, Any]:
    text = (home / "data/models/mine/v0001/metadata.json").read_text(encoding="utf-8")
    split: dict[str, Any] = json.loads(text)["split"]
    return split


def test_the_metadata_store_the_last_fitted_day(home: Path) -> None:
    assert split_of(home)["trained_until"] == LAST_FITTED


def test_a_cutoff_among_the_fitted_rows_is_hindsight_in_json_table_and_csv(home: Path) -> None:
    day = DAYS[150]
    found = forecast(home, "--as-of", day)
    assert found["in_training"] is True
    assert found["trained_until"] == LAST_FITTED
    (warning,) = found["warnings"]
    assert f"hindsight: the model was fitted on rows up to {LAST_FITTED}" in warning
    assert split_of(home)["validation_start"] in warning
    assert warning in found["err"]
    table = run(home, "predict", "--model", "mine", "--as-of", day).out
    assert "Hindsight" in table
    assert LAST_FITTED in table
    text = run(home, "predict", "--model", "mine", "--as-of", day, "--format", "csv").out
    assert {row["in_training"] for row in csv.DictReader(io.StringIO(text))} == {"True"}


@pytest.mark.parametrize(("row", "known"), [(LAST - 1, True), (LAST, False), (LAST + 9, False)])
def test_only_a_cutoff_before_the_last_fitted_row_is_hindsight(
    home: Path, row: int, known: bool
) -> None:
    found = forecast(home, "--as-of", DAYS[row])
    assert found["in_training"] is known
    assert bool(found["warnings"]) is known


def test_validation_rows_count_since_they_chose_the_epoch(home: Path) -> None:
    day = split_of(home)["validation_start"]
    assert forecast(home, "--as-of", day)["in_training"] is True


def test_other_prices_that_end_earlier_are_hindsight_even_without_as_of(home: Path) -> None:
    (home / "old.csv").write_text(csv_text(walk(60, seed=2), np.datetime64(DAYS[100])))
    found = forecast(home, "--csv", "C=old.csv", "--max-data-age", "99999")
    assert found["in_training"] is True


def test_the_warning_for_many_symbols_is_one_line(home: Path) -> None:
    text = csv_text(walk(ROWS)).splitlines()
    wide = ["Date,A1,A2,A3", *(f"{line},{line.split(',')[1]},50" for line in text[1:])]
    (home / "wide.csv").write_text("\n".join(wide) + "\n")
    found = forecast(home, "--csv", "wide.csv", "--as-of", DAYS[150])
    (line,) = [line for line in found["err"].splitlines() if "hindsight" in line]
    assert line.startswith("lstmcli: A1, A2, A3: hindsight")


def test_a_day_after_today_is_refused(home: Path) -> None:
    tomorrow = str(datetime.now(UTC).date() + timedelta(days=1))
    done = run(home, "predict", "--model", "mine", "--as-of", tomorrow)
    assert_one_error(done, 2, "a future day", tomorrow)


@pytest.mark.parametrize(("day", "code"), [("2018-09-10", 0), ("2018-09-11", 4)])
def test_more_than_five_sessions_after_the_last_bar_is_refused(
    home: Path, day: str, code: int
) -> None:
    done = run(home, "predict", "--model", "mine", "--as-of", day)
    assert done.code == code  # 2018-09-03 was Labor Day
    if code:
        assert_one_error(done, 4, "no bar near 2018-09-11 (B in", "2018-08-31, is 6 sessions")


def test_a_day_within_a_hole_is_refused_too(home: Path) -> None:
    lines = csv_text(walk(ROWS)).splitlines(keepends=True)
    (home / "hole.csv").write_text("".join(lines[:200] + lines[240:]))
    done = run(home, "predict", "--model", "mine", "--csv", "H=hole.csv", "--as-of", DAYS[220])
    assert_one_error(done, 4, f"no bar near {DAYS[220]}")


def test_in_a_batch_only_the_symbol_whose_bars_end_earlier_fails(home: Path) -> None:
    (home / "ended.csv").write_text(csv_text(walk(60, seed=3), np.datetime64(DAYS[-30])))
    files = ("--csv", "B=daily.csv", "--csv", "E=ended.csv")
    done = run(home, "predict", "--model", "mine", "--as-of", DAYS[-2], *files, "--format", "json")
    assert done.code == 3
    found = json.loads(done.out)
    assert [each["symbol"] for each in found["forecasts"]] == ["B"]
    assert [each["symbol"] for each in found["failures"]] == ["E"]


def test_evaluate_within_the_training_span_says_so_in_every_format(home: Path) -> None:
    words = ("evaluate", "--model", "mine", "--start", DAYS[200])
    document = json.loads(run(home, *words, "--format", "json").out)
    (verdict,) = document["verdicts"].values()
    count, windows = document["fitted_cutoffs"], len(document["forecasts"])
    said = f"Hindsight: {count} of {windows} windows start before {LAST_FITTED}"
    assert verdict.startswith(said)
    assert 0 < count < windows
    last = document["scores"]["models"]["mine/v0001"]["direction"][-1]
    assert last["two_way"]["test"]["n"] == windows - count
    assert last["two_way"]["n_windows"] == windows
    table = run(home, *words)
    assert f"  {said}" in table.out
    rows = list(csv.DictReader(io.StringIO(run(home, *words, "--format", "csv").out)))
    early = [row for row in rows if row["in_training"] == "True"]
    assert len(early) == count
    assert all((row["cutoff"] < LAST_FITTED) == (row in early) for row in rows)


def test_windows_not_shown_decide_if_all_shown_ones_have_fitted_rows(home: Path) -> None:
    words = ("evaluate", "--model", "mine", "--start", DAYS[LAST - 1], "--end", DAYS[LAST + 2])
    done = run(home, *words, "--format", "json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["fitted_cutoffs"] == len(document["forecasts"]) == 1
    # Only the three windows that start later decide; they are not shown.
    assert document["scores"]["n_deciding"] == 3
    two_way = document["scores"]["models"]["mine/v0001"]["direction"][-1]["two_way"]
    assert (two_way["n_windows"], two_way["n_independent"]) == (1, 0)


def test_a_model_that_starts_from_another_has_learned_from_its_rows_too(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "young.csv").write_text(csv_text(walk(120, seed=4), np.datetime64(DAYS[200])))
    model = str(home / "data/models/mine/v0001")
    done = run(tmp_path, "train", "--from", model, "--csv", "Y=young.csv", "--format", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metadata"]["split"]["trained_until"] == LAST_FITTED


def test_a_version_from_before_the_key_was_trained_until_the_day_before_its_test_span() -> None:
    split = {"test_start": "2020-03-02", "validation_start": None}
    old = Metadata.of(version_facts(split=split))
    assert str(old.trained_until) == "2020-03-01"
    assert hindsight(old, np.datetime64("2020-03-01")) is None
    said = hindsight(old, np.datetime64("2020-02-28"))
    assert said == "hindsight: the model was fitted on rows up to 2020-03-01, after this cutoff"
