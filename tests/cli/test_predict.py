"""`lstmcli predict`: what is forecast, from which bar, for which symbols, with which model."""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.market.calendars import sessions_of
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    in_process,
    sessions,
    succeed,
    walk,
    words_of,
)

HORIZON = 5


def predict(home: Path, *options: object, **rest: Any) -> Outcome:
    return in_process("predict", *options, folder=home, **rest)


def document(home: Path, *options: object, **rest: Any) -> dict[str, Any]:
    outcome = predict(home, "--format", "json", *options, **rest)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def steps(home: Path, *options: object, **rest: Any) -> list[dict[str, Any]]:
    (found,) = document(home, *options, **rest)["forecasts"]
    listed: list[dict[str, Any]] = found["steps"]
    return listed


def wide(home: Path, names: str = "AAA BBB CCC", rows: int = 60) -> list[str]:
    """Write wide.csv with a column a symbol and return their names."""
    symbols = names.split()
    columns = np.column_stack([walk(rows, seed) for seed in range(len(symbols))])
    lines = [",".join(["Date", *symbols])]
    lines += [
        ",".join([day, *(f"{price:.6f}" for price in row)])
        for day, row in zip(sessions(rows), columns, strict=True)
    ]
    (home / "wide.csv").write_text("\n".join(lines) + "\n")
    return symbols


def test_as_of_forecasts_what_the_file_cut_at_that_day_would_have_given(home: Path) -> None:
    lines = (home / "prices.csv").read_text().splitlines(keepends=True)
    (home / "cut").mkdir()
    (home / "cut" / "prices.csv").write_text("".join(lines[:-20]))
    day, last = (lines[-21].split(",")[0], lines[-1].split(",")[0])
    then = steps(home, "--as-of", day)
    cut = steps(home, "--csv", "cut/prices.csv")
    assert [each["median"] for each in then] == [each["median"] for each in cut]
    assert [each["date"] for each in then] == [each["date"] for each in cut]
    assert [each["actual"] for each in cut] == [None] * HORIZON
    for each, line in zip(then, lines[-20:], strict=False):
        assert each["date"] == line.split(",")[0]
        assert each["actual"] == pytest.approx(float(line.split(",")[1]), rel=1e-12)
    assert steps(home, "--as-of", last) == steps(home)


def test_as_of_a_day_without_a_bar_takes_the_last_one_before(home: Path) -> None:
    saturday = "2018-08-25"
    found = document(home, "--as-of", saturday)["forecasts"][0]
    assert found["cutoff"] == "2018-08-24"
    said = "prices: no bar on 2018-08-25, forecast from the last one before it, 2018-08-24"
    assert found["warnings"] == [said]


def test_as_of_before_the_first_bar_is_refused(home: Path) -> None:
    assert_one_error(predict(home, "--as-of", "1999-01-04"), 4, "needs 10 rows", "has 0")


def test_shorter_horizon_cuts_and_a_longer_one_goes_on(home: Path) -> None:
    trained = steps(home)
    assert steps(home, "--horizon", 2) == trained[:2]
    longer = steps(home, "--horizon", 30)
    assert longer[:HORIZON] == trained
    assert [each["step"] for each in longer] == list(range(1, 31))


def test_table_shows_the_headline_steps_and_the_last_or_all(home: Path) -> None:
    def shown(*options: object) -> list[int]:
        rows = predict(home, *options).out.splitlines()
        return [int(row.split()[0]) for row in rows if row.strip()[:1].isdigit()]

    assert shown() == [1, 5]
    assert shown("--horizon", 33) == [1, 5, 10, 20, 30, 33]
    assert shown("--horizon", 8, "--all-steps") == list(range(1, 9))


def test_table_names_the_column_and_that_too_few_windows_prove_nothing(home: Path) -> None:
    text = words_of(predict(home).out)
    assert "Returns of Close, applied to the last close." in text
    assert "(7 validation windows, too few for a test)" in text
    assert "p = " not in text
    assert "dividends" not in text


def test_validation_is_quoted_with_its_tests_and_past_moves(home: Path) -> None:
    scores = {"network": 0.03, "naive": 0.031, "drift": 0.0305, "scaled_climatology": 0.0302}
    p = {"naive": 0.0313, "drift": 0.41, "scaled_climatology": 0.7}
    edit_metadata(home, "tiny", validation=validation(24, scores, p))
    assert (
        "How far to trust it typical error 3.00 %, naive 3.10 % (p = 0.031), drift 3.05 % "
        "(p = 0.41), past moves 3.02 % (p = 0.70) (24 validation windows, optimistic)"
    ) in words_of(predict(home).out)


def test_validation_of_other_steps_than_are_shown_says_of_how_many(home: Path) -> None:
    scores = {"network": 0.03, "naive": 0.031}
    edit_metadata(home, "tiny", validation=validation(24, scores, {}))
    for horizon, said in ((5, ""), (3, " over 5 sessions"), (8, " over 5 sessions")):
        text = words_of(predict(home, "--horizon", horizon, "--report", "fan.html").out)
        assert f"typical error{said} 3.00 %, naive 3.10 %" in text
        assert f"Typical error{said} on 24 validation windows" in (home / "fan.html").read_text()


def test_validation_of_an_earlier_version_is_quoted_without_tests(home: Path) -> None:
    scores = {"network": 0.03, "naive": 0.031, "drift": 0.0305, "scaled_climatology": 0.0302}
    found = validation(24, scores, {})
    del found["models"]["network"]["p"]
    edit_metadata(home, "tiny", validation=found)
    text = words_of(predict(home).out)
    assert "typical error 3.00 %, naive 3.10 %, drift 3.05 %, past moves 3.02 % (24 " in text


def test_training_keeps_the_tests_that_a_forecast_is_quoted_with(home: Path) -> None:
    metadata = json.loads((home / "data/models/tiny/v0001/metadata.json").read_text())
    kept = metadata["validation"]["models"]["network"]["p"]
    assert {"naive", "drift"} <= set(kept)
    assert set(kept.values()) == {None}  # 7 windows


def test_scale_of_mase_is_that_of_evaluate_and_never_of_bars_after_the_cutoff(home: Path) -> None:
    prices = pd.read_csv(home / "prices.csv")["Close"]
    early = json.loads(predict(home, "--as-of", str(sessions(300)[100]), "--format", "json").out)
    scale = prices[:101].diff().abs().mean()
    assert early["forecasts"][0]["mase_scale"] == pytest.approx(scale, rel=1e-12)
    in_process("evaluate", "--forecasts", "long.csv", folder=home)
    now = json.loads(predict(home, "--format", "json").out)["forecasts"][0]["mase_scale"]
    np.testing.assert_allclose(pd.read_csv(home / "long.csv")["mase_scale"], now, rtol=1e-12)


@pytest.mark.parametrize("adjusted", [("prices",), ("prices", "plain")])
def test_returns_that_include_dividends_are_called_so(
    home: Path, adjusted: tuple[str, ...]
) -> None:
    closes = pd.read_csv(home / "prices.csv")
    closes.to_csv(home / "plain.csv", index=False)
    closes.assign(**{"Adj Close": closes["Close"] * 0.9}).to_csv(home / "prices.csv", index=False)
    files = [word for name in adjusted for word in ("--csv", f"{name}.csv")]
    more = "" if len(adjusted) == 1 else " and Close"
    words = f"Returns of Adj Close (with dividends){more}, applied to the last close."
    files += ["--model", "tiny"]
    assert words in predict(home, *files).out
    assert words in in_process("evaluate", *files, "--details", folder=home).out
    assert f"test windows of Adj Close{more}" in in_process("evaluate", *files, folder=home).out
    found = document_of(home, "evaluate", *files)
    assert found["price"] == f"Adj Close{more}"


def test_model_of_the_quoted_price_forecasts_it(home: Path) -> None:
    closes = pd.read_csv(home / "prices.csv")
    closes.assign(**{"Adj Close": closes["Close"] * 0.9}).to_csv(home / "prices.csv", index=False)
    arguments = ("train", "--config", "tiny.toml", "--set", "data.price=close", "--name", "quoted")
    succeed(*arguments, folder=home)
    text = predict(home, "--model", "quoted").out
    assert "Returns of Close, applied to the last close." in text


def validation(n_independent: int, rmse: dict[str, float], p: dict[str, float]) -> dict[str, Any]:
    models: dict[str, Any] = {name: {"rmse": each} for name, each in rmse.items()}
    models["network"]["p"] = p
    return {"n_windows": n_independent, "n_independent": n_independent, "models": models}


def edit_metadata(home: Path, name: str, **changed: Any) -> None:
    path = home / f"data/models/{name}/v0001/metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_old_last_bar_is_warned_of_in_the_forecast_and_on_standard_error(home: Path) -> None:
    outcome = predict(home, "--format", "json")
    (found,) = json.loads(outcome.out)["forecasts"]
    said = outcome.err.removeprefix("lstmcli: ").strip()
    remedy = "Give newer prices with --csv, or by lstmcli fetch SYMBOL"
    assert [f"{found['warnings'][0]}. {remedy}"] == [said]
    assert "2018-08-31" in found["warnings"][0]
    patient = predict(home, "--format", "json", "--max-data-age", 10**6)
    assert json.loads(patient.out)["forecasts"][0]["warnings"] == []
    assert patient.err == ""


@pytest.mark.parametrize(("behind", "warned"), [(3, False), (4, True)])
def test_more_than_three_sessions_count_as_old(home: Path, behind: int, warned: bool) -> None:
    today = np.datetime64(datetime.now(UTC).date())
    days = sessions_of("XNYS")
    last = days[days < today][-1 - behind]
    # Long enough to show its calendar: without it a holiday of this week would count as a session.
    (home / "AAPL.csv").write_text(csv_text(walk(700), last))
    (found,) = document(home, "--csv", "AAPL.csv")["forecasts"]
    assert any("sessions old" in text for text in found["warnings"]) == warned


def test_series_of_a_wide_file_are_all_forecast_or_those_asked_for(home: Path) -> None:
    symbols = wide(home)

    def forecast(*options: str) -> list[str]:
        found = document(home, "--csv", "wide.csv", *options)["forecasts"]
        return [each["symbol"] for each in found]

    assert forecast() == symbols
    assert forecast("CCC", "AAA", "CCC") == ["CCC", "AAA"]
    assert forecast("ccc") == ["CCC"]


def test_symbols_come_from_a_file_or_standard_input_too(home: Path) -> None:
    wide(home)
    (home / "list.txt").write_text("# mine\r\nBBB\r\n\r\nAAA # and a word\r\nBBB\r\n")

    def forecast(*options: str, **rest: Any) -> list[str]:
        found = document(home, "--csv", "wide.csv", *options, **rest)["forecasts"]
        return [each["symbol"] for each in found]

    assert forecast("--symbols-file", "list.txt") == ["BBB", "AAA"]
    assert forecast("AAA", "--symbols-file", "list.txt") == ["AAA", "BBB"]
    assert forecast("--symbols-file", "-", stdin=b"CCC\n") == ["CCC"]
    (home / "none.txt").write_text("# all sold\n")
    outcome = predict(home, "--symbols-file", "none.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no symbols (--symbols-file none.txt)" in outcome.err
    outcome = predict(home, "--symbols-file", "absent.txt")
    assert_one_error(outcome, 2, "absent.txt", "No such file")
    (home / "endless.txt").write_text("AAA\n" * 300_000)
    outcome = predict(home, "--symbols-file", "endless.txt")
    assert_one_error(outcome, 2, "endless.txt", "more than 1000000 characters")


def test_unknown_symbol_alone_is_an_error_and_beside_others_a_failure(home: Path) -> None:
    wide(home)
    assert_one_error(predict(home, "--csv", "wide.csv", "NOPE"), 4, "NOPE", "AAA, BBB, CCC")
    outcome = predict(
        home, "--csv", "wide.csv", "AAA", "NOPE", "--errors", "errors.csv", "--format", "json"
    )
    assert outcome.code == 3
    found = json.loads(outcome.out)
    assert [each["symbol"] for each in found["forecasts"]] == ["AAA"]
    assert [each["symbol"] for each in found["failures"]] == ["NOPE"]
    assert "lstmcli: failed: NOPE: " in outcome.err
    assert outcome.err.splitlines()[-1] == "lstmcli: error: 1 of 2 symbols failed: see above"
    (row,) = csv.DictReader((home / "errors.csv").read_text().splitlines())
    assert (row["symbol"], row["exit_code"]) == ("NOPE", "4")
    assert row["reason"] == found["failures"][0]["reason"]


def test_symbol_that_a_single_series_does_not_bear_is_not_made_up(home: Path) -> None:
    outcome = predict(home, "--csv", "prices.csv", "AAPL")
    assert_one_error(outcome, 4, "AAPL", "prices", "--csv NAME=FILE")


def test_symbol_that_was_never_fetched_names_the_command(home: Path) -> None:
    assert_one_error(predict(home, "AAPL"), 4, "AAPL", "lstmcli fetch AAPL")


@pytest.mark.parametrize(
    ("other", "code"), [("also_absent.csv", 2), ("empty.csv", 4)], ids=["alike", "differently"]
)
def test_all_failing_ends_with_their_common_code_or_4(home: Path, other: str, code: int) -> None:
    (home / "empty.csv").touch()
    files = ("--csv", "absent.csv", "--csv", other, "--errors", "errors.csv")
    assert_one_error(predict(home, *files), code, "all 2 symbols failed", "absent.csv", other)
    rows = list(csv.DictReader((home / "errors.csv").read_text().splitlines()))
    assert [row["symbol"] for row in rows] == ["absent.csv", other]


def test_errors_file_holds_its_header_alone_where_nothing_failed(home: Path) -> None:
    assert predict(home, "--errors", "errors.csv").code == 0
    assert (home / "errors.csv").read_text() == "symbol,exit_code,reason\n"


def test_files_can_be_named_and_must_be_told_apart(home: Path) -> None:
    (home / "sub").mkdir()
    shutil.copy(home / "prices.csv", home / "sub" / "prices.csv")
    files = ("--csv", "prices.csv", "--csv", "sub/prices.csv")
    assert_one_error(predict(home, *files), 2, "prices", "--csv NAME=FILE")
    named = ("--csv", "ONE=prices.csv", "--csv", "TWO=sub/prices.csv")
    found = document(home, *named)["forecasts"]
    assert [each["symbol"] for each in found] == ["ONE", "TWO"]
    assert found[0]["steps"] == found[1]["steps"]


def test_symbol_that_training_never_saw_is_marked_and_noted_once(home: Path) -> None:
    wide(home)
    files = ("--csv", "prices.csv", "--csv", "wide.csv")
    outcome = predict(home, *files, "--format", "json")
    found = json.loads(outcome.out)["forecasts"]
    assert {each["symbol"]: each["trained_on"] for each in found} == {
        "prices": True, "AAA": False, "BBB": False, "CCC": False,
    }  # fmt: skip
    notes = [line for line in outcome.err.splitlines() if "not trained on" in line]
    assert notes == ["lstmcli: the model was not trained on AAA, BBB, CCC"]


def test_model_is_found_by_name_version_and_path(home: Path) -> None:
    expected = document(home)
    folder = home / "data/models/tiny/v0001"
    for reference in ("tiny", "tiny/v0001", folder, "data/models/tiny/v0001"):
        assert document(home, "--model", reference) == expected
    assert document(home, env={"LSTMCLI_MODEL": "tiny/v0001"}) == expected
    moved = home / "elsewhere"
    folder.rename(moved)
    (home / "data/models/tiny/champion").unlink()
    (found,), (known,) = document(home, "--model", "elsewhere")["forecasts"], expected["forecasts"]
    assert found | {"model": known["model"]} == known


def test_data_folder_is_taken_from_the_option_or_the_environment(home: Path) -> None:
    expected = document(home)
    (home / "data").rename(home / "other")
    assert "no model yet (data/models)" in predict(home).err
    assert document(home, "--data-dir", "other") == expected
    assert document(home, env={"LSTMCLI_DATA_DIR": "other"}) == expected
    env = {"LSTMCLI_DATA_DIR": "nowhere"}
    assert document(home, "--data-dir", "other", env=env) == expected


def test_model_that_is_misspelt_is_answered_with_the_nearest_name_or_its_versions(
    home: Path,
) -> None:
    for reference in ("Tinny", "tny"):
        done = predict(home, "--model", reference)
        assert_one_error(done, 4, f"no such model ({reference})", "Did you mean tiny?")
    done = predict(home, "--model", "tiny/v0009")
    assert_one_error(done, 4, "no such version (tiny/v0009)", "tiny has v0001")


def test_horizon_beyond_a_year_goes_on_along_the_sessions(home: Path) -> None:
    found = steps(home, "--horizon", 400)
    days = sessions_of("XNYS")
    expected = days[days > np.datetime64("2018-08-31")][:400]
    assert [each["date"] for each in found] == [str(day) for day in expected]
    assert all(each["median"] > 0 for each in found)
