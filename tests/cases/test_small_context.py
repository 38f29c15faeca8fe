"""A context shorter than the default, and the dates of a recipe used with other data."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from lstmcli.config import Settings, check_settings
from lstmcli.errors import UsageError
from lstmcli.learning.search import with_values
from lstmcli.recipes import load_settings
from tests.command_line import assert_one_error, csv_text, in_process, succeed, walk
from tests.rows import for_each

QUICK = ("--set=train.epochs=1", "--set=model.hidden_sizes=[4]", "--set=window.horizon=10")


def train(folder: Path, *options: str) -> dict[str, Any]:
    """Train on another file and return the settings stored in the version."""
    succeed("train", "--csv", "B=daily.csv", *QUICK, *options, folder=folder)
    (kept,) = folder.glob("data/models/*/v0001/config.toml")
    return tomllib.loads(kept.read_text(encoding="utf-8"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "daily.csv").write_text(csv_text(walk(700)))
    return tmp_path


def test_a_context_of_60_trains_without_any_other_setting(home: Path) -> None:
    kept = train(home, "--set=window.context_length=60")
    assert kept["train"]["burn_in"] == 30
    assert kept["train"]["chunk_length"] == 192


def test_an_explicit_burn_in_that_does_not_fit_names_the_value_to_pass(home: Path) -> None:
    options = ("--set=window.context_length=60", "--set=train.burn_in=64")
    done = in_process("train", "--csv", "B=daily.csv", *options, folder=home)
    advice = (
        "found 64; pass train.burn_in=30, or an empty one (--set train.burn_in=) for the default"
    )
    assert_one_error(done, 2, advice)
    kept = train(home, *options, "--set", "train.burn_in=")
    assert kept["train"]["burn_in"] == 30


def test_a_start_model_keeps_its_burn_in_unless_an_empty_one_is_passed(home: Path) -> None:
    train(home, "--name=long", "--set=window.context_length=128")
    options = (
        "train",
        "--csv",
        "B=daily.csv",
        *QUICK,
        "--from=long",
        "--set=train.chunk_length=60",
    )
    assert_one_error(in_process(*options, folder=home), 2, "--set train.burn_in=")
    succeed(*options, "--set", "train.burn_in=", folder=home)
    kept = tomllib.loads((home / "data/models/b/v0001/config.toml").read_text())
    assert kept["train"]["burn_in"] == 30


@for_each(
    ("context", "chunk", "burn_in"),
    [(250, 192, 64), (128, 192, 64), (100, 192, 50), (40, 192, 20), (250, 60, 30), (250, 30, 20)],
)
def test_an_unset_burn_in_is_at_most_half_of_context_and_chunk(
    context: int, chunk: int, burn_in: int
) -> None:
    tree = {"window": {"context_length": context}, "train": {"chunk_length": chunk}}
    assert check_settings(tree, where="test").train.burn_in == burn_in


@pytest.mark.parametrize("burn_in", ["", None])
def test_an_empty_burn_in_is_unset(burn_in: str | None) -> None:
    tree = {"window": {"context_length": 60}, "train": {"burn_in": burn_in}}
    assert check_settings(tree, where="test").train.burn_in == 30


def test_a_chunk_too_short_for_any_burn_in_names_the_value_to_pass() -> None:
    with pytest.raises(UsageError, match=r"pass train.chunk_length=40 or more"):
        check_settings({"train": {"chunk_length": 20}}, where="test")


def test_a_searched_context_changes_an_unset_burn_in_but_not_an_explicit_one() -> None:
    longer, shorter = ({"window.context_length": length} for length in (250, 60))
    found = with_values(Settings(), shorter, where="test")
    assert found.train.burn_in == 30
    assert with_values(found, longer, where="test").train.burn_in == 64
    own = check_settings({"train": {"burn_in": 40}}, where="test")
    assert with_values(own, shorter, where="test").train.burn_in == 40


def test_other_data_drop_the_recipes_dates_but_not_those_of_set() -> None:
    of_the_recipe = load_settings("lab-corrected")
    assert of_the_recipe.split.train_end
    own = load_settings("lab-corrected", own_data=True)
    dates = (own.data.start, own.data.end, own.split.train_end, own.evaluate.start)
    assert dates == (None, None, None, None)
    assert own.evaluate.step_size == of_the_recipe.evaluate.step_size
    ends = ["split.train_end=2017-01-03", "data.start=2016-01-04"]
    kept = load_settings("lab-corrected", ends, own_data=True)
    assert (str(kept.split.train_end), str(kept.data.start)) == ("2017-01-03", "2016-01-04")


def test_a_recipe_with_dates_trains_on_a_file_that_begins_after_them(home: Path) -> None:
    (home / "dated.toml").write_text(
        "[data]\nstart = 1990-01-02\nend = 1999-12-31\n[split]\ntrain_end = 1998-01-05\n"
        "[evaluate]\nstart = 1998-01-06\n[window]\ncontext_length = 60\n"
    )
    kept = train(home, "--config=dated.toml", "--set=data.start=2016-01-04")
    assert str(kept["data"]["start"]) == "2016-01-04"
    assert kept["data"]["end"] == kept["split"]["train_end"] == kept["evaluate"]["start"] == ""
    succeed("evaluate", "--model", "b", folder=home)


def test_evaluate_on_other_data_ignores_the_dates_of_the_models_recipe(home: Path) -> None:
    (home / "dated.toml").write_text(
        '[data]\ncsv = ["daily.csv"]\n[evaluate]\nend = 1998-01-06\n[window]\ncontext_length = 60\n'
    )
    succeed("train", "--config", "dated.toml", *QUICK, folder=home)
    own = in_process("evaluate", "--model", "dated", folder=home)
    assert_one_error(own, 4, "no window to evaluate")
    succeed("evaluate", "--model", "dated", "--csv", "C=daily.csv", folder=home)
