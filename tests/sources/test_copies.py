"""Copies of prices read as the originals do, from files of any shape and from the store."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmcli.config import Data
from lstmcli.evaluation.leaks import rewritten, without
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices
from lstmcli.market.store import write_stored
from lstmcli.sources.copies import copied
from lstmcli.sources.loading import load_prices
from lstmcli.sources.source import Source
from tests.synthetic import make_prices, random_walk

ROWS = 60
CLOSE = random_walk(ROWS)
BARS = make_prices(Open=CLOSE * 1.001, Close=CLOSE, Adj_Close=CLOSE / 3, Volume=CLOSE * 1e4).frame
DAY = BARS.index.to_numpy()[39]


def wide(folder: Path) -> Source:
    """Three series in one file, one of which begins later and has a hole."""
    frame = pd.DataFrame({"A=B": CLOSE, "Ω, Ltd": CLOSE[::-1], "LOW": CLOSE * 2}, BARS.index)
    frame.iloc[:9, 1] = np.nan
    frame.iloc[30, 1] = np.nan
    frame.to_csv(folder / "wide.csv")
    return Source(folder, date(2026, 1, 1), csv=(str(folder / "wide.csv"),))


def bars(folder: Path) -> Source:
    """Files with other separators, one with a name of its own."""
    for name in ("one", "two"):
        BARS.to_csv(folder / f"{name}.csv", sep=";", decimal=",")
    files = (str(folder / "one.csv"), f"X Y={folder / 'two.csv'}")
    return Source(folder, date(2026, 1, 1), csv=files, reading=Reading(";", ","))


def named(folder: Path) -> Source:
    """A file whose name has a sign in it that ends names on the command line."""
    BARS.to_csv(folder / "EURUSD=X.csv")
    return Source(folder, date(2026, 1, 1), csv=(str(folder / "EURUSD=X.csv"),))


def stored(folder: Path) -> Source:
    """Symbols in the store, of a feed and of one's own."""
    write_stored(folder, "AAA", "1d", BARS.round(4), {"currency": "USD"})
    write_stored(folder, "^B", "1d", BARS, {"source": "import"})
    return Source(folder, date(2026, 1, 1), symbols=("AAA", "^B"))


SOURCES = [wide, bars, named, stored]


def read(source: Source) -> list[Prices]:
    found, failures = load_prices(source, Data())
    assert failures == []
    return found


@pytest.mark.parametrize("make", SOURCES)
def test_a_copy_reads_as_the_original(make: Callable[[Path], Source], tmp_path: Path) -> None:
    source = make(tmp_path)
    prices = read(source)
    copies = read(copied(source, prices, tmp_path / "copies"))
    for original, copy in zip(prices, copies, strict=True):
        pd.testing.assert_frame_equal(copy.frame, original.frame, check_exact=True)
        assert (copy.symbol, copy.interval) == (original.symbol, original.interval)


@pytest.mark.parametrize("make", SOURCES)
def test_a_change_reaches_the_later_rows_and_no_others(
    make: Callable[[Path], Source], tmp_path: Path
) -> None:
    source = make(tmp_path)
    prices = read(source)
    noise, shorter = (
        read(copied(source, prices, tmp_path / "copies", change))
        for change in (
            lambda each: rewritten(each, DAY, np.random.default_rng(0)),
            lambda each: without(each, DAY),
        )
    )
    for original, noisy, short in zip(prices, noise, shorter, strict=True):
        before = original.frame[:DAY]
        pd.testing.assert_frame_equal(noisy.frame[:DAY], before, check_exact=True)
        pd.testing.assert_frame_equal(short.frame, before, check_exact=True)
        later = noisy.frame.index > DAY
        assert later.sum() == (original.frame.index > DAY).sum()
        assert not (noisy.frame[later] == original.frame[later]).any(axis=None)


def test_a_copy_of_the_store_has_what_is_known_of_the_bars(tmp_path: Path) -> None:
    source = stored(tmp_path)
    copied(source, read(source), tmp_path / "copies")
    known = [path / "prices" / "1d" / "AAA.json" for path in (tmp_path, tmp_path / "copies")]
    assert known[0].read_bytes() == known[1].read_bytes()


def test_the_data_folder_of_the_user_is_left_alone(tmp_path: Path) -> None:
    source = stored(tmp_path)
    before = (tmp_path / "prices" / "1d" / "AAA.csv").read_bytes()
    copied(source, read(source), tmp_path / "copies", lambda each: without(each, DAY))
    assert (tmp_path / "prices" / "1d" / "AAA.csv").read_bytes() == before
