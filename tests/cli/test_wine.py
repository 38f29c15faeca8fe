"""The second example end to end: months ahead, compared with the same months a year before."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmcli.recipes import shipped_file
from tests.command_line import assert_one_error, in_process, succeed, words_of

MONTHS = [f"1994-{month:02}-01" for month in range(9, 13)]
MONTHS += [f"1995-{month:02}-01" for month in range(1, 9)]
QUICK = ("--set", "train.epochs=3", "--set", "model.hidden_sizes=[4]", "--quiet")


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the recipe as it ships, but for the number of passes."""
    folder = tmp_path_factory.mktemp("wine")
    succeed("train", "--config", "wine", *QUICK, folder=folder)
    return folder


def test_forecast_is_of_the_twelve_months_ahead(wine: Path) -> None:
    outcome = succeed("predict", "--all-steps", folder=wine)
    assert "wine, next 12 months, by wine/v0001" in outcome.out
    rows = [line.split() for line in outcome.out.splitlines() if line.strip()[:1].isdigit()]
    assert [row[1] for row in rows] == MONTHS
    assert "(1 validation window, too few for a test)" in words_of(outcome.out)
    assert "months old" in outcome.err
    assert "session" not in outcome.out + outcome.err


def test_evaluation_shows_the_seasonal_naive_and_names_it_in_the_verdict(wine: Path) -> None:
    outcome = succeed("evaluate", "--details", folder=wine)
    assert "12 months ahead, by wine/v0001" in outcome.out
    assert "tested on 14, 1 row apart: 2 of them do not overlap" in words_of(outcome.out)
    assert "Skill vs the same month a year before" in outcome.out
    assert "Best constant" in outcome.out
    verdict = words_of(outcome.out[outcome.out.index("Verdict  ") :])
    assert "on 2 forecasts that do not overlap; a test needs 20." in verdict
    assert "the same month a year before" in verdict
    assert "repeat" not in verdict


def test_truths_are_those_of_the_months_ahead(wine: Path, tmp_path: Path) -> None:
    table = tmp_path / "long.csv"
    succeed("evaluate", "--forecasts", table, folder=wine)
    prices = pd.read_csv(shipped_file("data/wine.csv"), index_col="Date")["Close"]
    rows = pd.read_csv(table).query("model == 'seasonal_naive'")
    np.testing.assert_allclose(rows["actual"], prices.loc[rows["date"]], rtol=1e-12)
    year_before = [f"{int(date[:4]) - 1}{date[4:]}" for date in rows["date"]]
    np.testing.assert_allclose(rows["median"], prices.loc[year_before], rtol=1e-12)


def test_a_series_without_one_of_its_months_is_refused(wine: Path, tmp_path: Path) -> None:
    shutil.copytree(wine, tmp_path, dirs_exist_ok=True)
    lines = shipped_file("data/wine.csv").read_text().splitlines(keepends=True)
    (tmp_path / "holed.csv").write_text("".join(lines[:100] + lines[101:]))
    outcome = in_process("predict", "--csv", "holed.csv", folder=tmp_path)
    assert_one_error(
        outcome, 4, "not one bar for every month (holed)", "1988-05-01 follows 1988-03"
    )
