"""Unchanged prices: a halted share, and a penny share that rarely moves."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.evaluation.direction import direction_hits, two_way
from lstmcli.evaluation.pooling import Pool
from tests.command_line import csv_text, succeed, walk, words_of

ROWS, HALTED_FROM = 900, 700
TRAIN = (
    "--set=window.context_length=60",
    "--set=window.horizon=5",
    "--set=train.epochs=1",
    "--set=model.hidden_sizes=[4]",
    "--set=split.train_fraction=0.75",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of a share that is halted in its test span."""
    folder = tmp_path_factory.mktemp("halted")
    prices = walk(ROWS)
    prices[HALTED_FROM:] = prices[HALTED_FROM]
    (folder / "halted.csv").write_text(csv_text(prices))
    succeed("train", "--csv", "H=halted.csv", "--name", "h", *TRAIN, folder=folder)
    return folder


def evaluate(home: Path, *options: str) -> str:
    done = succeed("evaluate", "--model", "h", *options, folder=home)
    return done.out


def two_way_of(document: dict[str, Any], model: str) -> dict[str, Any]:
    found: dict[str, Any] = document["scores"]["models"][model]["direction"][-1]["two_way"]
    return found


def test_a_window_that_ends_unchanged_is_neither_hit_nor_miss(home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(evaluate(home, "--format", "csv"))))
    unchanged = [row for row in rows if float(row["actual"]) == float(row["last_close"])]
    assert len(rows) > len(unchanged) > 30
    for row in rows:
        assert row["unchanged"] == str(row in unchanged)
        assert (row["direction_hit"] == "") == (row in unchanged)


def test_accuracy_and_the_best_constant_answer_ignore_unchanged_windows(home: Path) -> None:
    document = json.loads(evaluate(home, "--format", "json"))
    rows = document["forecasts"]
    moved = [row for row in rows if not row["unchanged"]]
    for found in (two_way_of(document, "h/v0001"), two_way_of(document, "always_up")):
        assert found["n_windows"] == found["n_independent"] == len(moved)
        assert found["n_unchanged"] == len(rows) - len(moved)
    hits = sum(row["direction_hit"] for row in moved)
    assert two_way_of(document, "h/v0001")["accuracy"] == pytest.approx(hits / len(moved))
    falls = sum(row["actual"] < row["last_close"] for row in moved)
    best = max(falls, len(moved) - falls) / len(moved)
    assert two_way_of(document, "always_up")["always_accuracy"] == pytest.approx(best)


def test_the_table_counts_unchanged_windows_separately_and_has_no_minus_zero(home: Path) -> None:
    text = evaluate(home)
    count = two_way_of(json.loads(evaluate(home, "--format", "json")), "h/v0001")["n_unchanged"]
    assert re.search(rf"^Unchanged +{count}, left out$", text, re.MULTILINE)
    assert f"unchanged windows left out: {count}" in words_of(text)
    assert re.search(r" {2}unchanged$", text, re.MULTILINE)
    assert not re.search(r"-0\.0+ %", text + evaluate(home, "--details"))


def test_without_a_price_change_there_is_no_accuracy_and_the_verdict_says_why(home: Path) -> None:
    start = next(
        row["cutoff"]
        for row in csv.DictReader(io.StringIO(evaluate(home, "--format", "csv")))
        if row["unchanged"] == "True"
    )
    document = json.loads(evaluate(home, "--format", "json", "--start", start))
    for model in ("h/v0001", "drift", "always_up"):
        found = two_way_of(document, model)
        assert (found["accuracy"], found["always_accuracy"], found["n_windows"]) == (None, None, 0)
    (verdict,) = document["verdicts"].values()
    count = len(document["forecasts"])
    assert f"No direction: no price changed; unchanged windows left out: {count}." in verdict
    assert "best constant answer" not in verdict
    page = home / "page.html"
    evaluate(home, "--start", start, "--report", str(page))
    assert "Direction right in -; without" in page.read_text(encoding="utf-8")


def test_unchanged_prices_do_not_count_as_falls_for_the_best_constant_answer() -> None:
    actual = np.array([0.1, 0.1, -0.1, *np.zeros(7)])
    cutoff = np.datetime64("2020-01-01") + np.arange(actual.size)
    found = two_way(
        np.full(actual.size, 0.01), actual, Pool(cutoff, cutoff + np.timedelta64(1, "D"))
    )
    assert (found.always, found.n_windows, found.n_unchanged) == ("up", 3, 7)
    assert found.accuracy == found.always_accuracy == found.up_actual == pytest.approx(2 / 3)


def test_a_hit_has_the_same_sign_and_unchanged_prices_are_not_hits() -> None:
    predicted = np.array([0.1, -0.1, 0.1, 0.0, 0.0, -0.0, 0.1, 0.1])
    actual = np.array([0.2, -0.2, -0.2, 0.2, -0.2, 0.0, 0.0, np.nan])
    expected = [1, 1, 0, 0, 0, np.nan, np.nan, np.nan]
    assert np.array_equal(direction_hits(predicted, actual), expected, equal_nan=True)
