import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import UsageError
from lstmcli.market.symbols import check_symbol, decode_symbol, encode_symbol, read_symbols
from tests.rows import for_each

TICKERS = [
    "AAPL", "^GSPC", "BRK-B", "EURUSD=X", "BTC-USD", "0700.HK", "CON.DE", "ES=F", "M&M.NS",
    "VOLV-B.ST", "^STOXX50E", "DX-Y.NYB", "000001.SS", "AAPL240119C00150000", "F",
]  # fmt: skip
NOT_TICKERS = [
    "../../x", "a/b", "AAPL?x=1", "AAPL#x", "AAPL\n", "\nAAPL", "AAPL\r", "", " ", " AAPL", "AAPL ",
    "A" * 300, "\U0001f680", "-rf", "--help", "US0378331005", "DE0007164600", "..", ".", "A..B",
    "AAPL%0A", "A\\B", "A:B", "stra\u00dfe", "\u0131bm", "\uff21", "AAPL\x00", "A B", "=X", "^",
]  # fmt: skip


@for_each("symbol", TICKERS)
def test_tickers_are_accepted_in_either_case(symbol: str) -> None:
    assert check_symbol(symbol) == symbol
    assert check_symbol(symbol.lower()) == symbol


@for_each("symbol", NOT_TICKERS)
def test_an_invalid_ticker_is_a_usage_error_of_one_line(symbol: str) -> None:
    with pytest.raises(UsageError, match="not a ticker") as caught:
        check_symbol(symbol)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.text())
def test_a_checked_symbol_is_safe_in_an_address(text: str) -> None:
    try:
        symbol = check_symbol(text)
    except UsageError:
        return
    assert set(symbol) <= set(string.ascii_uppercase + string.digits + "^.-=&")
    assert check_symbol(symbol) == symbol


def test_a_list_is_read_in_order_without_duplicates() -> None:
    text = "\ufeff# my list\r\nMSFT\r\n\r\n  aapl  # fruit\r\nMSFT\r\n^GSPC\r\nmsft\r\n"
    assert read_symbols(text.splitlines(keepends=True)) == ["MSFT", "AAPL", "^GSPC"]


def test_a_long_list_keeps_its_order() -> None:
    names = [f"S{i}" for i in range(5000)]
    assert read_symbols([*names, *reversed(names)]) == names


def test_a_bad_line_of_a_list_is_named() -> None:
    with pytest.raises(UsageError, match=r"not a ticker \(line 3, '../x'\)"):
        read_symbols(["AAPL", "", "../x"])


@for_each(
    ("symbol", "stem"),
    [
        ("AAPL", "AAPL"),
        ("^GSPC", "^GSPC"),
        ("BRK-B", "BRK-B"),
        ("EURUSD=X", "EURUSD=X"),
        ("0700.HK", "0700.HK"),
        ("CON", "%43ON"),
        ("CON.DE", "%43ON.DE"),
        ("LPT1.L", "%4CPT1.L"),
        ("CONN", "CONN"),
        ("M&M.NS", "M%26M.NS"),
        ("..", "%2E%2E"),
        ("-rf", "%2D%72%66"),
        ("a/b", "%61%2F%62"),
        ("100%", "100%25"),
        ("", "%"),
    ],
)
def test_symbols_are_encoded_as_these_file_stems(symbol: str, stem: str) -> None:
    assert encode_symbol(symbol) == stem
    assert decode_symbol(stem) == symbol


@given(st.text(st.characters(), max_size=30))
def test_any_name_can_be_decoded_from_its_file_stem(name: str) -> None:
    stem = encode_symbol(name)
    assert decode_symbol(stem) == name
    assert set(stem) <= set(string.ascii_uppercase + string.digits + "^.-=_+%")
    assert stem not in ("", ".", "..")
    assert not stem.startswith((".", "-"))
    assert not stem.endswith(".")
    assert stem.split(".")[0] not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_names_have_stems_that_differ_beyond_case(one: str, other: str) -> None:
    if one != other:
        assert encode_symbol(one).lower() != encode_symbol(other).lower()


@given(st.text(st.characters(), max_size=20))
def test_any_file_stem_can_be_decoded(stem: str) -> None:
    assert isinstance(decode_symbol(stem), str)


@for_each("stem", ["prices", "50%off", "%FF", "sp500", "S&P 500"])
def test_a_stem_that_was_not_encoded_is_unchanged(stem: str) -> None:
    assert decode_symbol(stem) == stem
