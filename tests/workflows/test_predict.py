"""Batches of forecasts: the same as one by one, in order, with nothing held that is not needed."""

import gc
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.console.messages import before_end
from lstmcli.errors import AllFailedError, UsageError
from lstmcli.market import sessions
from lstmcli.market.prices import Prices
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.source import Source
from lstmcli.workflows import batches
from lstmcli.workflows import predict as module
from lstmcli.workflows.batches import SymbolForecast
from lstmcli.workflows.predict import PredictReport, predict
from tests.command_line import csv_text, succeed, walk

SYMBOLS = tuple(f"S{letter}" for letter in "ABCDEFGHIJKLM")
TODAY = date(2018, 9, 1)
DIRECT = """\
[data]
symbols = ["SA", "SB", "SC"]
csv = []

[window]
context_length = 60
horizon = 10

[model]
hidden_sizes = [5]

[train]
members = 2
epochs = 1
chunk_length = 60
burn_in = 40
"""
RECURSIVE = """\
[data]
symbols = ["SA"]
csv = []

[window]
context_length = 10
horizon = 5
features = ["close"]
scaling = "zscore"

[model]
head = "recursive"
hidden_sizes = [7]
dense_sizes = [3]

[train]
epochs = 1
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of prices, one of them too short, and a model of each kind."""
    folder = tmp_path_factory.mktemp("shelf")
    prices = folder / "data" / "prices" / "1d"
    prices.mkdir(parents=True)
    for number, symbol in enumerate(SYMBOLS):
        (prices / f"{symbol}.csv").write_text(csv_text(walk(700 - 9 * number, seed=number)))
    (prices / "SHORT.csv").write_text(csv_text(walk(9)))
    for name, recipe in (("direct", DIRECT), ("recursive", RECURSIVE)):
        (folder / f"{name}.toml").write_text(recipe)
        succeed("train", "--config", f"{name}.toml", "--device", "cpu", folder=folder)
    return folder / "data"


def source(shelf: Path, *symbols: str) -> Source:
    return Source(data_dir=shelf, today=TODAY, symbols=symbols or SYMBOLS)


def made(shelf: Path, *symbols: str, **options: Any) -> list[SymbolForecast]:
    return list(predict(source(shelf, *symbols), device="cpu", **options).forecasts)


def contents(each: Any) -> dict[str, Any]:
    """All that a forecast says, its numbers as bytes."""
    found = {}
    for field in fields(each):
        if field.name == "by":  # the model's state, which counts its forecasts
            continue
        value = getattr(each, field.name)
        if isinstance(value, np.ndarray):
            value = value.tobytes()
        found[field.name] = contents(value) if field.name == "forecast" else value
    return found


def test_the_calendar_is_looked_up_once_on_reading_and_once_for_the_forecast(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    schedule_of = sessions.schedule_of

    def counted(days: Any, symbol: str, **options: Any) -> Any:
        looked_up.append(symbol)
        return schedule_of(days, symbol, **options)

    monkeypatch.setattr(sessions, "schedule_of", counted)
    made(shelf, "SA", "SB", model="direct")
    assert sorted(looked_up) == ["SA", "SA", "SB", "SB"]


@pytest.mark.parametrize("model", ["direct", "recursive"])
@pytest.mark.parametrize("as_of", [None, date(2018, 8, 20)])
def test_a_batch_of_any_size_and_order_gives_each_symbol_what_it_gets_alone(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, model: str, as_of: date | None
) -> None:
    alone = {
        symbol: contents(made(shelf, symbol, model=model, as_of=as_of)[0]) for symbol in SYMBOLS
    }
    generator = np.random.default_rng(0)
    for size in (1, 2, 5, 7, 8, 64):
        monkeypatch.setattr(batches, "_BATCH", size)
        order = [str(symbol) for symbol in generator.permutation(SYMBOLS)]
        together = made(shelf, *order, model=model, as_of=as_of)
        assert [each.symbol for each in together] == order
        assert [contents(each) for each in together] == [alone[symbol] for symbol in order]


def test_a_stream_comes_as_it_is_made_and_its_lists_are_complete_at_its_end(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_BATCH", 2)
    names = ("SA", "SHORT", "SB", "NONE", "SD", "SE")
    report = predict(source(shelf, *names), model="direct", device="cpu", stream=True)
    stream = iter(report.forecasts)
    assert next(stream).symbol == "SA"
    assert (report.symbols, report.notes) == (["SA"], [])
    assert [each.symbol for each in stream] == ["SB", "SD", "SE"]
    assert report.symbols == ["SA", "SB", "SD", "SE"]
    assert [each.symbol for each in report.failures] == ["SHORT", "NONE"]
    assert report.notes == ["the model was not trained on SD, SE"]
    whole = predict(source(shelf, *names), model="direct", device="cpu")
    assert [each.symbol for each in whole.forecasts] == report.symbols
    assert (whole.notes, whole.failures) == (report.notes, report.failures)


def test_what_concerns_all_symbols_is_raised_before_a_stream_begins(shelf: Path) -> None:
    with pytest.raises(UsageError, match="horizon is too long"):
        predict(source(shelf), model="direct", device="cpu", horizon=11, stream=True)
    with pytest.raises(AllFailedError, match="all 2 symbols failed"):
        predict(source(shelf, "SHORT", "NONE"), model="direct", device="cpu", stream=True)
    with pytest.raises(UsageError, match="not a ticker"):
        predict(source(shelf, *SYMBOLS, "../x"), model="direct", device="cpu", stream=True)


def test_prices_are_dropped_when_their_forecast_has_its_rows(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[weakref.ref[Any]] = []
    original = stream_prices

    def watched(*arguments: Any) -> Iterator[Any]:
        for each in original(*arguments):
            if isinstance(each, Prices):
                read.append(weakref.ref(each.frame))
            yield each

    monkeypatch.setattr(batches, "stream_prices", watched)
    monkeypatch.setattr(batches, "_BATCH", 4)
    stream = iter(predict(source(shelf), model="direct", device="cpu", stream=True).forecasts)
    held = next(stream)
    gc.collect()
    assert len(read) == 4
    assert sum(each() is not None for each in read) <= 1  # the last one read
    assert held.history.base is None or len(held.history.base) < 200  # of what it needs


def test_what_is_to_be_done_at_the_end_is_done_once_all_is_made(shelf: Path) -> None:
    seen: list[list[str]] = []
    report = predict(source(shelf, "SA", "SB"), model="recursive", device="cpu", stream=True)
    ended = before_end(report, lambda: seen.append(list(report.symbols)))
    stream = iter(ended.forecasts)
    next(stream)
    assert seen == []
    list(stream)
    assert seen == [["SA", "SB"]]


def test_another_column_than_was_trained_on_is_told_once(shelf: Path, tmp_path: Path) -> None:
    home = tmp_path / "data"
    shutil.copytree(shelf, home)
    for symbol in ("SA", "SD"):
        path = home / "prices" / "1d" / f"{symbol}.csv"
        header, *lines = path.read_text().splitlines()
        rows = [f"{line},{line.split(',')[1]}" for line in lines]
        path.write_text("\n".join([f"{header},Adj Close", *rows]) + "\n")

    def report(*symbols: str, model: str | None = "direct") -> PredictReport:
        return predict(source(home, *symbols), model=model, device="cpu")

    found = report("SA", "SB", "SD")
    assert [each.price_as_trained for each in found.forecasts] == [False, True, False]
    assert [each.price for each in found.forecasts] == ["Adj Close", "Close", "Adj Close"]
    assert found.notes == [
        "the model was trained on Close, and forecasts Adj Close of SA, SD",
        "the model was not trained on SD",
    ]
    assert report("SB").notes == []
    named = "recursive/v0001 was trained on Close, and forecasts Adj Close of SA"
    assert named in report("SA", "SB", "SD", model=None).notes


def test_a_symbol_asked_for_in_two_spellings_is_forecast_once(shelf: Path) -> None:
    found = made(shelf, "SB", "sa", "SA", "sb", model="recursive")
    assert [each.symbol for each in found] == ["SB", "SA"]


def test_history_beside_a_forecast_ends_at_its_cutoff(shelf: Path) -> None:
    (each,) = made(shelf, "SA", model="recursive", as_of=date(2018, 8, 20))
    assert len(each.history) == module.HISTORY
    assert each.history_dates[-1] == each.cutoff == np.datetime64("2018-08-20")
    assert each.history[-1] == each.last_close
    prices = walk(700)
    at = int(np.flatnonzero(prices == each.last_close)[0])
    assert each.actual == pytest.approx(np.log(prices[at + 1 : at + 6] / prices[at]))
