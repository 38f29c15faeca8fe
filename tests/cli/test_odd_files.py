"""Files that are odd but clear: read as they are meant, and said so where something was mended.

The numbers are the rows of the list of faults that the tool survives.
"""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import assert_one_error, csv_text, hashes, in_process, succeed, walk

ROWS = 60
PRICES = walk(ROWS)
GOOD = csv_text(PRICES)
LINES = GOOD.splitlines(keepends=True)
LONG = csv_text(walk(200)).splitlines()[1:]
YFINANCE = "Price,Close\nTicker,AAPL\nDate,\n" + "".join(LINES[1:])


def forecast(home: Path, content: str | bytes, *options: str) -> tuple[dict[str, Any], str]:
    """Predict from a file; the forecast as JSON, and what was said on standard error."""
    (home / "odd.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    options = ("--model", "tiny", "--format", "json", *options)
    outcome = succeed("predict", "--csv", "odd.csv", *options, folder=home)
    (found,) = json.loads(outcome.out)["forecasts"]
    return found, outcome.err


SAME: dict[str, str | bytes] = {
    "8 yfinance": YFINANCE,
    "10 descending": "".join([LINES[0], *LINES[:0:-1]]),
    "zipped": gzip.compress(GOOD.encode()),
}


@pytest.mark.parametrize("kind", SAME)
def test_odd_file_gives_the_same_forecast(home: Path, kind: str) -> None:
    expected, _ = forecast(home, GOOD)
    found, _ = forecast(home, SAME[kind])
    assert found["steps"] == expected["steps"]


def test_quiet_says_nothing_but_errors(home: Path) -> None:
    _, said = forecast(home, SAME["10 descending"], "--quiet")
    assert said == ""


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
    rows = (f"{line.strip()},0\n" for line in LONG)
    (home / "still.csv").write_text("Date,Close,Volume\n" + "".join(rows))
    settings = ("--set", 'window.features=["close","volume"]')
    outcome = in_process(
        "train", "--config", "tiny.toml", "--csv", "still.csv", *settings, folder=home
    )
    assert_one_error(outcome, 4, "still.csv", "Volume")


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
@pytest.mark.parametrize(
    ("path", "code", "where", "reason"),
    [
        ("absent.csv", 2, "(absent.csv)", "No such file"),
        ("data/models", 4, "(data/models)", "no tables in the folder"),
        ("MINE=data", 2, "(MINE=data)", "a name for a folder"),
        ("https://example.org/x.csv?a=b", 2, "example.org", "curl -O"),
    ],
)
def test_unreadable_path_is_named_with_the_reason(
    home: Path, command: str, path: str, code: int, where: str, reason: str
) -> None:
    before = hashes(home)
    options = ("--config", "tiny.toml") if command == "train" else ()
    outcome = in_process(command, *options, "--csv", path, folder=home)
    assert_one_error(outcome, code, where, reason)
    assert hashes(home) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_read_permission_is_named(home: Path) -> None:
    (home / "prices.csv").chmod(0)
    outcome = in_process("predict", "--csv", "prices.csv", folder=home)
    assert_one_error(outcome, 1, "prices.csv", "Permission denied")


@pytest.mark.parametrize("content", [b"", bytes(range(256))])
def test_bad_standard_input_is_refused(home: Path, content: bytes) -> None:
    outcome = in_process("predict", "--csv", "-", folder=home, stdin=content)
    assert_one_error(outcome, 4, "stdin")


def test_standard_input_is_read_whole(home: Path) -> None:
    expected, _ = forecast(home, GOOD)
    options = ("--csv", "-", "--model", "tiny", "--format", "json")
    outcome = in_process("predict", *options, folder=home, stdin=GOOD.encode())
    (found,) = json.loads(outcome.out)["forecasts"]
    assert found["symbol"] == "stdin"
    assert found["steps"] == expected["steps"]
