"""A check finds what is wrong with stored prices, and nothing where nothing is."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError, FileError
from lstmcli.market.store import write_stored
from lstmcli.market.symbols import price_path, sidecar_path
from lstmcli.workflows.data import CheckReport, check_data
from tests.command_line import sessions
from tests.workflows.test_data import FACTS, TODAY, bars

DAYS = sessions(40)


def check(folder: Path, *symbols: str, today: date = TODAY) -> CheckReport:
    return check_data(folder, symbols, today=today)


def store(folder: Path, frame: pd.DataFrame, symbol: str = "AAPL") -> None:
    write_stored(folder, symbol, "1d", frame, {**FACTS, "restatements": []})


def found(report: CheckReport) -> list[tuple[str, str]]:
    return [(each.kind, each.date) for each in report.findings]


def test_a_sound_store_has_no_findings(tmp_path: Path) -> None:
    store(tmp_path, bars())
    store(tmp_path, bars().assign(Volume=0.0), "^GSPC")  # an index has none
    report = check(tmp_path)
    assert (report.checked, report.findings, report.exit_code) == (2, (), 0)


def test_each_hole_is_one_finding_with_its_first_day(tmp_path: Path) -> None:
    gone = pd.DatetimeIndex([DAYS[10], DAYS[20], DAYS[21], DAYS[22]])
    store(tmp_path, bars().drop(gone))
    report = check(tmp_path)
    assert found(report) == [("gap", DAYS[10]), ("gap", DAYS[20])]
    assert [each.what for each in report.findings] == [
        "1 session missing",
        f"3 sessions up to {DAYS[22]} missing",
    ]
    assert "lstmcli fetch --full AAPL" in report.findings[0].next_step
    assert report.exit_code == 4


def test_some_series_with_faults_are_3_and_all_are_4(tmp_path: Path) -> None:
    store(tmp_path, bars().drop(pd.DatetimeIndex([DAYS[10]])))
    store(tmp_path, bars(), "MSFT")
    assert check(tmp_path).exit_code == 3
    assert check(tmp_path, "AAPL").exit_code == 4
    assert check(tmp_path, "MSFT").exit_code == 0


def test_a_cliff_is_a_jump_and_a_split_of_adjusted_prices_is_none(tmp_path: Path) -> None:
    cliff = bars()
    cliff.loc[DAYS[25] :, ["Open", "High", "Low", "Close", "Adj Close"]] /= 4
    store(tmp_path, cliff)
    flagged = bars()
    flagged.loc[DAYS[25], "Stock Splits"] = 4.0
    store(tmp_path, flagged, "MSFT")
    report = check(tmp_path)
    assert found(report) == [("jump", DAYS[25])]
    assert report.findings[0].symbol == "AAPL"
    factor = cliff["Adj Close"].iloc[25] / cliff["Adj Close"].iloc[24]
    assert f"moves by x{factor:.3g} on {DAYS[25]}" in report.findings[0].what


def test_a_hundredfold_close_is_found_where_the_adjusted_one_is_right(tmp_path: Path) -> None:
    pence = bars()
    days = pd.DatetimeIndex(DAYS[25:28])
    pence.loc[days, ["Open", "High", "Low", "Close"]] *= 100
    store(tmp_path, pence)
    unadjusted = bars()
    unadjusted.loc[DAYS[25] :, ["Open", "High", "Low", "Close"]] /= 4
    store(tmp_path, unadjusted, "MSFT")
    (finding,) = check(tmp_path).findings
    assert (finding.symbol, finding.kind, finding.date) == ("AAPL", "jump", DAYS[25])
    factor = pence["Close"].iloc[25] / pence["Close"].iloc[24]
    span = f"from {DAYS[25]} to {DAYS[27]} (3 rows) and back"
    assert finding.what == f"Close is x{factor:.3g} {span}"


@pytest.mark.parametrize(
    ("interval", "step", "last", "second"),
    [("1wk", "7D", "2018-09-03", "2018-08-30"), ("1mo", "MS", "2018-09-01", "2018-08-15")],
)
def test_a_running_period_and_a_second_bar_of_one_do_not_lack_a_price(
    tmp_path: Path, interval: str, step: str, last: str, second: str
) -> None:
    index = pd.date_range(end=last, periods=39, freq=step).append(pd.DatetimeIndex([second]))
    frame = bars().set_axis(index.sort_values(), axis=0)
    write_stored(tmp_path, "AAPL", interval, frame, {**FACTS, "restatements": []})
    report = check(tmp_path)
    assert found(report) == [("bad row", second), ("bad row", last)]
    assert {each.what for each in report.findings} == {
        "a bar of a period that is not over, or a second bar of one"
    }


def test_a_restatement_is_told_and_is_no_fault(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", bars(), FACTS)
    report = check(tmp_path)
    assert found(report) == [("restated", "2018-08-31")]
    assert "4:1 split 2018-08-30" in report.findings[0].what
    assert report.exit_code == 0


def test_values_that_cannot_be_right_are_counted_by_column_with_the_first_day(
    tmp_path: Path,
) -> None:
    wrong = bars()
    wrong.loc[DAYS[7], "High"] = wrong["Close"].loc[DAYS[7]] / 2
    wrong.loc[[DAYS[8], DAYS[9]], "Open"] = -1.0
    wrong.loc[DAYS[11], ["Close", "Adj Close"]] = np.nan
    store(tmp_path, wrong)
    report = check(tmp_path)
    assert found(report) == [
        ("bad row", DAYS[11]), ("bad row", DAYS[8]), ("bad row", DAYS[7]), ("gap", DAYS[11]),
    ]  # fmt: skip
    assert report.findings[1].what.startswith("Open cannot be right in 2 rows")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("Date,Close\n2018-08-30,1\n2018-08-31,-1\n", "bad price"),
        ("Date,Close\n2018-08-30,1\n2018-08-31\n", "line 3"),
    ],
)
def test_prices_that_nothing_can_use_are_unreadable(tmp_path: Path, text: str, words: str) -> None:
    store(tmp_path, bars())
    store(tmp_path, bars(), "MSFT")
    price_path(tmp_path, "AAPL").write_text(text)
    report = check(tmp_path)
    assert found(report) == [("unreadable", "")]
    assert words in report.findings[0].what
    assert "\n" not in report.findings[0].what
    assert report.exit_code == 3


@pytest.mark.parametrize("damage", ["missing", "damaged", "edited bars"])
def test_a_sidecar_that_does_not_belong_to_the_bars_is_found(tmp_path: Path, damage: str) -> None:
    store(tmp_path, bars())
    if damage == "missing":
        sidecar_path(tmp_path, "AAPL").unlink()
    elif damage == "damaged":
        sidecar_path(tmp_path, "AAPL").write_text("{")
    else:
        path = price_path(tmp_path, "AAPL")
        path.write_text(path.read_text().replace(f"{DAYS[30]},", f"{DAYS[30]},1", 1))
    report = check(tmp_path)
    assert ("sidecar", "") in found(report)
    assert "fetch" in report.findings[0].next_step


def test_bars_of_ones_own_are_mended_by_an_import(tmp_path: Path) -> None:
    own = bars()[["Close"]].drop(pd.DatetimeIndex([DAYS[10]]))
    write_stored(tmp_path, "FUND", "1d", own, {"source": "import", "file": "mine.csv"})
    (finding,) = check(tmp_path).findings
    assert finding.next_step == "Import a mended file: lstmcli data import FUND=FILE."


def test_strays_are_found_when_the_whole_store_is_checked(tmp_path: Path) -> None:
    store(tmp_path, bars())
    (tmp_path / "prices/1d/MSFT.json").write_text("{}")
    (tmp_path / "prices/notes.txt").write_text("")
    report = check(tmp_path)
    assert [each.kind for each in report.findings] == ["stray", "stray"]
    assert "MSFT.json: a sidecar without bars" in report.findings[0].what
    assert report.exit_code == 3
    assert check(tmp_path, "AAPL").exit_code == 0


def test_files_of_another_user_and_open_folders_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, bars())
    (tmp_path / "prices/1d").chmod(0o777)
    report = check(tmp_path)
    assert [each.kind for each in report.findings] == ["owner"]
    assert "every user may write to it" in report.findings[0].what
    (tmp_path / "prices/1d").chmod(0o755)
    stat = os.stat
    theirs = price_path(tmp_path, "AAPL")

    def of_another(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        other = os.geteuid() + 1 if path == theirs else os.geteuid()
        return os.stat_result((*found[:4], other, *found[5:]))

    monkeypatch.setattr(Path, "stat", of_another)
    (finding,) = check(tmp_path).findings
    assert (finding.symbol, finding.kind) == ("AAPL", "owner")


def test_what_is_not_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prices stored"):
        check(tmp_path)
    store(tmp_path, bars())
    report = check(tmp_path, "AAPL", "NOPE")
    assert [(each.symbol, each.kind) for each in report.findings] == [("NOPE", "unreadable")]
    assert report.exit_code == 3


def test_links_out_of_the_store_are_refused_or_found(tmp_path: Path) -> None:
    store(tmp_path / "data", bars())
    store(tmp_path / "other", bars(), "MSFT")
    link = tmp_path / "data/prices/1d/MSFT.csv"
    os.symlink(price_path(tmp_path / "other", "MSFT"), link)
    report = check(tmp_path / "data")
    assert [(each.symbol, each.kind) for each in report.findings] == [("MSFT", "unreadable")]
    assert "leads out of the data folder" in report.findings[0].what
    assert report.findings[0].next_step == "Remove the link."
    os.symlink(tmp_path / "other", tmp_path / "data/prices/1wk")
    with pytest.raises(FileError, match="leads out"):
        check(tmp_path / "data")


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    store(tmp_path, bars())
    sidecar_path(tmp_path, "AAPL").unlink()
    before = sorted(tmp_path.rglob("*"))
    check(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
