"""Price files exported by sites and libraries give the same prices in any layout."""

import io
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.market.tables import read_prices
from tests.cases.bar_files import bars
from tests.rows import for_each

TODAY = date(2018, 9, 6)
BARS = bars(300)
OHLCV = ["Open", "High", "Low", "Close", "Volume"]
AAL, AAPL = bars(300, 1), bars(280, 2)


def read(text: str, **reading: Any) -> list[Prices]:
    return read_prices(
        "-", reading=Reading(**reading), stdin=io.BytesIO(text.encode()), today=TODAY
    )


def read_one(text: str, **reading: Any) -> Prices:
    [prices] = read(text, **reading)
    return prices


def same(found: Prices, bars: pd.DataFrame) -> None:
    assert pd.DatetimeIndex(found.frame.index).strftime("%Y-%m-%d").tolist() == bars.index.tolist()
    for name in found.frame:
        assert found.frame[name].tolist() == bars[name].tolist(), name


def table(header: str, columns: str, form: str = "%Y-%m-%d", bars: pd.DataFrame = BARS) -> str:
    """Write bars below a header.

    columns : the field in each column, or a text for all of its rows. form : format of the dates.
    """
    days = pd.DatetimeIndex(bars.index)
    parts = []
    for word in columns.split(","):
        values = bars[word].tolist() if word in bars else [word] * len(bars)
        parts.append(days.strftime(form).tolist() if word == "Date" else [str(v) for v in values])
    rows = [",".join(row) for row in zip(*parts, strict=True)]
    return "\n".join([header, *rows]) + "\n"


def in_seconds(bars: pd.DataFrame, unit: int) -> str:
    opened = [pd.Timestamp(f"{day} 14:30", tz="UTC").value // 10**9 * unit for day in bars.index]
    lines = [f"{at},{close}" for at, close in zip(opened, bars["Close"], strict=True)]
    return "\n".join(["time,close", *lines]) + "\n"


def plain(header: str, form: str) -> str:
    return table(header, "Date,Close", form)


SHAPES: dict[str, str] = {
    "long with one ticker": table("Date,Close,Ticker", "Date,Close,X"),
    "dd.mm.yyyy": plain("Date,Close", "%d.%m.%Y"),
    "mm/dd/yyyy": plain("Date,Close", "%m/%d/%Y"),
    "dd/mm/yyyy": plain("Date,Close", "%d/%m/%Y"),
    "m/d/yyyy with the close": plain("Date,Close", "%-m/%-d/%Y 16:00:00"),
    "yyyymmdd": plain("Date,Close", "%Y%m%d"),
    "Jun 16, 2023": table('Date,Close', "Date,Close", '"%b %d, %Y"'),
    "16-Jun-2023": plain("Date,Close", "%d-%b-%Y"),
    "Nixtla": table("unique_id,ds,y", "X,Date,Close"),
    "Prophet": plain("ds,y", "%Y-%m-%d"),
    "Last": table("Date,Open,High,Low,Last,Volume", "Date,Open,High,Low,Close,Volume"),
    "Price": table('"Date","Price","Open"', "Date,Close,Open"),
    "Close/Last": table(
        "Date,Close/Last,Volume,Open,High,Low", "Date,Close,Volume,Open,High,Low", "%m/%d/%Y"
    ),
    "Adj Close only": plain("Date,Adj Close", "%Y-%m-%d"),
    "seconds": in_seconds(BARS, 1),
    "milliseconds": in_seconds(BARS, 1000),
    "microseconds": in_seconds(BARS, 10**6),
    "stooq": table(
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
        "X,D,Date,000000,Open,High,Low,Close,Volume,0",
        "%Y%m%d",
    ),
    "MetaTrader": table(
        "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>",
        "Date,00:00:00,Open,High,Low,Close,1,Volume,2",
        "%Y.%m.%d",
    ),
    "Alpha Vantage": table(
        "timestamp,1. open,2. high,3. low,4. close,5. volume", "Date," + ",".join(OHLCV)
    ),
    "investing.com": table(
        '"Date","Price","Open","High","Low","Vol.","Change %"',
        "Date,Close,Open,High,Low,Volume,0.50%",
        "%m/%d/%Y",
    ),
    "Kronos": table(
        "timestamps,open,high,low,close,volume,amount",
        f"Date,{','.join(OHLCV)},0",
        "%Y-%m-%d 00:00:00",
    ),
    "TradingView": table("time,open,high,low,close,Volume", "Date," + ",".join(OHLCV)),
    "tushare": table(
        "ts_code,trade_date,open,high,low,close,vol,amount",
        f"X,Date,{','.join(OHLCV)},0",
        "%Y%m%d",
    ),
    "a company's name": table("Date,Close,Name", "Date,Close,X Inc."),
    "symbol and name": table("symbol,name,date,close", "X,X Inc.,Date,Close"),
}  # fmt: skip


@for_each("shape", SHAPES)
def test_each_export_is_read_without_options(shape: str) -> None:
    same(read_one(SHAPES[shape]), BARS)


def test_a_single_symbol_in_a_column_names_the_series() -> None:
    for shape in ("long with one ticker", "Nixtla", "stooq", "tushare", "symbol and name"):
        assert read_one(SHAPES[shape]).symbol == "X"
    assert read_one(SHAPES["a company's name"]).symbol == "stdin"


def test_notes_tell_how_columns_were_interpreted() -> None:
    notes = " ".join(read_one(SHAPES["Adj Close only"]).notes)
    assert "Adj Close is used as Close" in notes
    assert "Dates are month first" in " ".join(read_one(SHAPES["mm/dd/yyyy"]).notes)


@for_each(
    ("header", "match"),
    [
        ("Date,Close,Price", "--columns close="),
        ("Date,Price,Last", "--columns close=Price"),
        ("Date,Close,Close/Last", "--columns close="),
        ("ticker,symbol,Date,Close", "--columns symbol=ticker"),
        ("symbol,date,value", "--columns close="),
        ("Datum,Schlusskurs", "--columns date=Datum"),
    ],
)
def test_ambiguous_or_unknown_columns_name_the_option(header: str, match: str) -> None:
    words = [
        "2024-01-02" if name in ("Date", "date", "Datum") else "1" for name in header.split(",")
    ]
    words = [
        "AA" if "ymbol" in name or name == "ticker" else word
        for name, word in zip(header.split(","), words, strict=True)
    ]
    with pytest.raises(DataError, match=match):
        read(f"{header}\n{','.join(words)}\n")


@for_each(
    ("header", "series"),
    [
        ("Date,X,Y", ["X", "Y"]),
        ("Date,LOW,Y", ["LOW", "Y"]),
        ("Date,CODE,NAME", ["CODE", "NAME"]),
        ("Date,AAPL,Y", ["AAPL", "Y"]),
    ],
)
def test_symbols_that_are_also_words_remain_series(header: str, series: list[str]) -> None:
    found = read(f"{header}\n2018-01-02,1,2\n2018-01-03,1,2\n")
    assert [each.symbol for each in found] == series


def test_a_column_has_one_meaning() -> None:
    text = table("Date,Day,Close", "Date,Date,Close")
    same(read_one(text, columns={"date": "Day"}), BARS)
    with pytest.raises(DataError, match="bad number in column Date"):
        read(text, columns={"adj_close": "Date"})
    with pytest.raises(DataError, match="no rows"):
        read("Date,Open,Ticker,Close\n,nan,,\n")


def test_columns_with_other_names_can_be_mapped() -> None:
    german = table("Datum,Eröffnung,Hoch,Tief,Schluss", "Date,Open,High,Low,Close", "%d.%m.%Y")
    named = {
        "date": "Datum",
        "open": "Eröffnung",
        "high": "hoch",
        "low": "Tief",
        "close": "Schluss",
    }
    found = read_one(german, columns=named)
    assert list(found.frame) == ["Open", "High", "Low", "Close"]
    same(found, BARS)
    both = table("Date,Close,Settle", "Date,Open,Close")
    chosen = read_one(both, columns={"close": "Settle"})
    assert chosen.frame["Close"].tolist() == BARS["Close"].tolist()
    owners = table("act_symbol,date,close", "A,Date,Close")
    assert read_one(owners, columns={"symbol": "act_symbol"}).symbol == "A"
    with pytest.raises(DataError, match=r"no column Schlus .*Did you mean Schluss"):
        read(german, columns={"close": "Schlus"})
    with pytest.raises(DataError, match="one column for two fields"):
        read(german, columns={"close": "Schluss", "open": "Schluss"})


# Long files


def long_text(form: str, interleaved: bool) -> str:
    parts = [table("", form, bars=each) for each in (AAL, AAPL)]
    rows = [text.splitlines()[1:] for text in parts]
    rows = [
        [row.replace("NAME", name) for row in each]
        for each, name in zip(rows, ("AAL", "AAPL"), strict=True)
    ]
    merged = [*rows[0], *rows[1]]
    return "\n".join(sorted(merged) if interleaved else merged) + "\n"


@for_each(
    ("header", "form"),
    [
        ("Date,Open,High,Low,Close,Volume,Ticker", "Date,Open,High,Low,Close,Volume,NAME"),
        ("date,open,high,low,close,volume,Name", "Date,Open,High,Low,Close,Volume,NAME"),
        ("symbol,date,close", "NAME,Date,Close"),
        ("unique_id,ds,y", "NAME,Date,Close"),
        ("code,date,price", "NAME,Date,Close"),
    ],
)
@for_each("interleaved", [False, True])
def test_a_long_file_is_split_by_symbol(header: str, form: str, interleaved: bool) -> None:
    found = read(f"{header}\n{long_text(form, interleaved)}")
    assert {each.symbol for each in found} == {"AAL", "AAPL"}
    for each in found:
        same(each, {"AAL": AAL, "AAPL": AAPL}[each.symbol])


def test_numeric_codes_keep_their_leading_zeros() -> None:
    text = "code,date,close\n" + long_text("NAME,Date,Close", True)
    found = read(text.replace("AAL", "000001").replace("AAPL", "600000"))
    assert [each.symbol for each in found] == ["000001", "600000"]


def test_series_can_be_chosen_and_fail_separately() -> None:
    text = "Date,Close,Ticker\n" + long_text("Date,Close,NAME", True) + "2018-08-31,-1,BAD\n"
    failures: dict[str, DataError] = {}
    stdin = io.BytesIO(text.encode())
    [found] = read_prices("-", symbols=["aapl"], stdin=stdin, today=TODAY)
    assert found.symbol == "AAPL"
    found, other = read_prices("-", stdin=io.BytesIO(text.encode()), today=TODAY, failures=failures)
    assert (found.symbol, other.symbol, list(failures)) == ("AAL", "AAPL", ["BAD"])
    with pytest.raises(DataError, match=r"no series MSFT .*the series AAL, AAPL"):
        read_prices("-", symbols=["MSFT"], stdin=io.BytesIO(text.encode()), today=TODAY)


def test_a_row_without_a_symbol_is_refused_with_its_line() -> None:
    text = "Date,Close,Ticker\n2018-08-30,1,A\n2018-08-31,2,\n"
    with pytest.raises(DataError, match=r"no symbol in column Ticker \(stdin line 3\)"):
        read(text)


# Intraday bars


def intraday(form: str, minutes: int = 5, days: int = 30) -> str:
    """Write intraday bars from 09:30 to 16:00 whose sessions equal BARS, rounded to cents."""
    lines = []
    for day, bar in BARS.tail(days).iterrows():
        times = pd.date_range(f"{day} 09:30", f"{day} 15:59", freq=f"{minutes}min")
        steps = np.linspace(bar["Open"], bar["Close"], len(times)).round(2)
        for number, (time, price) in enumerate(zip(times, steps, strict=True)):
            high, low = max(price, bar["Low"]), min(price, bar["High"])
            high = bar["High"] if number == 1 else high
            low = bar["Low"] if number == 2 else low
            volume = bar["Volume"] if number == 3 else 0
            lines.append(f"{time.strftime(form)},{price},{high},{low},{price},{volume:.0f}")
    return "Date,Open,High,Low,Close,Volume\n" + "\n".join(lines) + "\n"


def test_intraday_bars_are_refused_with_the_option() -> None:
    for minutes, words in ((5, "5 min"), (30, "30 min"), (60, "1 h")):
        text = intraday("%Y-%m-%d %H:%M", minutes)
        with pytest.raises(DataError, match=rf"intraday bars .{words}.*--resample 1d"):
            read(text)


@for_each("form", ["%Y-%m-%d %H:%M", "%Y%m%d %H%M%S", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S-04:00"])
def test_intraday_bars_are_combined_into_sessions(form: str) -> None:
    text = intraday(form)
    header, *lines = text.splitlines()
    turned = "\n".join([header, *reversed(lines), lines[7]]) + "\n"
    for each in (text, turned):
        found = read_one(each, resample="1d")
        same(found, BARS.tail(30))
        assert any("Combined 2,340 intraday bars into 30 sessions" in note for note in found.notes)


def test_incomplete_or_unfinished_sessions_are_left_out() -> None:
    header, *lines = intraday("%Y-%m-%d %H:%M").splitlines()
    cut = "\n".join([header, *lines[60:-50]]) + "\n"
    same(read_one(cut, resample="1d"), BARS.tail(30).iloc[1:-1])
    today = date.fromisoformat(str(BARS.index[-1]))
    whole = io.BytesIO("\n".join([header, *lines]).encode() + b"\n")
    [found] = read_prices("-", reading=Reading(resample="1d"), stdin=whole, today=today)
    same(found, BARS.tail(30).iloc[:-1])
    assert any("it may not be over" in note for note in found.notes)


def test_times_in_a_separate_column_are_joined_with_the_dates() -> None:
    text = intraday("%Y.%m.%d,%H:%M:%S").replace("Date,", "<DATE>,<TIME>,", 1)
    same(read_one(text, resample="1d"), BARS.tail(30))


def test_intraday_bars_without_a_price_are_an_error() -> None:
    rows = [f"2018-08-{day} {hour}:00,,5" for day in (29, 30) for hour in (10, 11, 12)]
    with pytest.raises(DataError, match="rows have no Close"):
        read("\n".join(["Date,Close,Volume", *rows]) + "\n", resample="1d")


def test_daily_bars_keep_their_dates_whatever_their_time_column() -> None:
    """Brokers' midnight is at 21:00 or 22:00 in New York, depending on summer time."""
    text = table("<DATE>,<TIME>,<CLOSE>", "Date,22:00,Close")
    same(read_one(text.replace("-03,22:00", "-03,21:00")), BARS)


def test_two_bars_of_one_minute_are_refused() -> None:
    text = intraday("%Y-%m-%d %H:%M") + f"{BARS.index[-1]} 15:55,1,1,1,1,1\n"
    with pytest.raises(DataError, match=r"conflicting rows for .*15:55"):
        read(text, resample="1d")


def test_resampling_daily_bars_changes_nothing() -> None:
    same(read_one(table("Date,Close", "Date,Close"), resample="1d"), BARS)


# Any table is either read correctly or refused
