"""`lstmcli evaluate --audit`: its output and exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.dataset.windows import contexts
from lstmcli.forecasting import forecaster
from tests.cli.conftest import ROWS
from tests.command_line import (
    TINY_RECIPE,
    Outcome,
    assert_one_error,
    hashes,
    in_process,
    sessions,
    succeed,
)

COLUMNS = ("stage", "model", "compared", "rewritings", "first_after", "last_after", "numbers")


def audit(home: Path, *options: object) -> Outcome:
    return in_process("evaluate", "--audit", *options, folder=home)


@pytest.fixture
def leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let forecasts read one bar beyond their cutoff."""
    honest = contexts

    def leaky(windows: Any, cutoffs: Any, length: int) -> Any:
        return honest(windows, (cutoffs + 1).clamp(max=len(windows.values) - 1), length)

    monkeypatch.setattr(forecaster, "contexts", leaky)


def test_a_clean_audit_says_so_and_changes_nothing(home: Path) -> None:
    before = hashes(home)
    outcome = audit(home)
    assert (outcome.code, outcome.err) == (0, "")
    assert hashes(home) == before
    assert "Leak audit: 8 windows of 1 series" in outcome.out
    assert "Short refits: tiny/v0001 2 epochs." in outcome.out
    assert "Numbers compared: rows " in outcome.out
    text = " ".join(outcome.out.split())
    assert "cannot see: prices that the maker of the file or feed adjusted" in text
    assert "Audit: clean." in outcome.out
    assert "differs" not in outcome.out
    assert "Verdict" not in outcome.out
    lines = outcome.out.splitlines()
    assert len(lines) <= 24
    rows = [line.split() for line in lines]
    assert ["control", "3", "changed", "3"] in rows
    stages = [row[0] for row in rows if len(row) == 4 and row[2] == "identical"]
    assert {"reader", "forecast", "score", "as-of", "refit", "kept"} <= set(stages)


def test_a_leak_is_shown_and_named_in_one_line_with_exit_code_1(home: Path, leak: None) -> None:
    outcome = audit(home, "--n-windows", 2)
    assert outcome.code == 1
    assert "Audit: not clean. 1 of" in outcome.out
    assert "Failed comparisons" in outcome.out
    assert_one_error(
        Outcome(1, "", outcome.err),
        1,
        "data after a cutoff was used (forecast stage, prices, cutoff 2018-",
        "step 1, forecasts of tiny/v0001, median",
        "when the bars after 2018-",
    )


def test_json_has_what_the_screens_have(home: Path) -> None:
    options = ("--audit-epochs", 1, "--n-windows", 2)
    outcome = audit(home, "--format", "json", *options)
    found = json.loads(outcome.out)
    assert (outcome.code, found["clean"], found["audit"]) == (0, True, True)
    assert found["refit_epochs"] == {"tiny/v0001": 1}
    assert found["models"] == ["tiny/v0001"]
    assert len(found["cannot_see"]) == 3
    counted = [each for each in found["comparisons"] if each["stage"] != "control"]
    assert sum(found["numbers"].values()) == sum(each["numbers"] for each in counted)
    assert set(found["numbers"]) == {each["compared"] for each in counted}
    days = [
        each["rewritings"]
        for each in counted
        if each["stage"] == "forecast" and each["compared"] != "trend calls"
    ]
    assert (found["windows"], set(days)) == (2, {2})
    shown = audit(home, *options, "--details").out.splitlines()
    for each in found["comparisons"]:
        assert each["result"] == ("changed" if each["stage"] == "control" else "identical")
        assert each["expected"] is each["found"] is each["name"] is None
        words = (each["stage"], each["compared"], f"{each['numbers']:,}")
        assert any(all(word in line for word in words) for line in shown), words


def test_json_names_the_difference(home: Path, leak: None) -> None:
    outcome = audit(home, "--format", "json", "--n-windows", 2)
    found = json.loads(outcome.out)
    (differs,) = [each for each in found["comparisons"] if each["result"] == "differs"]
    assert (outcome.code, found["clean"]) == (1, False)
    assert (differs["symbol"], differs["name"], differs["step"]) == ("prices", "median", 1)
    assert differs["cutoff"] in outcome.err
    assert str(differs["expected"]) in outcome.err
    assert str(differs["found"]) in outcome.err


def test_rows_are_the_comparisons(home: Path) -> None:
    outcome = audit(home, "--format", "csv", "--output", "out", "--n-windows", 2)
    assert outcome == Outcome(0, "", "lstmcli: wrote out (csv)\n")
    assert (home / "out").read_text().startswith(",".join(COLUMNS))


def test_the_dates_of_a_recipe_choose_the_same_windows_as_for_scores(home: Path) -> None:
    """Copies of its prices are data that are named, of which its dates were left out."""
    start = sessions(ROWS)[-25]
    dates = f'\n[evaluate]\nstart = "{start}"\nend = "{sessions(ROWS)[-8]}"\nstep_size = 1\n'
    (home / "dated.toml").write_text(TINY_RECIPE + dates)
    succeed("train", "--config", "dated.toml", folder=home)
    scored, audited = (
        json.loads(in_process("evaluate", "--model", "dated", *words, folder=home).out)
        for words in (("--format", "json"), ("--format", "json", "--audit"))
    )
    assert audited["windows"] == len(scored["forecasts"]) == 18
    control, *_ = audited["comparisons"]
    assert control["first_after"] == str(np.datetime64(start) - 1)


def test_windows_in_fitted_rows_are_reported(home: Path) -> None:
    out = audit(home, "--start", "2018-01-02", "--step-size", 40).out
    assert "windows lie in rows that a model was fitted on" in out


def test_a_shuffled_recipe_is_reported_to_leak_by_design(home: Path) -> None:
    shuffled = ("--set", "split.method=shuffled", "--set", "window.scaling=relative")
    succeed("train", "--config", "tiny.toml", *shuffled, "--name", "shuffled", folder=home)
    outcome = audit(home, "--model", "shuffled", "--n-windows", 1)
    assert outcome.code == 1
    assert "split.method shuffled leaks by design" in outcome.out
    assert "split.method shuffled leaks by design" in outcome.err
    assert outcome.err.endswith("Train it with --set split.method=chronological.\n")


def test_an_audit_writes_no_forecasts(home: Path) -> None:
    assert_one_error(audit(home, "--forecasts", "f.csv"), 2, "--forecasts", "--audit")
    assert not (home / "f.csv").exists()
    assert_one_error(audit(home, "--refits", 20), 2, "--refits", "--audit")


def test_audit_epochs_below_one_are_refused(home: Path) -> None:
    assert_one_error(audit(home, "--audit-epochs", 0), 2, "--audit-epochs")
