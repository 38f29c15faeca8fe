"""`lstmcli train --from`: a new listing from end to end, whose settings hold, what is refused."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    in_process,
    walk,
)


@pytest.fixture
def listing(fan_home: Path) -> Path:
    """A folder with a model of two symbols and eighty bars of a third."""
    (fan_home / "new.csv").write_text(csv_text(walk(80, seed=3)))
    return fan_home


def train(home: Path, *options: object) -> Outcome:
    return in_process("train", *options, folder=home)


def report_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_a_new_listing_gets_a_model_that_forecasts_it(listing: Path) -> None:
    done = train(listing, "--csv", "new.csv", "--from", "fan", "--name", "new")
    assert done.code == 0, done.err
    told = "no validation part of its own; taken from fan/v0001: the number of passes"
    assert told in done.err
    assert "none: no window validates" in done.out
    assert "In use now: new/v0001, the first version." in done.out
    assert document_of(listing, "predict", "--csv", "new.csv", "-m", "new")["forecasts"]
    shown = in_process("models", "show", "new", folder=listing)
    assert "fan/v0001, learning rate 0.003" in shown.out


def test_the_settings_are_the_donors_unless_a_recipe_is_named(listing: Path) -> None:
    own = report_of(train(listing, "--from", "fan", "--set", "train.epochs=1", "--format", "json"))
    assert own["model"] == "fan/v0002"
    kept = tomllib.loads((listing / own["path"] / "config.toml").read_text())
    before = tomllib.loads((listing / "data/models/fan/v0001/config.toml").read_text())
    assert kept["train"].pop("epochs") == 1
    assert before["train"].pop("epochs") == 2
    assert kept == before
    assert own["metadata"]["from"]["model"] == "fan/v0001"
    (listing / "other.toml").write_text(
        (listing / "fan.toml").read_text().replace("horizon = 10", "horizon = 8")
    )
    options = ("--config", "other.toml", "--format", "json")
    other = report_of(train(listing, "--from", "fan/v0001", *options))
    assert other["model"] == "other/v0001"
    assert "the head is new: window.horizon 8, of the donor 10" in other["notes"]


def test_head_and_then_all_weights(listing: Path) -> None:
    path = listing / "data/models/fan/v0001"
    options = ("--freeze", "body", "--fine-tune-lr", "1e-5", "--name", "tuned", "--format", "json")
    found = report_of(train(listing, "--from", path, *options))["metadata"]["from"]
    assert (found["freeze"], found["learning_rates"]) == ("body", [0.003, 1e-5])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--freeze", "body"), ("nothing to fine-tune (--freeze)", "--from")),
        (("--fine-tune-lr", "1e-5"), ("nothing to fine-tune (--fine-tune-lr)",)),
    ],
)
def test_what_cannot_be_is_refused(
    listing: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_one_error(train(listing, "--csv", "one.csv", *options), 2, *words)


def test_a_donor_that_is_not_there_is_an_error(listing: Path) -> None:
    assert_one_error(train(listing, "--from", "nobody"), 4, "no such model (nobody)")
