"""`evaluate --audit` catches leaks of every kind, planted in the product's own functions.

Each leak imitates a careless mistake. The models are as small as possible; one clean model serves
all leaks that need no training of their own.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lstmcli.dataset import series as series_module
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import split_series
from lstmcli.dataset.windows import flat_cutoffs
from lstmcli.evaluation import forecasters, scores
from lstmcli.evaluation.forecasters import learn_trend, yardsticks
from lstmcli.evaluation.trend import Thresholds, direction_scores, fit_thresholds, scaled_moves
from lstmcli.forecasting import forecaster
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import series_for
from lstmcli.learning import fit, learn, plan, refit, repeat, transfer
from lstmcli.learning.learn import describe
from lstmcli.learning.samples import make_samples
from lstmcli.market import tables
from lstmcli.market.prices import Prices
from lstmcli.market.validate import check_bars
from lstmcli.runs.registry import ready_made
from lstmcli.workflows import evaluate, predict
from lstmcli.workflows import train as train_module
from tests.command_line import Outcome, csv_text, in_process, sessions, succeed, walk

ROWS = 300
RECIPE = """\
data.csv = ["prices.csv"]
window = { context_length = 10, horizon = 5, scaling = "log_return", features = FEATURES }
model = { head = "recursive", hidden_sizes = [4] }
train = { epochs = 3, threads = 1, device = "cpu", learning_rate = 1e-2 }
""".replace("FEATURES", '["close", "volume"]')
Plant = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bars, a recipe and an honest model; not to be changed."""
    folder = tmp_path_factory.mktemp("honest")
    volume = 1e6 * np.exp(np.random.default_rng(2).normal(0, 0.3, ROWS))
    frame = pd.DataFrame({"Close": walk(ROWS), "Volume": volume.round()})
    frame.set_axis(sessions(ROWS)).rename_axis("Date").to_csv(folder / "prices.csv")
    (folder / "tiny.toml").write_text(RECIPE)
    train(folder)
    return folder


@pytest.fixture
def other(honest: Path, tmp_path: Path) -> Path:
    """A folder with the same files and no model."""
    for name in ("prices.csv", "tiny.toml"):
        shutil.copy(honest / name, tmp_path / name)
    return tmp_path


def train(folder: Path) -> None:
    succeed("train", "--config", "tiny.toml", folder=folder)


def audit(folder: Path, *options: object) -> Outcome:
    return in_process("evaluate", "--audit", "--quiet", *options, folder=folder)


def assert_caught(folder: Path, *words: str, windows: int = 2) -> None:
    """Hold that the audit fails with one line that has the words.

    windows : of a forecast; 1 where the fit leaks, which is audited just the same.
    """
    outcome = audit(folder, "--n-windows", windows)
    assert outcome.code == 1, outcome.out
    assert "Audit: not clean." in outcome.out
    (line,) = outcome.err.splitlines()
    assert [word for word in words if word not in line] == [], line


def feature(monkeypatch: Plant, values: Callable[[pd.DataFrame], Any]) -> None:
    """Let the network read these instead of the volume."""

    def leaky(prices: Prices, *rest: Any) -> NDArray[np.float64]:
        return np.asarray(values(prices.frame), dtype=np.float64)

    monkeypatch.setattr(series_module, "_feature", leaky)


def memoised(monkeypatch: Plant, values: Callable[[pd.DataFrame], "pd.Series[float]"]) -> None:
    """The same, computed once a symbol and looked up by date from then on."""
    cache: dict[str, pd.Series[float]] = {}

    def leaky(prices: Prices, *rest: Any) -> NDArray[np.float64]:
        known = cache.setdefault(prices.symbol, values(prices.frame))
        return np.asarray(known.reindex(prices.frame.index), dtype=np.float64)

    monkeypatch.setattr(series_module, "_feature", leaky)


def test_kept_weights_that_were_fitted_on_test_rows(other: Path, monkeypatch: Plant) -> None:
    def leaky(rows: Any, parts: Any, *rest: Any) -> Any:
        every = [np.arange(9, len(each) - 5) for each in parts.series]
        return replace(make_samples(rows, parts, *rest), train=flat_cutoffs(rows, every))

    with monkeypatch.context() as plant:
        plant.setattr(fit, "make_samples", leaky)
        train(other)
    words = ("the saved model differs from a refit on its training rows", "kept stage")
    assert_caught(other, *words, windows=1)


def test_an_oracle_that_remembers_prices_by_symbol(honest: Path, monkeypatch: Plant) -> None:
    memory: dict[str, Series] = {}

    def remembering(settings: Any, prices: Prices) -> Series:
        found = series_for(settings, prices)
        memory.setdefault(prices.symbol, found)
        return found

    def oracle(model: Any, series: Any, cutoffs: Any, *, horizon: int = 5) -> Forecast:
        ahead = np.arange(1, horizon + 1)
        parts = []
        for each, rows in zip(series, cutoffs, strict=True):
            known = memory[each.symbol].log_prices
            parts.append(known[rows[:, None] + ahead] - known[rows][:, None])
        return Forecast(np.concatenate(parts))

    monkeypatch.setattr(evaluate, "series_for", remembering)
    monkeypatch.setattr(forecaster, "forecast", oracle)
    assert_caught(honest, "forecast stage", "forecasts of tiny/v0001, median")


def test_a_memoised_feature_with_a_shifted_target(honest: Path, monkeypatch: Plant) -> None:
    memoised(monkeypatch, lambda frame: frame["Close"].shift(-1))
    assert_caught(honest, "volume")


def test_a_feature_memoised_before_the_audit_began(honest: Path, monkeypatch: Plant) -> None:
    memoised(monkeypatch, lambda frame: frame["Close"].shift(-1))
    succeed("evaluate", "--quiet", folder=honest)
    assert_caught(honest, "the audit proves nothing here", "control stage", "volume")


def test_a_reader_that_cleans_with_a_centred_median(honest: Path, monkeypatch: Plant) -> None:
    def leaky(*bars: Any, **options: Any) -> Prices:
        found = check_bars(*bars, **options)
        close = found.frame["Close"].rolling(5, center=True, min_periods=1).median()
        return replace(found, frame=found.frame.assign(Close=close))

    monkeypatch.setattr(tables, "check_bars", leaky)
    assert_caught(honest, "reader stage", "prices, cutoff", "Close")


def test_an_as_of_that_reads_one_bar_too_many(honest: Path, monkeypatch: Plant) -> None:
    make_ready = predict.make_ready

    def leaky(prices: Prices, **options: Any) -> Any:
        later = prices.frame.index.searchsorted(np.datetime64(options["as_of"]), side="right")
        options["as_of"] = prices.frame.index[min(int(later), len(prices.frame) - 1)].date()
        return make_ready(prices, **options)

    monkeypatch.setattr(predict, "make_ready", leaky)
    assert_caught(honest, "as-of stage", "tiny/v0001, prices")


def test_thresholds_fitted_on_test_windows_by_training(other: Path, monkeypatch: Plant) -> None:
    def leaky(model: Any, series: Any, splits: Any) -> Any:
        moved = [replace(each, train=each.test, train_rows=each.test.stop) for each in splits]
        return learn_trend(model, series, moved)

    monkeypatch.setattr(learn, "learn_trend", leaky)
    train(other)
    words = ("data after a cutoff was used", "fit stage", "trend thresholds")
    assert_caught(other, *words, windows=1)


def test_thresholds_fitted_on_test_windows_by_evaluation(honest: Path, monkeypatch: Plant) -> None:
    def leaky(result: Any, fitted: Any) -> dict[str, Thresholds]:
        actual = scaled_moves(result.actual, result.sigma)
        return {
            name: fit_thresholds(scaled_moves(result.forecasts[name].median, result.sigma), actual)
            for name in fitted[0].trend
        }

    monkeypatch.setattr(forecasters, "thresholds_by_window", leaky)
    assert_caught(honest, "forecast stage", "trend thresholds of tiny/v0001")


def test_trend_calls_learned_on_test_rows(honest: Path, monkeypatch: Plant) -> None:
    def leaky(backtest: Any, name: str, step: int, known: Any, proves: Any) -> Any:
        predicted = scaled_moves(backtest.forecasts[name].median, backtest.sigma)
        fitted = fit_thresholds(predicted, scaled_moves(backtest.actual, backtest.sigma))
        known = replace(known, thresholds={name: fitted})
        return direction_scores(backtest, name, step, known, proves)

    monkeypatch.setattr(scores, "direction_scores", leaky)
    assert_caught(honest, "forecast stage", "trend calls of tiny/v0001, step")


def test_the_scale_of_mase_taken_from_all_rows(honest: Path, monkeypatch: Plant) -> None:
    def leaky(result: Any, model: str, series: Any, fitted: Any, *rest: Any) -> Any:
        rows = {each.symbol: range(len(each)) for each in series}
        fitted = [replace(fitted[0], rows=rows), *fitted[1:]]
        return yardsticks(result, model, series, fitted, *rest)

    monkeypatch.setattr(evaluate, "yardsticks", leaky)
    assert_caught(honest, "score stage", "scores of tiny/v0001, path.mase")


def test_a_refit_that_uses_later_rows_though_no_refit_is_requested(
    honest: Path, monkeypatch: Plant
) -> None:
    known_span = refit.known_span

    def leaky(series: Any, day: np.datetime64, *rest: Any) -> Any:
        return known_span(series, day + np.timedelta64(30, "D"), *rest)

    monkeypatch.setattr(refit, "known_span", leaky)
    assert_caught(honest, "refit stage, cutoff 2018-08-24, rows of tiny/v0001, last row")


def test_the_rows_left_to_the_end_as_a_feature(honest: Path, monkeypatch: Plant) -> None:
    feature(monkeypatch, lambda frame: np.arange(len(frame), 0, -1))
    assert_caught(honest, "stage")


def test_a_purge_that_is_one_bar_short(other: Path, monkeypatch: Plant) -> None:
    def leaky(series: Any, borders: Any, **options: Any) -> Any:
        return split_series(series, borders, **{**options, "purge": options["purge"] - 1})

    monkeypatch.setattr(plan, "split_series", leaky)
    train(other)
    assert_caught(other, "fit stage", "purges of tiny/v0001, prices, training", windows=1)


def test_a_purge_that_was_one_bar_short_when_the_model_was_trained(
    other: Path, monkeypatch: Plant
) -> None:
    def leaky(series: Any, borders: Any, **options: Any) -> Any:
        return split_series(series, borders, **{**options, "purge": options["purge"] - 1})

    with monkeypatch.context() as plant:
        plant.setattr(plan, "split_series", leaky)
        train(other)
    assert_caught(other, "kept stage", "windows of tiny/v0001, train", windows=1)


def test_a_child_that_forgets_the_days_its_parent_has_seen(other: Path, monkeypatch: Plant) -> None:
    """Both plants stay in place, so a refit of the audit forgets them too."""

    def forgetful(learned: Any, plan: Any, *rest: Any, **facts: Any) -> dict[str, Any]:
        alone = describe(learned, plan, *rest, **{**facts, "donor": None})
        return describe(learned, plan, *rest, **facts) | {"split": alone["split"]}

    train(other)
    monkeypatch.setattr(train_module, "describe", forgetful)
    for module in (transfer, repeat):
        monkeypatch.setattr(module, "held_back", lambda donor, plan: plan)
    early = ("--from", "tiny", "--name", "child", "--set", "split.train_end=2018-01-31")
    succeed("train", *early, folder=other)
    outcome = audit(other, "--n-windows", 1, "--model", "child/v0001")
    assert outcome.code == 1, outcome.out
    (line,) = outcome.err.splitlines()
    assert "days that the model has seen count as unseen (lineage stage" in line


def test_a_child_of_the_ready_made_model_that_forgets_its_days(other: Path) -> None:
    """The file is all that the audit needs: its own metadata contradict each other."""
    version = other / "data/models/child/v0001"
    shutil.copytree(ready_made().folder, version)
    found = json.loads((version / "metadata.json").read_text())
    found["split"] |= {"trained_until": "2015-12-31", "test_start": "2018-01-17"}
    (version / "metadata.json").write_text(json.dumps(found))
    (other / "prices.csv").write_text(csv_text(walk(600)))
    series = ("--csv", "prices.csv", "--model", "child/v0001")
    outcome = audit(other, "--n-windows", 1, *series)
    assert outcome.code == 1, outcome.out
    assert "it records training up to '2015-12-31'" in outcome.err
    assert "its starting model up to '2018-01-16'" in outcome.err


def test_a_network_that_says_the_same_to_everything(honest: Path, monkeypatch: Plant) -> None:
    def constant(model: Any, series: Any, cutoffs: Any, *, horizon: int = 5) -> Forecast:
        return Forecast(np.tile(np.arange(horizon) * 1e-3, (sum(map(len, cutoffs)), 1)))

    monkeypatch.setattr(forecaster, "forecast", constant)
    assert_caught(honest, "the audit proves nothing here", "control stage", "forecasts of tiny")
