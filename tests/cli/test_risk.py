"""Chances at prices, losses, and symbols sorted by their risk: `predict` and `forecast`."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.learning import walk as walk_module
from lstmcli.recipes import shipped_file
from tests.command_line import (
    LAST_DAY,
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    in_process,
    walk,
)
from tests.rows import for_each

DATA = shipped_file("data/us20.csv.gz")
BASE = ("predict", "--csv", DATA, "--model", "base")


def run(folder: Path, *arguments: object) -> Outcome:
    return in_process(*arguments, folder=folder)


def rows_of(done: Outcome) -> list[dict[str, str]]:
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def order_of(rows: list[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["symbol"] for row in rows))


def test_the_table_has_a_row_a_step_and_says_no_more_than_the_fan(tmp_path: Path) -> None:
    done = run(tmp_path, *BASE, "AAPL", "--price=-10%", "--risk")
    assert "AAPL: chance of a close below and above 113.11 (-10.0 %)" in done.out
    assert "less than 2.5 %" in done.out
    assert "more than 97.5 %" in done.out
    assert "the close that 5 % of outcomes are expected below" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    many = run(tmp_path, *BASE, "--price=-10%", "--risk").out
    table = many[many.index("Chance of a close below and above -10% in 50 sessions") :]
    assert table.count("\nAAPL ") == table.count("\nXOM ") == 2  # of chances, and of losses


def test_without_the_option_no_column_is_added(tmp_path: Path) -> None:
    plain = run(tmp_path, *BASE, "AAPL", "--format", "csv").out.splitlines()
    asked = run(tmp_path, *BASE, "AAPL", "--format", "csv", "--price", "100").out.splitlines()
    assert [line.rsplit(",", 2)[0] for line in asked] == plain
    assert asked[0].endswith("in_training,p_below_100,past_below_100")


def test_past_moves_are_those_that_training_saw(tmp_path: Path) -> None:
    """Rows after the cutoff change nothing; those kept for tests change no share of past moves."""
    prices, grown = walk(3000), np.append(np.ones(2900), np.linspace(1.0, 3.0, 100))
    early, late = list[Any](), list[Any]()
    for name, each in (("one", prices), ("two", prices * grown)):
        (tmp_path / f"{name}.csv").write_text(csv_text(each))
        options = ("--price=-5%", "--risk", "--model", "base")
        for found, day in ((early, ("--as-of", "2018-03-15")), (late, ())):
            command = ("predict", "--csv", f"{name}.csv", *options, *day)
            (forecast,) = document_of(tmp_path, *command)["forecasts"]
            found.append((forecast["levels"], forecast["risk"]))
    assert early[0] == early[1]
    shown = [
        [(row["past_below"], loss["past_loss"]) for row, loss in zip(*each, strict=True)]
        for each in (*early[:1], *late)
    ]
    assert shown[0] == shown[1] == shown[2]
    assert late[0] != late[1]


def test_a_model_without_a_range_has_no_chances(home: Path) -> None:
    for option in ("--price=180", "--risk"):
        assert_one_error(
            run(home, "predict", option), 4, "no probabilities or loss", "--model base"
        )


@for_each("option", ["--price=0", "--price=x", "--price=-100%", "--price=1,900"])
def test_a_value_that_is_not_a_price_is_refused(option: str, home: Path) -> None:
    assert_one_error(run(home, "predict", option), 2, "not a price")


def test_symbols_are_sorted_by_risk(tmp_path: Path) -> None:
    given = rows_of(run(tmp_path, *BASE, "--format", "csv"))
    last = pd.DataFrame([row for row in given if row["step"] == "50"]).set_index("symbol")
    last = last.drop(columns=["model", "cutoff", "date"]).apply(pd.to_numeric, errors="coerce")
    width = (last["q0.9"] - last["q0.1"]) / last["last_close"]
    loss = 1.0 - last["q0.05"] / last["last_close"]
    expected = {
        "range": width.sort_values(ascending=False).index.tolist(),
        "downside": loss.sort_values(ascending=False).index.tolist(),
        "symbol": sorted(last.index),
    }
    for key, symbols in expected.items():
        rows = rows_of(run(tmp_path, *BASE, "--format", "csv", "--sort", key))
        assert order_of(rows) == symbols, key
        assert sorted(map(str, rows)) == sorted(map(str, given))
        some = rows_of(run(tmp_path, *BASE, "--format", "csv", "--sort", key, "--top", 3))
        assert order_of(some) == symbols[:3], key
    shown = run(tmp_path, *BASE, "--sort", "downside", "--top", 5).out
    assert shown.startswith("5 of 21 symbols, next 50 sessions")
    assert "5 % loss" in shown
    assert f"{100 * loss.max():.1f} %" in shown


def test_the_oldest_last_bar_comes_first(tmp_path: Path) -> None:
    for name, rows in (("fresh", 300), ("old", 280), ("middle", 290)):
        (tmp_path / f"{name}.csv").write_text(csv_text(walk(rows), LAST_DAY - (300 - rows)))
    files = [word for name in ("fresh", "old", "middle") for word in ("--csv", f"{name}.csv")]
    options = ("--model", "base", "--sort", "age", "--format", "csv")
    assert order_of(rows_of(run(tmp_path, "predict", *files, *options))) == [
        *("old", "middle", "fresh")
    ]


def test_a_picture_and_a_page_show_the_sorted_symbols(tmp_path: Path) -> None:
    options = ("--sort", "range", "--top", 2, "--report", "page.html", "--format", "json")
    done = document_of(tmp_path, *BASE, *options)
    symbols = [each["symbol"] for each in done["forecasts"]]
    assert len(symbols) == 2
    page = (tmp_path / "page.html").read_text()
    assert all(symbol in page for symbol in symbols)
    assert "KO" not in symbols
    assert ">KO<" not in page


def test_unsupported_sort_keys_are_refused(home: Path) -> None:
    assert_one_error(
        run(home, "predict", "--sort", "chance"), 2, "no view on direction", "--sort range"
    )
    assert_one_error(run(home, "predict", "--sort", "beauty"), 2, "expected symbol, range")
    assert_one_error(run(home, "predict", "--top", "3"), 2, "(--top 3)", "--sort")
    assert_one_error(run(home, "predict", "--sort", "range"), 4, "cannot sort by range")


EVALUATE = ("evaluate", "--csv", DATA, "--model", "base", "AAPL")


def test_details_show_the_tests_of_losses_and_the_chances_of_large_moves(tmp_path: Path) -> None:
    shown = run(tmp_path, *EVALUATE, "--details", "--n-windows", 4).out
    assert "Loss of one step exceeded with 5 %" in shown
    assert "No p: 200 windows; a test needs 250." in shown
    assert "Chance of a large move" in shown


def test_symbols_beyond_the_most_days_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk_module, "_MOST_DAYS", 400)
    shown = run(tmp_path, *EVALUATE, "MSFT", "KO", "--details", "--n-windows", 6).out
    assert "Left out: 2 symbols without such days, or beyond the first" in shown


def test_a_screen_shows_the_requested_chances(tmp_path: Path) -> None:
    assert "below -5.0 %" in run(tmp_path, *EVALUATE, "--price=-5%").out
    plain = run(tmp_path, *EVALUATE)
    assert "large move" not in plain.out
    assert "losses" not in document_of(tmp_path, *EVALUATE)


def test_a_point_forecast_has_no_chances_to_score(home: Path) -> None:
    found = document_of(home, "evaluate", "--details", "--price=-5%")
    assert found["scores"]["models"]["tiny/v0001"]["beyond"] == []
    assert "losses" not in found


def test_the_option_is_refused_if_nothing_is_scored(home: Path) -> None:
    for option in ("--audit", "--issued"):
        done = run(home, "evaluate", option, "--price=-5%")
        assert_one_error(done, 2, "option not used", "--price")
    assert_one_error(run(home, "evaluate", "--price=180"), 2, "not a change", "--price=-10%")
