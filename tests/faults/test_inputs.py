"""Unusable input files, in addition to the tests of the commands.

Importing into the store refuses the same files as training and forecasting; very large tables are
read in bounded memory, or refused with the limit.
"""

import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_file_faults import FAULTS
from tests.command_line import (
    PROGRAM,
    assert_one_error,
    csv_text,
    environment,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)
from tests.forked_runs import ForkServer
from tests.rows import for_each

ROWS = 60


@for_each("fault", FAULTS)
def test_a_file_that_other_commands_refuse_is_not_imported(tmp_path: Path, fault: str) -> None:
    content, *words = FAULTS[fault]
    (tmp_path / "good.csv").write_text(csv_text(walk(ROWS)))
    succeed("data", "import", "MINE=good.csv", folder=tmp_path)
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "bad.csv").write_bytes(data)
    before = hashes(tmp_path)
    outcome = in_process("data", "import", "MINE=bad.csv", folder=tmp_path)
    assert_one_error(outcome, 4, "bad.csv", *words)
    assert hashes(tmp_path) == before


def test_any_column_of_a_thousand_can_be_a_series(home: Path) -> None:
    moves = np.random.default_rng(0).normal(0, 0.01, (ROWS, 1000))
    prices = (100 * np.exp(moves.cumsum(axis=0))).round(4)
    days = sessions(ROWS)
    rows = [",".join([day, *map(str, row)]) for day, row in zip(days, prices, strict=True)]
    header = ",".join(["Date", *(f"S{number}" for number in range(1000))])
    (home / "wide.csv").write_text("\n".join([header, *rows]) + "\n")
    done = in_process(
        *("predict", "S0", "S999", "S1000", "--csv", "wide.csv"),
        *("--model", "tiny", "--format", "csv", "--quiet"),
        folder=home,
    )
    assert done.code == 3
    assert len(done.out.splitlines()) == 1 + 2 * 5
    assert "S1000" in done.err


@pytest.mark.slow
def test_ten_million_rows_are_read_in_bounded_memory(home: Path) -> None:
    """Far more bars than there are sessions: rows that repeat one date are dropped."""
    days = sessions(5000)
    line = "".join(f"{day},{price:.4f}\n" for day, price in zip(days, walk(len(days)), strict=True))
    with (home / "huge.csv").open("w") as file:
        file.write("Date,Close\n")
        for _ in range(2000):
            file.write(line)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = subprocess.run(
        [PROGRAM, "predict", "--csv", "huge.csv", "--quiet"],
        cwd=home,
        env=environment(),
        capture_output=True,
        check=False,
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert done.returncode in (0, 4), done.stderr
    assert b"Traceback" not in done.stderr
    assert max(before, peak) < 2 * 1024**2  # in KiB: 2 GiB for 10 million rows, torch and all


@pytest.mark.parametrize("command", ["predict"])
def test_a_closed_standard_input_has_no_rows(home: Path, forks: ForkServer, command: str) -> None:
    before = hashes(home)
    done = forks.run(command, "--csv", "-", folder=home, streams={"stdin": None})
    assert (done.code, done.out) == (4, "")
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: error: ")
    assert "stdin" in line
    assert hashes(home) == before
