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
from lstmcli.dataset.scaling import Scale, fit_return_scale
from lstmcli.dataset.series import Series
from lstmcli.dataset.split import split_series
from lstmcli.dataset.windows import Windows, flat_cutoffs
from lstmcli.errors import LeakError
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel, new_member
from lstmcli.learning import fit, learn, plan
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import Samples, make_samples
from lstmcli.learning.transfer import find_donor
from lstmcli.runs.bundle import load_bundle, save_bundle
from lstmcli.sources.source import Source
from lstmcli.workflows.audit import AuditReport, audit
from lstmcli.workflows.train import train
from tests.synthetic import CPU, make_prices, random_walk, tiny_settings

ROWS = 300
FITTED = ("training", "kept", "fit")
FEATURES = ["close", "open", "high", "low", "volume"]
CHUNKS = {"chunk_length": 60, "burn_in": 30, "learning_rate": 1e-2}


def fan_settings(network: str = "lstm", **train_section: Any) -> Settings:
    return tiny_settings(
        forecast={"calibrate": True},
        window={"context_length": 40, "scaling": "volatility", "features": FEATURES},
        model={"head": "direct", "network": network, "hidden_sizes": [4]},
        train={**CHUNKS, **train_section},
    )


SETTINGS = {
    "recursive": tiny_settings(window={"features": ["close", "volume"]}),
    "zscore": tiny_settings(window={"scaling": "zscore"}, model={"network": "linear"}),
    "batch": tiny_settings(window={"scaling": "batch"}, model={"network": "gru"}),
    "windows": fan_settings("peephole", labels="window"),
    "stateful": fan_settings("rnn", stateful=True, members=2),
}
# Of one symbol, for what is planted.
ALONE = {
    "point": SETTINGS["recursive"],
    "fan": fan_settings(),
    "overlapping": fan_settings(labels="window"),
    # Validation ends the training of this early and lowers its rate.
    "steered": tiny_settings(
        train={"epochs": 8, "patience": 3, "schedule": "plateau", "learning_rate": 0.3}
    ),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two symbols' bars and a model of each kind; not to be changed."""
    folder = tmp_path_factory.mktemp("home")
    for seed, symbol in enumerate(("AAA", "BBB")):
        bars(seed, ROWS).to_csv(folder / f"{symbol}.csv")
    for name, settings in SETTINGS.items():
        train(settings, source(folder, "AAA", "BBB"), name=name)
    for name, settings in ALONE.items():
        train(settings, source(folder, "AAA"), name=name)
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
    return audit(source(home), models=[model], **{"n_windows": 2, **options})


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


@pytest.fixture(scope="module")
def clean(home: Path) -> AuditReport:
    """The audit of every honest model at once."""
    return audit(source(home), models=[*SETTINGS], n_windows=2)


def test_a_model_of_any_kind_is_clean(clean: AuditReport) -> None:
    assert leaks(clean) == []
    assert clean.failures == ()
    forecasts = [each.model for each in clean.comparisons if each.stage == "forecast"]
    cones = ["gaussian_cone", "ewma_cone", "scaled_climatology", "har"]
    every = [f"{name}/v0001" for name in SETTINGS] + ["naive", "drift", *cones]
    assert list(dict.fromkeys(forecasts)) == ["all", *every, "always_up"]
    assert clean.epochs == {f"{name}/v0001": each.train.epochs for name, each in SETTINGS.items()}
    assert all(each.numbers for each in clean.comparisons)
    clean.raise_if_leaking()


@pytest.mark.parametrize("name", SETTINGS)
def test_each_stage_compares_all_that_it_can(clean: AuditReport, name: str) -> None:
    kinds: dict[str, list[str]] = {}
    for each in clean.comparisons:
        if each.model in ("all", f"{name}/v0001"):
            kinds.setdefault(each.stage, []).append(each.kind)
    scaler, calibration = list[str](), list[str]()
    if name in ("recursive", "batch"):
        scaler = ["scaler"]
    if name in ("windows", "stateful"):
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
    report = run(home, "point", n_windows=12, step_size=1)
    after = {each.stage: each.after for each in report.comparisons if each.kind != "trend calls"}
    assert report.n_windows == 12
    assert len(after["forecast"]) == 8
    assert (after["forecast"][0], after["forecast"][-1]) == (days[-16], days[-5])
    assert after["kept"] == (days[round(0.85 * ROWS) - 1],)
    assert after["training"] == (days[round(0.85 * ROWS) - round(0.15 * 0.85 * ROWS) - 1],)


def test_the_fitted_rows_stay_those_of_the_kept_model_when_rows_were_added(
    home: Path, clean: AuditReport, tmp_path: Path
) -> None:
    for seed, symbol in enumerate(("AAA", "BBB")):
        bars(seed, ROWS + 100).to_csv(tmp_path / f"{symbol}.csv")
    more = replace(source(tmp_path, "AAA", "BBB"), data_dir=home)
    reports = clean, audit(more, models=["recursive"], n_windows=1)
    borders = [
        {
            each.stage: each.after
            for each in report.comparisons
            if each.stage in FITTED and each.model == "recursive/v0001"
        }
        for report in reports
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
    report = run(alone, "recursive", n_windows=1)
    assert leaks(report) == []
    assert {each.stage for each in report.comparisons if each.kind == "weights"} == {"fit"}
    (note,) = [each for each in report.notes if "kept weights" in each]
    assert "were not compared" in note
    assert "their values have changed" in note


def test_kept_weights_are_those_that_training_gives_but_for_rounding(alone: Path) -> None:
    for name, by, facts in (
        ("near", 1e-7, {}),
        ("other", 0.1, {}),
        ("old", 0.1, {"torch_version": "1.13"}),
    ):
        model, known = load_bundle(alone / "models/recursive/v0001", CPU)
        with torch.no_grad():
            for weight in model.network.parameters():
                weight.add_(by)
        save_bundle(alone / f"models/{name}/v0001", model, {**known.record, **facts}, ())
    report = audit(source(alone), models=["near/v0001", "other/v0001", "old/v0001"], n_windows=1)
    found = {(each.model, each.stage) for each in report.comparisons if each.difference}
    assert found == {("other/v0001", "kept")}
    assert "the kept model is not the one that its training rows give" in message(report)
    (note,) = [each for each in report.notes if "rounded otherwise" in each]
    assert note.startswith("near/v0001")
    assert "0.01 are allowed" in note
    assert any("trained with torch 1.13, not" in each for each in report.notes)
    weights = {(each.model, each.stage) for each in report.comparisons if each.kind == "weights"}
    assert {("near/v0001", "fit"), ("old/v0001", "fit")} <= weights


def test_a_model_that_started_from_another_is_fitted_again_from_there(alone: Path) -> None:
    donor = find_donor(alone, "recursive", fine_tune_lr=1e-3)
    train(SETTINGS["recursive"], source(alone, "AAA"), name="tuned", donor=donor)
    report = run(alone, "tuned", n_windows=1)
    assert leaks(report) == []
    assert "kept" in {each.stage for each in report.comparisons if each.kind == "weights"}


def test_one_window_says_what_it_cannot_show(home: Path) -> None:
    report = run(home, "point", n_windows=1)
    assert leaks(report) == []
    assert "not audited, scores: no bar follows the windows" in report.notes
    assert any(each.startswith("not audited, refit: there is one cutoff") for each in report.notes)


def test_a_symbol_that_cannot_be_audited_is_a_failure_and_the_others_go_on(
    home: Path, tmp_path: Path
) -> None:
    bars(0, ROWS).to_csv(tmp_path / "AAA.csv")
    bars(1, ROWS).iloc[-90:].to_csv(tmp_path / "NEW.csv")  # enough to forecast, none to fit
    bars(2, ROWS).iloc[-9:].to_csv(tmp_path / "TINY.csv")
    some = replace(source(tmp_path, "AAA", "NEW", "TINY"), data_dir=home)
    report = audit(some, models=["recursive"], n_windows=1)
    assert leaks(report) == []
    assert report.symbols == ("AAA", "NEW")
    assert [each.symbol for each in report.failures] == ["TINY"]
    # The model is fitted again on the prices that its recipe names, which NEW is none of.
    assert "kept" in {each.stage for each in report.comparisons}


def test_scaler_fitted_on_all_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fit_return_scale

    def leaky(values: Tensor, parts: list[range], lag: int) -> Scale:
        return honest(values, [range(len(values))], lag)

    monkeypatch.setattr(fit, "fit_return_scale", leaky)
    report = run(home, "point", n_windows=1)
    assert {("training", "scaler"), ("fit", "scaler"), ("fit", "weights")} <= set(leaks(report))
    assert "training stage, cutoff 2000-10-31, scaler of point/v0001, loc[0]" in message(report)


def test_calibration_on_the_test_span(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = learn.calibrated

    def leaky(model: TrainedModel, rows: Plan) -> TrainedModel:
        test = tuple(np.asarray(split.test, dtype=np.int64) for split in rows.splits)
        return honest(model, replace(rows, validation=test))

    monkeypatch.setattr(learn, "calibrated", leaky)
    found = leaks(run(home, "fan", n_windows=1))
    # The fan's median is calibrated to itself, so that its errors and calls stay the same.
    assert found[0] == ("fit", "calibration")
    assert set(found) == {("fit", "calibration"), ("fit", "validation scores")}


def test_purge_of_zero_with_overlapping_labels(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = split_series

    def leaky(series: Series, borders: Any, **options: Any) -> Any:
        return honest(series, borders, **{**options, "purge": 0})

    monkeypatch.setattr(plan, "split_series", leaky)
    found = leaks(run(home, "overlapping", n_windows=1))
    assert found[0] == ("training", "training losses")
    assert ("fit", "validation losses") in found


def test_epoch_chosen_on_the_test_span(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = make_samples

    def leaky(rows: Windows, parts: Plan, *rest: Any) -> Samples:
        test = [np.asarray(split.test, dtype=np.int64) for split in parts.splits]
        return replace(honest(rows, parts, *rest), validation=flat_cutoffs(rows, test))

    monkeypatch.setattr(fit, "make_samples", leaky)
    report = run(home, "steered", epochs=8, n_windows=1)
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
    report = run(home, "point")
    assert leaks(report)[0] == ("forecast", "drift")
    assert "forecasts of drift, median" in message(report)


def test_a_run_that_is_not_repeatable_proves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "seeded", lambda seed, device: torch.random.fork_rng(devices=[]))
    states = iter(range(100))
    honest = new_member

    def unseeded(settings: Settings) -> torch.nn.Module:
        torch.manual_seed(next(states))
        return honest(settings)

    monkeypatch.setattr(fit, "new_member", unseeded)
    with pytest.raises(LeakError, match=r"proves nothing here .*the same prices gave .* and then"):
        run(home, "point")
