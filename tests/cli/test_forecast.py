"""`lstmcli forecast`: fetches, retrains when due and forecasts, even if a part fails."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.files.locks import hold
from lstmcli.market.calendars import sessions_of
from lstmcli.workflows import predict as predict_module
from tests.command_line import TINY_RECIPE, Outcome, assert_one_error, in_process, succeed
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

BARS = random_walk(300)
OLD = "2020-01-01T00:00:00+00:00"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        for symbol in ("AAPL", "MSFT"):
            script.serve(symbol, BARS[:-5])
        yield script


@pytest.fixture
def home(server: StandIn, tmp_path: Path) -> Path:
    """A folder with a small model of AAPL, `aapl`, and five newer bars to fetch."""
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    for words in ("fetch AAPL --rate 100", "train AAPL --config tiny.toml"):
        succeed(*words.split(), folder=tmp_path)
    server.forget()
    server.serve("AAPL", BARS)
    return tmp_path


def forecast(*words: object, folder: Path) -> Outcome:
    return in_process("forecast", *words, folder=folder)


def document(done: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    assert found["command"] == "forecast"
    return found


def used(done: Outcome) -> dict[str, str]:
    """The model and the last bar of each symbol's forecast."""
    return {
        each["symbol"]: f"{each['model']} {each['cutoff']}" for each in document(done)["forecasts"]
    }


def age(folder: Path, version: str, created: str = OLD) -> None:
    """Let a version be as old as if it had been made then."""
    path = folder / "data/models/aapl" / version / "metadata.json"
    metadata = json.loads(path.read_text()) | {"created": created}
    path.write_text(json.dumps(metadata))


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data/models/aapl").glob("v*"))


def day(bars: pd.DataFrame) -> str:
    return str(bars.index[-1].date())


def test_a_new_symbol_is_fetched_and_forecast_by_the_ready_made_model(
    server: StandIn, tmp_path: Path
) -> None:
    done = forecast("AAPL", "--json", folder=tmp_path)
    assert (done.code, used(done)) == (0, {"AAPL": f"base/v0001 {day(BARS[:-5])}"})
    server.forget()
    server.serve("AAPL", BARS)
    done = forecast("aapl", "--quiet", "--json", folder=tmp_path)
    assert (done.code, done.err, used(done)) == (0, "", {"AAPL": f"base/v0001 {day(BARS)}"})
    (asked,) = server.asked("AAPL")
    assert float(asked["period1"]) > BARS.index[-30].timestamp()
    assert not (tmp_path / "data/models").exists()


def test_in_an_empty_folder_it_says_what_to_type(tmp_path: Path) -> None:
    assert_one_error(forecast(folder=tmp_path), 2, "no symbols. Name some: lstmcli forecast AAPL")
    assert_one_error(forecast("A/B", folder=tmp_path), 2, "not a ticker")
    assert list(tmp_path.iterdir()) == []


def test_stored_prices_are_used_where_the_network_is_down(server: StandIn, home: Path) -> None:
    assert forecast("MSFT", folder=home).code == 0
    server.always["AAPL"] = "503"
    words = ("AAPL", "MSFT", "--timeout", "1s", "--json", "--errors", "left.csv", "--quiet")
    done = forecast(*words, folder=home)
    assert (done.code, used(done)["AAPL"]) == (3, f"aapl/v0001 {day(BARS[:-5])}")
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: warning: AAPL: prices not refreshed, the forecast is from ")
    assert [each["symbol"] for each in document(done)["incomplete"]] == ["AAPL"]
    assert (home / "left.csv").read_text().splitlines()[1].startswith("AAPL,6,")
    server.always["MSFT"] = "503"
    server.serve("MSFT", BARS)
    done = forecast(*words, folder=home)
    assert (done.code, list(used(done))) == (6, ["AAPL", "MSFT"])
    status = in_process("status", "--json", folder=home)
    feed = json.loads(status.out)["parts"][-1]
    assert (feed["part"], feed["state"]) == ("feed", "bad")
    assert feed["next_step"] == "Run the same forecast again."


def test_nothing_stored_and_no_network_is_an_error_of_the_network(
    server: StandIn, tmp_path: Path
) -> None:
    server.always["AAPL"] = "503"
    done = forecast("AAPL", "--timeout", "1s", "--errors", "left.csv", folder=tmp_path)
    assert (done.code, done.out) == (6, "")
    assert len(done.err.splitlines()) == 1
    assert (tmp_path / "left.csv").read_text().splitlines()[1].startswith("AAPL,6,")


def test_an_unknown_symbol_does_not_stop_the_others(server: StandIn, tmp_path: Path) -> None:
    done = forecast("AAPL", "NOPE", "MSFT", "--json", "--quiet", folder=tmp_path)
    assert (done.code, list(used(done))) == (3, ["AAPL", "MSFT"])
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: failed: NOPE: no such symbol at Yahoo")
    assert not any("NOPE" in note for note in document(done)["notes"])
    assert [each["symbol"] for each in document(done)["failures"]] == ["NOPE"]
    done = forecast("NOPE", folder=tmp_path)
    assert_one_error(done, 4, "no such symbol at Yahoo")


def test_a_recent_model_is_not_retrained(home: Path) -> None:
    done = forecast("AAPL", "--retrain-after", "7d", "--json", folder=home)
    assert (done.code, versions(home)) == (0, ["v0001"])
    assert used(done) == {"AAPL": f"aapl/v0001 {day(BARS)}"}


def test_an_old_model_is_retrained_once_from_its_own_recipe(home: Path) -> None:
    age(home, "v0001")
    done = forecast("AAPL", "--retrain-after", "7d", "--log-file", "log.jsonl", folder=home)
    assert (done.code, versions(home)) == (0, ["v0001", "v0002"])
    assert "lstmcli: aapl/v0002 was trained and is " in done.err
    config = [home / "data/models/aapl" / each / "config.toml" for each in versions(home)]
    assert config[0].read_text() == config[1].read_text()
    events = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    assert {"symbol", "epoch", "version", "end"} <= {each["event"] for each in events}
    # Whether it is better or not: what counts is when it was last trained.
    done = forecast("AAPL", "--retrain-after", "7d", "--quiet", folder=home)
    assert (done.code, done.err, versions(home)) == (0, "", ["v0001", "v0002"])


def test_a_pooled_model_is_trained_once_for_all_its_symbols(server: StandIn, home: Path) -> None:
    words = ("train", "AAPL", "MSFT", "--config", "tiny.toml", "--name", "pool")
    succeed("fetch", "MSFT", folder=home)
    succeed(*words, folder=home)
    succeed("models", "use", "pool", folder=home)
    done = forecast("AAPL", "MSFT", "--retrain-after", "0s", "--json", folder=home)
    assert done.code == 0
    assert {each.split("/")[0] for each in used(done).values()} == {"pool"}
    pool = home / "data/models/pool"
    assert [path.name for path in sorted(pool.glob("v*"))] == ["v0001", "v0002"]
    assert versions(home) == ["v0001"]


def test_a_symbol_with_few_prices_stays_with_the_ready_made_model(
    server: StandIn, tmp_path: Path
) -> None:
    server.serve("AAPL", BARS[:80])
    done = forecast("AAPL", "--retrain-after", "7d", "--json", folder=tmp_path)
    assert (done.code, list(used(done).values())) == (0, [f"base/v0001 {day(BARS[:80])}"])
    assert "aapl: no model of its own yet: " in done.err


def test_a_training_that_fails_leaves_the_champion(home: Path) -> None:
    age(home, "v0001")
    with hold(home / "data/models/aapl/.lock"):
        done = forecast("AAPL", "--retrain-after", "7d", "--quiet", "--json", folder=home)
    assert (done.code, used(done)) == (3, {"AAPL": f"aapl/v0001 {day(BARS)}"})
    (line,) = done.err.splitlines()
    assert line.startswith("lstmcli: warning: AAPL: aapl not retrained, the forecast is by the ")


def test_a_run_that_is_stopped_after_the_training_keeps_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(home, "v0001")

    def stopped(*values: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(predict_module, "predict", stopped)
        assert forecast("AAPL", "--retrain-after", "7d", folder=home).code == 130
    assert versions(home) == ["v0001", "v0002"]
    done = forecast("AAPL", "--retrain-after", "7d", "--json", folder=home)
    assert (done.code, versions(home)) == (0, ["v0001", "v0002"])
    assert used(done)["AAPL"].endswith(day(BARS))


def test_two_runs_in_one_folder_come_one_after_another(server: StandIn, home: Path) -> None:
    with hold(home / "data/.forecast.lock"):
        assert_one_error(forecast("AAPL", folder=home), 5, "another run is at work here")
        succeed("predict", "AAPL", folder=home)
    assert server.requests == 0
    with hold(home / "data/prices/.lock"):
        assert_one_error(forecast("AAPL", folder=home), 5, "another run is at work here")


def test_two_records_on_one_day_are_both_kept(server: StandIn, tmp_path: Path) -> None:
    sessions = sessions_of("XNYS")
    past = sessions[sessions < np.datetime64("today", "D")]
    days = pd.DatetimeIndex(past[-len(BARS) :], name="Date")
    server.serve("AAPL", BARS.set_index(days))
    for _ in range(2):
        done = forecast("AAPL", "--record", "--quiet", "--output", "forecast.csv", folder=tmp_path)
        assert (done.code, done.out, done.err) == (0, "", "")
    (ledger,) = (tmp_path / "data/ledger").glob("*.jsonl")
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert len(entries) == 2
    assert entries[0]["cutoff"] == entries[1]["cutoff"] == str(days[-1].date())
    assert (tmp_path / "forecast.csv").read_text().startswith("model,symbol,cutoff,step")


def test_a_damaged_model_is_not_reported_as_a_network_error(home: Path) -> None:
    (home / "data/models/aapl/v0001/model.safetensors").write_bytes(b"")
    assert_one_error(forecast("AAPL", folder=home), 1, "not a lstmcli model")
    parts = json.loads(in_process("status", "--json", folder=home).out)["parts"]
    states = {each["part"]: each["state"] for each in parts}
    assert states["model aapl"] == "bad"
    assert states["feed"] != "bad"


def test_status_shows_the_last_forecast_run(server: StandIn, tmp_path: Path) -> None:
    assert forecast("AAPL", folder=tmp_path).code == 0
    for words in ((), ("forecast",), ("fetch", "predict")):
        succeed("status", *words, "--max-age", "1h", folder=tmp_path)
    shown = in_process("status", folder=tmp_path).out
    assert re.search(r"ok +forecast +1 done, just now", shown)


def test_symbols_are_sorted_and_the_first_are_shown(home: Path) -> None:
    both = ("MSFT", "AAPL", "--sort", "symbol")
    assert list(used(forecast(*both, "--format", "json", folder=home))) == ["AAPL", "MSFT"]
    top = forecast(*both, "--top", 1, "--format", "json", folder=home)
    assert list(used(top)) == ["AAPL"]
    assert_one_error(forecast("AAPL", "--top", 1, folder=home), 2, "--sort")
