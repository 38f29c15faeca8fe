import gzip
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError, FileError, UsageError
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.market.tables import parse_csv_option, read_prices
from tests.rows import for_each

TODAY = date(2024, 7, 1)
SAMPLES = Path(__file__).parents[2] / "data"
HEADER = "Date,Open,High,Low,Close,Adj Close,Volume"
ROWS = [
    f"2024-01-{day:02d},{day}.25,{day}.75,{day}.000000,{day}.50,{day}.450000,{day}000"
    for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16)
]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"
CLOSES = [2.5, 3.5, 4.5, 5.5, 8.5, 9.5, 10.5, 11.5, 12.5, 16.5]


def read(text: str | bytes, **options: Any) -> list[Prices]:
    data = text if isinstance(text, bytes) else text.encode()
    marks = {key: options.pop(key) for key in ("sep", "decimal") if key in options}
    options |= {"reading": Reading(**marks)} if marks else {}
    return read_prices("-", **{"today": TODAY, "stdin": io.BytesIO(data), **options})


def read_one(text: str | bytes, **options: Any) -> Prices:
    [prices] = read(text, **options)
    return prices


def closes(prices: Prices) -> list[float]:
    return prices.frame["Close"].tolist()


def two(*rows: str, header: str = "Date,Close") -> str:
    return "\n".join([header, *rows]) + "\n"


def refused(text: str | bytes, match: str, **options: Any) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read(text, **options)
    assert "\n" not in str(caught.value)


# What is accepted


def test_a_plain_csv_is_read_exactly() -> None:
    prices = read_one(PLAIN)
    assert closes(prices) == CLOSES
    assert prices.frame["Volume"].tolist()[0] == 2000
    assert list(prices.frame.columns) == HEADER.split(",")[1:]
    assert (prices.symbol, prices.source, prices.notes) == ("stdin", "stdin", ())


@for_each(
    "text",
    [
        PLAIN.replace(HEADER, HEADER.lower()),
        PLAIN.replace(HEADER, "timestamp,OPEN,high,Low,close,adj_close,volume"),
        PLAIN.replace(HEADER, "Datetime,open,High,low,Close,AdjClose,VOLUME"),
        PLAIN.replace("Date,", ",", 1),
        PLAIN.replace(",", ", "),
        PLAIN + ",,,,,,\n",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_the_same_prices_in_other_clothes(text: str | bytes) -> None:
    assert closes(read_one(text)) == CLOSES


FIRM = "Apple, Inc."
HISTORY = "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits,Capital Gains"


@for_each(
    ("header", "row", "symbol", "unused"),
    [
        ("close,DATE", "1.5,{}", "stdin", ""),
        ("observation_date,SP500", "{},1.5", "SP500", ""),
        ("Date,Close,Name,Sector", f'{{}},1.5,"{FIRM}",x', "stdin", "Name, Sector"),
        ("Date,Close,Firm,Sector", f'{{}},1.5,"{FIRM}",x', "stdin", "Firm, Sector"),
        (HISTORY, "{} 00:00:00-04:00,1,2,0.5,1.5,100,0,2.0,0", "stdin", "Capital Gains"),
    ],
)
def test_columns_are_known_by_their_names_and_others_are_told(
    header: str, row: str, symbol: str, unused: str
) -> None:
    prices = read_one(two(row.format("2024-06-27"), row.format("2024-06-28"), header=header))
    assert (prices.symbol, closes(prices)) == (symbol, [1.5, 1.5])
    assert prices.notes == ((f"Columns that are not used: {unused}.",) if unused else ())
    assert ("Stock Splits" in prices.frame) == (unused == "Capital Gains")


@for_each(
    "tail",
    [
        "T00:00:00Z", " 00:00:00-05:00", " 16:00", "T09:30:00.123456789+09:00",
        " 00:00:00+0100", "T00:00+01",
    ],
)  # fmt: skip
def test_timestamps_count_by_their_own_local_date(tail: str) -> None:
    prices = read_one(two(f"2024-01-02{tail},1", f"2024-01-03{tail},2"))
    days = prices.frame.index.to_numpy().astype("datetime64[D]").astype(str)
    assert days.tolist() == ["2024-01-02", "2024-01-03"]


def test_summer_and_winter_time_may_follow_each_other() -> None:
    text = two("2024-03-08 00:00:00-05:00,1", "2024-03-11 00:00:00-04:00,2")
    assert len(read_one(text).frame) == 2


# Wide files and yfinance's own


def wide(n: int = 40) -> pd.DataFrame:
    index = pd.bdate_range("2024-01-02", periods=n, name="Date")
    values = np.round(np.linspace(10, 20, n * 3).reshape(n, 3), 3)
    return pd.DataFrame(values, index=index, columns=["AAPL", "LOW", "my series"])


def test_a_wide_file_gives_one_series_a_column() -> None:
    frame = wide()
    found = read(frame.to_csv())
    assert [prices.symbol for prices in found] == ["AAPL", "LOW", "my series"]
    for prices in found:
        assert closes(prices) == frame[prices.symbol].tolist()
        assert list(prices.frame.columns) == ["Close"]


def test_series_of_a_wide_file_are_chosen_and_one_alone_is_named() -> None:
    text = wide().to_csv()
    found = read(text, symbols=["my series", "aapl", "AAPL"])
    assert [prices.symbol for prices in found] == ["my series", "AAPL"]
    match = r"no series APPL .*AAPL, LOW, my series.*Did you mean AAPL\?"
    refused(text, match, symbols=["APPL"])
    with pytest.raises(UsageError, match="one name for 3 series"):
        read(text, name="X")
    assert read_one(text, name="X", symbols=["LOW"]).symbol == "X"


def test_a_series_may_begin_later_and_end_earlier_than_the_others() -> None:
    frame = wide()
    frame.iloc[:15, 0] = np.nan
    frame.iloc[-10:, 1] = np.nan
    found = read(frame.iloc[::-1].to_csv())
    assert [len(prices.frame) for prices in found] == [25, 30, 40]
    assert found[0].frame.index[0] == frame.index[15]
    assert not any("without a price" in note for prices in found for note in prices.notes)


def test_a_hole_inside_a_wide_series_still_counts() -> None:
    frame = wide()
    frame.iloc[10:15, 0] = np.nan
    refused(frame.to_csv(), "too many rows without a price .AAPL")


def test_unsuitable_series_can_be_set_aside() -> None:
    frame = wide()
    frame.iloc[7, 1] = 0.0
    frame["empty"] = np.nan
    failures: dict[str, DataError] = {}
    found = read(frame.to_csv(), failures=failures)
    assert [prices.symbol for prices in found] == ["AAPL", "my series"]
    assert list(failures) == ["LOW", "empty"]
    assert "bad price (LOW, stdin line 9)" in str(failures["LOW"])
    assert "no prices (empty, stdin)" in str(failures["empty"])


def yfinance_frame(tickers: list[str], by: str) -> pd.DataFrame:
    index = pd.bdate_range("2024-01-02", periods=30, name="Date")
    columns = pd.MultiIndex.from_product(
        [["Close", "High", "Low", "Open", "Volume"], tickers], names=["Price", "Ticker"]
    )
    base = np.arange(30)[:, None] + np.arange(1, len(tickers) + 1)[None, :] * 100.0
    parts = [base, base + 1, base - 1, base, base * 10]
    frame = pd.DataFrame(np.concatenate(parts, axis=1), index=index, columns=columns)
    if by == "ticker":
        return frame.swaplevel(axis=1).sort_index(axis=1)
    return frame


@for_each("by", ["column", "ticker"])
@for_each("tickers", [["AAPL"], ["AAPL", "^GSPC", "0700.HK"]])
def test_yfinances_three_header_lines_are_understood(tickers: list[str], by: str) -> None:
    found = read(yfinance_frame(tickers, by).to_csv())
    assert [prices.symbol for prices in found] == sorted(tickers) or by == "column"
    assert {prices.symbol for prices in found} == set(tickers)
    for prices in found:
        assert list(prices.frame.columns) == ["Open", "High", "Low", "Close", "Volume"]
        base = 100.0 * (tickers.index(prices.symbol) + 1)
        assert closes(prices) == (base + np.arange(30)).tolist()
        assert prices.notes == ()


# What is refused


@for_each("text", ["", "\n\n", HEADER, HEADER + "\n", "\ufeff", HEADER + "\n\n\n"])
def test_no_rows(text: str) -> None:
    refused(text, "no rows")


def test_missing_columns_name_those_found() -> None:
    refused("Day one,Close\n2024-01-02,1\n", "no Date column .*Day one, Close")
    refused("Date,Open,High\n2024-01-02,1,2\n", "no Close column .*Date, Open, High")
    refused("2024-01-02,1\n2024-01-03,2\n", "no Date column .*2024-01-02, 1")
    refused("Tag,Close\n2024-01-02,1\n2024-01-03,2\n", "--columns date=Tag")
    refused("Prices of AAPL,\nDate,Close\n2024-01-02,1\n", "Give a header line with")


@for_each(
    "header",
    ["Date,Close,Close", "Date,Close,close", "Date,Adj Close,adj_close,Close", "Date,AAPL,AAPL"],
)
def test_a_column_twice_is_refused(header: str) -> None:
    row = "2024-01-02" + ",1" * header.count(",")
    refused(f"{header}\n{row}\n", "duplicate column")


def test_every_cut_of_the_last_line_gives_the_right_prices_or_an_error() -> None:
    rows = [f"2024-01-{day:02d},{day}00.123456,{1000 + day}.654321" for day in range(2, 30)]
    whole = two(*rows, header="Date,Adj Close,Close")
    expected = read_one(whole).frame
    for length in range(len(whole) - len(rows[-1]), len(whole)):
        try:
            found = read_one(whole[:length]).frame
        except DataError:
            continue
        np.testing.assert_allclose(found, expected.iloc[: len(found)], rtol=1e-6)


@for_each(
    "data",
    [
        PLAIN.encode("utf-32"),
        PLAIN.encode("utf-16")[:-1],
        PLAIN.replace("2024-01-05", "2024-01-0\x005").encode(),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        two("2024-01-02,1,\x8d\xe9", header="Date,Close,Name").encode("latin-1"),
        PLAIN.replace("\n", "\r").encode(),
        b"hello world\n",
        b"x" * 1000,
        b"Date,Close,\x1b[2J\n2024-01-02,1,2\n",
    ],
    ids=range(9),
)
def test_what_is_no_table_of_prices_is_refused(data: bytes) -> None:
    refused(data, "not a table of prices")


@for_each(
    "text",
    [
        "02.01.2024", "01/02/2024", "2/1/2024", "2024-1-2", "20240102", "1704153600", "1e9",
        "Jan 2, 2024",
        "2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "2024-01-00", "2024/01/02", "x",
        "2024-01-02x", "2024-01-02 25:00", "2024-01-02T00:00:00+5", "2024-01-0", "0001-01-01",
        "9999-01-01", "2024-01-02 00:00:00 EST", "-024-01-02", "2024-01-02" + "0" * 50,
    ],
)  # fmt: skip
def test_a_bad_date_is_refused_with_its_line(text: str) -> None:
    quoted = f'"{text}"'
    refused(two("2024-01-01,1", f"{quoted},2"), r"bad date \(stdin line 3\)")


def test_mixed_time_zones_are_refused_with_the_line() -> None:
    first = "2024-01-02 00:00:00-05:00,1"
    refused(two(first, "2024-01-03 00:00:00+09:00,2"), r"mixed time zones \(stdin line 3\)")
    refused(two(first, "2024-01-03,2"), r"mixed time zones \(stdin line 3\)")
    refused(two(first, "2024-01-03 00:00:00,2"), r"mixed time zones \(stdin line 3\)")


def test_a_date_to_come_or_none_at_all_is_refused_with_its_line() -> None:
    refused(two("2024-01-02,1", "2025-01-02,2"), r"date out of range \(stdin, stdin line 3\)")
    refused(two("2024-01-02,1", ",2"), r"missing date \(stdin line 3\)")


# Sources


def test_stdin_that_is_closed_or_not_there_has_no_rows() -> None:
    closed = io.BytesIO(b"")
    closed.close()
    for stdin in (None, closed):
        with pytest.raises(DataError, match="standard input is closed"):
            read_prices("-", today=TODAY, stdin=stdin)


def test_a_file_that_cannot_be_read_is_a_file_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read the file \(.*gone.csv\): No such file"):
        read_prices(tmp_path / "gone.csv", today=TODAY)
    with pytest.raises(FileError, match="Is a directory"):
        read_prices(tmp_path, today=TODAY)
    with pytest.raises(FileError, match="cannot read the file"):
        read_prices("a\0b", today=TODAY)


@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("AAPL.csv", "AAPL"), ("AAPL.csv.gz", "AAPL"), ("0700.HK.csv", "0700.HK"), ("x.TXT", "x"),
        ("%43ON.DE.csv", "CON.DE"), ("my prices.tsv", "my prices"), ("BRK.B", "BRK.B"),
        ("AAPL.zip", "AAPL"), ("0700.HK.jsonl", "0700.HK"), ("x.PARQUET", "x"), ("b.xlsx", "b"),
    ],
)  # fmt: skip
def test_the_symbol_is_the_files_stem(tmp_path: Path, file: str, symbol: str) -> None:
    data = PLAIN.encode()
    (tmp_path / file).write_bytes(gzip.compress(data) if file.endswith("gz") else data)
    [prices] = read_prices(tmp_path / file, today=TODAY)
    assert (prices.symbol, prices.source) == (symbol, str(tmp_path / file))
    [named] = read_prices(str(tmp_path / file), name="other", today=TODAY)
    assert named.symbol == "other"


@for_each(
    ("file", "rows", "first", "last", "interval"),
    [
        ("sp500.csv", 5031, "1999-01-04", "2018-12-31", "1d"),
        ("us20.csv.gz", 8313, "1990-01-02", "2022-12-28", "1d"),
        ("wine.csv", 176, "1980-01-01", "1994-08-01", "1mo"),
    ],
)
def test_the_samples_are_read_whole(
    file: str, rows: int, first: str, last: str, interval: str
) -> None:
    found = read_prices(SAMPLES / file, today=TODAY)
    assert len(found) == (21 if file.startswith("us20") else 1)
    reference = pd.read_csv(SAMPLES / file)
    for prices in found:
        assert len(prices.frame) == rows
        assert [f"{prices.frame.index[i]:%Y-%m-%d}" for i in (0, -1)] == [first, last]
        assert prices.interval == interval
        column = "Close" if len(found) == 1 else prices.symbol
        np.testing.assert_allclose(prices.frame["Close"], reference[column], rtol=1e-15)


def test_an_option_may_name_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.csv").write_text(PLAIN)
    assert parse_csv_option("prices.csv") == (None, "prices.csv")
    assert parse_csv_option("SPX=prices.csv") == ("SPX", "prices.csv")
    assert parse_csv_option("SPX=-") == ("SPX", "-")
    assert parse_csv_option("a=b.csv") == (None, "a=b.csv")
    assert parse_csv_option("X=a=b.csv") == ("X", "a=b.csv")
    assert parse_csv_option("=x.csv") == (None, "=x.csv")
    with pytest.raises(UsageError, match=r"no file is named \(x=\)"):
        parse_csv_option("x=")
    (tmp_path / "x=").write_text(PLAIN)
    assert parse_csv_option("x=") == (None, "x=")


def test_errors_are_one_short_line() -> None:
    header = "Date," + ",".join(f"column {i}" for i in range(1000)) + ",Volume"
    with pytest.raises(DataError) as caught:
        read(header + "\n")
    assert len(str(caught.value)) < 400
    assert json.dumps(str(caught.value)).isascii()
