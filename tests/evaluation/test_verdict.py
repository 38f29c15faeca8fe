"""The verdict's fixed rules, one sentence each."""

from dataclasses import replace

import numpy as np
import pytest

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.verdict import p_value, percent, sentences, verdict
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.test_scores import panel

DAY = np.datetime64("2015-01-05")


def judge(net, *, n=49, symbols=1, quantiles=None, levels=(), actual=None, up=0.55, drift=1e-3):
    """A verdict on one-step windows; `net(actual, generator)` forecasts them."""
    generator = np.random.default_rng(0)
    rows = n * symbols
    if actual is None:
        size = np.abs(generator.normal(0, 0.02, (rows, 1)))
        actual = np.where(generator.random((rows, 1)) < up, size, -size)
    cutoff = np.tile(DAY + np.arange(n), symbols)
    backtest = Backtest(
        symbol=np.repeat([f"S{k}" for k in range(symbols)], n),
        cutoff=cutoff,
        last_close=np.full(rows, 100.0),
        sigma=np.full(rows, 0.02),
        dates=(cutoff + np.timedelta64(1, "D"))[:, None],
        actual=actual,
        forecasts={
            "net": Forecast(net(actual, generator), quantiles, levels),
            "naive": Forecast(np.zeros((rows, 1))),
            "drift": Forecast(np.full((rows, 1), drift)),
        },
    )
    text = verdict(score(backtest, model="net", mase_scales={}))
    assert text.isascii()
    assert "drift" in text
    assert "\n" not in text
    return text


def noise(actual, generator):
    return generator.normal(0, 0.004, actual.shape)


def test_a_skilled_model_beats_drift_with_its_p_value_and_sample_size():
    text = judge(lambda actual, _: 0.5 * actual)
    assert text.startswith("On 49 independent windows net beats drift: path RMSE ")
    assert "Diebold-Mariano p < 0.001 on 49 independent windows" in text
    assert "Direction 100.0 % is above the best constant answer" in text
    assert "Pesaran-Timmermann p < 0.001." in text


def test_a_terrible_model_is_significantly_worse():
    text = judge(lambda actual, _: -1.0 * actual)
    assert "net is significantly worse than drift: path RMSE " in text
    assert "is below the best constant answer" in text


def test_a_model_like_any_other_shows_no_evidence():
    text = judge(noise)
    assert "there is no evidence that net beats drift: path RMSE " in text
    assert "Diebold-Mariano p = 0." in text


@pytest.mark.parametrize(
    ("net", "claim"),
    [
        (lambda actual, _: 0.5 * actual, "has a lower error than drift, which proves nothing yet"),
        (lambda actual, _: -0.5 * actual, "does not beat drift"),
    ],
)
def test_few_windows_allow_no_claim(net, claim):
    text = judge(net, n=13)
    assert text.startswith(f"On 13 independent windows net {claim}: path RMSE ")
    assert "too few windows for a test (13, at least 20 are needed)" in text


def test_a_flat_line_is_called_a_copy():
    text = judge(lambda actual, _: np.full(actual.shape, 1e-5))
    assert "Its forecasts hardly move: in effect it copies the last price." in text


def test_moves_that_know_nothing_are_called_a_copy():
    text = judge(noise)
    assert "No sign that it does more than copy the last price" not in text  # the price stands
    generator = np.random.default_rng(1)
    moves = generator.normal(0, 0.02, 60)
    backtest = Backtest(
        symbol=np.full(60, "S"),
        cutoff=DAY + np.arange(60),
        last_close=100 * np.exp(np.cumsum(moves) - moves),
        sigma=np.full(60, 0.02),
        dates=(DAY + np.arange(60) + np.timedelta64(1, "D"))[:, None],
        actual=moves[:, None],
        forecasts={
            "net": Forecast(generator.normal(0, 0.005, (60, 1))),
            "drift": Forecast(np.full((60, 1), 1e-3)),
        },
    )
    copied = [
        each for each in sentences(score(backtest, model="net", mase_scales={})) if "copy" in each
    ]
    assert len(copied) == 1
    assert copied[0].startswith("No sign that it does more than copy the last price: correlation ")
    assert (
        "its predicted moves correlate with the actual ones no more than luck would (" in copied[0]
    )
    assert not any(
        "copy" in each for each in sentences(score(knowing(backtest), model="net", mase_scales={}))
    )


def knowing(backtest):
    own = backtest.forecasts["net"].median
    return replace(
        backtest,
        forecasts={**backtest.forecasts, "net": Forecast(own + 0.2 * backtest.actual)},
    )


def test_the_sentences_are_the_verdict():
    found = score(knowing_panel(), model="net", mase_scales={})
    assert " ".join(sentences(found)) == verdict(found)
    assert all(each.endswith(".") for each in sentences(found))


def knowing_panel():
    backtest = panel(n_symbols=3)
    backtest.forecasts["scaled_climatology"] = backtest.forecasts["gaussian_cone"]
    return backtest


def test_several_symbols_are_counted_after_the_correction():
    *_, last = sentences(score(knowing_panel(), model="net", mase_scales={}))
    assert last == (
        "Symbol by symbol (Holm): better than drift on 3 of 3, worse on 0; CRPS better than "
        "scaled_climatology on 3 of 3, worse on 0."
    )
    few = sentences(score(panel(n_symbols=3, n_cutoffs=12), model="net", mase_scales={}))
    assert not any("Holm" in each for each in few)


def test_no_call_of_direction_is_said():
    text = judge(lambda actual, _: np.zeros(actual.shape))
    assert "No direction: it predicts no move, so it makes no call" in text


def test_a_model_that_equals_drift_is_said_to():
    assert "net has the same error as drift" in judge(lambda actual, _: np.full(actual.shape, 1e-3))


def test_naive_is_named_where_it_is_the_harder_baseline():
    text = judge(noise, drift=0.05)
    assert "net beats drift" in text
    assert "There is no evidence that it beats naive: " in text


def test_naive_is_left_out_where_it_is_the_easier_baseline():
    assert "naive" not in judge(lambda actual, _: 0.5 * actual, up=0.8)


def test_the_best_constant_answer_stands_beside_the_direction():
    actual = np.where(np.arange(13) < 11, 0.02, -0.02)[:, None]
    text = judge(lambda a, _: np.full(a.shape, 0.01), actual=actual, n=13)
    assert "Direction 84.6 % equals the best constant answer (always up, 84.6 %)." in text


def test_several_symbols_are_counted_by_date():
    text = judge(noise, n=30, symbols=4)
    assert text.startswith("On 30 independent windows (30 cutoffs, 4 symbols)")


@pytest.mark.parametrize(
    ("spread", "n", "words"),
    [
        (0.02, 500, "Bands calibrated: 80 % covers "),
        (0.005, 500, "Bands not calibrated: 80 % covers "),
        (0.018, 13, "Too few windows to judge the bands: 80 % covers "),
    ],
)
def test_the_bands_are_judged(spread, n, words):
    fan = np.tile(spread * np.array([-1.2816, 0.0, 1.2816]), (n, 1, 1))
    text = judge(noise, n=n, quantiles=fan, levels=(0.1, 0.5, 0.9))
    assert words in text
    assert " +- " in text


def test_a_future_without_outcome_leaves_nothing_to_judge():
    backtest = Backtest(
        symbol=np.array(["S"]),
        cutoff=np.array([DAY]),
        last_close=np.array([1.0]),
        sigma=np.array([0.1]),
        dates=np.array([[DAY + np.timedelta64(1, "D")]]),
        actual=np.array([[np.nan]]),
        forecasts={"net": Forecast(np.zeros((1, 1)))},
    )
    text = verdict(score(backtest, model="net", mase_scales={}))
    assert text == "Nothing to judge net by: none of its windows has its outcome yet."


def test_numbers_keep_four_digits_and_p_values_two():
    assert percent(0.03323) == "3.323 %"
    assert percent(0.039) == "3.9 %"
    assert p_value(0.4123) == "p = 0.41"
    assert p_value(0.00001) == "p < 0.001"
