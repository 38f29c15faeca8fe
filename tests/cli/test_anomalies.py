"""`lstmcli anomalies`: planted moves are found, by forecasts that know nothing of them."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.sources.source import Source
from lstmcli.workflows.anomalies import anomalies
from tests.command_line import assert_one_error, csv_text, document_of, in_process, walk
from tests.rows import for_each

ROWS = 1500
TRAIN = ("train", "--csv", "A.csv", "--set", "model.network=har", "--scratch", "--name", "mine")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the prices of a walk and a linear fan; not to be changed."""
    folder = tmp_path_factory.mktemp("anomalies")
    (folder / "A.csv").write_text(csv_text(walk(ROWS)))
    done = in_process(*TRAIN, folder=folder)
    assert done.code == 0, done.err
    return folder


def prices_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "A.csv")


def planted(folder: Path, to: Path, row: int, move: float, name: str = "A.csv") -> str:
    """Write the prices with a further move on one row to a file, and return it."""
    frame = prices_of(folder)
    columns = [each for each in frame if each not in ("Date", "Volume")]
    frame.loc[frame.index[row] :, columns] *= np.exp(move)
    (to / name).write_text(frame.to_csv(index=False))
    return str(to / name)


def found(folder: Path, file: str, *options: object) -> dict[str, Any]:
    return document_of(folder, "anomalies", "--csv", file, "--model", "mine", *options)


def test_a_move_of_ten_deviations_is_found_and_fails_with_the_option(
    trained: Path, tmp_path: Path
) -> None:
    crash = planted(trained, tmp_path, -1, -0.1)
    document = found(trained, crash)
    (one,) = document["found"]
    assert (one["symbol"], one["date"]) == ("A", prices_of(trained)["Date"].iloc[-1])
    assert one["move"] < one["low"] < 0 < one["high"]
    assert one["probability"] < 0.001
    assert document["latest"] == [one]
    run = ("anomalies", "--csv", crash, "--model", "mine")
    assert in_process(*run, folder=trained).code == 0
    failed = in_process(*run, "--fail", folder=trained)
    assert failed.code == 7
    assert "1 move with a chance below 0.1 % (A); 0.001 expected by chance" in failed.err
    assert "None" not in failed.out
    quiet = in_process("anomalies", "--csv", "A.csv", "--model", "mine", "--fail", folder=trained)
    assert quiet.code == 0
    assert "None of 1 move had a chance below 0.1 %; 0.001 expected by chance" in quiet.out


def test_the_range_is_the_one_that_was_predicted_the_day_before(trained: Path) -> None:
    (last,) = found(trained, "A.csv")["latest"]
    past = document_of(
        trained, "predict", "--csv", "A.csv", "--model", "mine", "--as-of", last["cutoff"]
    )
    step = past["forecasts"][0]["steps"][0]
    close = past["forecasts"][0]["last_close"]
    known = [np.log(step[key] / close) for key in ("q0.025", "q0.975")]
    assert [last["low"], last["high"]] == pytest.approx(known, abs=1e-9)


@for_each("steps", [1, 5])
def test_later_bars_do_not_change_the_result_of_a_session(
    trained: Path, tmp_path: Path, steps: int
) -> None:
    day = prices_of(trained)["Date"].iloc[-40]
    options = ("--since", prices_of(trained)["Date"].iloc[-200], "--steps", steps)
    plain = found(trained, planted(trained, tmp_path, -60, 0.1), *options)
    later = planted(trained, tmp_path, -60, 0.1)
    frame = pd.read_csv(later)
    frame.loc[frame.index[-39] :, "Close"] *= 1.3
    (tmp_path / "A.csv").write_text(frame.to_csv(index=False))
    other = found(trained, later, *options)
    before = [
        [each for each in document["found"] if each["date"] <= day] for document in (plain, other)
    ]
    assert before[0]
    assert before[0] == before[1]
    assert len(other["found"]) > len(before[1])


def test_days_that_the_model_was_fitted_on_are_left_out_and_counted(trained: Path) -> None:
    document = found(trained, "A.csv", "--since", "1990-01-01")
    (by,) = document["models"]
    days = prices_of(trained)["Date"]
    assert document["first"] == min(days[days > by["trained_until"]])
    assert document["judged"] == (days > by["trained_until"]).sum()
    assert document["judged"] + document["left_out"] == ROWS - 60
    assert document["expected"] == pytest.approx(document["judged"] * 0.001)


def test_several_symbols_share_the_expected_number_and_a_bad_one_is_named(
    trained: Path, tmp_path: Path
) -> None:
    files = [planted(trained, tmp_path, -1, move, f"{name}.csv") for name, move in
             (("UP", 0.1), ("DOWN", -0.2), ("SAME", 0.0))]  # fmt: skip
    (tmp_path / "SHORT.csv").write_text(csv_text(walk(30)))
    named = [word for file in [*files, tmp_path / "SHORT.csv"] for word in ("--csv", file)]
    run = ("anomalies", *named, "--model", "mine")
    done = in_process(*run, "--format", "json", folder=trained)
    assert done.code == 3
    document = json.loads(done.out)
    assert [each["symbol"] for each in document["found"]] == ["DOWN", "UP"]
    assert (document["judged"], document["expected"]) == (3, pytest.approx(0.003))
    assert [each["symbol"] for each in document["failures"]] == ["SHORT"]
    both = in_process(*run, "--fail", folder=trained)
    assert both.code == 7
    assert "SHORT" in both.err
    rows = in_process(*run, "--format", "csv", folder=trained).out.splitlines()
    assert rows[0].startswith("model,symbol,cutoff,date,last_close,close,move,low,high,coverage")
    assert len(rows) == 3


def test_the_screen_names_the_tails_behind_the_chances(trained: Path, tmp_path: Path) -> None:
    crash = planted(trained, tmp_path, -1, -0.1, "NEW.csv")
    screen = " ".join(
        in_process("anomalies", "--csv", crash, "--model", "mine", folder=trained).out.split()
    )
    assert "shrunk towards that of" in screen
    assert "moves of 1 other, all up to" in screen
    assert "Fewer than 2,500 moves of NEW: chances are rough." in screen
    based = in_process("anomalies", "--csv", crash, "--model", "base", folder=trained)
    shown = " ".join(based.out.split())
    assert "moves of 21 others" in shown
    assert "Fewer than 2,500 moves of NEW: mostly the others' tail." in shown


def test_a_model_without_ranges_or_days_to_judge_is_refused(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(csv_text(walk(ROWS)))
    recipe = ("--set", "model.head=recursive", "--set", "window.scaling=log_return",
              "--set", 'window.features=["close"]')  # fmt: skip
    small = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[2]")
    assert in_process(*TRAIN[:3], *recipe, *small, "--name", "point", folder=tmp_path).code == 0
    run = ("anomalies", "--csv", "A.csv")
    assert_one_error(in_process(*run, "--model", "point", folder=tmp_path), 2, "no range")
    early = (tmp_path / "A.csv").read_text().splitlines(keepends=True)[:500]
    (trained / "EARLY.csv").write_text("".join(early))
    past = in_process("anomalies", "--csv", "EARLY.csv", "--model", "mine", folder=trained)
    assert_one_error(past, 4, "no session to judge")
    far = in_process(*run, "--model", "mine", "--steps", "60", folder=trained)
    assert_one_error(far, 2, "--steps 60")


def test_the_picture_shows_the_ranges_and_marks_what_was_found(
    trained: Path, tmp_path: Path
) -> None:
    crash = planted(trained, tmp_path, -30, -0.1)
    day = prices_of(trained)["Date"].iloc[-60]
    run = ("anomalies", "--csv", crash, "--model", "mine", "--since", day)
    done = in_process(*run, "--plot", tmp_path / "a.svg", folder=trained)
    assert done.code == 0, done.err
    assert (tmp_path / "a.svg").read_text("utf-8").startswith("<?xml")
    drawn = in_process(*run, "--plot", "-", folder=trained)
    assert "A: 95 % ranges up to" in drawn.out
    assert "of 60 moves below 0.1 %, 0.06 expected" in drawn.out
    both = in_process(*run, "--plot", "-", "--format", "csv", folder=trained)
    assert_one_error(both, 2, "two results on standard output")


@for_each("steps", [1, 5])
def test_ranges_in_prices_are_those_of_the_sessions(
    trained: Path, tmp_path: Path, steps: int
) -> None:
    file = planted(trained, tmp_path, -30, -0.1)
    source = Source(trained / "data", date(2030, 1, 1), csv=(file,))
    since = date.fromisoformat(prices_of(trained)["Date"].iloc[-60])
    report = anomalies(source, model="mine", since=since, steps=steps, pictured=True)
    (watched,) = report.watched
    assert np.isfinite(watched.low).sum() == report.judged == 60
    close = dict(zip(watched.dates.astype(str).tolist(), watched.prices, strict=True))
    at = dict(zip(close, zip(watched.low, watched.high, strict=True), strict=True))
    for one in report.found:
        ends = close[one.cutoff] * np.exp([one.low, one.high])
        assert at[one.date] == pytest.approx(tuple(ends))
        assert not at[one.date][0] < close[one.date] < at[one.date][1]
    assert report.found
    assert anomalies(source, model="mine", since=since).watched == []
