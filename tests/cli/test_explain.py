"""`lstmcli predict --explain`: the same forecasts, and what they were made of."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.command_line import document_of, hashes, sessions, succeed, wide_csv


def document(home: Path, *options: object) -> dict[str, Any]:
    return document_of(home, "predict", "--explain", *options)


def test_the_forecasts_stay_the_same_to_the_last_digit(home: Path) -> None:
    plain = document_of(home, "predict")
    assert "explain" not in plain["forecasts"][0]
    before = hashes(home)
    (found,) = document(home)["forecasts"]
    explained = found.pop("explain")
    assert [found] == plain["forecasts"]
    assert hashes(home) == before
    assert explained["dates"][-1] == found["cutoff"]
    assert explained["steps"] == [1, 5]
    assert len(explained["dates"]) == 9  # ten closes make nine returns
    assert explained["width_80"] is None
    assert [gate["gate"] for gate in explained["gates"]] == ["forget", "input", "output"]


def test_a_fan_has_a_width_that_moves(fan_home: Path) -> None:
    found = document(fan_home)["forecasts"]
    assert [each["symbol"] for each in found] == ["one", "two"]
    for each in found:
        # Where no epoch beat the linear fan, no bar has an effect through the network.
        assert np.shape(each["explain"]["width_80"]["alone"]) == (59, 3)
    text = succeed("predict", "--explain", "--horizon", 5, folder=fan_home).out
    assert "two: no bar moves the median at step 5, nor do all together." in text
    assert "Back: bars counted from the cutoff" not in text  # no table has such a column


def test_table_reads_the_memory_of_a_point_forecast(home: Path) -> None:
    text = succeed("predict", "--explain", "--as-of", sessions(20)[0], folder=home).out
    assert "prices: how open the gates were, 0 to 1, mean of the cells, 9 sessions" in text
    assert "prices: how the median moves when a bar is masked" in text
    assert f"prices: the bar of {sessions(20)[0][:4]}-" in text
    assert "width" not in text


def test_only_the_first_symbols_are_explained_and_that_is_noted(home: Path) -> None:
    (home / "wide.csv").write_text(wide_csv([f"S{number}" for number in range(7)]))
    found = document(home, "--csv", "wide.csv", "--model", "tiny")
    assert ["explain" in each for each in found["forecasts"]] == [True] * 5 + [False] * 2
    assert "explained the first 5 of 7 symbols; name the others to see them" in found["notes"]
    found = document(home, "--csv", "wide.csv", "S6", "--model", "tiny")
    assert "explain" in found["forecasts"][0]
    assert not any("explained" in note for note in found["notes"])
