"""Names of series that a terminal or a spreadsheet would execute are refused."""

import csv
import io
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError, UsageError
from lstmcli.market.symbols import check_series_name
from lstmcli.market.tables import read_prices
from tests.command_line import assert_one_error, csv_text, in_process, walk
from tests.rows import for_each

TODAY = date(2018, 9, 6)
FORMULAS = ['=HYPERLINK("http://x","y")', "+1", "-2", "@SUM(A1)", "=cmd|' /C calc'!A0", "\uff1d1"]
CONTROLS = ["a\x1b[2Jb", "a\x07", "a\tb", "a\rb", "a\nb", "a\u202eb", "a\x9bb", "\u2028"]
GOOD = ["^GSPC", "BRK-B", "EURUSD=X", "GC=F", "my series", "M\xfcnchner R\xfcck", "A+", "x@y", "'a"]


@for_each("name", FORMULAS + CONTROLS)
def test_a_harmful_name_is_refused_wherever_it_comes_from(name: str) -> None:
    for error in (DataError, UsageError):
        with pytest.raises(error, match="not a name of a series") as caught:
            check_series_name(name, "here", error)
        assert str(caught.value).isprintable()


@for_each("name", GOOD)
def test_symbols_and_plain_names_are_accepted(name: str) -> None:
    assert check_series_name(name, "here", DataError) == name


@given(st.text(min_size=1))
def test_no_accepted_name_makes_a_formula_or_has_a_control_character(name: str) -> None:
    try:
        check_series_name(name, "here", DataError)
    except DataError:
        assert (
            not name.isprintable()
            or name.strip()[0] in "=+-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b"
        )
    else:
        assert name.isprintable()
        assert not name.strip().startswith(("=", "+", "-", "@"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@for_each("name", FORMULAS)
def test_a_column_of_such_a_name_fails_and_the_others_do_not(name: str) -> None:
    text = f"Date,AAPL,{quoted(name)}\n2018-08-30,1,2\n2018-08-31,1,2\n".encode()
    failures: dict[str, DataError] = {}
    found = read_prices("-", stdin=io.BytesIO(text), today=TODAY, failures=failures)
    assert [prices.symbol for prices in found] == ["AAPL"]
    assert [shown[0] in "=+-@" for shown in failures] == [False]
    [chosen] = read_prices("-", stdin=io.BytesIO(text), today=TODAY, symbols=["AAPL"])
    assert chosen.symbol == "AAPL"


def test_yfinances_tickers_are_checked_too() -> None:
    text = b"Price,Close\nTicker,=A1\nDate,\n2018-08-31,1\n"
    with pytest.raises(DataError, match="not a name of a series"):
        read_prices("-", stdin=io.BytesIO(text), today=TODAY)


@pytest.mark.parametrize(
    ("file", "option", "code"),
    [
        ("=cmd.csv", "=cmd.csv", 4),
        ("+x.csv", "+x.csv", 4),
        ("a%0Ab.csv", "a%0Ab.csv", 4),
        ("prices.csv", "@x=prices.csv", 2),
        ("prices.csv", "+x=prices.csv", 2),
        ("prices.csv", "a\x1bb=prices.csv", 2),
    ],
)
def test_files_and_options_are_checked(tmp_path: Path, file: str, option: str, code: int) -> None:
    (tmp_path / file).write_text(csv_text(walk(40)))
    imported = in_process("data", "import", option, folder=tmp_path)
    assert_one_error(imported, code, "not a ticker" if code == 2 else "not a name of a series")
    trained = in_process("train", "--name", "m", "--csv", option, folder=tmp_path)
    assert_one_error(trained, code, "not a name of a series")
    assert not (tmp_path / "data/models").exists()


def test_a_requested_symbol_is_checked(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("Date,A,B\n2018-08-31,1,2\n")
    done = in_process("train", "--name", "m", "--csv", "wide.csv", "=A1", folder=tmp_path)
    assert_one_error(done, 2, "not a name of a series", "=A1")


def test_a_table_of_failures_has_no_formula(tmp_path: Path) -> None:
    (tmp_path / "-bad.csv").write_text("nothing\n")
    (tmp_path / "wide.csv").write_text(f"Date,{quoted(FORMULAS[0])},AAPL\n2018-08-31,1,2\n")
    (tmp_path / "good.csv").write_text(csv_text(walk(40)))
    options = ["--csv=-bad.csv", "--csv", "wide.csv", "--csv", "good.csv", "--errors", "failed.csv"]
    done = in_process("train", "--name", "m", *options, folder=tmp_path)
    assert done.code != 0
    with open(tmp_path / "failed.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 2
    assert not [cell for row in rows for cell in row if cell.strip().startswith(tuple("=+-@"))]
