"""The leak audit on whole models: clean where nothing leaks, and each planted leak caught.

A plant changes one function of the product as a careless author would have written it; the audit
is the one that users run.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.config import Settings
from lstmcli.dataset import series as series_module
from lstmcli.dataset.scaling import Scale
from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import Windows, flat_cutoffs
from lstmcli.errors import LeakError
from lstmcli.forecasting import baselines, forecaster
from lstmcli.forecasting import model as trained_model
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning import fit, learn, plan
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import Samples
from lstmcli.learning.transfer import find_donor
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle, save_bundle
from lstmcli.workflows.audit import AuditReport, audit
from lstmcli.workflows.prices import Source
from lstmcli.workflows.train import train
from tests.synthetic import CPU, make_prices, random_walk, tiny_settings

ROWS = 500
FITTED = ("training", "kept", "fit")
FEATURES = ["close", "open", "high", "low", "volume"]
CHUNKS = {"chunk_length": 60, "burn_in": 30, "learning_rate": 1e-2}


def fan_settings(**train_section: Any) -> Settings:
    return tiny_settings(
        forecast={"calibrate": True},
        window={"context_length": 40, "scaling": "volatility", "features": FEATURES},
        model={"head": "direct", "hidden_sizes": [4]},
        train={**CHUNKS, **train_section},
    )


SETTINGS = {
    "recursive": tiny_settings(window={"features": ["close", "volume"]}),
    "relative": tiny_settings(window={"scaling": "relative"}),
    "zscore": tiny_settings(window={"scaling": "zscore"}),
    "batch": tiny_settings(window={"scaling": "batch"}),
    # Validation ends the training of these early and lowers their rate.
    "steered": tiny_settings(
        train={"epochs": 12, "patience": 4, "schedule": "plateau", "learning_rate": 0.3}
    ),
    "fan": fan_settings(),
    "windows": fan_settings(labels="window"),
    "stateful": fan_settings(stateful=True),
    "ensemble": fan_settings(members=2),
    "shuffled": tiny_settings(
        window={"scaling": "relative"}, split={"method": "shuffled", "purge": 0}
    ),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two symbols' bars and a model of each kind; not to be changed."""
    folder = tmp_path_factory.mktemp("home")
    for seed, symbol in enumerate(("AAA", "BBB")):
        bars(seed, ROWS).to_csv(folder / f"{symbol}.csv")
    for name, settings in SETTINGS.items():
        files = ("AAA",) if name == "shuffled" else ("AAA", "BBB")
        train(settings, source(folder, *files), name=name)
    return folder


def bars(seed: int, rows: int) -> pd.DataFrame:
    close = random_walk(rows, seed)
    day = np.abs(np.random.default_rng(seed).normal(0.01, 0.003, rows))
    return make_prices(
        Open=close * (1 + day / 3),
        High=close * (1 + day),
        Low=close * (1 - day),
        Close=close,
        Volume=random_walk(rows, seed + 9, 0.2) * 1e4,
    ).frame


def source(folder: Path, *symbols: str) -> Source:
    return Source(
        folder, date(2026, 1, 1), csv=tuple(str(folder / f"{each}.csv") for each in symbols)
    )


def run(home: Path, model: str, **options: Any) -> AuditReport:
    return audit(source(home), models=[model], **{"n_windows": 5, **options})


def leaks(report: AuditReport) -> list[tuple[str, str]]:
    """The stages and kinds that differ, those of baselines named as such."""
    return [
        (each.stage, each.kind if "/" in each.model else each.model)
        for each in report.comparisons
        if each.difference
    ]


def message(report: AuditReport) -> str:
    with pytest.raises(LeakError) as caught:
        report.raise_if_leaking()
    assert caught.value.exit_code == 1
    return str(caught.value)


@pytest.mark.parametrize("model", [name for name in SETTINGS if name != "shuffled"])
def test_a_model_of_any_kind_is_clean(home: Path, model: str) -> None:
    report = run(home, model, epochs=12)
    assert leaks(report) == []
    assert report.failures == ()
    assert report.epochs == {f"{model}/v0001": SETTINGS[model].train.epochs}
    assert all(each.numbers for each in report.comparisons)
    report.raise_if_leaking()


@pytest.mark.parametrize("model", ["recursive", "fan"])
def test_each_stage_compares_all_that_it_can(home: Path, model: str) -> None:
    kinds: dict[str, list[str]] = {}
    for each in run(home, model).comparisons:
        kinds.setdefault(each.stage, []).append(each.kind)
    scaler, calibration = ["scaler"], list[str]()
    if model != "recursive":
        scaler, calibration = ["linear fan"], ["calibration"]
    said = {"windows", "contexts", "forecasts", "trend calls", "trend thresholds"}
    assert set(kinds["control"]) == {"prices", "contexts", "forecasts"}
    assert set(kinds["reader"]) == {"rows", "prices"}
    assert set(kinds["forecast"]) == {*said, "dates"}
    assert set(kinds["score"]) == {"scores"}
    assert set(kinds["as-of"]) == {"dates", "contexts", "forecasts"}
    assert set(kinds["refit"]) == {*said, "rows"}
    assert kinds["training"] == [*scaler, "training losses", "gradient norms"]
    decided = ["weights", *calibration, "trend thresholds", "validation scores"]
    assert kinds["kept"] == ["rows", "windows", *scaler, "epochs", *decided]
    assert kinds["fit"] == ["purges"]


def test_the_bars_rewritten_are_those_after_some_cutoffs_and_after_the_fitted_rows(
    home: Path,
) -> None:
    days = bars(0, ROWS).index.to_numpy().astype("datetime64[D]")
    report = run(home, "recursive", n_windows=30, step_size=1)
    after = {each.stage: each.after for each in report.comparisons if each.kind != "trend calls"}
    assert report.n_windows == 60
    assert len(after["forecast"]) == 8
    assert (after["forecast"][0], after["forecast"][-1]) == (days[-34], days[-5])
    assert after["kept"] == (days[round(0.85 * ROWS) - 1],)
    assert after["training"] == (days[round(0.85 * ROWS) - round(0.15 * 0.85 * ROWS) - 1],)


def test_the_fitted_rows_stay_those_of_the_kept_model_when_rows_were_added(
    home: Path, tmp_path: Path
) -> None:
    for seed, symbol in enumerate(("AAA", "BBB")):
        bars(seed, ROWS + 100).to_csv(tmp_path / f"{symbol}.csv")
    more = replace(source(tmp_path, "AAA", "BBB"), data_dir=home)
    borders = [
        {each.stage: each.after for each in report.comparisons if each.stage in FITTED}
        for report in (run(home, "recursive"), audit(more, models=["recursive"]))
    ]
    assert borders[0] == borders[1]


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with one symbol's bars and a model of them, to be changed."""
    bars(0, ROWS).to_csv(tmp_path / "AAA.csv")
    train(SETTINGS["recursive"], source(tmp_path, "AAA"), name="recursive")
    return tmp_path


def test_prices_restated_since_training_leave_the_kept_weights_unchecked(alone: Path) -> None:
    frame = bars(0, ROWS)
    frame.iloc[3] *= 1.01
    frame.to_csv(alone / "AAA.csv")
    report = run(alone, "recursive")
    assert leaks(report) == []
    assert {each.stage for each in report.comparisons if each.kind == "weights"} == {"fit"}
    (note,) = [each for each in report.notes if "kept weights" in each]
    assert "were not compared" in note
    assert "their values have changed" in note


def changed(folder: Path, by: float, **metadata: Any) -> AuditReport:
    """Audit the model with every weight moved a little."""
    model, known = load_bundle(folder / "models/recursive/v0001", CPU)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight += by
    save_bundle(folder / "models/moved/v0001", model, {**known.record, **metadata}, ())
    return run(folder, "moved/v0001")


def test_weights_that_differ_as_another_machine_rounds_are_noted(alone: Path) -> None:
    report = changed(alone, 1e-7)
    assert leaks(report) == []
    (note,) = [each for each in report.notes if "rounded otherwise" in each]
    assert "0.01 are allowed" in note
    assert {each.stage for each in report.comparisons if each.kind == "weights"} == {"fit"}


def test_weights_that_training_does_not_give_are_found(alone: Path) -> None:
    report = changed(alone, 0.1)
    assert leaks(report)[0] == ("kept", "weights")
    assert not any(stage == "fit" for stage, _ in leaks(report))
    assert "the kept model is not the one that its training rows give" in message(report)


def test_weights_of_another_version_of_torch_are_not_compared(alone: Path) -> None:
    report = changed(alone, 0.1, torch_version="1.13")
    assert leaks(report) == []
    assert any("trained with torch 1.13, not" in each for each in report.notes)


def test_a_model_that_started_from_another_is_fitted_again_from_there(alone: Path) -> None:
    donor = find_donor(alone, "recursive", fine_tune_lr=1e-3)
    train(SETTINGS["recursive"], source(alone, "AAA"), name="tuned", donor=donor)
    report = run(alone, "tuned")
    assert leaks(report) == []
    assert "kept" in {each.stage for each in report.comparisons if each.kind == "weights"}


def test_several_models_and_every_baseline_are_audited(home: Path) -> None:
    report = audit(source(home), models=["recursive", "fan"], baselines=["gjr_garch"], n_windows=1)
    assert leaks(report) == []
    audited = list(
        dict.fromkeys(each.model for each in report.comparisons if each.stage == "forecast")
    )
    cones = ["gaussian_cone", "ewma_cone", "scaled_climatology", "har"]
    both = ["recursive/v0001", "fan/v0001"]
    every = [*both, "naive", "drift", *cones, "gjr_garch", "always_up"]
    assert audited == ["all", *every]
    assert "not audited, scores: no bar follows the windows" in report.notes
    assert any(each.startswith("not audited, refit: there is one cutoff") for each in report.notes)
    assert {each.model for each in report.comparisons if each.stage == "kept"} == set(both)


def test_a_symbol_that_cannot_be_audited_is_a_failure_and_the_others_go_on(
    home: Path, tmp_path: Path
) -> None:
    bars(0, ROWS).to_csv(tmp_path / "AAA.csv")
    bars(1, ROWS).iloc[-90:].to_csv(tmp_path / "NEW.csv")  # enough to forecast, none to fit
    bars(2, ROWS).iloc[-9:].to_csv(tmp_path / "TINY.csv")
    some = replace(source(tmp_path, "AAA", "NEW", "TINY"), data_dir=home)
    report = audit(some, models=["recursive"])
    assert leaks(report) == []
    assert report.symbols == ("AAA", "NEW")
    assert [each.symbol for each in report.failures] == ["TINY"]
    # The model is fitted again on the prices that its recipe names, which NEW is none of.
    assert "kept" in {each.stage for each in report.comparisons}


def test_a_shuffled_recipe_leaks_and_the_audit_says_that_it_does_by_design(home: Path) -> None:
    report = run(home, "shuffled")
    assert report.shuffled == ("shuffled/v0001",)
    assert ("fit", "weights") in leaks(report)
    assert {stage for stage, _ in leaks(report)} == {"fit"}
    assert "split.method shuffled leaks by design: its windows overlap" in message(report)


def test_scaler_fitted_on_all_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fit.fit_return_scale

    def leaky(values: Tensor, parts: list[range], lag: int) -> Scale:
        return honest(values, [range(len(values))], lag)

    monkeypatch.setattr(fit, "fit_return_scale", leaky)
    report = run(home, "recursive")
    assert {("training", "scaler"), ("fit", "scaler"), ("fit", "weights")} <= set(leaks(report))
    assert "training stage, cutoff 2001-05-21, scaler of recursive/v0001, loc[0]" in message(report)


@pytest.mark.parametrize("model", ["recursive", "fan"])
def test_target_in_the_features(home: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    def tomorrows_close(prices: Prices, *rest: Any) -> NDArray[np.float64]:
        return np.append(prices.frame["Close"].to_numpy()[1:], np.nan)

    monkeypatch.setattr(series_module, "_feature", tomorrows_close)
    found = leaks(run(home, model))
    assert found[0] == ("reader", "all")
    assert ("forecast", "forecasts") in found


def test_calibration_on_the_test_span(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = learn.calibrated

    def leaky(model: TrainedModel, rows: Plan) -> TrainedModel:
        test = tuple(np.asarray(split.test, dtype=np.int64) for split in rows.splits)
        return honest(model, replace(rows, validation=test))

    monkeypatch.setattr(learn, "calibrated", leaky)
    found = leaks(run(home, "fan"))
    # The fan's median is calibrated to itself, so that its errors and calls stay the same.
    assert found[0] == ("fit", "calibration")
    assert set(found) == {("fit", "calibration"), ("fit", "validation scores")}


def test_off_by_one_window(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = forecaster.contexts

    def leaky(windows: Windows, cutoffs: Tensor, length: int) -> Tensor:
        return honest(windows, (cutoffs + 1).clamp(max=len(windows.values) - 1), length)

    monkeypatch.setattr(forecaster, "contexts", leaky)
    report = run(home, "recursive")
    assert leaks(report)[0] == ("forecast", "forecasts")
    difference = next(each.difference for each in report.comparisons if each.difference)
    assert difference.cutoff == difference.after
    assert difference.step == 1
    assert difference.symbol in message(report)


def test_centred_moving_average(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trained_model.make_series

    def leaky(table: Prices, **options: Any) -> Series:
        smooth = table.frame.rolling(5, center=True, min_periods=1).mean()
        return honest(replace(table, frame=smooth), **options)

    monkeypatch.setattr(trained_model, "make_series", leaky)
    found = leaks(run(home, "recursive"))
    assert {("forecast", "all"), ("forecast", "forecasts"), ("training", "scaler")} <= set(found)


def test_future_dated_resample(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = trained_model.make_series

    def leaky(table: Prices, **options: Any) -> Series:
        # A week's bar under the date of its Monday holds what the week's other days brought.
        weeks = table.frame.resample("W-MON", label="left", closed="left").last()
        days = weeks.reindex(table.frame.index, method="ffill").bfill()
        return honest(replace(table, frame=days), **options)

    monkeypatch.setattr(trained_model, "make_series", leaky)
    found = leaks(run(home, "recursive"))
    assert {("forecast", "all"), ("forecast", "forecasts")} <= set(found)


@pytest.mark.parametrize("model", ["recursive", "fan", "windows"])
def test_purge_of_zero_with_overlapping_labels(
    home: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    honest = plan.split_series

    def leaky(series: Series, borders: Any, **options: Any) -> Any:
        return honest(series, borders, **{**options, "purge": 0})

    monkeypatch.setattr(plan, "split_series", leaky)
    found = leaks(run(home, model))
    assert found[0] == ("training", "training losses")
    assert ("fit", "validation losses") in found


def test_epoch_chosen_on_the_test_span(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fit.make_samples

    def leaky(rows: Windows, parts: Plan, *rest: Any) -> Samples:
        test = [np.asarray(split.test, dtype=np.int64) for split in parts.splits]
        return replace(honest(rows, parts, *rest), validation=flat_cutoffs(rows, test))

    monkeypatch.setattr(fit, "make_samples", leaky)
    report = run(home, "steered", epochs=12, n_windows=9)
    found = leaks(report)
    assert found[0] == ("fit", "validation losses")
    assert ("fit", "epochs") in found
    assert not any(stage == "training" for stage, _ in found)


def test_baseline_fitted_on_all_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaky(
        log_prices: NDArray[np.float64], cutoffs: NDArray[np.int64], horizon: int, **options: Any
    ) -> Forecast:
        daily = (log_prices[-1] - log_prices[0]) / (len(log_prices) - 1)
        return Forecast(np.tile(daily * np.arange(1, horizon + 1), (len(cutoffs), 1)))

    monkeypatch.setattr(baselines, "drift", leaky)
    report = run(home, "recursive")
    assert leaks(report)[0] == ("forecast", "drift")
    assert "forecasts of drift, median" in message(report)


def test_a_run_that_is_not_repeatable_proves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "seeded", lambda seed, device: torch.random.fork_rng(devices=[]))
    states = iter(range(100))
    honest = fit.new_member

    def unseeded(settings: Settings) -> torch.nn.Module:
        torch.manual_seed(next(states))
        return honest(settings)

    monkeypatch.setattr(fit, "new_member", unseeded)
    with pytest.raises(LeakError, match=r"proves nothing here .*the same prices gave .* and then"):
        run(home, "recursive")
