"""`lstmcli train`: which settings hold, what is kept, and who becomes champion."""

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli import __version__
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)

WEIGHTS = "model.safetensors"


def train(home: Path, *options: object, **rest: Any) -> Outcome:
    return in_process("train", *options, folder=home, **rest)


def kept(home: Path, *options: object, **rest: Any) -> Path:
    """Train and return the folder of the new version."""
    outcome = train(home, "--format", "json", *options, **rest)
    assert outcome.code == 0, outcome.err
    return home / str(json.loads(outcome.out)["path"])


def setting(folder: Path, section: str, key: str) -> Any:
    return tomllib.loads((folder / "config.toml").read_text())[section][key]


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    return found


def test_version_holds_its_four_files_and_nothing_else_appears(home: Path) -> None:
    before = hashes(home)
    folder = kept(home, "--config", "tiny.toml", "--promote", "never")
    assert folder == home / "data/models/tiny/v0002"
    files = ["config.toml", "history.csv", "metadata.json", WEIGHTS]
    assert sorted(path.name for path in folder.iterdir()) == files
    after = hashes(home)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + len(files)


def test_metadata_says_where_the_version_came_from(home: Path) -> None:
    found = metadata(home / "data/models/tiny/v0001")
    assert found["schema_version"] == 1
    assert (found["lstmcli_version"], found["torch_version"]) == (__version__, torch.__version__)
    assert (found["seed"], found["threads"], found["device"]) == (0, 1, "cpu")
    days = sessions(300)
    (symbol,) = found["data"]["symbols"]
    span = {"first": days[0], "last": days[-1]}
    assert symbol == {"symbol": "prices", "price": "Close", "rows": 300, **span}
    assert len(found["data"]["fingerprint"]) == 64
    # 255 rows are fitted on, 38 of them validate; cutoffs start at row 9; 5 are purged twice.
    assert found["windows"] == {"rows": 300, "train": 203, "validation": 33, "test": 40}
    assert found["split"]["validation_start"] == days[217]
    assert days[254] < found["split"]["test_start"] <= days[255]
    assert found["split"]["purge"] == 5
    assert set(found["validation"]["models"]) == {
        "network", "naive", "drift", "scaled_climatology", "har", "always_up",
    }  # fmt: skip
    assert found["validation"]["models"]["network"]["rmse"] > 0
    assert found["duration_seconds"] > 0
    assert found["created"].endswith("+00:00")


def test_history_has_a_row_an_epoch(home: Path) -> None:
    folder = kept(home, "--config", "tiny.toml", "--set", "train.epochs=3")
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert metadata(folder)["epochs"] == {"run": 3, "best": int(best["epoch"])}
    assert metadata(folder)["validation_loss"] == float(best["validation_loss"])


def test_same_seed_gives_the_same_bytes_and_another_seed_others(home: Path) -> None:
    first = (home / "data/models/tiny/v0001" / WEIGHTS).read_bytes()
    again = kept(home, "--config", "tiny.toml", "--name", "again")
    other = kept(home, "--config", "tiny.toml", "--name", "other", "--seed", 1)
    assert (again / WEIGHTS).read_bytes() == first
    assert (other / WEIGHTS).read_bytes() != first
    assert metadata(other)["seed"] == 1


def test_config_of_a_version_is_enough_to_repeat_it(home: Path, tmp_path: Path) -> None:
    options = ("--csv", "X=prices.csv", "--seed", 3, "--set", "window.scaling=relative")
    first = kept(home, "--config", "tiny.toml", *options)
    again = kept(tmp_path, "--config", first / "config.toml", "--name", "again")
    for file in (WEIGHTS, "config.toml"):
        assert (again / file).read_bytes() == (first / file).read_bytes()
    assert metadata(again)["data"] == metadata(first)["data"]


def test_recipe_that_ships_works_by_name_outside_a_clone(tmp_path: Path) -> None:
    small = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[2]", "--quiet")
    folder = kept(tmp_path, "--config", "wine", *small)
    assert folder == tmp_path / "data/models/wine/v0001"
    found = document_of(tmp_path, "predict")
    dates = [step["date"] for step in found["forecasts"][0]["steps"]]
    assert dates == [f"1994-{month:02}-01" for month in range(9, 13)] + [
        f"1995-{month:02}-01" for month in range(1, 9)
    ]


ENVIRONMENT = {"LSTMCLI_SEED": "5", "LSTMCLI_DEVICE": "auto"}


@pytest.mark.parametrize(
    ("options", "env", "seed"),
    [
        ((), {}, 7),
        ((), ENVIRONMENT, 5),
        (("--seed", "3"), ENVIRONMENT, 3),
        (("--set", "train.seed=4"), ENVIRONMENT, 4),
        (("--set", "train.seed=4"), {}, 4),
    ],
)
def test_options_win_over_the_environment_and_that_over_the_recipe(
    home: Path, options: tuple[str, ...], env: dict[str, str], seed: int
) -> None:
    with (home / "tiny.toml").open("a") as recipe:
        recipe.write("seed = 7\n")
    folder = kept(home, *options, env={**env, "LSTMCLI_CONFIG": "tiny.toml"})
    assert setting(folder, "train", "seed") == seed
    assert setting(folder, "train", "device") == ("auto" if env else "cpu")


def test_format_is_taken_from_the_environment(home: Path) -> None:
    env = {"LSTMCLI_FORMAT": "json"}
    assert json.loads(train(home, "-c", "tiny.toml", env=env).out)["command"] == "train"
    assert train(home, "-c", "tiny.toml", "--format", "csv", env=env).out.startswith("epoch,loss")
    outcome = train(home, "-c", "tiny.toml", env={"LSTMCLI_FORMAT": "xml"})
    assert_one_error(outcome, 2, "LSTMCLI_FORMAT")


def champion(home: Path) -> str:
    return (home / "data/models/tiny/champion").read_text().splitlines()[0]


def decision(home: Path, *options: str) -> dict[str, Any]:
    outcome = train(home, "--config", "tiny.toml", "--format", "json", *options)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_first_version_becomes_champion_unless_told_never(home: Path) -> None:
    assert champion(home) == "v0001"
    assert decision(home, "--name", "unsure", "--promote", "never")["promoted"] is False
    assert not (home / "data/models/unsure/champion").exists()
    assert_one_error(in_process("predict", "-m", "unsure", folder=home), 4, "no champion")
    succeed("predict", "-m", "unsure/v0001", folder=home)


def test_equal_version_is_not_better(home: Path) -> None:
    found = decision(home)
    assert (found["promoted"], champion(home)) == (False, "v0001")
    assert "RMSE of steps 1 to 5" in found["why"]
    assert "on 40 cutoffs (8 independent): the two losses differ by the same amount" in found["why"]
    compared = found["metadata"]["decision"]["comparison"]
    assert (compared["p"], compared["level"], compared["n_independent"]) == (None, 0.01, 8)
    assert compared["challenger"] == compared["champion"]


def test_better_version_becomes_champion(home: Path) -> None:
    decision(home, "--set", "window.scaling=relative", "--set", "train.learning_rate=1",
             "--name", "bad")  # fmt: skip
    found = decision(home, "--name", "bad")
    assert found["promoted"] is True
    compared = found["metadata"]["decision"]["comparison"]
    assert (compared["loss"], compared["steps"], compared["symbols"]) == ("rmse", 5, 1)
    assert compared["challenger"] < compared["champion"]
    assert compared["p"] < 0.01
    assert "better at the 1 % level" in found["why"]
    assert (home / "data/models/bad/champion").read_text() == "v0002\nv0001\n"


def test_level_of_the_comparison_can_be_set(home: Path) -> None:
    compared = decision(home, "--seed", "1", "--promote-level", "0.2")["metadata"]["decision"]
    assert compared["comparison"]["level"] == 0.2
    assert compared["promoted"] == (compared["comparison"]["p"] < 0.2)
    assert "better at the 20 % level" in compared["why"]
    outcome = train(home, "--config", "tiny.toml", "--promote-level", "0.7")
    assert_one_error(outcome, 2, "--promote-level", "0.2")


@pytest.mark.parametrize(("promote", "expected"), [("always", "v0002"), ("never", "v0001")])
def test_promotion_can_be_forced_or_forbidden(home: Path, promote: str, expected: str) -> None:
    found = decision(home, "--promote", promote)
    assert champion(home) == expected
    assert found["promoted"] == (promote == "always")


def test_symbols_train_together_and_a_short_one_fails_alone(home: Path) -> None:
    (home / "a.csv").write_text(csv_text(walk(200, 1)))
    (home / "b.csv").write_text(csv_text(walk(200, 2)))
    (home / "c.csv").write_text(csv_text(walk(12, 3)))
    files = ("--csv", "a.csv", "--csv", "b.csv", "--csv", "c.csv", "--csv", "absent.csv")
    outcome = train(home, "--config", "tiny.toml", "--name", "many", "--format", "json", *files)
    assert outcome.code == 3, outcome.err
    found = json.loads(outcome.out)
    trained = [each["symbol"] for each in found["metadata"]["data"]["symbols"]]
    assert trained == ["a", "b"]
    assert [each["symbol"] for each in found["failures"]] == ["absent.csv", "c"]
    assert outcome.err.splitlines()[-1] == "lstmcli: error: 2 of 4 symbols failed: see above"


def test_failure_leaves_no_trace_of_a_name(home: Path) -> None:
    before = sorted(home.rglob("*"))
    assert train(home, "--config", "tiny.toml", "--name", "x", "--csv", "absent.csv").code == 2
    assert sorted(home.rglob("*")) == before


def test_table_names_the_model_its_place_and_its_worth(home: Path) -> None:
    text = train(home, "--config", "tiny.toml", "--promote", "never").out
    for words in (
        "Trained tiny/v0002",
        "203 train, 33 validate, 40 kept for evaluate",
        "naive",
        "drift",
        "on 7 windows",
        "Not in use: --promote never.",
    ):
        assert words in text
