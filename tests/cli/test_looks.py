"""Looks at a test span: how they are counted, kept and reported."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lstmcli.files.locks import hold
from lstmcli.runs import looks
from tests.command_line import Outcome, csv_text, document_of, sessions, succeed, walk, words_of

DAYS = sessions(300)
ONCE = {"models": 1, "looks": 1, "by": {"evaluate": 1}, "at_least": False}
WARNING = "If those results guided your choices, expect worse on new data."


def run(home: Path, *arguments: object) -> Outcome:
    return succeed(*arguments, folder=home)


def looked(home: Path, *options: object) -> Any:
    """Evaluate; returns what the JSON says of looks."""
    return document_of(home, "evaluate", *options)["looks"]


def train(home: Path, *options: object) -> Outcome:
    """Train one more version, of other weights."""
    seed = ("--set", "train.seed=7")
    return run(home, "train", "--config", "tiny.toml", *seed, *options)


def test_formats_and_further_files_of_one_result_are_one_look(home: Path) -> None:
    text = run(home, "evaluate").out
    run(home, "evaluate", "--format", "csv", "--report", "page.html", "--forecasts", "long.csv")
    assert looked(home) == ONCE
    (found,) = json.loads((home / "data/looks.json").read_text())["looks"]
    assert date.fromisoformat(found["first"]) < date.fromisoformat(found["last"])
    assert found["name"] == "tiny/v0001"
    assert looked(home, "--horizon", 2) == {**ONCE, "looks": 2}
    text += run(home, "evaluate", "--step-size", 1).out
    assert WARNING not in text + (home / "page.html").read_text()


def test_the_second_model_is_named_in_plain_words_and_two_at_once_are_two(home: Path) -> None:
    assert WARNING not in train(home, "--promote", "always").err
    found = looked(home, "--model", "tiny/v0001", "--model", "tiny/v0002")
    assert found == {**ONCE, "models": 2, "looks": 2, "by": {"evaluate": 2}}
    text = run(home, "evaluate", "--report", "page.html").out
    said = f"You have evaluated 2 models on this period (2 by evaluate). {WARNING}"
    assert said in words_of(text)
    assert said in (home / "page.html").read_text()


@pytest.mark.parametrize("how", ["column", "split", "copy"])
def test_what_does_not_reset_the_looks(home: Path, how: str) -> None:
    """Another column of another file under another name, another split, a copy of the folder."""
    run(home, "evaluate")
    if how == "split":
        train(home, "--promote", "always", "--set", "split.train_fraction=0.9")
    elif how == "column":
        rows = [line.split(",") for line in (home / "prices.csv").read_text().splitlines()[1:]]
        lines = [f"{day},{price},{0.9 * float(price)}\n" for day, price in rows]
        (home / "renamed.csv").write_text("Date,Close,Adj Close\n" + "".join(lines))
        train(home, "--csv", "renamed.csv", "--name", "other")
    else:
        shutil.copytree(home / "data/models/tiny", home / "data/models/other")
    found = looked(home, "--model", "tiny" if how == "split" else "other")
    assert found["models"] == (1 if how == "copy" else 2)


def test_training_on_other_prices_shares_no_looks(home: Path) -> None:
    run(home, "evaluate")
    (home / "new.csv").write_text(csv_text(walk(300, seed=5)))
    train(home, "--csv", "new.csv", "--name", "other")
    assert looked(home, "--model", "other") == ONCE


def test_the_comparison_of_train_and_of_promote_counts_and_says_so(home: Path) -> None:
    said = f"You have evaluated 2 models on this period (2 by train). {WARNING}"
    assert said in train(home).err
    found = looked(home, "--model", "tiny/v0001")
    assert found == {**ONCE, "models": 2, "looks": 3, "by": {"evaluate": 1, "train": 1}}
    third = train(home, "--set", "train.seed=9", "--promote", "never")
    assert WARNING not in third.err
    (home / "data/looks.json").unlink()
    (home / "data/models/.looks").unlink()
    done = run(home, "models", "promote", "tiny/v0003", "--if-better")
    assert "evaluated 2 models on this period (2 by models promote)" in done.err
    before = (home / "data/looks.json").read_bytes()
    run(home, "models", "promote", "tiny/v0003")
    assert (home / "data/looks.json").read_bytes() == before


def test_forecasts_shown_with_what_happened_count(home: Path) -> None:
    for day in (DAYS[-1], DAYS[200]):
        run(home, "predict", "--as-of", day)
    run(home, "predict")
    assert not (home / "data/looks.json").exists()
    run(home, "predict", "--as-of", DAYS[280])
    run(home, "predict", "--as-of", DAYS[280], "--format", "json")
    found = json.loads((home / "data/looks.json").read_text())["looks"]
    assert [(each["by"], each["first"], each["last"]) for each in found] == [
        ("predict", DAYS[280], DAYS[285])
    ]
    train(home, "--promote", "always")
    found = looked(home)
    assert found == {**ONCE, "models": 2, "looks": 2, "by": {"evaluate": 1, "predict": 1}}
    again = run(home, "predict", "--model", "tiny/v0001", "--as-of", DAYS[285], "--format", "csv")
    assert "evaluated 2 models on this period (1 by evaluate, 1 by predict)" in again.err


def test_cutoffs_before_the_test_span_are_no_look(home: Path) -> None:
    assert looked(home, "--start", DAYS[200], "--end", DAYS[240]) is None
    assert not (home / "data/looks.json").exists()
    # Refits forecast those days without having seen them.
    assert looked(home, "--start", DAYS[200], "--end", DAYS[240], "--refit", 4) == ONCE


def test_a_look_that_cannot_be_counted_is_reported_and_harms_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "_WAIT", 0.01)
    with hold(home / "data/models/tiny/.lock"):
        assert looked(home) == ONCE  # also while a training is at work
    with hold(home / "data/.looks.lock"):
        outcome = run(home, "evaluate", "--format", "json")
        assert "this look at the test span was not counted: another run" in outcome.err
        assert json.loads(outcome.out)["looks"] is None
        assert "was not counted" in train(home).err
        assert "was not counted" in run(home, "predict", "--as-of", DAYS[280]).err
    path = home / "data/looks.json"
    path.write_bytes(path.read_bytes()[:50])
    assert "looks.json was deleted or damaged" in run(home, "evaluate").err
    assert (home / "data/looks.json.damaged").exists()
    path.unlink()
    path.mkdir()
    assert "was not counted: cannot read the file" in run(home, "evaluate").err


def test_a_model_elsewhere_is_counted_where_the_data_lie(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "data/models/tiny/v0001", tmp_path / "else/v0001")
    assert looked(home, "--model", str(tmp_path / "else/v0001")) == ONCE
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["v0001"]
    assert looked(home) == ONCE
