"""Scores of whole backtests: the lab's published bar, missing futures, size."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import DataError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.trend import Yardsticks, fit_tails, fit_thresholds, scaled_moves
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import LEVELS, panel
from tests.rows import for_each

SAMPLE = Path(__file__).parents[2] / "data" / "sp500.csv"
HORIZON = 50


@pytest.fixture(scope="module")
def lab_closes():
    frame = pd.read_csv(SAMPLE, parse_dates=["Date"], index_col="Date")
    return frame.loc["2000-01-03":"2018-08-31", "Close"]


def lab_backtest(closes, cutoffs):
    prices = closes.to_numpy(dtype=np.float64)
    moves, dates = np.log(prices), closes.index.to_numpy().astype("datetime64[D]")
    ahead = cutoffs[:, None] + np.arange(1, HORIZON + 1)
    sigma = np.array([np.diff(moves[row - 49 : row + 1]).std(ddof=1) for row in cutoffs])
    return Backtest(
        symbol=np.full(len(cutoffs), "^GSPC"),
        cutoff=dates[cutoffs],
        last_close=prices[cutoffs],
        sigma=sigma,
        dates=dates[ahead],
        actual=moves[ahead] - moves[cutoffs][:, None],
        forecasts={
            "net": Forecast(0.5 * (moves[ahead] - moves[cutoffs][:, None])),
            "naive": baselines.naive(moves, cutoffs, HORIZON),
            "drift": baselines.drift(moves, cutoffs, HORIZON, fit_rows=3992),
            "always_up": baselines.always_up(moves, cutoffs, HORIZON),
            "scaled_climatology": baselines.scaled_climatology(
                moves, cutoffs, HORIZON, levels=LEVELS, fit_rows=3992
            ),
        },
    )


def test_the_thirteen_windows_of_the_lab_reproduce_its_bar(lab_closes):
    assert len(lab_closes) == 4697
    found = score(lab_backtest(lab_closes, 4040 + 50 * np.arange(13)), "net", Yardsticks())
    naive, drift = found.models["naive"].path, found.models["drift"].path
    assert f"{100 * naive.rmse:.3f} {100 * naive.mae:.3f}" == "3.475 2.816"
    assert f"{100 * drift.rmse:.3f} {100 * drift.mae:.3f}" == "3.323 2.683"
    assert (found.n_windows, found.n_cutoffs, found.n_independent) == (13, 13, 13)
    assert (found.first_cutoff, found.horizon) == ("2016-01-26", 50)
    always_up = found.models["always_up"].direction[-1].two_way
    assert always_up.accuracy == always_up.always_accuracy == pytest.approx(11 / 13)
    assert always_up.always == "up"
    assert found.models["naive"].direction[-1].two_way.accuracy is None
    test = found.models["net"].tests["drift"]
    assert test.test.why == "13 windows; a test needs 20"


def test_all_cutoffs_of_the_lab_reproduce_its_overlapping_figures(lab_closes):
    found = score(lab_backtest(lab_closes, np.arange(4040, 4647)), "net", Yardsticks())
    assert (found.n_windows, found.n_independent) == (607, 13)
    assert f"{100 * found.models['naive'].path.rmse:.3f}" == "3.113"
    assert f"{100 * found.models['drift'].path.rmse:.3f}" == "2.974"


def test_scores_of_paths_and_steps_agree_with_a_loop_over_symbols_and_windows():
    backtest, per_symbol = panel(n_symbols=2, n_cutoffs=30), {"S0": 2.0, "S1": 5.0}
    found = score(backtest, "net", Yardsticks(per_symbol)).models
    for rows, symbol in ((slice(None), None), (slice(30), "S0"), (slice(30, 60), "S1")):
        truth, scale = np.exp(backtest.actual[rows]), np.repeat([2.0, 5.0], 30)[rows]
        mean = {}
        for name, forecast in backtest.forecasts.items():
            error = np.abs(np.exp(forecast.median[rows]) - truth)
            scaled = error * (backtest.last_close[rows] / scale)[:, None]
            mean[name] = [np.sqrt(np.mean(error**2)), error.mean(), scaled.mean()]
            own = found[name].path if symbol is None else found[name].symbols[symbol]
            assert [own.rmse, own.mae, own.mase] == pytest.approx(mean[name])
            if symbol is None:
                steps = found[name].steps
                assert steps.rmse == pytest.approx(np.sqrt(np.mean(error**2, axis=0)))
                assert steps.mase == pytest.approx(scaled.mean(axis=0))
        own = found["net"].path if symbol is None else found["net"].symbols[symbol]
        assert own.skill["naive"] == pytest.approx(1 - mean["net"][0] / mean["naive"][0])
        assert own.mae_skill["naive"] == pytest.approx(1 - mean["net"][1] / mean["naive"][1])
    for part in ("rmse", "crps"):
        ours, theirs = (getattr(found[name].steps, part)[2] for name in ("net", "gaussian_cone"))
        skills = found["net"].steps.crps_skill["gaussian_cone"]
        if part == "rmse":
            theirs, skills = found["naive"].steps.rmse[2], found["net"].steps.skill["naive"]
        assert skills[2] == pytest.approx(1 - ours / theirs)


def test_a_backtest_of_a_few_steps_scores_them_as_the_whole_one_does():
    whole = panel(horizon=9, n_cutoffs=30)
    steps, columns = (1, 5, 9), [0, 4, 8]
    some = replace(
        whole,
        dates=whole.dates[:, columns],
        actual=whole.actual[:, columns],
        forecasts={name: each.at(steps) for name, each in whole.forecasts.items()},
    )
    at = [score(each, "net", Yardsticks()).models["net"] for each in (whole, some)]
    assert at[1].steps.step == [1, 5, 9]
    np.testing.assert_allclose(at[1].steps.rmse, [at[0].steps.rmse[k] for k in columns])
    np.testing.assert_allclose(at[1].steps.crps, [at[0].steps.crps[k] for k in columns])
    assert at[1].direction == at[0].direction
    assert at[1].levels == at[0].levels
    assert at[1].bands == at[0].bands
    assert at[1].pit == at[0].pit
    squared = (np.exp(some.forecasts["net"].median) - np.exp(some.actual)) ** 2
    assert at[1].path.rmse == pytest.approx(np.sqrt(squared.mean()))


def test_a_backtest_up_to_a_step_is_that_of_a_shorter_horizon():
    whole = panel(horizon=9, n_cutoffs=30)
    shorter = whole.at((1, 2, 3, 4))
    assert shorter.steps == (1, 2, 3, 4)
    found = score(shorter, "net", Yardsticks())
    expected = score(whole, "net", Yardsticks())
    assert found.horizon == 4
    assert found.models["net"].steps.mae == expected.models["net"].steps.mae[:4]


def test_training_windows_are_left_out_of_tests_and_bands():
    backtest = panel(n_symbols=2, n_cutoffs=160, step_size=1)
    known = backtest.cutoff < backtest.cutoff[40]
    found, alone = (
        score(each, "net", Yardsticks(base_rates=(0.5,) * 5), in_training=seen)
        for each, seen in ((backtest, known), (backtest.keep(~known), None))
    )
    assert (found.n_independent, found.n_deciding) == (24, 240)
    for name, every in found.models.items():
        sound = alone.models[name]
        for part in ("tests", "crps_tests", "symbol_tests", "bands", "pit", "chances", "movement"):
            assert getattr(every, part) == getattr(sound, part), part
        for one, other in zip(every.direction, sound.direction, strict=True):
            for part in ("test", "interval", "independent_accuracy", "n_independent"):
                assert getattr(one.two_way, part) == getattr(other.two_way, part), part
            assert one.two_way.n_windows == other.two_way.n_windows + 80
    assert found.n_windows == 320
    nothing = score(backtest, "net", Yardsticks(), in_training=known | True)
    assert nothing.models["net"].bands == ()
    assert nothing.models["net"].direction[0].two_way.test.p is None


def test_only_fans_have_crps_and_bands():
    found = score(panel(n_cutoffs=200), "net", Yardsticks())
    net = found.models["net"]
    assert net.path.crps < found.models["gaussian_cone"].path.crps
    assert net.path.crps_skill["gaussian_cone"] > 0
    assert {band.step for band in net.bands} == {1, 5}
    assert len(net.bands) == 20
    drift = found.models["drift"]
    assert drift.path.crps is None
    assert drift.bands == ()


def test_three_way_calls_come_from_the_fan_or_from_thresholds_or_not_at_all():
    backtest = panel(quantiles=False)
    scaled = [scaled_moves(m, backtest.sigma) for m in (backtest.actual * 0.3, backtest.actual)]
    thresholds = fit_thresholds(scaled[0], scaled[1])
    found = score(
        backtest, "net", Yardsticks(thresholds={"net": thresholds}, tails=fit_tails(scaled[1]))
    )
    last = {name: each.direction[-1] for name, each in found.models.items()}
    assert last["net"].trend_from == "thresholds"
    assert last["gaussian_cone"].trend_from == "fan"
    assert last["drift"].trend_from == "sign"
    assert last["drift"].three_way is None
    assert sum(map(sum, last["net"].three_way.confusion)) == 120
    assert last["net"].crash.n_windows == last["net"].spike.n_windows == 12
    assert last["net"].crash.calls.down > last["net"].crash.calls_always.down
    far = np.full(5, 99.0)
    none = score(backtest, "net", Yardsticks(tails={"crash": -far, "spike": far}))
    crash = none.models["net"].direction[-1].crash
    assert (crash.n_windows, crash.n_independent, crash.calls, crash.predicted) == (
        0,
        0,
        None,
        None,
    )
    assert last["drift"].spike.calls.up == last["drift"].spike.calls_always.up == 1.0


def test_windows_without_outcomes_are_not_counted():
    backtest = panel(n_symbols=1, n_cutoffs=30)
    backtest.actual[-1] = np.nan
    backtest.actual[-2, 2:] = np.nan
    found = score(backtest, "net", Yardsticks())
    assert (found.n_windows, found.n_cutoffs, found.n_independent) == (29, 29, 28)
    assert found.models["net"].direction[-1].two_way.n_windows == 28
    assert found.models["net"].direction[0].two_way.n_windows == 29
    nothing = score(
        replace(backtest, actual=np.full_like(backtest.actual, np.nan)), "net", Yardsticks()
    )
    assert (nothing.n_windows, nothing.n_independent, nothing.first_cutoff) == (0, 0, None)
    assert nothing.models["net"].path.rmse is None
    for each in (found, nothing):
        json.dumps(asdict(each), allow_nan=False)


def test_a_symbol_without_a_scale_leaves_mase_to_the_others():
    backtest = panel(n_symbols=2)
    both, first = (
        score(each, "net", Yardsticks({"S0": 2.0})).models["net"]
        for each in (backtest, backtest.keep(backtest.symbol == "S0"))
    )
    assert both.steps.mase == pytest.approx(first.steps.mase)
    assert score(backtest, "net", Yardsticks()).models["net"].path.mase is None


@for_each("wrong", [np.nan, np.inf, 400.0])
def test_a_nan_forecast_is_an_error_and_not_an_unknown_outcome(wrong):
    backtest = panel()
    backtest.forecasts["net"].median[3, 2] = wrong
    with pytest.raises(DataError, match=r"not a usable number \(net\): found 1 of 600"):
        score(backtest, "net", Yardsticks())


def test_mismatched_shapes_and_unknown_models_are_errors():
    backtest = panel()
    with pytest.raises(DataError, match="No forecasts to score"):
        score(backtest, "other", Yardsticks())
    backtest.forecasts["net"] = Forecast(np.zeros((3, 5)))
    with pytest.raises(DataError, match="do not line up"):
        score(backtest, "net", Yardsticks())


def test_calendars_count_the_windows_with_any_outcome():
    backtest = replace(panel(n_symbols=2, n_cutoffs=30), calendar=np.repeat([0, 1], 30))
    backtest.actual[[29, 59, 58]] = np.nan
    found = score(backtest, "net", Yardsticks())
    counts = [(each.n_windows, each.n_independent) for each in found.calendars]
    assert counts == [(29, 29), (28, 28)]
    assert found.n_windows == 57
