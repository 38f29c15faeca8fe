"""Options for reading a file are given once: models and imported series store them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lstmcli.cli.options import PriceOptions
from lstmcli.errors import UsageError
from lstmcli.market.columns import Reading, parse_columns
from tests.command_line import Outcome, assert_one_error, in_process, sessions, walk
from tests.rows import for_each

ROWS = 120
TINY = (
    *("--set", "model.network=har", "--set", "window.context_length=40"),
    *("--set", "window.horizon=2"),
)
GERMAN = ("--columns", "date=Datum,close=Kurs", "--date-format", "%d/%m/%y")


def run(folder: Path, *arguments: str) -> Outcome:
    return in_process(*arguments, folder=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with fund.csv, whose columns and dates cannot be detected."""
    rows = [
        f"{day[8:]}/{day[5:7]}/{day[2:4]};{close:.2f}".replace(".", ",")
        for day, close in zip(sessions(ROWS), walk(ROWS), strict=True)
    ]
    (tmp_path / "fund.csv").write_text("\n".join(["Datum;Kurs", *rows]) + "\n")
    return tmp_path


def test_a_model_reads_its_own_file_again(folder: Path) -> None:
    assert_one_error(run(folder, "train", "--csv", "fund.csv", *TINY), 4, "--columns date=Datum")
    named = ("--columns", "date=Datum,close=Kurs")
    step = "--date-format '%d/%m/%y'"
    assert_one_error(run(folder, "train", "--csv", "fund.csv", *TINY, *named), 4, step)
    done = run(folder, "train", "--csv", "fund.csv", "--name", "fund", *TINY, *GERMAN)
    assert done.code == 0, done.err
    recipe = tomllib.loads((folder / "data/models/fund/v0001/config.toml").read_text())
    assert recipe["data"]["columns"] == {"date": "Datum", "close": "Kurs"}
    assert recipe["data"]["date_format"] == "%d/%m/%y"
    for command in (("evaluate", "--model", "fund"), ("predict", "--model", "fund")):
        again = run(folder, *command, "--json")
        assert again.code == 0, again.err
        given = run(folder, *command, "--csv", "fund.csv", *GERMAN, "--json")
        assert given.code == 0, given.err
    # Files named on the command line are read with its options only.
    assert_one_error(run(folder, "predict", "--model", "fund", "--csv", "fund.csv"), 4, "Datum")


def test_a_recipe_may_set_how_its_files_are_read(folder: Path) -> None:
    (folder / "fund.toml").write_text(
        '[data]\ncsv = ["fund.csv"]\ncolumns = {date = "Datum", close = "Kurs"}\n'
        'date_format = "%d/%m/%y"\n[model]\nnetwork = "har"\n'
        "[window]\ncontext_length = 40\nhorizon = 2\n"
    )
    done = run(folder, "train", "--config", "fund.toml")
    assert done.code == 0, done.err
    other = run(folder, "train", "--config", "fund.toml", "--csv", "fund.csv", "--name", "x")
    assert_one_error(other, 4, "--columns date=Datum")
    named = (*TINY, "--set", 'data.columns={date="Datum", close="Kurs"}')
    form = ("--set", "data.date_format=%d/%m/%y")
    assert run(folder, "train", "--csv", "fund.csv", "--name", "y", *named, *form).code == 0
    (folder / "bad.toml").write_text('[data]\ncsv = ["fund.csv"]\ncolumns = {dat = "Datum"}\n')
    assert_one_error(run(folder, "train", "--config", "bad.toml"), 2, "data.columns")


def test_a_file_is_imported_again_without_options(folder: Path) -> None:
    first = run(folder, "data", "import", "fund.csv", *GERMAN)
    assert first.code == 0, first.err
    sidecar = folder / "data/prices/1d/FUND.json"
    facts = json.loads(sidecar.read_text())
    columns = {"date": "Datum", "close": "Kurs"}
    assert facts["reading"] == {"columns": columns, "date_format": "%d/%m/%y"}
    again = run(folder, "data", "import", "fund.csv")
    assert again.code == 0, again.err
    assert "unchanged" in again.out
    assert "fund.csv: read as before, with --columns close=Kurs,date=Datum" in again.err
    (folder / "more").mkdir()
    (folder / "fund.csv").rename(folder / "more/fund.csv")
    within = run(folder, "data", "import", "more")
    assert within.code == 0, within.err
    (folder / "more/fund.csv").rename(folder / "fund.csv")
    plain = [
        f"{day},{2 * close:.2f}" for day, close in zip(sessions(ROWS), walk(ROWS), strict=True)
    ]
    german = (folder / "fund.csv").read_text()
    (folder / "fund.csv").write_text("\n".join(["Date,Close", *plain]) + "\n")
    other = run(folder, "data", "import", "fund.csv")
    assert (other.code, "read as before" in other.err) == (0, False), other.err
    assert "reading" not in json.loads(sidecar.read_text())
    (folder / "fund.csv").write_text(german)
    sidecar.write_text(json.dumps(facts | {"reading": {"columns": ["close"]}}))
    assert_one_error(run(folder, "data", "import", "fund.csv"), 4, "--columns date=Datum")


def test_a_model_of_intraday_bars_resamples_them_again(folder: Path) -> None:
    rows = [
        f"{day} {10 + hour}:00,{close * (1 + hour / 1000):.2f}"
        for day, close in zip(sessions(ROWS), walk(ROWS), strict=True)
        for hour in range(4)
    ]
    (folder / "hourly.csv").write_text("\n".join(["time,close", *rows]) + "\n")
    refused = run(folder, "train", "--csv", "hourly.csv", *TINY)
    assert_one_error(refused, 4, "intraday bars (1 h)", "--resample 1d")
    named = ("--name", "hourly", "--resample", "1d")
    done = run(folder, "train", "--csv", "hourly.csv", *TINY, *named)
    assert done.code == 0, done.err
    assert f"Combined {4 * ROWS} intraday bars into {ROWS} sessions" in done.err
    for command in ("evaluate", "predict"):
        again = run(folder, command, "--model", "hourly")
        assert again.code == 0, again.err


def test_an_import_lists_the_columns_that_are_gone(folder: Path) -> None:
    rows = [f"{day},{close},{close}" for day, close in zip(sessions(ROWS), walk(ROWS), strict=True)]
    (folder / "A.csv").write_text("\n".join(["Date,Close,Adj Close", *rows]) + "\n")
    assert run(folder, "data", "import", "A.csv").code == 0
    (folder / "A.csv").write_text(
        "\n".join(["Date,Close", *(row.rpartition(",")[0] for row in rows)]) + "\n"
    )
    done = run(folder, "data", "import", "A.csv")
    assert done.code == 0
    assert "A: Adj Close is gone: the file has none." in done.err


def test_fifty_nine_weekly_bars_are_called_weekly(folder: Path) -> None:
    weekly = [f"{day},{close}" for day, close in zip(sessions(900)[::5], walk(180), strict=True)]
    (folder / "W.csv").write_text("\n".join(["Date,Close", *weekly]) + "\n")
    assert_one_error(run(folder, "train", "--csv", "W.csv"), 4, "these are weekly bars")
    assert_one_error(run(folder, "predict", "--csv", "W.csv"), 4, "W has weekly bars")
    assert run(folder, "data", "import", "W.csv").code == 0
    stored = run(folder, "train", "W")
    assert_one_error(stored, 4, "only weekly bars are stored", "--set data.interval=1wk")


def test_a_suggested_command_repeats_the_given_options() -> None:
    given = PriceOptions(csv=["a.csv"], sep=";", columns="close=Last price", date_format="%d/%m/%y")
    words = "--csv a.csv --sep ';' --columns 'close=Last price' --date-format %d/%m/%y --model m"
    assert given.typed("m") == words
    assert given.typed("m", symbols=False) == "--model m"


@for_each(
    "text",
    ["", "close", "close=", "=Price", "klose=Price", "close=A,close=B", "close=A,,date=B,x=y"],
)
def test_invalid_columns_options_exit_with_2(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bad --columns"):
        parse_columns(text)
    done = run(tmp_path, "predict", "--csv", "no.csv", "--columns", text)
    assert_one_error(done, 2, "bad --columns")


def test_column_names_may_contain_commas() -> None:
    found = parse_columns("close=Close, adjusted,date=Day of trade, UTC, Adj-Close=x=y")
    assert found == {"close": "Close, adjusted", "date": "Day of trade, UTC", "adj_close": "x=y"}


def test_the_options_in_a_sidecar_are_checked() -> None:
    whole = Reading(";", ",", {"close": "Price"}, "%d/%m/%Y", "1d")
    assert Reading.noted(whole.facts()) == whole
    facts: Any
    for facts in (None, [], {"columns": {"klose": "x"}}, {"sep": 1}, {"other": ""}, {"columns": 1}):
        assert Reading.noted(facts) is None
