"""`predict --ray` and `forecast --ray`: the same bytes as without, whatever fails on the way."""

import os
import signal
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import lstmcli as lc
from lstmcli.cluster.tasks import Cluster
from lstmcli.market.prices import Prices
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.source import Source
from lstmcli.workflows import batches, predict
from lstmcli.workflows.batches import Ready
from tests.command_line import TINY_RECIPE, Outcome, csv_text, in_process, walk
from tests.rows import for_each
from tests.yahoo_stand_in import random_walk, stand_in

pytestmark = pytest.mark.usefixtures("two_workers")
make_ready = predict.make_ready
SYMBOLS = ("SA", "SB", "SC", "SD", "SE")


def with_a_bug(prices: Prices, **options: Any) -> Ready:
    if prices.symbol == "SC":
        raise ValueError("a bug")
    return make_ready(prices, **options)


def once_killed(mark: Path, prices: Prices, **options: Any) -> Ready:
    """Kill the worker of one batch, the first time."""
    if prices.symbol == "SC" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return make_ready(prices, **options)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a series that is too short, and a model of one symbol."""
    folder = tmp_path_factory.mktemp("home")
    prices = folder / "data" / "prices" / "1d"
    prices.mkdir(parents=True)
    for number, symbol in enumerate(SYMBOLS):
        (prices / f"{symbol}.csv").write_text(csv_text(walk(700 - 9 * number, seed=number)))
    (prices / "SHORT.csv").write_text(csv_text(walk(9)))
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    done = in_process(*["train", "SB", "--config", "tiny.toml"], folder=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_BATCH", 2)


def both(*words: str, folder: Path) -> tuple[Outcome, Outcome]:
    """Run `predict` without a cluster and on one."""
    runs = (words, (*words, "--ray", "local"))
    one, other = (in_process("predict", *each, folder=folder) for each in runs)
    return one, other


@for_each(
    "words",
    [
        "--format json --as-of 2018-06-29",
        "--model base --price=-10% --risk --explain",
        "--model base --threads 2 --format csv --sort range",
    ],
)
def test_results_notes_failures_and_exit_code_are_the_same(home: Path, words: str) -> None:
    symbols = ("NONE", "SA", "SHORT", "SB", "SC", "MISSING", "SD", "SE")
    here, there = both(*symbols, *words.split(), folder=home)
    assert here.code == 3, here.err
    assert there == here


@pytest.mark.parametrize("shared", [True, False])
def test_prices_are_read_by_tasks_where_they_see_the_store_and_shipped_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    read: list[str] = []

    def watched(*arguments: Any) -> Iterator[Any]:
        for each in stream_prices(*arguments):
            read.append(each.symbol)
            yield each

    asked = ("SA", "NONE", "SB", "SC", "SA")
    expected = in_process("predict", *asked, "--format", "json", folder=home)
    monkeypatch.setattr(batches, "stream_prices", watched)
    monkeypatch.setattr(Cluster, "shares_folders", shared)
    done = in_process("predict", *asked, "--format", "json", "--ray", "local", folder=home)
    assert done == expected
    assert read == ([] if shared else ["SA", "NONE", "SB", "SC"])


@pytest.mark.slow
def test_series_that_all_fail_end_with_the_same_error(home: Path) -> None:
    here, there = both("SHORT", "NONE", folder=home)
    assert here.code == 4
    assert there == here


def test_an_error_in_the_middle_comes_after_the_same_rows(home: Path) -> None:
    files = [f"--csv=data/prices/1d/{each}.csv" for each in (*SYMBOLS[:4], SYMBOLS[0])]
    here, there = both(*files, "--format", "csv", "--model", "base", folder=home)
    assert here.code == 2
    assert there == here


def test_the_batch_of_a_killed_worker_is_done_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "killed"
    expected = in_process("predict", *SYMBOLS, folder=home)
    monkeypatch.setattr(predict, "make_ready", partial(once_killed, mark))
    done = in_process("predict", *SYMBOLS, "--ray", "local", folder=home)
    assert mark.exists()
    assert done == expected


def test_a_batch_whose_task_fails_is_failed_symbols(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "make_ready", with_a_bug)
    words = ("--model", "base", "--format", "csv", "--ray", "local")
    done = in_process("predict", *SYMBOLS, *words, folder=home)
    rows = [line.split(",")[1] for line in done.out.splitlines()[1:]]
    assert sorted(set(rows)) == ["SA", "SB", "SE"]
    assert done.code == 3
    reason = "the task failed (local): ValueError: a bug"
    assert f"SC: {reason}" in done.err
    assert f"SD: {reason}" in done.err


def test_a_stream_reads_no_more_than_a_few_batches_ahead(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_BATCH", 1)
    read: list[str] = []

    def watched(*arguments: Any) -> Iterator[Any]:
        for each in stream_prices(*arguments):
            read.append(each.symbol)
            yield each

    monkeypatch.setattr(batches, "stream_prices", watched)
    files = tuple(f"S{number}={home}/data/prices/1d/SA.csv" for number in range(30))
    source = Source(home / "data", date(2018, 9, 1), csv=files)
    report = predict.predict(source, model="base", device="cpu", stream=True, ray="local")
    for count, _ in enumerate(report.forecasts, 1):
        assert len(read) <= count + 6
    assert len(read) == 30


@pytest.mark.slow
def test_the_same_from_python(home: Path) -> None:
    how: dict[str, Any] = {"data_dir": home / "data", "model": "base"}
    here = lc.predict(["SA", "SB", "SC"], **how)
    there = lc.predict(["SA", "SB", "SC"], ray="local", **how)
    assert there.frame.equals(here.frame)
    assert there.notes == here.notes


@pytest.mark.slow
def test_forecast_uses_the_cluster_for_its_forecasts(tmp_path: Path) -> None:
    with stand_in() as script:
        for number, symbol in enumerate(("AAPL", "MSFT", "YOUNG")):
            script.serve(symbol, random_walk(20 if symbol == "YOUNG" else 300 + number))
        words = ("forecast", "AAPL", "MSFT", "YOUNG", "--format", "csv")
        here = in_process(*words, folder=tmp_path)
        there = in_process(*words, folder=tmp_path, env={"LSTMCLI_RAY": "local"})
    assert here.code == 3
    assert there == here
