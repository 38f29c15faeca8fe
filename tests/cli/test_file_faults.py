"""Unusable files are refused in the same way; odd but unambiguous ones are read correctly.

The numbers are the rows of the list of faults that the tool survives.
"""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import (
    assert_one_error,
    csv_text,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)
from tests.rows import for_each

ROWS = 60
DAYS = sessions(ROWS)
GOOD = csv_text(walk(ROWS))
LINES = GOOD.splitlines(keepends=True)
COMMANDS = {
    "train": ("train", "--config", "tiny.toml"),
    "predict": ("predict",),
    "evaluate": ("evaluate",),
}


def changed(row: int, line: str) -> str:
    """The good file with one data row replaced."""
    return "".join([*LINES[: row + 1], line + "\n", *LINES[row + 2 :]])


NULLS = "".join([LINES[0], LINES[1], *(f"{day},\n" for day in DAYS[1:11]), *LINES[12:]])
FAULTS: dict[str, tuple[Any, ...]] = {
    "2 empty": (b"", "no rows"),
    "4 short row": (changed(30, DAYS[30]), "line 32"),
    "7 binary": (bytes(range(256)) * 40, "not a table of prices"),
    "7 HTML": ("<!DOCTYPE html>\n<html><body>Will be right back</body></html>\n", "a web page"),
    "11 future": (GOOD + "2999-01-04,100\n", f"line {ROWS + 2}", "2999-01-04"),
    "12 many nulls": (NULLS, "10"),
    "13 negative": (changed(ROWS - 3, f"{DAYS[-3]},-3"), DAYS[-3]),
}
YFINANCE = "Price,Close\nTicker,AAPL\nDate,\n" + "".join(LINES[1:])
DESCENDING = "".join([LINES[0], *LINES[:0:-1]])


@for_each(
    ("fault", "command"),
    [*((fault, "predict") for fault in FAULTS), *(("4 short row", each) for each in COMMANDS)],
)
def test_bad_file_is_refused_and_nothing_is_touched(home: Path, fault: str, command: str) -> None:
    content, *words = FAULTS[fault]
    path = home / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = hashes(home)
    outcome = in_process(*COMMANDS[command], "--csv", "bad.csv", folder=home)
    assert_one_error(outcome, 4, "bad.csv", *words)
    assert hashes(home) == before


def test_bad_standard_input_is_refused(home: Path) -> None:
    for content in (b"", bytes(range(256))):
        outcome = in_process("predict", "--csv", "-", folder=home, stdin=content)
        assert_one_error(outcome, 4, "stdin")


def test_odd_file_gives_the_same_forecast(home: Path) -> None:
    def forecast(file: str, *options: str, stdin: bytes = b"") -> tuple[dict[str, Any], str]:
        options = ("--model", "tiny", "--format", "json", *options)
        outcome = succeed("predict", "--csv", file, *options, folder=home, stdin=stdin)
        (found,) = json.loads(outcome.out)["forecasts"]
        return found, outcome.err

    piped, _ = forecast("-", stdin=GOOD.encode())
    assert piped["symbol"] == "stdin"
    for content in (GOOD.encode(), YFINANCE.encode(), gzip.compress(GOOD.encode())):
        (home / "odd.csv").write_bytes(content)
        assert forecast("odd.csv")[0]["steps"] == piped["steps"]
    (home / "odd.csv").write_text(DESCENDING)
    found, said = forecast("odd.csv", "--quiet")
    assert (found["steps"], said) == (piped["steps"], "")


@pytest.mark.parametrize("scaling", ["relative", "zscore", "batch", "log_return"])
def test_constant_prices_train_and_score_without_nan(home: Path, scaling: str) -> None:
    (home / "flat.csv").write_text(csv_text(np.full(200, 100.0)))
    options = ("--config", "tiny.toml", "--csv", "flat.csv", "--name", "flat", "--format", "json")
    done = succeed("train", *options, "--set", f"window.scaling={scaling}", folder=home)
    assert json.loads(done.out)["metadata"]["validation_loss"] is not None
    for command in ("predict", "evaluate"):
        for form in ("json", "table", "csv"):
            done = succeed(command, "-m", "flat", "--format", form, folder=home)
            assert "nan" not in done.out.lower()


def test_volume_of_nothing_but_zeros_is_no_feature(home: Path) -> None:
    rows = (f"{line},0\n" for line in csv_text(walk(200)).splitlines()[1:])
    (home / "still.csv").write_text("Date,Close,Volume\n" + "".join(rows))
    settings = ("--csv", "still.csv", "--set", 'window.features=["close","volume"]')
    outcome = in_process(*COMMANDS["train"], *settings, folder=home)
    assert_one_error(outcome, 4, "still.csv", "Volume")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission_is_named(home: Path) -> None:
    (home / "prices.csv").chmod(0)
    outcome = in_process("predict", "--csv", "prices.csv", folder=home)
    assert_one_error(outcome, 1, "prices.csv", "Permission denied")
