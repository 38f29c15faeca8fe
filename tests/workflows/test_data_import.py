"""CSV files of one's own in the store: as checked as every CSV, and never mixed with another's."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import AllFailedError, DataError, UsageError
from lstmcli.market.columns import Reading
from lstmcli.market.store import read_sidecar, read_stored, write_stored
from lstmcli.market.symbols import price_path
from lstmcli.sources.source import Source
from lstmcli.workflows.data_import import Imported, ImportReport, import_data
from lstmcli.workflows.fetch import fetch
from tests.command_line import csv_text, hashes, sessions, walk
from tests.workflows.test_data import bars
from tests.yahoo_stand_in import random_walk, stand_in

NOW = datetime(2018, 9, 6, tzinfo=UTC)
CLOSES = walk(60)


def run(
    folder: Path, *files: str, sep: str = ",", decimal: str = ".", **options: Any
) -> ImportReport:
    names = [name if "=" in name else str(folder / name) for name in files]
    source = Source(folder / "data", NOW.date(), csv=tuple(names), reading=Reading(sep, decimal))
    return import_data(source, now=NOW, **options)


def write(folder: Path, name: str, closes: Any = CLOSES) -> None:
    (folder / name).write_text(csv_text(np.asarray(closes)))


def test_a_file_is_stored_under_its_name_and_says_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path, "fund.csv")
    (done,) = run(tmp_path, "fund.csv").imported
    days = sessions(60)
    assert done == Imported("FUND", "1d", "new", "fund.csv", 60, 60, 0, 0, days[0], days[-1])
    facts = read_sidecar(tmp_path / "data", "FUND")
    assert (facts["source"], facts["file"], facts["rows"]) == ("import", "fund.csv", 60)
    assert str(tmp_path) not in str(facts)
    prices = read_stored(tmp_path / "data", "FUND", today=NOW.date())
    assert prices.frame["Close"].tolist() == CLOSES.tolist()
    assert prices.notes == ()


def test_the_same_file_again_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path, "fund.csv")
    run(tmp_path, "fund.csv")
    before = hashes(tmp_path)
    (done,) = run(tmp_path, "fund.csv").imported
    assert (done.status, done.added, done.removed, done.changed) == ("unchanged", 0, 0, 0)
    assert hashes(tmp_path) == before


def test_a_newer_file_replaces_the_older_one_whole_and_says_what_differs(tmp_path: Path) -> None:
    until = np.datetime64(sessions(60)[49])
    (tmp_path / "fund.csv").write_text(csv_text(CLOSES[:50], until))
    run(tmp_path, "fund.csv")
    newer = CLOSES.copy()
    newer[[12, 20]] += 1
    write(tmp_path, "2018.csv", newer)
    (done,) = run(tmp_path, f"FUND={tmp_path / '2018.csv'}").imported
    assert (done.status, done.rows) == ("replaced", 60)
    assert (done.added, done.removed, done.changed) == (10, 0, 2)
    assert read_sidecar(tmp_path / "data", "FUND")["file"] == "2018.csv"


def test_a_file_that_would_lose_rows_is_refused_unless_told_to(tmp_path: Path) -> None:
    write(tmp_path, "fund.csv")
    run(tmp_path, "fund.csv")
    before = hashes(tmp_path / "data")
    write(tmp_path, "fund.csv", CLOSES[-40:])
    with pytest.raises(AllFailedError, match=r"20 of 60 stored rows.*--replace") as caught:
        run(tmp_path, "fund.csv")
    assert caught.value.exit_code == 4
    assert hashes(tmp_path / "data") == before
    (done,) = run(tmp_path, "fund.csv", overwrite=True).imported
    assert (done.rows, done.removed) == (40, 20)


@pytest.mark.parametrize("facts", [{"source": "Yahoo"}, {}])
def test_yahoos_bars_are_replaced_only_when_told_to(tmp_path: Path, facts: dict[str, str]) -> None:
    write(tmp_path, "AAPL.csv")
    write_stored(tmp_path / "data", "AAPL", "1d", bars(), facts)
    before = hashes(tmp_path / "data")
    with pytest.raises(AllFailedError, match=r"not imported \(AAPL\).*come from.*--replace"):
        run(tmp_path, "AAPL.csv")
    assert hashes(tmp_path / "data") == before
    (done,) = run(tmp_path, "AAPL.csv", overwrite=True).imported
    assert done.status == "replaced"
    assert read_sidecar(tmp_path / "data", "AAPL")["source"] == "import"


def test_a_damaged_series_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    write(tmp_path, "fund.csv")
    run(tmp_path, "fund.csv")
    price_path(tmp_path / "data", "FUND").write_text("x")
    with pytest.raises(AllFailedError, match="not a table of prices"):
        run(tmp_path, "fund.csv")
    (done,) = run(tmp_path, "fund.csv", overwrite=True).imported
    assert (done.status, done.added) == ("replaced", 60)


@pytest.mark.parametrize("full", [False, True])
def test_fetch_leaves_imported_bars_alone_and_asks_nothing(tmp_path: Path, full: bool) -> None:
    write(tmp_path, "AAPL.csv")
    run(tmp_path, "AAPL.csv")
    before = hashes(tmp_path)
    with stand_in() as server:
        server.serve("AAPL", random_walk(80))
        report = fetch(["AAPL"], data_dir=tmp_path / "data", full=full, now=NOW)
        assert server.charts == []
    (result,) = report.results
    assert (result.status, result.exit_code) == ("failed", 4)
    assert "imported" in result.reason
    assert "AAPL.csv" in result.reason
    assert "lstmcli data remove AAPL" in result.reason
    assert hashes(tmp_path) == before


def test_a_wide_file_brings_every_series_with_semicolons_too(tmp_path: Path) -> None:
    days = sessions(30)
    lines = [f"{day};{100 + i},5;{50 + i},25" for i, day in enumerate(days)]
    (tmp_path / "wide.csv").write_text("\n".join(["Date;one;two", *lines]) + "\n")
    report = run(tmp_path, "wide.csv", sep=";", decimal=",")
    assert [(each.symbol, each.rows) for each in report.imported] == [("ONE", 30), ("TWO", 30)]
    two = read_stored(tmp_path / "data", "TWO", today=NOW.date())
    assert two.frame["Close"].iloc[0] == 50.25


def test_a_bad_file_is_named_and_the_others_are_stored(tmp_path: Path) -> None:
    write(tmp_path, "good.csv")
    write(tmp_path, "no_symbol.csv")
    (tmp_path / "bad.csv").write_text("Date,Close\n2018-08-31,-1\n")
    report = run(tmp_path, "bad.csv", "good.csv", "no_symbol.csv")
    assert [each.symbol for each in report.imported] == ["GOOD"]
    assert [each.exit_code for each in report.failures] == [4, 4]
    assert "NAME=FILE" in report.failures[1].reason
    assert sorted(path.name for path in (tmp_path / "data/prices/1d").iterdir()) == [
        "GOOD.csv",
        "GOOD.json",
    ]


@pytest.mark.parametrize(("frequency", "interval"), [("7D", "1wk"), ("MS", "1mo")])
def test_bars_are_stored_as_what_their_dates_say(
    tmp_path: Path, frequency: str, interval: str
) -> None:
    frame = random_walk(40, start="2012-01-02", frequency=frequency)
    frame[["Close"]].to_csv(tmp_path / "fund.csv")
    (done,) = run(tmp_path, "fund.csv").imported
    assert done.interval == interval
    assert price_path(tmp_path / "data", "FUND", interval).exists()
    assert run(tmp_path, "fund.csv", interval=interval).imported[0].status == "unchanged"
    with pytest.raises(AllFailedError, match=rf"look like {interval}, expected 1d"):
        run(tmp_path, "fund.csv", interval="1d")


def test_bars_of_no_stored_interval_are_refused(tmp_path: Path) -> None:
    random_walk(40, start="2006-01-02", frequency="QS")[["Close"]].to_csv(tmp_path / "fund.csv")
    with pytest.raises(AllFailedError, match=r"look like 3mo, expected 1d or 1wk or 1mo"):
        run(tmp_path, "fund.csv")
    assert not (tmp_path / "data").exists()


def test_one_symbol_from_two_files_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path, f"{folder}/fund.csv")
    write(tmp_path, "FUND.csv")
    for twin in ("b/fund.csv", "FUND.csv"):
        with pytest.raises(UsageError, match=r"duplicate symbol.*NAME=FILE"):
            run(tmp_path, "a/fund.csv", twin)
    with pytest.raises(UsageError, match="no files"):
        run(tmp_path)
    assert not (tmp_path / "data").exists()


def test_strict_refuses_missing_sessions(tmp_path: Path) -> None:
    lines = csv_text(CLOSES).splitlines(keepends=True)
    (tmp_path / "fund.csv").write_text("".join([*lines[:20], *lines[25:]]))
    assert "5 weekdays are missing" in run(tmp_path, "fund.csv").notes[0]
    source = Source(
        tmp_path / "other", date(2018, 9, 6), csv=(str(tmp_path / "fund.csv"),), strict=True
    )
    with pytest.raises(AllFailedError, match="missing sessions") as caught:
        import_data(source, now=NOW)
    assert caught.value.exit_code == DataError.exit_code
