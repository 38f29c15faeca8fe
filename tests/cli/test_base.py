"""The ready-made model `base`: used where there is none of one's own, and never changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from lstmcli.recipes import shipped_file
from tests.command_line import Outcome, assert_one_error, csv_text, in_process, walk

NOTE = "no model of your own: base, ready-made, trained on 21 US series up to 2018-01-16"
INDEX = f"SPX={shipped_file('data/sp500.csv')}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with bars of a share and nothing else."""
    (tmp_path / "share.csv").write_text(csv_text(walk(700)))
    return tmp_path


def run(folder: Path, *arguments: object) -> Outcome:
    return in_process(*arguments, folder=folder)


def document(folder: Path, *arguments: object) -> dict[str, Any]:
    done = run(folder, *arguments, "--format", "json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_predict_and_evaluate_take_it_where_there_is_no_other_and_say_so(home: Path) -> None:
    forecast = run(home, "predict", "--csv", "share.csv")
    assert (forecast.code, NOTE in forecast.err) == (0, True)
    assert "Forecast by base/v0001" in forecast.out
    scored = run(home, "evaluate", "--csv", INDEX)
    assert (scored.code, NOTE in scored.err) == (0, True)
    assert "base/v0001" in scored.out
    assert not (home / "data/models").exists()


def test_asked_for_by_name_it_says_nothing_of_the_user_s_own(home: Path) -> None:
    for reference in ("base", "base/v0001"):
        done = run(home, "predict", "--csv", "share.csv", "--model", reference)
        assert (done.code, "no model of your own" in done.err) == (0, False)


def test_without_data_of_the_user_s_it_forecasts_its_own(home: Path) -> None:
    assert len(document(home, "predict")["forecasts"]) == 21


def test_its_name_is_not_free(home: Path) -> None:
    for words in (
        ("train", "--csv", "share.csv", "--name", "base"),
        *(("models", verb, "base") for verb in ("promote", "rollback")),
        ("models", "promote", "base/v0001"),
        ("models", "prune", "base", "--keep", "1"),
    ):
        assert_one_error(run(home, *words), 2, "(base)", "the shipped model's")
    assert not (home / "data/models").exists()


def test_models_list_and_show_it(home: Path) -> None:
    for words in ((), ("base",)):
        (row,) = document(home, "models", "list", *words)["models"]
        assert (row["name"], row["version"], row["damaged"]) == ("base", "v0001", "")
    assert "ready-made" in run(home, "models", "list").out
    shown = run(home, "models", "show", "base").out
    for word in ("Ready-made", "2018-01-16", "BSD-3-Clause", "21 symbols", "AAPL"):
        assert word in shown, word
