"""`lstmcli evaluate`: which cutoffs, which figures, and that they follow from the long table."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    hashes,
    in_process,
    sessions,
    walk,
)

HORIZON = 5
DAYS = sessions(300)
TEST_START = 255
"""The first of the 300 rows that nothing was fitted on."""
BASELINES = ["naive", "drift", "scaled_climatology", "har", "always_up"]


def evaluate(home: Path, *options: object) -> Outcome:
    return in_process("evaluate", *options, folder=home)


def document(home: Path, *options: object) -> dict[str, Any]:
    outcome = evaluate(home, "--format", "json", *options)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def cutoffs(home: Path, *options: object) -> list[str]:
    return [row["cutoff"] for row in document(home, *options)["forecasts"]]


def wide(home: Path) -> None:
    """Write wide.csv, whose third symbol has prices only lately."""
    frame = pd.DataFrame(
        {name: walk(300, seed) for seed, name in enumerate(["AAA", "BBB", "CCC"], start=1)},
        index=pd.Index(DAYS, name="Date"),
    )
    frame.loc[: DAYS[270], "CCC"] = np.nan
    frame.to_csv(home / "wide.csv")


def test_default_cutoffs_are_a_horizon_apart_in_the_test_span(home: Path) -> None:
    before = hashes(home)
    found = document(home)
    after = hashes(home)
    del after["data/looks.json"], after["data/models/.looks"]
    assert after == before
    expected = DAYS[TEST_START : 300 - HORIZON : HORIZON]
    assert [row["cutoff"] for row in found["forecasts"]] == expected
    assert found["fitted_cutoffs"] == 0
    assert found["step_size"] == found["horizon"] == HORIZON
    assert found["windows"]["evaluated"] == found["scores"]["n_independent"] == len(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--start", DAYS[280]), slice(280, 295, 5)),
        (("--end", DAYS[270]), slice(255, 271, 5)),
        (("--start", DAYS[280], "--end", DAYS[281]), slice(280, 281)),
        (("--step-size", 1), slice(255, 295, 1)),
        (("--step-size", 20), slice(255, 295, 20)),
        (("--n-windows", 2), slice(289, 295, 5)),
        (("--n-windows", 3, "--step-size", 1), slice(292, 295)),
        (("--horizon", 2), slice(255, 298, 2)),
        (("--horizon", 20), slice(255, 280, 20)),
    ],
)
def test_options_choose_the_cutoffs(
    home: Path, options: tuple[object, ...], expected: slice
) -> None:
    assert cutoffs(home, *options) == DAYS[expected]


def test_refits_are_shown_with_their_spans(home: Path) -> None:
    found = document(home, "--refit", 3)
    assert [row["since"] for row in found["refits"]] == [DAYS[270], DAYS[285]]
    assert all(row["last"] == row["since"] for row in found["refits"])
    lines = evaluate(home, "--refit", 3, "--refit-window", "rolling").out.splitlines()
    at = lines.index("Fitted again 2 times on the rows known at the first cutoff")
    rows = [line.split() for line in lines[at + 4 : at + 6]]
    assert [row[:4] for row in rows] == [
        ["tiny/v0001", DAYS[270], DAYS[16], DAYS[270]],
        ["tiny/v0001", DAYS[285], DAYS[31], DAYS[285]],
    ]


def test_many_refits_show_the_latest_and_say_so(home: Path) -> None:
    lines = evaluate(home, "--refit", 1, "--step-size", 2).out.splitlines()
    (title,) = [line for line in lines if line.startswith("Fitted again")]
    assert "19 times" in title
    assert "(the last 12; all with --format json)" in title


def test_refits_are_told_on_standard_error_when_asked_to(home: Path) -> None:
    assert evaluate(home, "--refit", 3).err == ""
    lines = evaluate(home, "--refit", 3, "--verbose").err.splitlines()
    assert lines[0].startswith(f"refit 1 of 2: tiny/v0001 from {DAYS[270]}, fitted on 271 rows")
    assert len(lines) == 2


def test_refit_takes_a_number_of_cutoffs_or_never(home: Path) -> None:
    for wrong in ("0", "-1", "often", "1.5", ""):
        assert_one_error(evaluate(home, "--refit", wrong), 2, "--refit", "or never")
    assert document(home, "--refit", "never")["refits"] == []
    assert document(home, "--refit", 100)["refits"] == []


def test_overlapping_cutoffs_count_as_independent_only_when_they_do_not_overlap(home: Path) -> None:
    found = document(home, "--step-size", 1)["scores"]
    assert (found["n_windows"], found["n_independent"]) == (40, 8)


def test_cutoffs_in_rows_that_were_fitted_on_are_flagged(home: Path) -> None:
    options = ("--start", DAYS[230])
    assert document(home, *options)["fitted_cutoffs"] == 5
    text = evaluate(home, *options).out
    assert "5 of 13 windows start before" in text
    assert "and prove nothing" in text
    assert "prove nothing" not in evaluate(home).out


@pytest.mark.parametrize(
    "options",
    [
        ("--start", "2019-01-02"),
        ("--start", DAYS[296]),
        ("--start", DAYS[290], "--end", DAYS[280]),
        ("--horizon", "299"),
    ],
)
def test_no_cutoff_at_all_is_an_error(home: Path, options: tuple[str, ...]) -> None:
    assert_one_error(evaluate(home, *options), 4, "no window to evaluate", "--start")


def test_symbol_without_a_cutoff_fails_beside_the_others(home: Path) -> None:
    wide(home)
    files = ("--csv", "wide.csv", "--end", DAYS[270], "--errors", "errors.csv")
    outcome = evaluate(home, *files, "--format", "json")
    assert outcome.code == 3
    assert (home / "errors.csv").read_text().splitlines()[1].startswith("CCC,4,")
    found = json.loads(outcome.out)
    assert {row["symbol"] for row in found["forecasts"]} == {"AAA", "BBB"}
    assert [each["symbol"] for each in found["failures"]] == ["CCC"]
    assert "1 of 3 symbols failed" in outcome.err


def recomputed(table: pd.DataFrame) -> dict[str, float]:
    """Score one model's rows of the long table: symbols first, dates after."""
    last = table["step"] == table["step"].max()
    error = (table["median"] - table["actual"]) / table["last_close"]
    rise = table["median"] > table["last_close"], table["actual"] > table["last_close"]

    def pooled(values: pd.Series) -> float:
        return float(
            values.groupby([table["cutoff"], table["symbol"]]).mean().groupby(level=0).mean().mean()
        )

    return {
        "rmse": pooled(error**2) ** 0.5,
        "mae": pooled(error.abs()),
        "accuracy": pooled((rise[0] == rise[1])[last].astype(float)),
    }


@pytest.mark.parametrize("options", [(), ("--step-size", "1"), ("--horizon", "9")])
def test_figures_follow_from_the_long_table(home: Path, options: tuple[str, ...]) -> None:
    wide(home)
    files = ("--model", "tiny", "--csv", "wide.csv", "--forecasts", "long.csv")
    found = document(home, *files, *options)
    table = pd.read_csv(home / "long.csv")
    assert list(table.columns) == [
        "model", "symbol", "cutoff", "step", "date", "last_close", "actual", "median", "change",
        "probability_of_rise", "base_rate_of_rise", "sigma", "flat_low", "flat_high", "mase_scale",
        "shown",
    ]  # fmt: skip
    table = table[table["shown"]]
    shown = ["tiny/v0001", "naive", "drift", "always_up"]  # CCC has too few rows for a climatology
    assert list(table["model"].unique()) == shown
    assert len(table) == 4 * found["windows"]["evaluated"] * found["horizon"]
    scores = {name: recomputed(rows) for name, rows in table.groupby("model")}
    for name, model in found["scores"]["models"].items():
        expected = scores[name]
        assert model["path"]["rmse"] == pytest.approx(expected["rmse"], rel=1e-9)
        assert model["path"]["mae"] == pytest.approx(expected["mae"], rel=1e-9)
        for other, skill in model["path"]["skill"].items():
            ratio = expected["rmse"] / scores[other]["rmse"]
            assert skill == pytest.approx(1 - ratio, abs=1e-9)
        if name != "naive":  # it makes no call
            two_way = model["direction"][-1]["two_way"]
            assert two_way["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-9)


def test_truths_of_the_long_table_are_the_prices_of_those_days(home: Path) -> None:
    assert evaluate(home, "--forecasts", "long.csv", "--step-size", 3).code == 0
    prices = pd.read_csv(home / "prices.csv", index_col="Date")["Close"]
    table = pd.read_csv(home / "long.csv")
    np.testing.assert_allclose(table["actual"], prices.loc[table["date"]], rtol=1e-12)
    np.testing.assert_array_equal(table["last_close"], prices.loc[table["cutoff"]])
    ahead = [DAYS.index(date) for date in table["date"]]
    behind = [DAYS.index(cutoff) for cutoff in table["cutoff"]]
    np.testing.assert_array_equal(np.subtract(ahead, behind), table["step"])


def test_forecasts_are_those_that_predict_gives_as_of_the_cutoff(home: Path) -> None:
    assert evaluate(home, "--forecasts", "long.csv").code == 0
    table = pd.read_csv(home / "long.csv").query("model == 'tiny/v0001'")
    for day in (DAYS[TEST_START], DAYS[290]):
        outcome = in_process("predict", "--as-of", day, "--format", "csv", folder=home)
        alone = pd.read_csv(io.StringIO(outcome.out))
        rows = table[table["cutoff"] == day]
        np.testing.assert_allclose(alone["median"], rows["median"], rtol=1e-6)
        np.testing.assert_array_equal(alone["date"], rows["date"])
        np.testing.assert_allclose(alone["actual"], rows["actual"], rtol=1e-12)


def test_two_models_stand_side_by_side(home: Path) -> None:
    options = ("--config", "tiny.toml", "--name", "other", "--set", "window.scaling=relative")
    assert in_process("train", *options, folder=home).code == 0
    found = document(home, "--model", "other", "--model", "tiny", "--forecasts", "long.csv")
    assert found["models"] == ["other/v0001", "tiny/v0001"]
    assert list(found["scores"]["models"]) == [*found["models"], *BASELINES]
    assert set(found["verdicts"]) == set(found["models"])
    assert [row["model"] for row in found["forecasts"]].count("tiny/v0001") == 8
    alone = document(home, "--model", "tiny")["scores"]["models"]["tiny/v0001"]["path"]["rmse"]
    beside = found["scores"]["models"]["tiny/v0001"]["path"]["rmse"]
    assert beside == pytest.approx(alone, rel=1e-12)
    text = evaluate(home, "--model", "other", "--model", "tiny").out
    assert text.count("Verdict: ") == 2
    pairs = [
        line.split()[:3] for line in text.splitlines() if " RMSE " in line and "/v0001" in line
    ]
    assert ["other/v0001", "tiny/v0001", "RMSE"] in pairs
    assert ["tiny/v0001", "drift", "RMSE"] in pairs
    pair = found["scores"]["pairwise"][0]
    assert (pair["model"], pair["other"], pair["loss"]) == (*found["models"], "squared")
    assert_one_error(evaluate(home), 2, "which model?", "tiny (prices), other (prices)")
    twice = evaluate(home, "--model", "tiny", "--model", "tiny/v0001")
    assert_one_error(twice, 2, "twice", "tiny/v0001")


def test_table_shows_each_window_the_baselines_and_the_verdict(home: Path) -> None:
    text = evaluate(home).out
    rows = [line.split() for line in text.splitlines() if line.startswith("  prices ")]
    assert [row[1] for row in rows] == DAYS[TEST_START : 300 - HORIZON : HORIZON]
    assert all(row[3] in ("up", "flat", "down") for row in rows)
    assert all({row[5], row[6]} <= {"hit", "miss"} for row in rows)
    for words in (
        "300 rows; 203 training, 40 test windows; 8 evaluated, 5 rows apart (8 independent).",
        "Skill vs naive",
        "Skill vs drift",
        "Best constant",
        "Crashes and spikes: what had been predicted?",
        "Pair by pair",
        "Phases better",
        "on 8 forecasts; a test needs 20.",
        "No p: too few windows for a test (8, at least 20 are needed).",
        "Does it only copy the last price? Moves over all steps",
        "went flat",
        "Verdict: Against naive: ",
    ):
        assert words in text


def test_printed_figures_are_those_of_the_json(home: Path) -> None:
    found = document(home)["scores"]["models"]
    lines = evaluate(home).out.splitlines()
    for name, model in found.items():
        row = next(line for line in lines if line.startswith(f"  {name} ") and "%" in line)
        assert f"{100 * model['path']['rmse']:.3f} %" in row
        assert f"{100 * model['path']['mae']:.3f} %" in row


def test_many_windows_show_the_latest_and_say_so(home: Path) -> None:
    (home / "prices.csv").write_text(csv_text(walk(600)))
    options = ("--csv", "prices.csv", "--start", "2000-01-03", "--step-size", 1)
    text = evaluate(home, *options).out
    assert len([line for line in text.splitlines() if line.startswith("  prices ")]) == 60
    assert "the last 60 of 586 windows; all with --format csv" in text


TINY = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[2]")


def test_lab_prints_its_four_numbers(tmp_path: Path) -> None:
    done = in_process("train", "--config", "lab", *TINY, "--format", "json", folder=tmp_path)
    windows = json.loads(done.out)["metadata"]["windows"]
    assert (windows["rows"], windows["train"], windows["test"]) == (4171, 3709, 412)
    found = document(tmp_path)
    assert found["windows"]["evaluated"] == 8
    assert {key: found["windows"][key] for key in windows} == windows
    text = evaluate(tmp_path).out
    line = "4171 rows; 3709 training, 412 test windows; 8 evaluated, 50 rows apart"
    assert line in text
    assert "repeats the published lab with its flaws" in text
    assert "no validation score" in in_process("predict", folder=tmp_path).out


def test_lab_corrected_gives_the_baselines_of_the_protocol(tmp_path: Path) -> None:
    done = in_process("train", "--config", "lab-corrected", *TINY, folder=tmp_path)
    assert done.code == 0, done.err
    found = document(tmp_path)
    assert found["windows"]["rows"] == 4697
    assert found["windows"]["evaluated"] == found["scores"]["n_independent"] == 13
    assert found["forecasts"][0]["cutoff"] == "2016-01-26"
    models = found["scores"]["models"]
    figures = {
        name: (
            round(100 * models[name]["path"]["rmse"], 3),
            round(100 * models[name]["path"]["mae"], 3),
        )
        for name in ("naive", "drift")
    }
    assert figures == {"naive": (3.475, 2.816), "drift": (3.323, 2.683)}
    text = evaluate(tmp_path).out
    assert "3.475 %" in text
    assert "3.323 %" in text
    assert "too few windows for a test (13, at least 20 are needed)" in text
    overlapping = document(tmp_path, "--step-size", 1)["scores"]
    assert overlapping["n_windows"] == 607
    assert round(100 * overlapping["models"]["naive"]["path"]["rmse"], 3) == 3.113
    assert round(100 * overlapping["models"]["drift"]["path"]["rmse"], 3) == 2.974
