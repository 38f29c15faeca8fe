"""Bars with a missing, damaged or wrong sidecar, and runs killed between the two writes."""

import json
import os
from datetime import date
from pathlib import Path

import pytest

from lstmcli.errors import AllFailedError
from lstmcli.market.store import write_stored
from lstmcli.sources.source import Source
from lstmcli.workflows.data import check_data, list_data
from lstmcli.workflows.data_import import import_data
from tests.cases.fetching import (
    BARS,
    LATER,
    NOW,
    Run,
    assert_holds,
    files,
    only,
    part,
    run,
    server,
    times,
)
from tests.yahoo_stand_in import StandIn, split

__all__ = ["run", "server"]
TODAY = NOW.date()
DAMAGES = [None, b"", b"{", b"[1]", b"\xff\xfe", b"{}", b'{"source": 7}', b'{"source": "yahoo?"}']


@pytest.mark.parametrize("damage", DAMAGES)
def test_bars_without_an_intact_sidecar_are_replaced_only_with_full(
    server: StandIn, run: Run, tmp_path: Path, damage: bytes | None
) -> None:
    own = times(BARS[:70], slice(None), 1.37)
    write_stored(tmp_path, "AAPL", "1d", own, {"source": "import", "file": "mine.csv"})
    sidecar = tmp_path / "prices/1d/AAPL.json"
    if damage is None:
        sidecar.unlink()
    else:
        sidecar.write_bytes(damage)
    before = files(tmp_path)
    server.serve("AAPL", BARS[2:])
    result = only(run())
    assert (result.status, result.exit_code, server.requests) == ("failed", 4, 0)
    assert "the stored prices are of unknown source" in result.reason
    assert f"{sidecar} is {'missing' if damage is None else 'damaged'}" in result.reason
    assert "lstmcli fetch AAPL --full" in result.reason
    assert files(tmp_path) == before
    (series,) = list_data(tmp_path, today=TODAY).series
    assert series.source == ""
    assert part(tmp_path, "store").state == "bad"
    assert "1 of unknown source: AAPL" in part(tmp_path, "store").cause
    (found,) = [each for each in check_data(tmp_path, today=TODAY).findings if each.symbol]
    assert found.kind == "sidecar"
    assert "lstmcli fetch AAPL --full" in found.next_step
    result = only(run(full=True))
    assert "70 rows of unknown source replaced, 2 of them on days that Yahoo" in result.note
    assert_holds(tmp_path, BARS[2:])
    assert part(tmp_path, "store").state == "ok"


def test_full_restores_the_sidecar_of_yahoos_bars(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    run()
    before = (tmp_path / "prices/1d/AAPL.csv").read_bytes()
    (tmp_path / "prices/1d/AAPL.json").unlink()
    server.serve("AAPL", BARS.drop(BARS.index[5]))
    assert only(run(full=True)).status == "unchanged"
    assert (tmp_path / "prices/1d/AAPL.csv").read_bytes() == before
    assert only(run(now=LATER)).status == "unchanged"


@pytest.mark.parametrize(
    ("gone", "rows"), [([5], "1 stored row"), ([5, 9], "2 stored rows"), ([], "")]
)
@pytest.mark.parametrize("lost", ["sidecar", "fit"])
def test_rows_that_yahoos_whole_history_lacks_are_kept_and_noted(
    server: StandIn, run: Run, tmp_path: Path, lost: str, gone: list[int], rows: str
) -> None:
    server.serve("AAPL", BARS)
    run()
    sidecar = tmp_path / "prices/1d/AAPL.json"
    if lost == "sidecar":
        sidecar.unlink()
    else:
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"prices_sha256": ""}))
    server.serve("AAPL", BARS.drop(BARS.index[gone]))
    result = only(run(full=lost == "sidecar"))
    kept = f"kept {rows} that Yahoo does not have, from 2024-01-09"
    assert (kept in result.note.split("; ")) == ("kept" in result.note) == bool(gone)
    assert (result.status, result.rows, result.added) == ("unchanged", 80, 0)
    assert_holds(tmp_path, BARS)
    assert "kept" not in only(run(full=True)).note  # now they are known to be Yahoo's


def test_an_import_over_bars_of_unknown_source_requires_replace(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {"source": "import", "file": "mine.csv"})
    (tmp_path / "prices/1d/AAPL.json").unlink()
    file = tmp_path / "prices/1d/AAPL.csv"
    source = Source(data_dir=tmp_path, today=TODAY, csv=(f"AAPL={file}",))
    with pytest.raises(AllFailedError, match=r"come from an unknown source\. Pass --replace"):
        import_data(source, now=NOW)
    (done,) = import_data(source, overwrite=True, now=NOW).imported
    assert (done.rows, done.changed) == (80, 0)
    (series,) = list_data(tmp_path, today=TODAY).series
    assert series.source == "import"


class Killed(BaseException):
    """Simulates the end of the process."""


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("story", ["first", "more", "split", "earlier start"])
def test_after_a_kill_between_two_files_the_next_fetch_repairs_both(
    server: StandIn, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: str, at: int
) -> None:
    since = {"start": date(2024, 2, 1)} if story == "earlier start" else {}
    wider = {"start": date(2024, 1, 2)} if since else {}
    if story != "first":
        server.serve("AAPL", BARS[:70])
        run(**since)
    truth = split(BARS, "2024-04-15", 4) if story == "split" else BARS
    server.serve("AAPL", truth)
    calls, replace = iter(range(9)), os.replace

    def dying(source: Path, target: Path) -> None:
        if next(calls) == at:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(Killed):
            run(**wider)
    assert only(run(**wider)).exit_code == 0
    assert_holds(tmp_path, truth)
    facts = json.loads((tmp_path / "prices/1d/AAPL.json").read_text())
    assert len(facts["restatements"]) == (story == "split")
    assert check_data(tmp_path, today=TODAY).exit_code == 0


def test_bars_that_were_edited_by_hand_are_compared_with_the_whole_history(
    server: StandIn, run: Run, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS)
    run()
    path = tmp_path / "prices/1d/AAPL.csv"
    lines = path.read_text().splitlines(keepends=True)
    fields = lines[5].split(",")
    lines[5] = ",".join([fields[0], *["123.4"] * 5, *fields[6:]])
    path.write_text("".join(lines))
    result = only(run())
    assert result.status == "restated"
    assert "Open of 2024-01-08 was 123.4" in result.note
    assert_holds(tmp_path, BARS)
