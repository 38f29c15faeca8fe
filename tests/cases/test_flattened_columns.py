"""Tables whose columns join a field and a symbol, as pandas, R and people write them."""

import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.market.prices import COLUMNS, Prices
from lstmcli.market.tables import read_prices
from tests.command_line import sessions
from tests.rows import for_each

NOW = datetime(2018, 9, 6, tzinfo=UTC)
TODAY = NOW.date()
SYMBOLS = ["TSLA", "BRK-B", "^GSPC", "0700.HK", "EURUSD=X", "LOW", "OPEN", "HIGH-USD", "A", "BF.B"]
FIELDS = [name for name in COLUMNS if name not in ("Close", "Dividends")]
SPELLINGS = {
    "Adj Close": ["Adj Close", "Adj_Close", "AdjClose", "adj close", "Adj. Close", "Adj.Close"],
    "Stock Splits": ["Stock Splits", "stock_splits", "StockSplits"],
}
JOINS = [
    "{f}_{s}", "{s}_{f}", "{f}.{s}", "{s}.{f}", "{f} {s}", "{s} {f}", "{f}-{s}", "{s}-{f}",
    "{f}/{s}", "{s}/{f}", "{f}|{s}", "{s}|{f}", "{f}:{s}", "{s}:{f}", "{f}__{s}", "{s} - {f}",
    "[{s}] {f}", "{f} [{s}]", "{s} ({f})", "({s}) {f}", "('{f}', '{s}')", "('{s}', '{f}')",
    '("{f}", "{s}")', "{s}, {f}", "{f}({s})", "{s}::{f}", "{s}#{f}", "{s}>{f}", " {f}_{s} ",
]  # fmt: skip


def read(header: list[str], rows: int = 3) -> list[Prices]:
    """Read a table with 1,000,000 i + k in line i, column k: bars too flat to be contradictory."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in header]
    lines = [",".join(quoted)]
    for i, day in enumerate(sessions(rows), start=1):
        lines.append(",".join([day, *(str(1_000_000 * i + k) for k in range(1, len(header)))]))
    text = io.BytesIO("\n".join([*lines, ""]).encode())
    return read_prices("-", stdin=text, today=TODAY)


def refused(header: list[str], match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read(header)
    assert "\n" not in str(caught.value)
    for name in header[1:]:
        assert name in str(caught.value)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Draw a header, and where each field of each symbol is."""
    join = draw(st.sampled_from(JOINS))
    cases: list[Callable[[str], str]] = [str, str.lower, str.upper]
    case = draw(st.sampled_from(cases))
    pairs = []
    for symbol in draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4, unique=True)):
        for name in ["Close", *draw(st.lists(st.sampled_from(FIELDS), unique=True))]:
            spelled = draw(st.sampled_from(SPELLINGS.get(name, [name])))
            pairs.append((symbol, name, case(join.format(f=spelled, s=symbol))))
    pairs = draw(st.permutations(pairs))
    dated = draw(st.sampled_from(["Date", "Date_", "('Date', '')", "('Datetime', '')", ""]))
    where: dict[str, dict[str, int]] = {}
    for position, (symbol, name, _) in enumerate(pairs, start=1):
        where.setdefault(symbol, {})[name] = position
    return [dated, *(text for _, _, text in pairs)], where


@given(tables())
@settings(max_examples=100, deadline=None)
def test_every_usual_spelling_gives_one_series_per_symbol(
    table: tuple[list[str], dict[str, dict[str, int]]],
) -> None:
    header, where = table
    found = {prices.symbol.upper(): prices.frame for prices in read(header)}
    assert found.keys() == where.keys()
    for symbol, frame in found.items():
        for name, position in where[symbol].items():
            assert frame[name].tolist() == [1_000_000 * i + position for i in (1, 2, 3)]
        assert set(frame) <= set(where[symbol])


@for_each(
    ("names", "symbol", "close"),
    [
        ("AAPL.Open AAPL.High AAPL.Low AAPL.Close AAPL.Volume AAPL.Adjusted", "AAPL", 4),
        ("OpenTSLA CloseTSLA VolumeTSLA", "TSLA", 2),
        ("TSLAOpen TSLAVolume TSLAClose", "TSLA", 3),
        ("Volume_TSLA TSLA", "TSLA", 2),
        ("Open_OPEN Close_OPEN", "OPEN", 2),
        ("LOW_Open LOW_High LOW_Low LOW_Close LOW_Volume", "LOW", 4),
        ("tsla-close TSLA/Volume", "tsla", 1),
    ],
)
def test_unusual_spellings_are_read(names: str, symbol: str, close: int) -> None:
    [prices] = read(["Date", *names.split()])
    assert prices.symbol == symbol
    assert prices.frame["Close"].tolist() == [1_000_000 * i + close for i in (1, 2, 3)]


def test_one_series_may_have_its_field_first_and_the_other_last() -> None:
    found = read(["Date", "Close_TSLA", "Volume_TSLA", "AAPL_Close", "AAPL_Open"])
    assert [prices.symbol for prices in found] == ["TSLA", "AAPL"]


@for_each(
    "header",
    [
        ["Date", "AAPL", "TSLA", "Volume_TSLA"],
        ["Date", "AAPL", "Volume_AAPL", "TSLA", "Dividends_TSLA"],
        ["Date", "AAPL", "TSLA", "Trading Volume (M)"],
        ["Date", "AAPL", "TSLA", "Vol."],
        ["Date", "AAPL", "TSLA", "Unnamed: 0"],
        ["Date", "Close_AAPL", "Close_TSLA", "Open Interest_TSLA"],
        ["Date", "Close_AAPL", "Close_TSLA", "Capital Gains_TSLA", "Repaired?_TSLA"],
    ],
    ids=str,
)
def test_a_volume_is_never_a_price(header: list[str]) -> None:
    assert [prices.symbol for prices in read(header)] == ["AAPL", "TSLA"]


@for_each(
    ("header", "match"),
    [
        (["Date", "AAPL", "TSLA", "Volume"], "no Close column"),
        (["Date", "AAPL", "Volume_TSLA"], "no Close column of TSLA"),
        (["Date", "AAPL", "Dividends_X"], "no Close column of X"),
        (["Date", "VolumeTSLA", "AAPL"], "no Close column of TSLA"),
        (["Date", "Open_TSLA", "Close_AAPL"], "no Close column of TSLA"),
        (["Date", "High_TSLA", "Low_TSLA", "Volume_TSLA"], "no Close column of TSLA"),
        (["Date", "Adj Close_TSLA", "Volume_TSLA"], "no Close column of TSLA"),
        (["Date", "OPEN-T", "HIGH-T"], "no Close column of T"),
        (["Date", "Close_TSLA", "TSLA.Close"], "two columns for Close of TSLA"),
        (["Date", "Close_TSLA", "SPY"], "cannot tell fields from symbols"),
        (["Date", "TSLA", "Close_TSLA"], "cannot tell fields from symbols"),
        (["Date", "Close_CLOSE", "Open_CLOSE"], "can be read in two ways"),
    ],
    ids=str,
)
def test_a_table_that_is_partial_or_ambiguous_is_refused(header: list[str], match: str) -> None:
    refused(header, match)


@for_each(
    "names",
    [
        "BTC-USD,HIGH-USD",
        "Low Volatility,High Yield,S&P 500",
        "OpenAI,Anthropic",
        "LOW,AAPL,MSFT",
        "^VIX",
    ],
)
def test_names_of_series_that_begin_like_fields_stay_names(names: str) -> None:
    found = read(["Date", *names.split(",")])
    assert [prices.symbol for prices in found] == names.split(",")
    assert all(list(prices.frame) == ["Close"] for prices in found)


def test_columns_without_a_symbol_are_left_out_with_a_note() -> None:
    [prices] = read(["Date", "Close_TSLA", "Volume_TSLA", "RSI_14"])
    assert prices.symbol == "TSLA"
    assert prices.notes[0] == "Unused columns: RSI_14."
    [prices] = read(["Date", "Close", "Volume", "SPY_Close"])
    assert prices.frame["Close"].tolist() == [1_000_001, 2_000_001, 3_000_001]
