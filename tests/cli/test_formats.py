"""Which format a result has, and what --quiet leaves of it. Golden results hold the contents."""

import json
from pathlib import Path

import pytest

from tests.command_line import in_process, succeed


@pytest.mark.parametrize(
    ("name", "form"),
    [
        *(("r.csv", "csv"), ("r.JSON", "json"), ("r.jsonl", "jsonl"), ("r.parquet", "parquet")),
        *(("r.txt", "table"), ("r", "table")),
    ],
)
def test_a_file_has_the_format_of_its_suffix_and_is_named(home: Path, name: str, form: str) -> None:
    done = in_process("predict", "--output", name, folder=home)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == f"lstmcli: wrote {name} ({form})"
    asked = ("--format", form, "--output", "asked", "--quiet")
    done = in_process("predict", *asked, folder=home)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (home / name).read_bytes() == (home / "asked").read_bytes()


def test_a_format_that_is_asked_for_wins_over_the_suffix(home: Path) -> None:
    for env, option in (({"LSTMCLI_FORMAT": "json"}, ()), ({}, ("--format", "json"))):
        succeed("predict", *option, "-o", "r.csv", folder=home, env=env)
        assert json.loads((home / "r.csv").read_text())["command"] == "predict"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("train --config tiny.toml --seed 1 --promote never", False),
        ("data import prices.csv", False),
        ("data list", False),
        ("data check", False),
        ("data show prices", False),
        ("models list", False),
        ("models promote tiny/v0001", False),
        ("models prune tiny --keep 1", False),
        ("predict", True),
        ("evaluate", True),
        ("models list --json", True),
    ],
)
def test_quiet_keeps_the_results_of_predict_and_evaluate(
    home: Path, command: str, result: bool
) -> None:
    succeed("data", "import", "prices.csv", folder=home)
    done = in_process(*command.split(), "--quiet", folder=home)
    assert (done.code, done.err) == (0, "")
    assert bool(done.out) == result
