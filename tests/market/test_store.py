import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Bars
from lstmcli.market.store import (
    read_bars,
    read_raw,
    read_sidecar,
    read_stored,
    remove_stored,
    sidecar_fits,
    write_stored,
)
from lstmcli.market.symbols import price_path, sidecar_path, stored_symbols
from lstmcli.market.tables import read_table
from tests.yahoo_stand_in import random_walk

TODAY = date(2024, 7, 1)


BARS = random_walk(40)
OTHERS = random_walk(40, price=50.0)
OWN = {"source": "import", "file": "mine.csv"}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_written_bars_are_read_back_with_the_currency_of_the_sidecar(tmp_path: Path) -> None:
    assert write_stored(tmp_path, "AAPL", "1d", BARS, {"currency": "USD"})
    prices = read_stored(tmp_path, "AAPL", today=TODAY)
    facts = prices.symbol, prices.interval, prices.source, prices.currency
    assert facts == ("AAPL", "1d", "store", "USD")
    pd.testing.assert_frame_equal(prices.frame, BARS, check_freq=False, check_index_type=False)
    first = (tmp_path / "prices/1d/AAPL.csv").read_text().splitlines()[:2]
    assert first[0] == "Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits"
    assert first[1].startswith("2024-01-02,")
    write_stored(tmp_path, "AAPL", "1d", OTHERS, {"currency": None})
    assert read_stored(tmp_path, "AAPL", today=TODAY).currency == ""


def test_a_stored_file_is_read_like_any_other_file(tmp_path: Path) -> None:
    """The fast reader for files of the store gives the same result as the general one."""
    write_stored(tmp_path, "AAPL", "1d", BARS, {})
    path = price_path(tmp_path, "AAPL")
    plain = path.read_bytes()
    head, first, second, *rest = plain.splitlines(keepends=True)
    fields = second.split(b",")

    def changed(**given: bytes) -> bytes:
        named = dict(zip(["date", *"ohlcavds"], fields, strict=True)) | given
        return b"".join([head, first, b",".join(named.values()), *rest])

    texts = {
        "plain": plain,
        "empty": b"",
        "header": head,
        "no line end": plain[:-1],
        "cut": plain[:-20],
        "blank line": b"".join([head, first, b"\n", second, *rest]),
        "blank end": plain + b"\n \n",
        "line ends": plain.replace(b"\n", b"\r\n"),
        "comment": b"".join([head, b"# restored\n", first, *rest]),
        "footer": plain + b"Downloaded from somewhere\n",
        "mark": b"\xef\xbb\xbf" + plain,
        "not ASCII": changed(s="é\n".encode()),
        "NUL": plain + b"\0",
        "quotes": changed(o=b'"101.5"'),
        "misplaced quote": changed(o=b'10"1.5'),
        "missing": changed(o=b"", s=b"\n"),
        "word": changed(o=b"N/A"),
        "nan(1)": changed(o=b"nan(1)"),
        "-nan": changed(c=b"-nan"),
        "spaces": changed(o=b" 101.5 "),
        "inf": changed(o=b"inf"),
        "exponent": changed(o=b"1.015e2"),
        "thousands": changed(o=b"1 015"),
        "no number": changed(o=b"12x"),
        "extra field": changed(o=b"1,2"),
        "other columns": plain.replace(b"Adj Close", b"Adjusted"),
        "no date": changed(date=b""),
        "time": changed(date=b"2024-01-03 00:00:00"),
        "day first": changed(date=b"03/01/2024"),
        "short date": changed(date=b"2024-1-3"),
        "old date": changed(date=b"1500-01-03"),
        "no row": b"".join([head, *([b",,,,,,,,\n"] * 3), first]),
    }

    def outcome(read: Callable[[], Bars]) -> tuple[str, ...]:
        try:
            found = read()
        except DataError as error:
            return (str(error),)
        arrays = [found.days, *found.columns.values(), found.lines]
        return (str(list(found.columns)), found.source, *(str(each.tolist()) for each in arrays))

    for kind, text in texts.items():
        path.write_bytes(text)
        whole = outcome(lambda: read_table(path, Reading(",", ".")).bars("", "AAPL"))
        assert outcome(lambda: read_bars(tmp_path, "AAPL")) == whole, kind


def test_writing_equal_bars_changes_no_file(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {"fetched": "yesterday"})
    before = tree(tmp_path)
    jitter = BARS * (1 + 1e-12)
    assert not write_stored(tmp_path, "AAPL", "1d", jitter, {"fetched": "today"})
    again = read_stored(tmp_path, "AAPL", today=TODAY).frame
    assert not write_stored(tmp_path, "AAPL", "1d", again, {"fetched": "today"})
    assert tree(tmp_path) == before
    assert write_stored(tmp_path, "AAPL", "1d", OTHERS, {"fetched": "today"})
    assert read_sidecar(tmp_path, "AAPL")["fetched"] == "today"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-8, 1e12), min_size=1, max_size=12))
def test_reading_and_writing_again_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    index = pd.date_range("2024-01-02", periods=len(values))
    frame = pd.DataFrame({"Close": values, "Volume": np.round(values)}, index=index)
    write_stored(folder, "X", "1d", frame, {})
    read = read_raw(folder, "X")
    np.testing.assert_allclose(read["Close"], values, rtol=5e-7)
    assert read["Volume"].tolist() == np.round(values).tolist()
    assert not write_stored(folder, "X", "1d", read, {})
    assert b"e" not in price_path(folder, "X").read_bytes().split(b"\n", 1)[1]


def test_missing_values_and_columns_are_empty_fields(tmp_path: Path) -> None:
    frame = BARS[["Close", "Open"]].copy()
    frame.iloc[3, 1] = np.nan
    write_stored(tmp_path, "AAPL", "1d", frame, {})
    lines = price_path(tmp_path, "AAPL").read_text().splitlines()
    assert lines[4].split(",")[1:4] == ["", "", ""]
    prices = read_stored(tmp_path, "AAPL", today=TODAY)
    assert list(prices.frame.columns) == ["Open", "Close"]


def test_a_symbol_that_is_not_stored_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no prices stored \(AAPL\).*Run: lstmcli fetch AAPL\.$"):
        read_stored(tmp_path, "AAPL", today=TODAY)
    with pytest.raises(DataError, match=r"fetch AAPL --interval 1wk"):
        read_stored(tmp_path, "AAPL", "1wk", today=TODAY)


def test_raw_rows_are_returned_unchecked(tmp_path: Path) -> None:
    frame = BARS.copy()
    frame.iloc[3, 5], frame.iloc[4, 3] = 0.0, np.nan
    write_stored(tmp_path, "AAPL", "1d", frame, {})
    raw = read_raw(tmp_path, "AAPL")
    pd.testing.assert_frame_equal(raw, frame, check_freq=False, check_index_type=False)
    assert not write_stored(tmp_path, "AAPL", "1d", raw, {})


def test_intervals_and_symbols_are_stored_separately(tmp_path: Path) -> None:
    for symbol in ("CON.DE", "^GSPC", "BRK-B", "brk-b", "M&M.NS"):
        write_stored(tmp_path, symbol, "1d", BARS, {})
    write_stored(tmp_path, "AAPL", "1mo", BARS, {})
    assert stored_symbols(tmp_path) == ["BRK-B", "CON.DE", "M&M.NS", "^GSPC", "brk-b"]
    assert stored_symbols(tmp_path, "1mo") == ["AAPL"]
    assert stored_symbols(tmp_path, "1wk") == []
    assert read_stored(tmp_path, "AAPL", "1mo", today=TODAY).interval == "1mo"
    assert read_stored(tmp_path, "CON.DE", today=TODAY).symbol == "CON.DE"


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_missing_or_damaged_sidecar_is_rebuilt_without_an_error(
    tmp_path: Path, damage: bytes | None
) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {"currency": "USD"})
    sidecar = tmp_path / "prices/1d/AAPL.json"
    if damage is None:
        sidecar.unlink()
    else:
        sidecar.write_bytes(damage)
    assert read_sidecar(tmp_path, "AAPL") == {}
    assert len(read_stored(tmp_path, "AAPL", today=TODAY).frame) == 40
    assert not write_stored(tmp_path, "AAPL", "1d", BARS, {"currency": "EUR"})
    assert json.loads(sidecar.read_text())["currency"] == "EUR"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-8, 1e12), min_size=1, max_size=12))
def test_imported_bars_keep_every_digit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    index = pd.date_range("2024-01-02", periods=len(values))
    frame = pd.DataFrame({"Close": values, "Volume": values}, index=index)
    assert write_stored(folder, "X", "1d", frame, OWN)
    prices = read_stored(folder, "X", today=TODAY)
    assert prices.frame["Close"].tolist() == values
    assert prices.frame["Volume"].tolist() == values
    assert list(prices.frame.columns) == ["Close", "Volume"]
    assert not any("left out" in note for note in prices.notes)
    before = tree(folder)
    assert not write_stored(folder, "X", "1d", prices.frame, OWN | {"file": "again.csv"})
    assert tree(folder) == before


def test_equal_bars_imported_over_yahoos_count_as_imported(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {"source": "Yahoo"})
    assert write_stored(tmp_path, "AAPL", "1d", read_raw(tmp_path, "AAPL"), OWN)
    assert read_sidecar(tmp_path, "AAPL")["source"] == "import"
    assert sidecar_fits(tmp_path, "AAPL")


class Killed(BaseException):
    """Simulates the end of the process."""


@pytest.mark.parametrize("at", [0, 1])
def test_a_killed_import_never_leaves_imported_bars_marked_as_yahoos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    old = price_path(tmp_path, "AAPL")
    write_stored(tmp_path, "AAPL", "1d", BARS, {"source": "Yahoo"})
    yahoos = old.read_bytes()
    calls, replace = iter(range(9)), os.replace

    def dying(source: Path, target: Path) -> None:
        if next(calls) == at:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with pytest.raises(Killed):
            write_stored(tmp_path, "AAPL", "1d", OTHERS, OWN)
    assert old.read_bytes() == yahoos
    assert read_sidecar(tmp_path, "AAPL")["source"] == ("Yahoo", "import")[at]
    assert sidecar_fits(tmp_path, "AAPL") == (at == 0)
    assert len(read_stored(tmp_path, "AAPL", today=TODAY).frame) == 40
    assert write_stored(tmp_path, "AAPL", "1d", OTHERS, OWN)
    assert sidecar_fits(tmp_path, "AAPL")


def test_removing_a_symbol_removes_all_its_files_and_no_others(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {})
    write_stored(tmp_path, "AAPL", "1wk", BARS, {})
    write_stored(tmp_path, "MSFT", "1d", BARS, {})
    remove_stored(tmp_path, "AAPL")
    left = {"prices/1wk/AAPL.csv", "prices/1wk/AAPL.json", "prices/1d/MSFT.csv"}
    assert set(tree(tmp_path)) == {*left, "prices/1d/MSFT.json"}
    with pytest.raises(DataError, match=r"no daily bars stored .*only weekly bars are stored"):
        remove_stored(tmp_path, "AAPL")


def test_a_killed_removal_leaves_a_readable_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, OWN)
    unlink = Path.unlink

    def dying(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".json":
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dying)
        with pytest.raises(Killed):
            remove_stored(tmp_path, "AAPL")
    assert stored_symbols(tmp_path) == []
    with pytest.raises(DataError, match="no prices stored"):
        read_stored(tmp_path, "AAPL", today=TODAY)
    assert write_stored(tmp_path, "AAPL", "1d", BARS, {"source": "Yahoo"})
    assert read_sidecar(tmp_path, "AAPL")["source"] == "Yahoo"


def test_a_sidecar_that_is_too_large_or_too_deep_is_damaged(tmp_path: Path) -> None:
    write_stored(tmp_path, "AAPL", "1d", BARS, {})
    path = sidecar_path(tmp_path, "AAPL")
    for text in ('{"a": "' + "x" * 5_000_000 + '"}', "[" * 100_000):
        path.write_text(text)
        assert read_sidecar(tmp_path, "AAPL") == {}
