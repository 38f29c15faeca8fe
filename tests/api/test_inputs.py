"""Own inputs from Python: the same bytes of weights from frames and files of any layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lstmcli as lc
from tests.api.conftest import ROWS, SMALL, closes, weights

SETTINGS = SMALL | {"window.features": ["close", "column:Mood", "symbol:^VIX:log"]}


@pytest.fixture(scope="module")
def mine() -> pd.DataFrame:
    mood = np.random.default_rng(0).normal(size=ROWS).round(6)
    return pd.DataFrame({"Close": closes(), "Mood": mood})


@pytest.fixture(scope="module")
def other() -> pd.DataFrame:
    return pd.DataFrame({"Close": closes(3)})


def test_frames_and_files_of_any_layout_give_the_same_weights(
    mine: pd.DataFrame, other: pd.DataFrame
) -> None:
    mine.to_csv("mine.csv")
    mine.to_parquet("mine.parquet")
    other.to_csv("vix.csv")
    both = [mine.assign(Ticker="AAA"), other.assign(Ticker="^VIX")]
    pd.concat(both).rename_axis("Date").to_csv("long.csv")
    files = {"AAA": Path("mine.csv"), "^VIX": Path("vix.csv")}
    given: list[Any] = [
        {"AAA": mine, "^VIX": other},
        files,
        files | {"AAA": Path("mine.parquet")},
        Path("long.csv"),
    ]
    models = [lc.train(each, settings=SETTINGS, horizon=5) for each in given]
    assert [each.symbols for each in models] == [["AAA"]] * len(given)
    assert len(set(map(weights, models))) == 1
    there = models[0].predict({"AAA": mine, "^VIX": other}).frame
    assert there["median"].tolist() == models[0].predict().frame["median"].tolist()


def test_an_evaluation_says_whether_a_feature_helps(
    mine: pd.DataFrame, other: pd.DataFrame
) -> None:
    model = lc.train({"AAA": mine, "^VIX": other}, settings=SETTINGS, horizon=5)
    found = lc.evaluate(model, without="column:Mood", n_windows=3).without
    assert found is not None
    assert (found["feature"], found["verdict"]) == ("column:Mood", "too few")
    assert found["sentence"].startswith("Without column:Mood the error is")
    assert lc.evaluate(model, n_windows=3).without is None
