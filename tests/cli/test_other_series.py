"""Other series that a model reads are kept up to date; missing or old ones are reported."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.command_line import TINY_RECIPE, assert_one_error, document_of, in_process, succeed
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

BARS = random_walk(300)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        yield script


@pytest.fixture
def home(server: StandIn, tmp_path: Path) -> Path:
    """A folder with a small model of AAPL that reads ^VIX, and five newer bars of both."""

    def serve(bars: pd.DataFrame) -> None:
        for symbol in ("AAPL", "^VIX"):
            server.serve(symbol, bars)

    serve(BARS[:-5])
    recipe = TINY_RECIPE.replace('["close"]', '["close", "symbol:^VIX:log"]')
    (tmp_path / "tiny.toml").write_text(recipe)
    for words in ("fetch AAPL ^VIX --rate 100", "train AAPL --config tiny.toml"):
        succeed(*words.split(), folder=tmp_path)
    server.forget()
    serve(BARS)
    return tmp_path


def last_bars(home: Path) -> dict[str, str]:
    return {each["symbol"]: each["last"] for each in document_of(home, "data", "list")["series"]}


def removed(home: Path) -> None:
    succeed("data", "remove", "^VIX", "--yes", folder=home)


def test_fetch_and_forecast_update_the_other_series_too(server: StandIn, home: Path) -> None:
    last = str(BARS.index[-1].date())
    done = in_process("fetch", "AAPL", "--rate", "100", folder=home)
    assert (done.code, done.err) == (0, "lstmcli: also ^VIX, which aapl reads\n")
    assert last_bars(home) == {"AAPL": last, "^VIX": last}
    server.forget()
    weekly = in_process("fetch", "AAPL", "--interval", "1wk", "--rate", "100", folder=home)
    assert "^VIX" not in weekly.err
    assert server.asked("^VIX") == []
    removed(home)
    done = succeed("forecast", "AAPL", "--json", folder=home)
    assert last_bars(home)["^VIX"] == last
    assert [each["symbol"] for each in json.loads(done.out)["forecasts"]] == ["AAPL"]


def test_another_series_that_cannot_be_updated_is_reported(server: StandIn, home: Path) -> None:
    server.always["^VIX"] = "503"
    done = in_process("forecast", "AAPL", "--json", "--timeout", "2s", folder=home)
    assert done.code == 3
    document = json.loads(done.out)
    assert [each["symbol"] for each in document["incomplete"]] == ["^VIX"]
    assert [each["symbol"] for each in document["forecasts"]] == ["AAPL"]
    day = BARS.index[-6].date()
    words = f"AAPL: ^VIX, one of its inputs, ends on {day}, 5 bars earlier"
    for outcome in (done, in_process("predict", "AAPL", folder=home)):
        assert words in outcome.err
    assert "Run: lstmcli fetch ^VIX" in outcome.err


def test_a_model_is_stale_where_the_other_series_was_restated(server: StandIn, home: Path) -> None:
    words = "prices of ^VIX"
    assert words not in in_process("predict", "AAPL", folder=home).err
    server.serve("^VIX", BARS * 4)
    succeed("fetch", "^VIX", "--full", "--rate", "100", folder=home)
    for command in ("predict", "evaluate"):
        assert words in in_process(command, "AAPL", folder=home).err
    assert "were replaced after aapl/v0001 was trained" in in_process("status", folder=home).out


def test_a_missing_other_series_is_an_error_that_names_the_command(home: Path) -> None:
    def model() -> dict[str, str]:
        parts = document_of(home, "status")["parts"]
        return next(each for each in parts if each["part"] == "model aapl")

    assert model()["state"] == "ok"
    removed(home)
    step = "no prices of ^VIX, which the model reads. Run: lstmcli fetch '^VIX'"
    for command in ("predict", "evaluate"):
        assert_one_error(in_process(command, "AAPL", folder=home), 4, step)
    found = model()
    assert (found["state"], found["next_step"]) == ("old", "Run: lstmcli fetch '^VIX'.")
    assert found["found"].endswith("; reads ^VIX, not stored")


def test_the_audit_of_stored_prices_changes_the_other_series_too(home: Path) -> None:
    done = succeed("evaluate", "AAPL", "--audit", "--n-windows", "3", folder=home)
    assert "Audit: clean." in done.out
