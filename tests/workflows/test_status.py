"""Whether all is well: each part well, behind, damaged or absent, and how old the runs may be."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import DataError
from lstmcli.market.store import read_sidecar, write_stored
from lstmcli.market.symbols import price_path, sidecar_path
from lstmcli.runs.last_runs import RunEnd, note_end
from lstmcli.sources.source import Source
from lstmcli.workflows.data_import import import_data
from lstmcli.workflows.status import Part, StatusReport, status
from tests.command_line import walk
from tests.workflows.test_data import bars, store

NOW = datetime(2018, 9, 5, 6, 0, tzinfo=UTC)
MANY = ("AA", "BB", "CC", "DD", "EE", "FF", "GG")


def end(command: str, hours_ago: float, code: int = 0, **changes: Any) -> RunEnd:
    time = (NOW - timedelta(hours=hours_ago)).isoformat()
    return replace(RunEnd(command, "0011aabb", time, time, code), **changes)


def part(folder: Path, name: str, *, now: datetime = NOW) -> Part:
    (found,) = [each for each in status(folder, now=now).parts if each.name == name]
    return found


def test_an_empty_folder_has_nothing_yet_and_says_how_to_begin(tmp_path: Path) -> None:
    report = status(tmp_path / "absent", now=NOW)
    states = {each.name: each.state for each in report.parts}
    assert states == {
        "store": "none",
        "model": "none",
        "calendars": "ok",
        "device": "ok",
        "feed": "none",
    }
    assert all(each.next_step for each in report.parts if each.state != "ok")
    assert not (tmp_path / "absent").exists()


def test_a_store_up_to_date_is_well(tmp_path: Path) -> None:
    for symbol in ("AAPL", "MSFT"):
        store(tmp_path, symbol)
    found = part(tmp_path, "store")
    assert found == Part(
        "store",
        "ok",
        "2 series, last bars 2018-08-31",
        since=datetime(2018, 8, 31, 22, 0, tzinfo=UTC),
    )


def test_series_behind_are_named_with_the_command_that_brings_them_up(tmp_path: Path) -> None:
    for symbol in MANY:
        store(tmp_path, symbol)
    # 2018-09-03 was a holiday: on the 7th, three sessions are complete.
    assert part(tmp_path, "store", now=NOW + timedelta(days=2)).state == "ok"
    found = part(tmp_path, "store", now=NOW + timedelta(days=5))
    assert found.state == "old"
    assert found.cause == "7 series more than 3 bars behind: AA, BB, CC, DD, EE, and 2 more"
    assert found.next_step == "Run: lstmcli fetch AA BB CC DD EE ..."


def test_the_command_for_series_behind_is_that_of_their_kind(tmp_path: Path) -> None:
    later = NOW + timedelta(days=365)
    store(tmp_path, "AAPL", "1mo")
    assert part(tmp_path, "store", now=later).next_step == "Run: lstmcli fetch AAPL --interval 1mo."
    shutil.rmtree(tmp_path / "prices")
    write_stored(tmp_path, "FUND", "1d", bars(), {"source": "import"})
    assert "lstmcli data import FUND=FILE" in part(tmp_path, "store", now=later).next_step


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_damaged_series_is_bad_and_sent_to_the_full_check(
    tmp_path: Path, all_of_them: bool
) -> None:
    for symbol in ("AAPL", "MSFT"):
        store(tmp_path, symbol)
        if all_of_them or symbol == "MSFT":
            price_path(tmp_path, symbol).write_bytes(b"\x00\x01")
    found = part(tmp_path, "store")
    assert (found.state, found.next_step) == ("bad", "Run: lstmcli data check.")
    assert "MSFT" in found.cause


def test_a_store_that_leads_out_of_the_folder_is_bad(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/prices").symlink_to("/")
    found = part(tmp_path / "data", "store")
    assert (found.state, found.next_step) == ("bad", "Remove the link.")


def test_a_sidecar_that_says_nothing_hides_no_series(tmp_path: Path) -> None:
    store(tmp_path, "AAPL")
    sidecar_path(tmp_path, "AAPL").write_text('{"fetched_at": "some day"}')
    found = part(tmp_path, "store")
    assert (found.state, found.since) == ("bad", None)
    assert "1 of unknown source: AAPL" in found.cause


def test_every_calendar_of_the_store_is_followed_to_its_end(tmp_path: Path) -> None:
    for symbol in ("AAPL", "BTC-USD", "0700.HK", "600519.SS"):
        store(tmp_path, symbol)
    found = part(tmp_path, "calendars")
    assert (found.state, found.next_step) == ("ok", "")
    assert found.what == (
        "24/7 to 2100-12-31, XHKG to 2049-12-31, XNYS to 2100-12-31, XSHG to 2026-12-31"
    )


def test_holidays_that_are_not_known_are_named_and_no_upgrade_is_advised(tmp_path: Path) -> None:
    store(tmp_path, "600519.SS")
    found = part(tmp_path, "calendars", now=datetime(2026, 11, 26, tzinfo=UTC))
    assert (found.state, found.what) == ("old", "XSHG: holidays after 2026-12-31 are not known")
    assert "pip" not in found.next_step


def test_weekly_bars_of_a_file_need_no_calendar(tmp_path: Path) -> None:
    days = np.arange(np.datetime64("2016-01-04"), np.datetime64("2018-09-03"), 7)
    rows = (f"{day},{price}\n" for day, price in zip(days, walk(days.size), strict=True))
    (tmp_path / "fund.csv").write_text("Date,Close\n" + "".join(rows))
    imported = import_data(
        Source(tmp_path, NOW.date(), csv=(f"FUND={tmp_path / 'fund.csv'}",)), now=NOW
    ).imported
    assert [each.interval for each in imported] == ["1wk"]
    assert "schedule" not in read_sidecar(tmp_path, "FUND", "1wk")
    assert part(tmp_path, "calendars").what == "XNYS to 2100-12-31"  # as of no series
    store(tmp_path, "VOD.L")
    assert part(tmp_path, "calendars").what.split() == ["XLON", "to", "2100-12-31"]


@pytest.mark.parametrize("damage", ["bars", "link"])
def test_a_damaged_series_hides_no_calendar_of_the_others(tmp_path: Path, damage: str) -> None:
    home = tmp_path / "data"
    store(home, "600519.SS")
    write_stored(home, "FUND", "1d", bars(), {"source": "import"})
    path = price_path(home, "FUND")
    if damage == "bars":
        path.write_bytes(b"\x00\x01")
    else:
        path.rename(tmp_path / "elsewhere.csv")
        path.symlink_to(tmp_path / "elsewhere.csv")
    found = part(home, "calendars")
    assert (found.state, found.what) == ("ok", "XSHG to 2026-12-31")
    assert part(home, "store").state == "bad"
    assert "1 cannot be read: FUND" in part(home, "store").cause


def test_a_device_that_is_not_there_is_bad(tmp_path: Path) -> None:
    (found,) = [
        each for each in status(tmp_path, now=NOW, device="cuda:99").parts if each.name == "device"
    ]
    assert found.state == "bad"
    assert "--device cpu" in found.next_step


def test_the_feed_is_as_the_last_fetch_left_it(tmp_path: Path) -> None:
    good = end("fetch", 30, 3, counts={"done": 497, "failed": 3, "seconds_waited": 0})
    note_end(tmp_path, good)
    found = part(tmp_path, "feed")
    assert (found.state, found.since) == ("ok", NOW - timedelta(hours=30))
    assert found.what == "last fetch 2018-09-04 00:00: 497 done, 3 failed"
    refused = end("fetch", 6, 6, error="too many requests (HTTP 429)", counts={"failed": 500})
    note_end(tmp_path, refused)
    found = part(tmp_path, "feed")
    assert (found.state, found.since) == ("bad", NOW - timedelta(hours=30))
    assert found.what.endswith(": 500 failed")
    assert found.cause == "exit code 6, too many requests (HTTP 429)"
    assert found.next_step


def test_of_a_fetch_and_a_forecast_of_one_second_the_forecast_was_the_last(tmp_path: Path) -> None:
    for command in ("forecast", "fetch"):
        note_end(tmp_path, end(command, 6))
    assert part(tmp_path, "feed").what.startswith("last forecast 2018-09-05 00:00")


@pytest.mark.parametrize(("code", "counts"), [(3, {"done": 497.0}), (4, {})])
def test_a_fetch_whose_answers_were_refused_leaves_the_feed_old(
    tmp_path: Path, code: int, counts: dict[str, float]
) -> None:
    note_end(tmp_path, end("fetch", 6, code, counts={**counts, "failed": 3.0, "refused": 3.0}))
    found = part(tmp_path, "feed")
    assert found.state == "old"
    assert found.next_step == "Yahoo refused 3 symbols. Run the same fetch again later."
    assert "3 failed, 3 refused" in found.what


def aged(folder: Path, *ends: RunEnd, asked: Sequence[str] = ()) -> StatusReport:
    for each in ends:
        note_end(folder, each)
    return status(folder, now=NOW, commands=asked, max_age=timedelta(hours=26))


@pytest.mark.parametrize(
    ("ends", "asked", "too_old"),
    [
        ([end("fetch", 25)], (), []),
        ([end("fetch", 27)], (), ["fetch"]),
        ([end("fetch", 2, 3)], (), []),
        ([end("fetch", 27), end("fetch", 2, 6)], (), ["fetch"]),
        ([end("fetch", 20), end("fetch", 2, 6)], (), []),
        # A weekly training is not asked about unless by name, and hides no fetch that stopped.
        ([end("fetch", 2), end("predict", 2), end("train", 150)], (), []),
        ([end("fetch", 27), end("predict", 2), end("train", 2)], (), ["fetch"]),
        ([end("fetch", 27), end("predict", 28)], (), ["fetch", "predict"]),
        ([end("fetch", 27), end("train", 2)], ("train",), []),
        ([end("fetch", 2), end("train", 27)], ("fetch", "train"), ["train"]),
        ([end("fetch", 2)], ("predict",), ["predict"]),
        ([end("train", 2)], (), []),
        ([end("train", 27), end("evaluate", 30)], (), ["no command"]),
        ([], (), ["no command"]),
        # A forecast does the work of both.
        ([end("forecast", 2), end("train", 27)], (), []),
        ([end("forecast", 27)], (), ["forecast"]),
        ([end("forecast", 2), end("fetch", 90), end("predict", 90)], (), []),
        ([end("forecast", 27), end("fetch", 90)], (), ["fetch"]),
        ([end("forecast", 90), end("fetch", 2)], (), []),
        ([end("fetch", 2)], ("forecast",), ["forecast"]),
        # A clock that was wrong makes no run young for ever.
        ([end("fetch", -0.05)], (), []),
        ([end("fetch", -24)], (), ["fetch"]),
    ],
)
def test_the_last_good_run_may_be_as_old_as_asked(
    tmp_path: Path, ends: list[RunEnd], asked: tuple[str, ...], too_old: list[str]
) -> None:
    report = aged(tmp_path, *ends, asked=asked)
    assert len(report.too_old) == len(too_old)
    for told, name in zip(report.too_old, too_old, strict=True):
        assert told.startswith(name)


def test_a_run_too_old_is_an_error_of_data_and_none_is_without_a_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"too old .*fetch last succeeded at 2018-09-04T03:00"):
        aged(tmp_path, end("fetch", 27)).raise_if_too_old()
    report = status(tmp_path, now=NOW)
    assert report.too_old == ()
    report.raise_if_too_old()
