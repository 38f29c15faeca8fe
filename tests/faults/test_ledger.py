"""The ledger under kills and disk errors at every step of a recording.

Earlier records stay intact, a forecast is shown only after it was recorded, and the next run
continues.
"""

import errno
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lstmcli.market.calendars import sessions_of
from lstmcli.runs.ledger import Damage, read_ledger
from tests.command_line import assert_one_error, csv_text, succeed, walk
from tests.faults.conftest import copies
from tests.forked_runs import DiskFault, ForkServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes to kill")

NAMES = ("one", "two", "three")
ROWS = 700  # enough to show their calendar, so that a holiday yesterday is none of their sessions
RECORD = ("predict", "--csv", "one.csv", "--csv", "two.csv", "--csv", "three.csv", "--record")
QUIETLY = (*RECORD, "--quiet", "--format", "csv", "--output", "out.csv")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
MOST_STEPS = 40
EVERY_STEP = pytest.mark.parametrize(
    "stride",
    [pytest.param(4, id="some-steps"), pytest.param(1, id="every-step", marks=pytest.mark.slow)],
)


@pytest.fixture
def prices(home: Path) -> Path:
    """A model, and three series that end with the last session."""
    days = sessions_of("XNYS")
    last = days[days < np.datetime64(datetime.now(UTC).date())][-1]
    for seed, name in enumerate(NAMES):
        (home / f"{name}.csv").write_text(csv_text(walk(ROWS, seed), last))
    return home


def symbols(folder: Path) -> tuple[list[str], int]:
    """The symbols of every sound line, and how many lines are damaged."""
    found = list(read_ledger(folder / "data"))
    whole = [each.symbol for each in found if not isinstance(each, Damage)]
    return whole, len(found) - len(whole)


@EVERY_STEP
@pytest.mark.parametrize("earlier", [0, 1], ids=["first", "second"])
def test_a_recording_killed_at_any_step_keeps_every_earlier_line(
    prices: Path, forks: ForkServer, earlier: int, stride: int
) -> None:
    if earlier:
        succeed(*RECORD, folder=prices)
    before = list(NAMES) * earlier
    torn = 0
    for step, folder in copies(prices, stride, MOST_STEPS):
        run = forks.run(*QUIETLY, folder=folder, fault=DiskFault("kill", step))
        found, damaged = symbols(folder)
        assert found[: len(before)] == before
        assert found[len(before) :] == list(NAMES)[: len(found) - len(before)]
        assert damaged <= 1
        torn += damaged
        if run.code == 0:
            break
        assert run.code == -signal.SIGKILL
        if (folder / "out.csv").exists():
            assert len(found) == len(before) + len(NAMES)
        again = succeed(*RECORD, folder=folder)
        assert ("torn by a run that was killed" in again.err) == bool(damaged)
        assert symbols(folder) == ([*found, *NAMES], 0)
    assert step > 5
    assert torn >= (stride == 1)  # one of all steps tears a line


@EVERY_STEP
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
def test_a_recording_that_cannot_be_written_is_reported_and_leaves_no_partial_line(
    prices: Path, forks: ForkServer, lasting: bool, stride: int
) -> None:
    succeed(*RECORD, folder=prices)
    failed_in_ledger = 0
    for step, folder in copies(prices, stride, MOST_STEPS):
        number = ERRORS[step % len(ERRORS)]
        fault = DiskFault("error", step, number, lasting)
        run = forks.run(*QUIETLY, folder=folder, fault=fault)
        found, damaged = symbols(folder)
        assert damaged == 0
        if run.code == 0 and len(run.steps) < step:
            break
        if run.code:
            assert_one_error(run, 1, os.strerror(number))
            if (folder / "out.csv").exists():
                assert found == [*NAMES, *NAMES]
            in_ledger = "/ledger/" in run.steps[step - 1]
            failed_in_ledger += in_ledger
            if in_ledger:
                assert found == list(NAMES)
        succeed(*RECORD, folder=folder)
        assert symbols(folder) == ([*found, *NAMES], 0)
    assert step > 5
    assert failed_in_ledger >= 3 // stride
