"""`lstmcli predict`: the choice of bars, symbols and model, and the output."""

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
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
    wide_csv,
    words_of,
)

HORIZON = 5


def predict(home: Path, *options: object, **rest: Any) -> Outcome:
    return in_process("predict", *options, folder=home, **rest)


def forecasts(home: Path, *options: object, **rest: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document_of(home, "predict", *options, **rest)["forecasts"]
    return found


def steps(home: Path, *options: object) -> list[dict[str, Any]]:
    (found,) = forecasts(home, *options)
    listed: list[dict[str, Any]] = found["steps"]
    return listed


@pytest.fixture
def wide(home: Path) -> Path:
    """The folder of the model with a file of three series, AAA, BBB and CCC."""
    (home / "wide.csv").write_text(wide_csv(["AAA", "BBB", "CCC"]))
    return home


def test_as_of_gives_the_forecast_of_the_file_cut_at_that_day(home: Path) -> None:
    lines = (home / "prices.csv").read_text().splitlines(keepends=True)
    (home / "cut").mkdir()
    (home / "cut" / "prices.csv").write_text("".join(lines[:-20]))
    day, last = (lines[-21].split(",")[0], lines[-1].split(",")[0])
    then, cut = steps(home, "--as-of", day), steps(home, "--csv", "cut/prices.csv")
    for each, before, line in zip(then, cut, lines[-20:], strict=False):
        happened, close = line.split(",")
        assert (each["date"], each["median"]) == (before["date"], before["median"])
        assert (each["date"], before["actual"]) == (happened, None)
        assert each["actual"] == pytest.approx(float(close), rel=1e-12)
    assert steps(home, "--as-of", last) == steps(home)


def test_as_of_a_day_without_a_bar_takes_the_last_one_before(home: Path) -> None:
    (found,) = forecasts(home, "--as-of", "2018-08-25")  # a Saturday
    assert found["cutoff"] == "2018-08-24"
    said = "prices: no bar on 2018-08-25, forecast from the last one before it, 2018-08-24"
    assert found["warnings"] == [said]


def test_shorter_horizon_cuts_and_a_longer_one_goes_on_along_the_sessions(home: Path) -> None:
    trained, longer = steps(home), steps(home, "--horizon", 400)
    assert len(trained) == HORIZON
    assert steps(home, "--horizon", 2) == trained[:2]
    assert longer[:HORIZON] == trained
    days = sessions_of("XNYS")
    expected = days[days > np.datetime64("2018-08-31")][:400]
    assert [each["date"] for each in longer] == [str(day) for day in expected]
    assert [each["step"] for each in longer] == list(range(1, 401))
    assert all(each["median"] > 0 for each in longer)


def test_table_shows_the_headline_steps_and_the_last_or_all(home: Path) -> None:
    def shown(*options: object) -> list[int]:
        rows = predict(home, *options).out.splitlines()
        return [int(row.split()[0]) for row in rows if row.strip()[:1].isdigit()]

    assert shown() == [1, 5]
    assert shown("--horizon", 33) == [1, 5, 10, 20, 30, 33]
    assert shown("--horizon", 8, "--all-steps") == list(range(1, 9))


@pytest.mark.parametrize("tested", [True, False], ids=["tested", "of an earlier version"])
def test_validation_is_quoted_with_its_tests_and_past_moves(home: Path, tested: bool) -> None:
    text = words_of(predict(home).out)
    assert "(7 validation windows, too few for a test)" in text
    assert "p = " not in text
    path = home / "data/models/tiny/v0001/metadata.json"
    record = json.loads(path.read_text())
    found = record["validation"]
    p = found["models"]["network"].pop("p")
    assert {"naive": None, "drift": None}.items() <= p.items()  # 7 windows
    rmse = {"network": 0.03, "naive": 0.031, "drift": 0.0305, "scaled_climatology": 0.0302}
    found |= {"n_windows": 24, "n_independent": 24}
    found["models"] = {name: {"rmse": each} for name, each in rmse.items()}
    if tested:
        p = {"naive": 0.0313, "drift": 0.41, "scaled_climatology": 0.7}
        found["models"]["network"]["p"] = p
    path.write_text(json.dumps(record))
    first, second, third = (" (p = 0.031)", " (p = 0.41)", " (p = 0.70)") if tested else [""] * 3
    assert (
        f"How far to trust it typical error 3.00 %, naive 3.10 %{first}, drift 3.05 %{second}, "
        f"past moves 3.02 %{third} (24 validation windows, optimistic)"
    ) in words_of(predict(home).out)


def test_validation_of_other_steps_than_are_shown_says_of_how_many(home: Path) -> None:
    path = home / "data/models/tiny/v0001/metadata.json"
    record = json.loads(path.read_text())
    models = {"network": {"rmse": 0.03}, "naive": {"rmse": 0.031}}
    record["validation"] |= {"n_windows": 24, "n_independent": 24, "models": models}
    path.write_text(json.dumps(record))
    for horizon, said in ((5, ""), (3, " over 5 sessions"), (8, " over 5 sessions")):
        text = words_of(predict(home, "--horizon", horizon, "--report", "fan.html").out)
        assert f"typical error{said} 3.00 %, naive 3.10 %" in text
        assert f"Typical error{said} on 24 validation windows" in (home / "fan.html").read_text()


def test_scale_of_mase_is_that_of_evaluate_and_never_of_bars_after_the_cutoff(home: Path) -> None:
    prices = pd.read_csv(home / "prices.csv")["Close"]
    (early,) = forecasts(home, "--as-of", sessions(300)[100])
    assert early["mase_scale"] == pytest.approx(prices[:101].diff().abs().mean(), rel=1e-12)
    succeed("evaluate", "--forecasts", "long.csv", folder=home)
    now = forecasts(home)[0]["mase_scale"]
    np.testing.assert_allclose(pd.read_csv(home / "long.csv")["mase_scale"], now, rtol=1e-12)


def test_returns_that_include_dividends_are_called_so(home: Path) -> None:
    assert "Returns of Close, applied to the last close." in predict(home).out
    closes = pd.read_csv(home / "prices.csv")
    closes.to_csv(home / "plain.csv", index=False)
    closes.assign(**{"Adj Close": closes["Close"] * 0.9}).to_csv(home / "prices.csv", index=False)
    files = ("--model", "tiny", "--csv", "prices.csv")
    for options, more in ((files, ""), ((*files, "--csv", "plain.csv"), " and Close")):
        words = f"Returns of Adj Close (with dividends){more}, applied to the last close."
        assert words in predict(home, *options).out
        text = succeed("evaluate", *options, "--details", folder=home).out
        assert words in text
        assert f"test windows of Adj Close{more}" in text
        assert document_of(home, "evaluate", *options)["price"] == f"Adj Close{more}"
    quoted = ("--set", "data.price=close", "--name", "quoted")
    succeed("train", "--config", "tiny.toml", *quoted, folder=home)
    text = predict(home, "--model", "quoted").out
    assert "Returns of Close, applied to the last close." in text


def test_old_last_bar_is_warned_of_in_the_forecast_and_on_standard_error(home: Path) -> None:
    outcome = predict(home, "--format", "json")
    (warning,) = json.loads(outcome.out)["forecasts"][0]["warnings"]
    assert "2018-08-31" in warning
    remedy = "Give newer prices with --csv, or by lstmcli fetch SYMBOL"
    assert outcome.err == f"lstmcli: {warning}. {remedy}\n"
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
    (found,) = forecasts(home, "--csv", "AAPL.csv")
    assert any("sessions old" in text for text in found["warnings"]) == warned


def test_series_are_all_forecast_or_those_named_here_or_in_a_list(wide: Path) -> None:
    (wide / "list.txt").write_text("\ufeff# mine\r\nbbb\r\n\r\n\tAAA # and a word\r\nBBB\r\n")
    listed = ("--symbols-file", "list.txt")
    for options, expected in (
        ((), ["AAA", "BBB", "CCC"]),
        (("CCC", "aaa", "CCC"), ["CCC", "AAA"]),
        (listed, ["BBB", "AAA"]),
        (("AAA", *listed), ["AAA", "BBB"]),
        (("--symbols-file", "-"), ["CCC"]),
    ):
        found = forecasts(wide, "--csv", "wide.csv", *options, stdin="\ufeffCCC\n".encode())
        assert [each["symbol"] for each in found] == expected


def test_unknown_symbol_alone_is_an_error_and_beside_others_a_failure(wide: Path) -> None:
    assert_one_error(predict(wide, "--csv", "wide.csv", "NOPE"), 4, "NOPE", "AAA, BBB, CCC")
    options = ("--csv", "wide.csv", "--errors", "errors.csv", "--format", "json")
    outcome = predict(wide, "AAA", "NOPE", *options)
    assert outcome.code == 3
    found = json.loads(outcome.out)
    assert [each["symbol"] for each in found["forecasts"]] == ["AAA"]
    (failure,) = found["failures"]
    assert failure["symbol"] == "NOPE"
    assert "lstmcli: failed: NOPE: " in outcome.err
    assert outcome.err.splitlines()[-1] == "lstmcli: error: 1 of 2 symbols failed: see above"
    (row,) = csv.DictReader((wide / "errors.csv").read_text().splitlines())
    assert row == {"symbol": "NOPE", "exit_code": "4", "reason": failure["reason"]}
    assert predict(wide, "AAA", *options).code == 0
    assert (wide / "errors.csv").read_text() == "symbol,exit_code,reason\n"


@pytest.mark.parametrize(
    ("other", "code"), [("also_absent.csv", 2), ("empty.csv", 4)], ids=["alike", "differently"]
)
def test_all_failing_ends_with_their_common_code_or_4(home: Path, other: str, code: int) -> None:
    (home / "empty.csv").touch()
    files = ("--csv", "absent.csv", "--csv", other, "--errors", "errors.csv")
    assert_one_error(predict(home, *files), code, "all 2 symbols failed", "absent.csv", other)
    rows = list(csv.DictReader((home / "errors.csv").read_text().splitlines()))
    assert [row["symbol"] for row in rows] == ["absent.csv", other]


def test_files_can_be_named_and_need_distinct_names(home: Path) -> None:
    (home / "sub").mkdir()
    shutil.copy(home / "prices.csv", home / "sub" / "prices.csv")
    files = ("--csv", "prices.csv", "--csv", "sub/prices.csv")
    assert_one_error(predict(home, *files), 2, "prices", "--csv NAME=FILE")
    one, two = forecasts(home, "--csv", "ONE=prices.csv", "--csv", "TWO=sub/prices.csv")
    assert (one["symbol"], two["symbol"]) == ("ONE", "TWO")
    assert one["steps"] == two["steps"]


def test_symbol_that_training_never_saw_is_marked_and_noted_once(wide: Path) -> None:
    outcome = predict(wide, "--csv", "prices.csv", "--csv", "wide.csv", "--format", "json")
    found = json.loads(outcome.out)["forecasts"]
    trained = {each["symbol"]: each["trained_on"] for each in found}
    assert trained == {"prices": True, **dict.fromkeys(["AAA", "BBB", "CCC"], False)}
    notes = [line for line in outcome.err.splitlines() if "not trained on" in line]
    assert notes == ["lstmcli: the model was not trained on AAA, BBB, CCC"]


def test_model_is_found_by_name_version_and_path(home: Path) -> None:
    expected = forecasts(home)
    folder = home / "data/models/tiny/v0001"
    for reference in ("tiny", "tiny/v0001", folder, "data/models/tiny/v0001"):
        assert forecasts(home, "--model", reference) == expected
    assert forecasts(home, env={"LSTMCLI_MODEL": "tiny/v0001"}) == expected
    folder.rename(home / "elsewhere")
    (home / "data/models/tiny/champion").unlink()
    (found,), (known,) = forecasts(home, "--model", "elsewhere"), expected
    assert found | {"model": known["model"]} == known


def test_data_folder_is_taken_from_the_option_or_the_environment(home: Path) -> None:
    expected = forecasts(home)
    (home / "data").rename(home / "other")
    assert "no model yet (data/models)" in predict(home).err
    assert forecasts(home, "--data-dir", "other", env={"LSTMCLI_DATA_DIR": "nowhere"}) == expected
    assert forecasts(home, env={"LSTMCLI_DATA_DIR": "other"}) == expected


def test_explained_forecasts_stay_the_same_to_the_last_digit(home: Path) -> None:
    plain = forecasts(home)
    assert "explain" not in plain[0]
    before = hashes(home)
    (found,) = forecasts(home, "--explain")
    explained = found.pop("explain")
    assert [found] == plain
    assert hashes(home) == before
    assert explained["dates"][-1] == found["cutoff"]
    assert explained["steps"] == [1, 5]
    assert len(explained["dates"]) == 9  # ten closes make nine returns
    assert explained["width_80"] is None
    assert [gate["gate"] for gate in explained["gates"]] == ["forget", "input", "output"]


def test_an_explained_fan_has_a_width_that_moves(fan_home: Path) -> None:
    found = forecasts(fan_home, "--explain")
    assert [each["symbol"] for each in found] == ["one", "two"]
    for each in found:
        # Where no epoch beat the linear fan, no bar has an effect through the network.
        assert np.shape(each["explain"]["width_80"]["alone"]) == (59, 3)
    text = succeed("predict", "--explain", "--horizon", 5, folder=fan_home).out
    assert "two: no bar moves the median at step 5, nor do all together." in text
    assert "Back: bars counted from the cutoff" not in text  # no table has such a column


def test_explanation_reads_the_memory_of_a_point_forecast(home: Path) -> None:
    text = succeed("predict", "--explain", "--as-of", sessions(20)[0], folder=home).out
    assert "prices: how open the gates were, 0 to 1, mean of the cells, 9 sessions" in text
    assert "prices: how the median moves when a bar is masked" in text
    assert f"prices: the bar of {sessions(20)[0][:4]}-" in text
    assert "width" not in text


def test_only_the_first_symbols_are_explained_and_that_is_noted(home: Path) -> None:
    (home / "wide.csv").write_text(wide_csv([f"S{number}" for number in range(7)]))
    found = document_of(home, "predict", "--explain", "--csv", "wide.csv", "--model", "tiny")
    assert ["explain" in each for each in found["forecasts"]] == [True] * 5 + [False] * 2
    assert "explained the first 5 of 7 symbols; name the others to see them" in found["notes"]
    found = document_of(home, "predict", "--explain", "--csv", "wide.csv", "S6", "--model", "tiny")
    assert "explain" in found["forecasts"][0]
    assert not any("explained" in note for note in found["notes"])
