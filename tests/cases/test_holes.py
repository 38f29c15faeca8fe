"""Missing days, and bars on days without a session: every command reports them."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from lstmcli.arrays import Days
from lstmcli.config import Data
from lstmcli.errors import AllFailedError
from lstmcli.market.prices import DAY
from lstmcli.sources.loading import load_prices
from lstmcli.sources.source import Source
from lstmcli.workflows.data import check_data
from lstmcli.workflows.data_import import ImportReport, import_data
from tests.cases.bar_files import exchange_days
from tests.command_line import in_process, succeed

TODAY = date(2026, 11, 26)


def weekdays(first: str = "2017-10-02", last: str = "2023-06-30") -> Days:
    days = np.arange(np.datetime64(first), np.datetime64(last) + DAY)
    kept: Days = days[np.is_busday(days)]
    return kept


def without(days: Days, first: str, last: str) -> Days:
    kept: Days = days[(days < np.datetime64(first)) | (days > np.datetime64(last))]
    return kept


def late_fridays(days: Days) -> Days:
    """Date every tenth Friday a day late."""
    fridays = days[(days.astype(int) + 3) % 7 == 4]
    return np.sort(np.where(np.isin(days, fridays[::10]), days + DAY, days))


def with_day(days: Days, *extra: str) -> Days:
    return np.union1d(days, np.array(extra, dtype="datetime64[D]"))


def write(path: Path, days: Days) -> Path:
    closes = 100 + np.cumsum(np.random.default_rng(1).normal(0, 0.1, days.size))
    rows = "".join(f"{day},{close:.2f}\n" for day, close in zip(days, closes, strict=True))
    path.write_text("Date,Close\n" + rows)
    return path


# Days, name, the sentence that all commands print, and the findings of a check by first date.
HOLES = {
    "seventy weekdays": (
        without(weekdays(), "2020-06-08", "2020-09-11"), "S",
        "70 weekdays are missing: 2020-06-08 to 2020-09-11", ("gap", "2020-06-08"),
    ),
    "three years": (
        without(weekdays(), "2019-09-02", "2022-09-09"), "S",
        "790 weekdays are missing: 2019-09-02 to 2022-09-09", ("gap", "2019-09-02"),
    ),
    "Fridays dated a day late": (
        late_fridays(weekdays()), "S",
        "30 bars lie on days without a session: 2017-10-07", ("no session", "2017-10-07"),
    ),
    "one weekday": (
        without(weekdays(), "2019-05-14", "2019-05-14"), "FUND",
        "1 weekday is missing: 2019-05-14", ("gap", "2019-05-14"),
    ),
    "one day of New York's": (
        without(exchange_days("XNYS"), "2022-05-12", "2022-05-12"), "MYFUND",
        "1 exchange session is missing: 2022-05-12", ("gap", "2022-05-12"),
    ),
    "two years of New York's": (
        without(exchange_days("XNYS", "2015-01-02"), "2019-09-02", "2021-09-10"), "MYFUND",
        "511 exchange sessions are missing: 2019-09-03 to 2021-09-10", ("gap", "2019-09-03"),
    ),
    "a Saturday in New York": (
        with_day(exchange_days("XNYS"), "2022-05-14"), "MYFUND",
        "1 bar lies on a day without a session: 2022-05-14", ("no session", "2022-05-14"),
    ),
    "Christmas in London": (
        with_day(exchange_days("XLON"), "2020-12-25", "2023-05-29"), "VOD.L",
        "2 bars lie on days without a session: 2020-12-25, 2023-", ("no session", "2020-12-25"),
    ),
    "a fortnight of Tokyo's": (
        without(exchange_days("XTKS"), "2021-09-06", "2021-09-17"), "7203.T",
        "10 exchange sessions are missing: 2021-09-06 to 2021-09-17", ("gap", "2021-09-06"),
    ),
    "a Sunday of a coin": (
        without(np.arange(np.datetime64("2021-01-01"), np.datetime64("2022-01-01")),
                "2021-05-16", "2021-05-16"), "COIN",
        "1 exchange session is missing: 2021-05-16", ("gap", "2021-05-16"),
    ),
    "two weeks": (
        without(np.arange(np.datetime64("2015-01-05"), np.datetime64("2020-01-06"), 7 * DAY),
                "2017-05-08", "2017-05-15"), "WEEKLY",
        "2 weeks are missing: 2017-05-08 to 2017-05-15", ("gap", "2017-05-08"),
    ),
    "a month": (
        without(np.arange("2010-01", "2020-01", dtype="datetime64[M]").astype("datetime64[D]"),
                "2015-07-01", "2015-07-01"), "MONTHLY",
        "1 month is missing: 2015-07-01", ("gap", "2015-07-01"),
    ),
}  # fmt: skip


def brought(folder: Path, file: str, *, strict: bool = False) -> ImportReport:
    source = Source(folder / "data", TODAY, csv=(file,), strict=strict)
    return import_data(source, now=datetime(2026, 11, 26, tzinfo=UTC))


@pytest.mark.parametrize("case", HOLES)
def test_every_command_reports_the_hole_and_strict_refuses_it(case: str, tmp_path: Path) -> None:
    days, name, sentence, finding = HOLES[case]
    file = f"{name}={write(tmp_path / 'own.csv', days)}"
    with pytest.raises(AllFailedError, match=sentence.split(":")[0]) as caught:
        brought(tmp_path, file, strict=True)
    assert caught.value.exit_code == 4
    report = brought(tmp_path, file)
    assert [note for note in report.notes if note.startswith(f"{name}: {sentence}")]
    checked = check_data(tmp_path / "data", today=TODAY)
    assert finding in [(each.kind, each.date) for each in checked.findings]
    assert checked.exit_code == 4
    # Training and forecasting read files and the store like this.
    interval = {"two weeks": "1wk", "a month": "1mo"}.get(case, "1d")
    data = Data(interval=interval)
    for source in (
        Source(tmp_path / "data", TODAY, csv=(file,)),
        Source(tmp_path / "data", TODAY, symbols=(name,)),
    ):
        (prices,), failures = load_prices(source, data)
        assert not failures
        assert [note for note in prices.notes if note.startswith(sentence)]


def test_train_and_predict_report_it_too_and_strict_refuses_it(tmp_path: Path) -> None:
    days, name, sentence, _ = HOLES["seventy weekdays"]
    file = f"{name}={write(tmp_path / 'own.csv', days)}"
    tiny = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[4]", "--name", "m")
    done = succeed("train", *tiny, "--csv", file, folder=tmp_path)
    assert sentence in done.err
    done = succeed("predict", "--model", "m", "--csv", file, folder=tmp_path)
    assert sentence in done.err
    for verb in ("train", "predict"):
        options = tiny if verb == "train" else ("--model", "m")
        refused = in_process(verb, *options, "--csv", file, "--strict", folder=tmp_path)
        assert (refused.code, sentence in refused.err) == (4, True)


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS", "XHKG", "XSHG", "XTAE", "XBOM"])
def test_a_complete_history_of_any_exchange_has_no_holes(calendar: str, tmp_path: Path) -> None:
    file = f"FUND={write(tmp_path / 'own.csv', exchange_days(calendar))}"
    report = brought(tmp_path, file, strict=True)
    assert report.notes == ()
    assert check_data(tmp_path / "data", today=TODAY).findings == ()


def test_the_holidays_of_an_unknown_exchange_are_not_a_fault(tmp_path: Path) -> None:
    """It has ten holidays a year that no known exchange shares."""
    rest = [f"{year}-{day}" for year in (2020, 2021, 2022) for day in (
        "01-01", "02-19", "03-11", "04-30", "05-20", "06-10", "07-08", "09-02", "10-07", "11-18",
    )]  # fmt: skip
    days = np.setdiff1d(weekdays("2020-01-01", "2022-12-30"), np.array(rest, dtype="datetime64[D]"))
    report = brought(tmp_path, f"FUND={write(tmp_path / 'own.csv', days)}", strict=True)
    (note,) = report.notes
    assert note.endswith("weekdays have no bar and may be holidays: no exchange's calendar fits.")
    checked = check_data(tmp_path / "data", today=TODAY)
    assert [each.kind for each in checked.findings] == ["weekdays"]
    assert checked.exit_code == 0


def test_saturdays_of_years_with_saturday_sessions_are_not_a_fault(tmp_path: Path) -> None:
    days = np.arange(np.datetime64("1948-01-02"), np.datetime64("1956-12-31"))
    saturdays = ((days.astype(int) + 3) % 7 == 5) & (days < np.datetime64("1952-10-01"))
    days = days[np.is_busday(days) | saturdays]
    report = brought(tmp_path, f"^OLD={write(tmp_path / 'own.csv', days)}", strict=True)
    assert report.notes == ()
