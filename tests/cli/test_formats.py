"""The formats that users script against: JSON, JSON lines, CSV and Parquet of every command."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command_line import in_process, read_exactly, succeed

COMMANDS = {
    "train": ("train", "--config", "tiny.toml", "--promote", "never"),
    "predict": ("predict", "--as-of", "2018-08-28"),
    "evaluate": ("evaluate",),
}
COLUMNS = {
    "train": "epoch loss validation_loss learning_rate gradient_norm seconds best member clipped "
    "gradient_kept phase gradient_norm_layer1 gradient_norm_head",
    "predict": "model symbol cutoff step date last_close actual median change probability_of_rise "
    "base_rate_of_rise sigma flat_low flat_high mase_scale in_training",
    "evaluate": "model symbol cutoff date last_close predicted actual predicted_trend "
    "actual_trend trend_hit direction_hit unchanged in_training",
}
KEYS = {
    "train": "model path unchanged promoted why metadata notes failures",
    "predict": "model horizon trained_prices trained_until stale validation forecasts "
    "notes failures models",
    "evaluate": "summary models price horizon step_size test_start trained_until fitted_cutoffs "
    "refits looks split_method windows verdicts tuning scores forecasts notes failures",
}


def output(home: Path, command: str, form: str) -> str:
    outcome = succeed(*COMMANDS[command], "--format", form, folder=home)
    return outcome.out


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_one_object_with_its_schema_version(home: Path, command: str) -> None:
    found = json.loads(output(home, command, "json"), parse_constant=refuse)
    assert (found["schema_version"], found["command"]) == (1, command)
    assert set(found) == {"schema_version", "command", *KEYS[command].split()}


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_csv_json_lines_and_parquet_hold_the_same_rows(home: Path, command: str) -> None:
    table = read_exactly(output(home, command, "csv"))
    assert list(table.columns) == COLUMNS[command].split()
    lines = [json.loads(line) for line in output(home, command, "jsonl").splitlines()]
    succeed(*COMMANDS[command], "--format", "parquet", "-o", "rows.parquet", folder=home)
    parquet = pd.read_parquet(home / "rows.parquet")
    if command == "predict":
        more = [(line.pop("price"), line.pop("trained_on")) for line in lines]
        assert set(more) == {("Close", True)}
        assert all(line.pop("price_as_trained") for line in lines)
    for other in (pd.DataFrame(lines), parquet):
        assert list(other.columns) == list(table.columns)
        for column in table:
            if table[column].dtype == np.float64:
                np.testing.assert_array_equal(other[column].astype(float), table[column])
            else:
                assert other[column].tolist() == table[column].tolist()


def test_epochs_of_training_are_its_rows(home: Path) -> None:
    table = pd.read_csv(io.StringIO(output(home, "train", "csv")))
    assert list(table.columns) == COLUMNS["train"].split()
    assert table["epoch"].tolist() == [1, 2]


def test_forecast_of_the_future_has_empty_numbers_for_what_has_not_happened(home: Path) -> None:
    text = in_process("predict", "--format", "csv", folder=home).out
    assert all(line.split(",")[6] == "" for line in text.splitlines()[1:])
    succeed("predict", "--format", "parquet", "-o", "p", folder=home)
    actual = pd.read_parquet(home / "p")["actual"]
    assert actual.dtype == np.float64
    assert actual.isna().all()
    lines = in_process("predict", "--format", "jsonl", folder=home).out.splitlines()
    assert all(json.loads(line)["actual"] is None for line in lines)


def test_csv_keeps_every_digit(home: Path) -> None:
    """What is read back is the very number: the fields of JSON and CSV are the same text."""
    rows = output(home, "predict", "csv").splitlines()[1:]
    steps = json.loads(output(home, "predict", "json"))["forecasts"][0]["steps"]
    for row, step in zip(rows, steps, strict=True):
        median = row.split(",")[7]
        assert float(median) == step["median"]
        assert not math.isclose(float(median), round(float(median), 6), rel_tol=1e-12)


def test_steps_of_the_json_hold_the_fields_of_the_long_table(home: Path) -> None:
    forecast = json.loads(output(home, "predict", "json"))["forecasts"][0]
    step = forecast["steps"][0]
    assert {*forecast, *step} >= set(COLUMNS["predict"].split())
    assert forecast["price"] == "Close"
    assert forecast["trained_on"] is True


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("r.csv", "csv"), ("r.JSON", "json"), ("r.jsonl", "jsonl"), ("r.parquet", "parquet")),
        *(("r.txt", "table"), ("r", "table")),
    ],
)
def test_a_file_has_the_format_of_its_suffix_and_is_named(home: Path, name: str, form: str) -> None:
    done = in_process(*COMMANDS["predict"], "--output", name, folder=home)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"lstmcli: wrote {name} ({form})"
    asked = ("--format", form, "--output", "asked", "--quiet")
    done = in_process(*COMMANDS["predict"], *asked, folder=home)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (home / name).read_bytes() == (home / "asked").read_bytes()


def test_a_format_that_is_asked_for_wins_over_the_suffix(home: Path) -> None:
    for env, option in (({"LSTMCLI_FORMAT": "json"}, ()), ({}, ("--format", "json"))):
        succeed("predict", *option, "-o", "r.csv", folder=home, env=env)
        assert json.loads((home / "r.csv").read_text())["command"] == "predict"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("train --config tiny.toml --seed 1 --promote never", False),
        ("data import prices.csv", False),
        ("data list", False),
        ("data check", False),
        ("data show prices", False),
        ("models list", False),
        ("models promote tiny/v0001", False),
        ("models prune tiny --keep 1", False),
        ("predict", True),
        ("evaluate", True),
        ("models list --json", True),
    ],
)
def test_quiet_keeps_the_results_of_predict_and_evaluate(
    home: Path, command: str, result: bool
) -> None:
    succeed("data", "import", "prices.csv", folder=home)
    done = in_process(*command.split(), "--quiet", folder=home)
    assert (done.code, done.err) == (0, "")
    assert bool(done.out) == result


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--csv", "own.csv", "--output", "own.csv"], "--csv own.csv reads it"),
        (["--csv", "A=own.csv", "--errors", "./own.csv"], "--csv A=own.csv reads it"),
        (["--csv", "own.csv", "--output", "link.csv"], "--csv own.csv reads it"),
        (["--csv", "tables", "--output", "tables/own.csv"], "--csv tables reads it"),
        (["--symbols-file", "own.csv", "--plot", "own.csv"], "--symbols-file own.csv reads it"),
        (["--output", "data/prices/1d/A.csv"], "data/prices is for what lstmcli stores"),
        (["--output", "new.csv", "--errors", "new.csv"], "--output writes it too"),
        (["--output", "new.jsonl", "--log-file", "new.jsonl"], "--log-file writes it too"),
    ],
    ids=str,
)
def test_no_output_replaces_an_input_or_another_output(
    home: Path, options: list[str], why: str
) -> None:
    (home / "tables").mkdir()
    text = (home / "prices.csv").read_bytes()
    for name in ("own.csv", "tables/own.csv"):
        (home / name).write_bytes(text)
    (home / "link.csv").symlink_to("own.csv")
    outcome = in_process("predict", *options, folder=home)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{why}. Name another file." in outcome.err
    assert (home / "own.csv").read_bytes() == text
    assert not (home / "new.csv").exists()


def test_a_device_takes_several_outputs(home: Path) -> None:
    succeed("predict", "--output", "/dev/null", "--errors", "/dev/null", folder=home)


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [
        ("--forecasts", "all.json", "found .json, expected .csv or .parquet"),
        ("--forecasts", "all.csv.gz", "found .gz, expected .csv or .parquet"),
        ("--errors", "failed.parquet", "found .parquet, expected .csv"),
    ],
)
def test_a_further_file_is_not_named_as_of_another_format(
    home: Path, option: str, name: str, expected: str
) -> None:
    outcome = in_process("evaluate", option, name, folder=home)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"({option} {name}): {expected}." in outcome.err
    assert not (home / name).exists()
