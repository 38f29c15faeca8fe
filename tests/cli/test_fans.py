"""A probabilistic model through the commands: its fan in every format, its scores, its picture."""

import json
import re
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lstmcli.forecasting import baselines
from tests.command_line import (
    assert_one_error,
    csv_text,
    in_process,
    read_exactly,
    sessions,
    succeed,
    walk,
)


def output(home: Path, *arguments: str) -> str:
    done = succeed(*arguments, folder=home)
    return done.out


def test_features_that_no_series_has_are_left_out_of_the_kept_settings(fan_home: Path) -> None:
    kept = (fan_home / "data/models/fan/v0001/config.toml").read_text()
    assert 'features = [\n    "close",\n]' in kept


def test_history_distinguishes_the_members(fan_home: Path) -> None:
    history = pd.read_csv(fan_home / "data/models/fan/v0001/history.csv")
    assert history["member"].tolist() == [1, 1, 2, 2]


def test_table_shows_median_band_chance_of_a_rise_and_spread(fan_home: Path) -> None:
    shown = output(fan_home, "predict")
    for heading in ("Forecast", "80 % range", "Chance up", "In the past", "Spread"):
        assert heading in shown
    rise = metadata(fan_home)["trend"]["rise"]
    chance = rf"\d+ % +{100 * rise[9]:.0f} %"
    assert len(re.findall(rf"  10 .* {chance}", shown)) == 2


def test_chances_of_an_earlier_version_have_no_base_rate_and_say_so(fan_home: Path) -> None:
    path = fan_home / "data/models/fan/v0001/metadata.json"
    found = metadata(fan_home)
    del found["trend"]["rise"]
    path.write_text(json.dumps(found))
    words = "base rate not known"
    shown = output(fan_home, "predict")
    assert f"({words})" in shown
    assert "in the past" not in shown
    assert words in output(fan_home, "evaluate", "--n-windows", "2", "--details")
    table = read_exactly(output(fan_home, "predict", "--format", "csv"))
    assert table["base_rate_of_rise"].isna().all()
    scores = json.loads(output(fan_home, "evaluate", "--format", "json"))["scores"]["models"]
    assert scores["fan/v0001"]["chances"][0]["skill"] is None


def test_evaluation_shows_what_the_chances_of_a_rise_are_worth(fan_home: Path) -> None:
    shown = output(fan_home, "evaluate", "--details")
    assert "Chance of a rise (Brier score: 0 is perfect; skill against the base rate)" in shown
    found = json.loads(output(fan_home, "evaluate", "--format", "json"))["scores"]["models"]
    for each in found["fan/v0001"]["chances"]:
        brier, base = f"{each['brier']:.4f}", f"{each['brier_base']:.4f}"
        assert re.search(rf"^ +{each['step']} .* {brier} +{base} ", shown, re.MULTILINE)
    assert found["naive"]["chances"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--forecasts-of", "drift"), "Pass --forecasts FILE"),
        (("--forecasts", "long.csv", "--forecasts-of", "drfit"), "expected fan/v0001, naive"),
    ],
)
def test_forecasts_of_unknown_models_are_refused(
    fan_home: Path, options: tuple[str, ...], words: str
) -> None:
    assert_one_error(in_process("evaluate", *options, folder=fan_home), 2, words)
    assert not (fan_home / "long.csv").exists()


def metadata(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "data/models/fan/v0001/metadata.json").read_text())
    return found


def test_garch_is_a_further_baseline_if_requested(fan_home: Path) -> None:
    arguments: tuple[str, ...] = ("evaluate", "one", "--csv", "one.csv", "--n-windows", "2")
    arguments = (*arguments, "--details")
    assert "gjr_garch" not in output(fan_home, *arguments)
    assert "gjr_garch" in output(fan_home, *arguments, "--baselines", "gjr_garch")
    done = in_process(*arguments, "--baselines", "arima", folder=fan_home)
    assert_one_error(done, 2, "no such baseline", "gjr_garch")


def test_cutoffs_at_which_garch_cannot_be_fitted_are_counted(
    fan_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = chain([None], repeat(baselines.GjrState(0.01, 0.05, 0.0, 0.9, 8.0, 1.0)))
    monkeypatch.setattr(baselines, "fit_gjr", lambda model, returns: next(fits))
    run = ("evaluate", "one", "--csv", "one.csv", "--n-windows", "2", "--baselines", "gjr_garch")
    done = in_process(*run, folder=fan_home)
    assert done.code == 0, done.err
    assert "gjr_garch: no fit at 1 of 2 cutoffs, where ewma_cone stands in for it" in done.err


def test_picture_is_drawn_to_a_file_or_below_the_table(fan_home: Path) -> None:
    output(fan_home, "predict", "--plot", "fan.png")
    assert (fan_home / "fan.png").read_bytes().startswith(b"\x89PNG\r")
    shown = output(fan_home, "predict", "--plot", "-")
    assert shown.index("Chance up") < shown.index("80 %", shown.index("How far to trust it"))


def test_picture_that_cannot_be_drawn_is_refused_before_any_work(fan_home: Path) -> None:
    for arguments, words in (
        (("--plot", "fan.gif"), "expected .png or .svg"),
        (("--plot", "-", "--format", "csv"), "two results on standard output"),
        (("--horizon", "11"), "forecasts at most 10 steps"),
    ):
        assert_one_error(in_process("predict", *arguments, folder=fan_home), 2, words)


def test_model_of_several_features_forecasts_a_series_of_closes_alone(fan_home: Path) -> None:
    closes = pd.read_csv(fan_home / "one.csv")
    bars = closes.assign(Open=closes["Close"], High=closes["Close"] * 1.01)
    bars = bars.assign(Low=closes["Close"] * 0.99, Volume=1000 + np.arange(len(bars)))
    bars.to_csv(fan_home / "bars.csv", index=False)
    output(fan_home, "train", "--config", "fan.toml", "--csv", "bars.csv", "--name", "bars")
    kept = (fan_home / "data/models/bars/v0001/config.toml").read_text()
    assert '"volume"' in kept
    output(fan_home, "predict", "--model", "bars", "--csv", "two.csv")


def test_prices_that_begin_just_before_the_test_span_are_evaluated_too(
    fan_home: Path,
) -> None:
    """Too few rows before the test span: those up to the first cutoff stand in."""
    metadata = json.loads((fan_home / "data/models/fan/v0001/metadata.json").read_text())
    closes = pd.read_csv(fan_home / "one.csv")
    first = int((closes["Date"] < metadata["split"]["test_start"]).sum()) - 15
    closes.iloc[first:].to_csv(fan_home / "late.csv", index=False)
    arguments = ("evaluate", "--model", "fan", "--csv", "late.csv", "--step-size", "3", "--details")
    shown = output(fan_home, *arguments)
    for words in ("CRPS by step", "What the ranges held", "Past moves held", "gaussian_cone"):
        assert words in shown


@pytest.mark.parametrize("still", [470, 700])
def test_a_constant_series_is_reported_and_the_others_are_trained(
    fan_home: Path, still: int
) -> None:
    """All of its prices are the same, or all but 35 of those that are trained on."""
    (fan_home / "flat.csv").write_text(csv_text(standing_still(still)))
    arguments = ("train", "--config", "fan.toml", "--name", "mixed", "--csv", "flat.csv")
    assert_one_error(in_process(*arguments, folder=fan_home), 4, "no variation", "flat")
    assert not (fan_home / "data/models/mixed").exists()
    done = in_process(*arguments, "--csv", "one.csv", folder=fan_home)
    assert done.code == 3
    assert "failed: flat: no variation (flat): Close does not change from" in done.err
    kept = json.loads((fan_home / "data/models/mixed/v0001/metadata.json").read_text())
    assert [each["symbol"] for each in kept["data"]["symbols"]] == ["one"]


@pytest.mark.parametrize("still", [700])
def test_a_constant_series_is_reported_and_the_others_are_evaluated(
    fan_home: Path, still: int
) -> None:
    (fan_home / "flat.csv").write_text(csv_text(standing_still(still)))
    arguments = ("evaluate", "--csv", "flat.csv")
    assert_one_error(in_process(*arguments, folder=fan_home), 4, "no variation", "flat")
    done = in_process(*arguments, "--csv", "one.csv", "--format", "json", folder=fan_home)
    assert done.code == 3
    assert "failed: flat: no variation (flat): Close does not change from" in done.err
    alone = json.loads(output(fan_home, "evaluate", "--csv", "one.csv", "--format", "json"))
    assert json.loads(done.out)["scores"] == alone["scores"]


@pytest.mark.parametrize("resting", [slice(300, 600), slice(560, None)])
def test_a_series_that_becomes_constant_later_is_trained_and_evaluated(
    fan_home: Path, resting: slice
) -> None:
    prices = walk(700, seed=2)
    prices[resting] = prices[resting.start]
    (fan_home / "rest.csv").write_text(csv_text(prices))
    arguments = ("--csv", "one.csv", "--csv", "rest.csv")
    output(fan_home, "train", "--config", "fan.toml", "--name", "mixed", *arguments)
    found = json.loads(
        output(fan_home, "evaluate", "--model", "mixed", *arguments, "--format", "json")
    )
    assert found["failures"] == []


def standing_still(rows: int) -> NDArray[np.float64]:
    """Return 700 prices whose first `rows` are the same."""
    prices = walk(700, seed=2)
    prices[:rows] = prices[rows - 1]
    return prices


def test_a_prior_by_symbol_moves_the_median_of_that_symbol_alone(tmp_path: Path) -> None:
    (tmp_path / "share.csv").write_text(csv_text(walk(700)))
    files = ("--csv", "UP=share.csv", "--csv", "FLAT=share.csv")
    medians = []
    for name, table in (("usual", "{}"), ("own", "{UP=2.0}")):
        prior = f"forecast.prior_by_symbol={table}"
        linear = ("--name", name, "--set", prior, "--set", "model.network=har")
        output(tmp_path, "train", *files, *linear)
        made = read_exactly(output(tmp_path, "predict", "--model", name, *files, "--format", "csv"))
        medians.append({key: each["median"].to_numpy() for key, each in made.groupby("symbol")})
    before, after = medians
    np.testing.assert_array_equal(before["UP"], before["FLAT"])
    np.testing.assert_allclose(after["FLAT"], before["FLAT"], rtol=1e-12)
    assert (after["UP"] > before["UP"]).all()
    assert after["UP"][-1] / after["FLAT"][-1] > 1.02


def test_a_wide_range_of_the_last_days_widens_the_first_step(tmp_path: Path) -> None:
    calm, wild = bars(1500), bars(1500)
    wild.loc[wild.index[-5:], "High"] *= 1.05
    for name, frame in {"calm": calm, "wild": wild, "closes": calm[["Date", "Close"]]}.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    output(tmp_path, "train", "--csv", "calm.csv", "--set", "model.network=har", "--name", "m")
    widths = {}
    for name in ("calm", "wild", "closes"):
        asked = ("--model", "m", "--csv", f"X={name}.csv", "--format", "csv")
        made = read_exactly(output(tmp_path, "predict", *asked))
        widths[name] = (np.log(made["q0.975"]) - np.log(made["q0.025"])).to_numpy()
    assert widths["wild"][0] > 1.1 * widths["calm"][0]
    assert widths["closes"][0] == pytest.approx(widths["calm"][0], rel=0.2)


def bars(rows: int) -> pd.DataFrame:
    """Return bars of 20 moves each, whose volatility changes slowly."""
    generator = np.random.default_rng(0)
    size = 0.003 * np.exp(0.05 * np.cumsum(generator.normal(size=rows)))
    moves = size[:, None] * generator.normal(size=(rows, 20))
    prices = 100 * np.exp(np.cumsum(moves)).reshape(rows, 20)
    prices = np.column_stack([np.append(100.0, prices[:-1, -1]), prices])
    return pd.DataFrame(
        {
            "Date": sessions(rows),
            "Open": prices[:, 0],
            "High": prices.max(axis=1),
            "Low": prices.min(axis=1),
            "Close": prices[:, -1],
        }
    )
