"""`lstmcli evaluate`: its cutoffs and figures, which follow from the long table."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    hashes,
    in_process,
    sessions,
    succeed,
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
    return document_of(home, "evaluate", *options)


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
    options = ("--refit", 3, "--refit-window", "rolling", "--details")
    lines = evaluate(home, *options).out.splitlines()
    assert "by tiny/v0001, refitted 2 times" in lines[0]
    at = lines.index("Refitted 2 times on the rows known by then")
    rows = [line.split() for line in lines[at + 2 : at + 4]]
    assert [row[:4] for row in rows] == [
        ["tiny/v0001", DAYS[270], DAYS[16], DAYS[270]],
        ["tiny/v0001", DAYS[285], DAYS[31], DAYS[285]],
    ]


def test_a_number_of_refits_determines_their_windows(home: Path) -> None:
    found = document(home, "--refits", 20)
    chosen = [row["cutoff"] for row in found["forecasts"]]
    assert chosen == DAYS[294 - 19 * HORIZON : 300 - HORIZON : HORIZON]
    assert found["scores"]["n_independent"] == 20
    assert found["fitted_cutoffs"] == 0
    assert found["by_recipe"] is True
    assert "by_recipe" not in document(home, "--refit", 3)
    (first,) = found["refits"]  # 20 windows of a week are less than a year
    assert first["since"] == first["last"] == chosen[0]
    assert found["trained_until"] == chosen[0]
    every = document(home, "--refits", 6, "--refit", 2)["refits"]
    assert [each["since"] for each in every] == DAYS[269 : 295 : 2 * HORIZON]
    text = evaluate(home, "--refits", 20).out
    assert "prices, 5 sessions ahead, by the recipe, refitted 1 time, not tiny/v0001" in text
    assert "For an answer" not in text


def test_a_refit_by_number_uses_nothing_after_its_windows(home: Path) -> None:
    """Neither the weights nor the figures of training rows that scores are relative to."""
    options = ("--refits", 20, "--end", DAYS[280], "--forecasts", "long.csv")
    before = document(home, *options)["scores"]
    table = pd.read_csv(home / "long.csv")
    prices = pd.read_csv(home / "prices.csv")
    later = prices["Date"] > DAYS[280 + HORIZON]
    prices.loc[later, prices.columns[1:]] *= 1.5
    prices.to_csv(home / "prices.csv", index=False)
    assert document(home, *options)["scores"] == before
    pd.testing.assert_frame_equal(pd.read_csv(home / "long.csv"), table)


def test_too_few_rows_for_so_many_windows_name_the_most(home: Path) -> None:
    outcome = evaluate(home, "--refits", 500)
    assert_one_error(outcome, 4, "too few rows for so many windows", "--refits 500")
    (most,) = re.findall(r"Pass --refits (\d+)\.", outcome.err)
    assert document(home, "--refits", most)["scores"]["n_windows"] == int(most)
    assert_one_error(evaluate(home, "--refits", int(most) + 1), 4, f"Pass --refits {most}.")
    for option in ("--start=2018-01-02", "--step-size=1", "--n-windows=3"):
        wrong = evaluate(home, "--refits", 20, option)
        assert_one_error(wrong, 2, option.partition("=")[0], "--refits chooses the windows itself")


def test_too_few_windows_name_the_command_that_gives_an_answer(home: Path) -> None:
    shown = evaluate(home, "prices", "--csv", "prices.csv", "--model", "tiny").out
    (line,) = [line for line in shown.splitlines() if line.startswith("For an answer: ")]
    command = "lstmcli evaluate prices --model tiny --csv prices.csv --refits 24"
    assert re.fullmatch(rf"For an answer: {command}   \(about \d+ s\)", line)
    answered = evaluate(home, *command.split()[2:], "--format", "json")
    assert json.loads(answered.out)["summary"]["n_independent"] == 24
    (home / "short.csv").write_text(csv_text(walk(300)[:120]))
    short = evaluate(
        home, "--model", "tiny", "--csv", "short.csv", "--start", DAYS[100 + 180], "--n-windows", 1
    )
    assert "For an answer: longer series. These allow " in short.out


def test_refits_are_listed_on_standard_error_with_verbose(home: Path) -> None:
    assert evaluate(home, "--refit", 3).err == ""
    lines = evaluate(home, "--refit", 3, "--verbose").err.splitlines()
    assert lines[0].startswith(f"refit 1 of 2: tiny/v0001 from {DAYS[270]}, fitted on 271 rows")
    assert len(lines) == 2


def test_refit_takes_a_number_of_cutoffs_or_never(home: Path) -> None:
    for wrong in ("0", "-1", "often", "1.5", ""):
        assert_one_error(evaluate(home, "--refit", wrong), 2, "--refit", "or never")
    assert document(home, "--refit", "never")["refits"] == []
    assert document(home, "--refit", 100)["refits"] == []


def test_json_begins_with_a_summary_that_follows_from_the_windows(home: Path) -> None:
    wide(home)
    found = document(home, "--model", "tiny", "--csv", "wide.csv", "--step-size", 1)
    assert list(found)[:3] == ["schema_version", "command", "summary"]
    summary, scores = found["summary"], found["scores"]
    own = scores["models"]["tiny/v0001"]
    moves = [
        (row["predicted"] > row["last_close"], row["actual"] > row["last_close"])
        for row in found["forecasts"]
        if not row["unchanged"]
    ]
    rises = sum(went for _, went in moves)
    assert summary == {
        "model": "tiny/v0001",
        "symbols": 3,
        "windows": len(found["forecasts"]),
        "n_independent": scores["n_independent"],
        "rmse": own["path"]["rmse"],
        "naive_rmse": scores["models"]["naive"]["path"]["rmse"],
        "skill_naive": own["path"]["skill"]["naive"],
        "p_naive": None,
        "verdict": "too few",
        "direction_right": sum(called == went for called, went in moves),
        "direction_windows": len(moves),
        "always_right": max(rises, len(moves) - rises),
    }


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
    "options", [("--start", "2019-01-02"), ("--start", DAYS[296]), ("--horizon", "299")]
)
def test_no_cutoff_at_all_is_an_error(home: Path, options: tuple[str, ...]) -> None:
    assert_one_error(evaluate(home, *options), 4, "no window to evaluate", "--start")


def test_a_symbol_without_a_cutoff_fails_and_the_others_succeed(home: Path) -> None:
    wide(home)
    files = ("--model", "tiny", "--csv", "wide.csv", "--end", DAYS[270], "--errors", "errors.csv")
    outcome = evaluate(home, *files, "--format", "json")
    assert outcome.code == 3
    assert (home / "errors.csv").read_text().splitlines()[1].startswith("CCC,4,")
    found = json.loads(outcome.out)
    assert {row["symbol"] for row in found["forecasts"]} == {"AAA", "BBB"}
    assert [each["symbol"] for each in found["failures"]] == ["CCC"]
    assert "1 of 3 symbols failed" in outcome.err


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


def test_two_models_are_compared(home: Path) -> None:
    options = ("--config", "tiny.toml", "--name", "other", "--set", "window.scaling=relative")
    succeed("train", *options, folder=home)
    found = document(home, "--model", "other", "--model", "tiny", "--forecasts", "long.csv")
    assert found["models"] == ["other/v0001", "tiny/v0001"]
    assert list(found["scores"]["models"]) == [*found["models"], *BASELINES]
    assert set(found["verdicts"]) == set(found["models"])
    assert [row["model"] for row in found["forecasts"]].count("tiny/v0001") == 8
    alone = document(home, "--model", "tiny")["scores"]["models"]["tiny/v0001"]["path"]["rmse"]
    beside = found["scores"]["models"]["tiny/v0001"]["path"]["rmse"]
    assert beside == pytest.approx(alone, rel=1e-12)
    text = evaluate(home, "--model", "other", "--model", "tiny", "--details").out
    assert text.count("Verdict  ") == 2
    short = evaluate(home, "--model", "other", "--model", "tiny").out
    assert short.count("Verdict  ") == 1
    rows = [line.split()[0] for line in short.splitlines() if line.endswith("too few windows")]
    assert rows == [*found["models"], "Verdict"]
    pairs = [
        line.split()[:3] for line in text.splitlines() if " RMSE " in line and "/v0001" in line
    ]
    assert ["other/v0001", "tiny/v0001", "RMSE"] in pairs
    assert ["tiny/v0001", "drift", "RMSE"] in pairs
    pair = found["scores"]["pairwise"][0]
    assert (pair["model"], pair["other"], pair["loss"]) == (*found["models"], "squared")
    # Oldest first; within one second by name.
    assert_one_error(evaluate(home), 2, "several models found", "tiny (prices)", "other (prices)")
    twice = evaluate(home, "--model", "tiny", "--model", "tiny/v0001")
    assert_one_error(twice, 2, "twice", "tiny/v0001")


def test_the_result_fits_on_one_screen(home: Path) -> None:
    found = document(home)
    lines = evaluate(home).out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 110  # of a pipe, where a verdict is not wrapped
    assert lines[0] == "prices, 5 sessions ahead, by tiny/v0001"
    assert lines[1].startswith("8 test windows of Close, ")
    assert lines[1].endswith("; they do not overlap")
    at = lines.index(next(line for line in lines if line.startswith("From ")))
    for line, row in zip(lines[at + 1 : at + 9], found["forecasts"], strict=True):
        change = row["predicted"] / row["last_close"] - 1
        sign, call = "✓" if row["direction_hit"] else "✗", "up" if change > 0 else "down"
        assert line.split()[:2] == [row["cutoff"], row["date"]]
        assert line.split()[4] == f"{100 * change:+.1f}"
        assert line.endswith(f"{sign} {call}")
    summary = found["summary"]
    right, moved = summary["direction_right"], summary["direction_windows"]
    assert f"Direction right  {right} of {moved} ({100 * right / moved:.0f} %)" in "\n".join(lines)
    models = found["scores"]["models"]
    for label, name in [("naive (no change)", "naive"), ("past moves", "scaled_climatology")]:
        (line,) = [line for line in lines if line.startswith(label)]
        assert f"{100 * models[name]['path']['rmse']:.2f} %" in line
        assert f"error than {label.split(' (')[0]}" in line
    at = lines.index("Verdict  too few windows")
    said = [line.strip() for line in lines[at + 1 : lines.index("", at)]]
    assert " ".join(said) == found["verdicts"]["tiny/v0001"]
    assert lines[-2] == "More: --details   --plot FILE   --report FILE.html   --format json"
    assert lines[-1].startswith("For an answer: lstmcli evaluate --refits 24")


def test_details_have_each_window_and_every_table(home: Path) -> None:
    text = evaluate(home, "--details").out
    rows = [line.split() for line in text.splitlines() if line.startswith("prices  ")]
    assert [row[1] for row in rows] == DAYS[TEST_START : 300 - HORIZON : HORIZON]
    for words in (
        "Trained on 203 windows of 300 rows; tested on 8, 5 rows apart: they do not overlap.",
        "Skill vs naive",
        "Skill vs drift",
        "Best constant",
        "Crashes and spikes: actual and predicted moves",
        "Pair by pair",
        "Phases better",
        "on 8 forecasts; a test needs 20.",
        "No p: 8 windows; a test needs 20.",
        "Is it just repeating the last price?",
        "Called flat",
        "Verdict  too few windows",
    ):
        assert words in text or words in " ".join(text.split())
    headers = [line for line in text.splitlines() if line.startswith(("Step ", "Model "))]
    for header in headers:
        names = re.split(r" {2,}", header)
        assert len(set(names)) == len(names), header


def test_printed_figures_are_those_of_the_json(home: Path) -> None:
    found = document(home)["scores"]["models"]
    lines = evaluate(home, "--details").out.splitlines()
    for name, model in found.items():
        shown = "past moves" if name == "scaled_climatology" else name
        row = next(line for line in lines if line.startswith(f"{shown} ") and "%" in line)
        assert f"{100 * model['path']['rmse']:.3f} %" in row
        assert f"{100 * model['path']['mae']:.3f} %" in row


def test_many_windows_show_the_latest_and_say_so(home: Path) -> None:
    (home / "prices.csv").write_text(csv_text(walk(600)))
    options = ("--csv", "prices.csv", "--start", "2000-01-03", "--step-size", 1)
    lines = evaluate(home, *options).out.splitlines()
    at = lines.index("... 576 more, --details")
    assert lines[at - 11].startswith("From ")
    whole = evaluate(home, *options, "--details").out
    assert len([line for line in whole.splitlines() if line.startswith("prices  ")]) == 586


def test_many_symbols_have_a_row_each_and_of_more_than_fifteen_the_best_and_the_worst(
    home: Path,
) -> None:
    prices = {f"S{seed:02}": walk(300, seed) for seed in range(17)}
    pd.DataFrame(prices, index=pd.Index(DAYS, name="Date")).to_csv(home / "many.csv")
    found = document(home, "--model", "tiny", "--csv", "many.csv")
    lines = evaluate(home, "--model", "tiny", "--csv", "many.csv").out.splitlines()
    assert len(lines) <= 40
    assert lines[0] == "17 symbols, 5 sessions ahead, by tiny/v0001"
    skills = {
        name: each["skill"]["naive"]
        for name, each in found["scores"]["models"]["tiny/v0001"]["symbols"].items()
    }
    best = sorted(skills, key=lambda name: -skills[name])
    at = lines.index(next(line for line in lines if line.startswith("Symbol ")))
    shown = [line.split()[0] for line in lines[at + 1 : at + 12]]
    assert shown == [*best[:5], "...", *best[-5:]]
    assert lines[at + 6].split() == ["...", "7", "more", "--details"]
    few = evaluate(home, *best[:3], "--model", "tiny", "--csv", "many.csv").out.splitlines()
    assert len([line for line in few if line.startswith("S") and "%" in line]) == 3


TINY = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[2]")


LARGE = "--set=train.batch_size=1024"


def test_lab_prints_its_four_numbers(tmp_path: Path) -> None:
    windows = document_of(tmp_path, "train", "--config", "lab", *TINY, LARGE)["metadata"]["windows"]
    assert (windows["rows"], windows["train"], windows["test"]) == (4171, 3709, 412)
    found = document(tmp_path)
    assert found["windows"]["evaluated"] == 8
    assert {key: found["windows"][key] for key in windows} == windows
    text = evaluate(tmp_path, "--details").out
    assert "Trained on 3,709 windows of 4,171 rows; tested on 8, 50 rows apart" in text
    assert "repeats the published lab with its flaws" in text
    assert "no validation score" in in_process("predict", folder=tmp_path).out


def test_lab_corrected_gives_the_baselines_of_the_protocol(tmp_path: Path) -> None:
    succeed("train", "--config", "lab-corrected", *TINY, LARGE, folder=tmp_path)
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
    text = evaluate(tmp_path, "--details").out
    assert "3.475 %" in text
    assert "3.323 %" in text
    assert "13 windows; a test needs 20" in text
    overlapping = document(tmp_path, "--step-size", 1)["scores"]
    assert overlapping["n_windows"] == 607
    assert round(100 * overlapping["models"]["naive"]["path"]["rmse"], 3) == 3.113
    assert round(100 * overlapping["models"]["drift"]["path"]["rmse"], 3) == 2.974
