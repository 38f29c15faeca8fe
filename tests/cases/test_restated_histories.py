"""Histories that Yahoo restates: with holes, on two bases, or a hundredfold for some days."""

from pathlib import Path

import numpy as np
import pytest

from lstmcli.market.store import read_raw
from lstmcli.workflows.data import check_data
from tests.cases.fetching import (
    BARS,
    LATER,
    NOW,
    PRICES,
    Run,
    assert_holds,
    files,
    only,
    run,
    server,
    times,
)
from tests.yahoo_stand_in import StandIn, dividend, split

__all__ = ["run", "server"]
DAY = "2024-04-15"  # after row 70


@pytest.mark.parametrize("change", ["split", "reverse split", "dividend"])
def test_a_restatement_with_holes_keeps_every_row_and_adjusts_it(
    server: StandIn, run: Run, tmp_path: Path, change: str
) -> None:
    server.serve("AAPL", BARS[:70])
    run()
    ratio = {"split": 2.0, "reverse split": 0.1}.get(change)
    truth = split(BARS, DAY, ratio) if ratio else dividend(BARS, DAY, 1.5)
    holed = truth.copy()
    holed.loc[BARS.index[10:40], ["Open", "High", "Low", "Volume"]] = np.nan
    holed.loc[BARS.index[68:70], ["Open"]] = np.nan
    holed.loc[BARS.index[33], PRICES] = np.nan
    server.serve("AAPL", holed)
    result = only(run())
    assert (result.status, result.rows, result.added) == ("restated", 80, 10)
    assert "kept and adjusted like those around: 1 (2024-02-16)" in result.note
    stored = read_raw(tmp_path, "AAPL")
    np.testing.assert_allclose(stored[PRICES], truth[PRICES], rtol=2e-6)
    np.testing.assert_allclose(stored["Volume"], truth["Volume"], atol=1.0)
    assert only(run(now=LATER)).status == "unchanged"


def test_a_restatement_without_a_row_between_two_bases_is_tried_again(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", times(BARS, slice(0, 60), 4.0))  # a split that is not adjusted for
    assert "Close moves by x0.251 on 2024-03-26" in only(run()).note
    before = files(tmp_path)
    mended = BARS.copy()
    mended.loc[BARS.index[60], "Stock Splits"] = 4.0
    server.serve("AAPL", mended.drop(BARS.index[59]))
    result = only(run(full=True))
    assert (result.exit_code, result.failure) == (4, "refused")
    assert "1 missing, the first of 2024-03-25" in result.reason
    assert files(tmp_path) == before
    server.serve("AAPL", mended)
    assert only(run(full=True)).status == "restated"
    assert_holds(tmp_path, mended)


def test_if_two_answers_disagree_the_whole_history_is_stored(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    """The overlap shows a split that the whole history does not show yet."""
    server.serve("AAPL", BARS[:70])
    run()
    server.serve("AAPL", split(BARS, DAY, 2))
    server.forget()

    def forgotten(body: bytes) -> bytes:
        server.serve("AAPL", BARS)  # from the next answer on
        return body

    server.mangle = forgotten
    try:
        result = only(run())
    finally:
        server.mangle = bytes
    assert (result.status, len(server.asked("AAPL"))) == ("updated", 2)
    assert_holds(tmp_path, BARS)


@pytest.mark.parametrize("factor", [100.0, 0.01, 10.0])
@pytest.mark.parametrize("rows", [slice(64, 67), slice(68, 71), slice(20, 23), slice(66, None)])
@pytest.mark.parametrize("full", [False, True])
def test_a_jump_that_contradicts_stored_bars_is_refused(
    server: StandIn, run: Run, tmp_path: Path, factor: float, rows: slice, full: bool
) -> None:
    server.serve("AAPL", BARS[:70])
    run()
    before = files(tmp_path)
    odd = times(BARS, rows, factor)
    if rows.stop == 23:  # outside of the overlap: a dividend has all of history asked for
        odd = dividend(odd, DAY, 0.25)
    server.serve("AAPL", odd)
    result = only(run(full=full))
    assert (result.exit_code, result.failure) == (4, "refused")
    assert "the new prices contradict the stored ones" in result.reason
    assert "lstmcli data remove AAPL" in result.reason
    assert files(tmp_path) == before
    server.serve("AAPL", BARS)
    assert only(run()).added == 10
    assert_holds(tmp_path, BARS)


def test_a_jump_in_a_first_fetch_is_reported_and_corrected_later(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", times(BARS, slice(70, 73), 100.0))
    result = only(run())
    assert result.rows == 80
    assert "Close is x101 from 2024-04-09 to 2024-04-11 (3 rows) and back" in result.note
    found = check_data(tmp_path, today=NOW.date()).findings
    assert {each.date for each in found if each.kind == "jump"} == {"2024-04-09"}
    server.serve("AAPL", BARS)
    assert only(run(full=True)).status == "restated"
    assert_holds(tmp_path, BARS)
