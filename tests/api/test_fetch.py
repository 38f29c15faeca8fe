"""Fetching and forecasting from Python, with a local server in Yahoo's place."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lstmcli as lc
from lstmcli.api import PartialResultWarning
from lstmcli.errors import AllFailedError, UsageError
from tests.api.conftest import SMALL, closes
from tests.command_line import hashes
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

BARS = random_walk(300)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        for symbol in ("AAPL", "MSFT"):
            script.serve(symbol, BARS[:-5])
        yield script


def test_a_fetch_fills_the_store(server: StandIn, tmp_path: Path) -> None:
    found = lc.fetch(["AAPL", "MSFT"], rate=100)
    assert found.frame["status"].tolist() == ["new", "new"]
    assert found.frame["rows"].tolist() == [295, 295]
    assert (tmp_path / "data/prices/1d/AAPL.csv").is_file()
    assert "AAPL" in repr(found)
    assert "<td>MSFT</td>" in found._repr_html_()
    server.serve("AAPL", BARS)
    again = lc.fetch("AAPL,MSFT", rate=100, data_dir=str(tmp_path / "data"))
    assert again.frame["added"].tolist() == [5, 0]


def test_symbols_that_cannot_be_fetched_are_named(server: StandIn, tmp_path: Path) -> None:
    with pytest.warns(PartialResultWarning, match="1 symbol failed: NONE: "):
        found = lc.fetch(["AAPL", "NONE"], rate=100)
    assert [each.symbol for each in found.failures] == ["NONE"]
    assert "failed: NONE: " in repr(found)
    with pytest.raises(AllFailedError) as caught:
        lc.fetch("NONE", rate=100)
    assert caught.value.exit_code == 4
    with pytest.raises(UsageError, match="no symbols"):
        lc.fetch([])


def test_a_dry_run_writes_nothing(server: StandIn, tmp_path: Path) -> None:
    lc.fetch("AAPL", dry_run=True)
    assert not (tmp_path / "data/prices").exists()


def test_a_forecast_brings_symbols_up_to_date(server: StandIn) -> None:
    first = lc.forecast(["AAPL", "MSFT"])
    assert first.frame["model"].unique().tolist() == ["base/v0001"]
    server.serve("AAPL", BARS)
    later = lc.forecast("AAPL", retrain_after=0.0)
    assert later.frame["cutoff"].iloc[0] > first.frame["cutoff"].iloc[0]
    assert any("aapl: no model of its own yet" in note for note in later.notes)


def test_a_forecast_by_a_model_brings_its_symbols_up_to_date(
    server: StandIn, tmp_path: Path
) -> None:
    small: dict[str, Any] = {"settings": SMALL, "horizon": 5}
    lc.fetch("AAPL", rate=100)
    model = lc.train("AAPL", **small)
    server.serve("AAPL", BARS)
    fc = lc.forecast(model)
    assert fc.frame["model"].unique().tolist() == ["aapl/v0001"]
    assert fc.frame["last_close"].iloc[0] == BARS["Close"].iloc[-1]
    unkept = lc.train(closes().rename("MSFT"), **small)
    before = {name for name in hashes(tmp_path) if "models" in name}
    fc = lc.forecast(unkept)  # by the store's prices, which it was not trained on
    assert fc.frame["last_close"].iloc[0] == BARS["Close"].iloc[-6]
    assert {name for name in hashes(tmp_path) if "models" in name} == before


def test_what_falls_short_is_among_the_failures(server: StandIn) -> None:
    lc.fetch("AAPL", rate=100)
    server.always["AAPL"] = "404"
    with pytest.warns(PartialResultWarning, match="2 symbols failed: NONE: .*; AAPL: prices not"):
        fc = lc.forecast(["AAPL", "NONE"])
    assert fc.frame["symbol"].unique().tolist() == ["AAPL"]
    assert [each.symbol for each in fc.failures] == ["NONE", "AAPL"]


def test_files_and_frames_have_nothing_to_fetch() -> None:
    for data in (closes(), "one.csv"):
        with pytest.raises(UsageError, match="nothing to fetch"):
            lc.forecast(data)


def test_yfinance_is_left_as_it_was(server: StandIn) -> None:
    import yfinance as yf

    logger = logging.getLogger("yfinance")
    before = yf.config.debug.hide_exceptions, logger.level
    lc.fetch("AAPL", rate=100)
    assert (yf.config.debug.hide_exceptions, logger.level) == before
