"""Stale models: their prices were replaced after training, and every command reports it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import (
    TINY_RECIPE,
    Outcome,
    csv_text,
    document_of,
    hashes,
    in_process,
    succeed,
    walk,
)
from tests.yahoo_stand_in import StandIn, dividend, random_walk, split, stand_in

BARS = random_walk(200)  # to 2024-10-07
NAMES = ("AAPL", "MSFT")
TOLD = " was trained: train it again"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        for symbol in (*NAMES, "IBM"):
            script.serve(symbol, BARS[:180])
        yield script


@pytest.fixture
def home(server: StandIn, tmp_path: Path) -> Path:
    """A folder with a store of three symbols, and a model of two of them."""
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE.replace('csv = ["prices.csv"]', ""))
    fetch(tmp_path, *NAMES, "IBM")
    train(tmp_path)
    return tmp_path


def run(home: Path, *arguments: object) -> Outcome:
    return succeed(*arguments, folder=home)


def fetch(home: Path, *arguments: object) -> Outcome:
    return run(home, "fetch", "--rate", 100, *arguments)


def train(home: Path, *options: object) -> Outcome:
    return run(home, "train", *NAMES, "-c", "tiny.toml", "--force", "--promote", "always", *options)


def stale(home: Path, *options: object) -> list[dict[str, Any]]:
    """The field of a forecast, after every reader was held to say the same."""
    predicted = run(home, "predict", *options, "--format", "json")
    found: list[dict[str, Any]] = json.loads(predicted.out)["stale"]
    evaluated = run(home, "evaluate", *options, "--format", "json")
    notes = (json.loads(predicted.out)["notes"], json.loads(evaluated.out)["notes"])
    assert [sum(TOLD in note for note in each) for each in notes] == [bool(found)] * 2
    assert (TOLD in predicted.err) == bool(found)
    shown = json.loads(run(home, "models", "show", *options[1:], "--format", "json").out)
    assert shown["stale"] == found
    return found


def split_aapl(home: Path, server: StandIn) -> Outcome:
    server.serve("AAPL", split(BARS, "2024-09-16", 4))
    return fetch(home, *NAMES)


def marks(home: Path, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document_of(home, "predict", *words)["stale"]
    return found


def test_a_restatement_makes_the_models_stale_that_read_the_old_history(
    home: Path, server: StandIn
) -> None:
    assert stale(home) == []
    assert "AAPL: restated: 4:1 split 2024-09-16" in split_aapl(home, server).out
    (mark,) = stale(home)
    assert (mark["symbol"], mark["interval"], mark["price"]) == ("AAPL", "1d", "Adj Close")
    assert mark["reason"] == "4:1 split 2024-09-16"
    assert "stale (1 symbol)" in run(home, "models", "list").out
    train(home)
    assert stale(home) == []
    assert len(stale(home, "-m", "tiny/v0001")) == 1
    rows = json.loads(run(home, "models", "list", "--format", "json").out)["models"]
    assert [row["stale"] for row in rows] == [1, 0]


def test_a_backup_that_brings_the_prices_back_makes_the_model_fresh_again(
    home: Path, server: StandIn
) -> None:
    store, backup = home / "data/prices", home / "backup"
    shutil.copytree(store, backup)
    split_aapl(home, server)
    assert len(stale(home)) == 1
    shutil.rmtree(store)
    shutil.copytree(backup, store)
    assert stale(home) == []


def test_a_model_that_was_copied_is_judged_by_the_prices_where_it_is(
    home: Path, server: StandIn
) -> None:
    """On a machine that fetched for itself: the feed rounds otherwise there, and split there."""
    there = home / "there"
    there.mkdir()
    rounded = BARS * (1 + 2e-7 * np.cos(np.arange(len(BARS))))[:, None]
    for symbol, bars in zip(NAMES, (rounded, split(BARS, "2024-09-16", 4)), strict=True):
        server.serve(symbol, bars)
    fetch(there, *NAMES)
    shutil.copytree(home / "data/models/tiny/v0001", there / "data/models/tiny/v0001")
    assert [mark["symbol"] for mark in marks(there, "-m", "tiny/v0001")] == ["MSFT"]


def test_a_price_edited_by_hand_is_another_history(home: Path) -> None:
    path = home / "data/prices/1d/AAPL.csv"
    lines = path.read_text().splitlines()
    fields = lines[90].split(",")
    fields[4:6] = [str(float(value) * 1.01) for value in fields[4:6]]
    path.write_text("\n".join([*lines[:90], ",".join(fields), *lines[91:], ""]))
    (mark,) = stale(home)
    assert (mark["symbol"], mark["reason"]) == ("AAPL", "other prices are stored now")


def test_a_late_correction_and_other_columns_make_nothing_stale(home: Path) -> None:
    path = home / "data/prices/1d/AAPL.csv"
    lines = path.read_text().splitlines()
    volume, last = lines[90].split(","), lines[-1].split(",")
    volume[6] = "77"
    last[4:6] = [str(float(value) * 1.0005) for value in last[4:6]]
    path.write_text("\n".join([*lines[:90], ",".join(volume), *lines[91:-1], ",".join(last), ""]))
    assert stale(home) == []


def test_a_version_without_fingerprints_goes_by_what_was_noted_since(
    home: Path, server: StandIn
) -> None:
    path = home / "data/models/tiny/v0001/metadata.json"
    known = json.loads(path.read_text())
    del known["source"]["histories"]
    path.write_text(json.dumps(known))
    assert stale(home) == []
    split_aapl(home, server)
    (mark,) = stale(home)
    assert mark["reason"] == "4:1 split 2024-09-16"


def test_a_training_that_read_its_prices_before_is_stale_though_it_ends_after(
    home: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstmcli.learning.learn import learn
    from lstmcli.workflows import train as workflow

    def interrupted(*arguments: Any) -> Any:
        split_aapl(home, server)
        return learn(*arguments)

    monkeypatch.setattr(workflow, "learn", interrupted)
    train(home)
    train(home, "--name", "first")  # of a name that had no version when the mark was set
    monkeypatch.setattr(workflow, "learn", learn)
    assert len(stale(home, "-m", "tiny/v0002")) == 1


def test_new_bars_and_other_symbols_make_nothing_stale(home: Path, server: StandIn) -> None:
    server.serve("AAPL", BARS)
    server.serve("IBM", split(BARS, "2024-09-16", 4))
    fetch(home, *NAMES, "IBM")
    assert stale(home) == []


def test_a_dividend_leaves_a_model_of_the_close_as_it_is(home: Path, server: StandIn) -> None:
    train(home, "--name", "close", "--set", "data.price=close")
    server.serve("AAPL", dividend(BARS, "2024-09-16", 1.0))
    fetch(home, *NAMES)
    assert stale(home, "-m", "close") == []
    (mark,) = stale(home, "-m", "tiny")
    assert mark["reason"].startswith("dividend 1 ")


def test_a_model_of_a_file_does_not_depend_on_the_store(home: Path, server: StandIn) -> None:
    (home / "AAPL.csv").write_text(csv_text(walk(200)))
    run(home, "train", "-c", "tiny.toml", "--csv", "AAPL.csv", "--name", "file",
        "--set", "data.price=close")  # fmt: skip
    run(home, "data", "remove", "AAPL", "--yes")
    assert marks(home, "-m", "file") == []


def test_removed_and_imported_prices_count_as_other_prices(home: Path) -> None:
    (home / "AAPL.csv").write_text(csv_text(walk(200)))
    run(home, "data", "import", "AAPL.csv", "--replace")
    (mark,) = marks(home, "MSFT")
    assert mark["reason"] == "replaced by AAPL.csv"
    run(home, "data", "remove", "MSFT", "--yes")  # until it is there again nobody can know
    assert [mark["symbol"] for mark in marks(home, "IBM", "--model", "tiny")] == ["AAPL"]
    fetch(home, "MSFT")
    assert [mark["symbol"] for mark in marks(home, "IBM", "--model", "tiny")] == ["AAPL"]
    before = hashes(home)
    assert in_process("data", "remove", "KO", "--yes", folder=home).code == 4
    assert hashes(home) == before
