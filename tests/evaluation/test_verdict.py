"""The verdict's fixed rules, one sentence each."""

import numpy as np
import pytest

from lstmcli.evaluation.scores import score
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.evaluation.verdict import p_value, percent, verdict
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import backtest_of, panel
from tests.rows import for_each


def said(backtest, **options):
    """The verdict on a backtest, whose text must be whole sentences in plain ASCII."""
    found = verdict(score(backtest, "net", Yardsticks(), **options))
    text = str(found)
    assert text.isascii()
    assert text == " ".join(found.lines)
    assert all(each.endswith(".") for each in found.lines)
    assert "\n" not in text
    return found


def judge(net, *, n=49, symbols=1, quantiles=None, levels=(), actual=None, up=0.55, drift=1e-3):
    """The verdict on one-step windows; `net(actual, generator)` forecasts them."""
    generator, shape = np.random.default_rng(0), (n * symbols, 1)
    if actual is None:
        size = np.abs(generator.normal(0, 0.02, shape))
        actual = np.where(generator.random(shape) < up, size, -size)
    forecasts = {
        "net": Forecast(net(actual, generator), quantiles, levels),
        "naive": Forecast(np.zeros(shape)),
        "drift": Forecast(np.full(shape, drift)),
    }
    return said(backtest_of(actual, forecasts, symbols=symbols))


def noise(actual, generator):
    return generator.normal(0, 0.004, actual.shape)


def test_a_skilled_model_is_better_than_naive_and_than_the_hardest():
    found = judge(lambda actual, _: 0.5 * actual)
    assert found.word == "better"
    assert found.lines[0] == "Better than naive: 50 % less error (p < 0.001), on 49 forecasts."
    assert 'Direction: right more often than always saying "down" (100.0 % against' in str(found)
    assert "p < 0.001 on 49 dates." in str(found)


def test_a_terrible_model_is_worse():
    found = judge(lambda actual, _: -1.0 * actual)
    assert found.word == "worse"
    assert found.lines[0].startswith("Worse than naive: 100 % more error (p < 0.001)")
    assert "Direction: right less often than always saying" in str(found)


def test_a_model_without_skill_may_differ_by_chance():
    found = judge(noise)
    assert found.word == "not proven"
    assert "which may be chance (p = 0." in found.lines[0]
    assert "Better" not in str(found)


@pytest.mark.parametrize(("sign", "words"), [(0.5, "50 % less"), (-0.5, "49 % more")])
def test_few_windows_allow_no_claim_and_print_no_p(sign, words):
    found = judge(lambda actual, _: sign * actual, n=13)
    assert found.word == "too few"
    assert found.lines[0].startswith(f"Against naive: {words} error")
    assert found.lines[0].endswith("on 13 forecasts; a test needs 20.")
    assert "p = " not in str(found)
    assert "p < " not in str(found)


def test_naive_and_the_harder_baseline_share_one_line():
    generator = np.random.default_rng(3)
    actual = generator.normal(0.02, 0.01, (49, 1))
    found = judge(lambda a, _: np.full(a.shape, 0.01), actual=actual, drift=0.02)
    assert found.lines[0].startswith("Better than naive: ")
    assert " more error than drift, the hardest (p = 0.0024), on 49 forecasts." in found.lines[0]
    assert found.word == "worse"


def test_a_claim_against_a_harder_baseline_requires_one_against_naive():
    """Better than an estimated drift, which is easy if naive is the true model."""
    found = judge(noise, up=0.5, drift=0.05)
    assert "drift" not in str(found)


def test_a_baseline_harder_by_chance_gives_no_claim_without_naive():
    """It is a little nearer to every outcome than the drift that the sample happens to have."""
    actual = np.random.default_rng(4).normal(0, 0.02, (49, 1))
    drift = float(actual.mean())
    found = judge(lambda a, _: 0.99 * drift + 0.01 * a, actual=actual, drift=drift)
    assert found.word == "not proven"
    assert " than drift, the hardest, which may be chance (p < 0.001)" in found.lines[0]
    assert "Better" not in str(found)


def test_phases_that_disagree_prevent_a_claim_despite_a_small_p():
    better = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    rows = np.arange(120) % 5 == 2
    better.forecasts["net"].median[rows] = -0.3 * better.actual[rows]
    better.forecasts["net"].median[~rows] = 0.9 * better.actual[~rows]
    found = said(better)
    assert "which may be chance (p" in found.lines[0]
    assert "but better in 4 of 5 phases)" in found.lines[0]
    assert found.word == "not proven"


def test_several_models_on_one_screen_share_the_level():
    backtest = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    one = score(backtest, "net", Yardsticks())
    two = score(backtest, "net", Yardsticks(), networks=("net", "gaussian_cone"))
    assert one.models["net"].tests["naive"].level == 0.05
    assert two.models["net"].tests["naive"].level == 0.025


def test_a_flat_line_is_reported_to_repeat_the_last_price():
    found = judge(lambda actual, _: np.full(actual.shape, 1e-5))
    assert "Its forecasts hardly move: in effect they repeat the last price." in found.lines
    better = judge(lambda actual, _: 0.04 * actual)  # which hardly moves either
    assert better.word == "better"
    assert "repeat" not in str(better)


@pytest.mark.parametrize(("known", "copies"), [(0.0, True), (0.2, False)])
def test_only_moves_without_correlation_are_reported_not_to_follow_the_actual_ones(known, copies):
    generator = np.random.default_rng(1)
    moves = generator.normal(0, 0.02, 60)
    own = generator.normal(0, 0.005, (60, 1)) + known * moves[:, None]
    forecasts = {"net": Forecast(own), "naive": Forecast(np.zeros((60, 1)))}
    last = 100 * np.exp(np.cumsum(moves) - moves)
    found = str(said(backtest_of(moves[:, None], forecasts, last_close=last)))
    assert (
        "No evidence that predicted moves follow the actual ones (correlation " in found
    ) is copies


def test_a_model_that_beats_naive_by_half_is_never_called_a_copy():
    """A season that every window repeats: its moves correlate with nothing within a step."""
    season = np.tile([0.2, -0.3, 0.05], (13, 1))
    actual = season + np.random.default_rng(5).normal(0, 0.02, season.shape)
    forecasts = {"net": Forecast(season), "naive": Forecast(np.zeros((13, 3)))}
    backtest = backtest_of(actual, forecasts, step=3, last_close=np.linspace(100.0, 112.0, 13))
    assert score(backtest, "net", Yardsticks()).models["net"].movement.copy
    assert "repeat" not in str(said(backtest))


def knowing_panel(symbols=3, cutoffs=40):
    backtest = panel(n_symbols=symbols, n_cutoffs=cutoffs)
    backtest.forecasts["scaled_climatology"] = backtest.forecasts["gaussian_cone"]
    return backtest


def test_symbols_are_named_after_the_claim_for_all_of_them():
    found = said(knowing_panel())
    errors, _, ranges = found.lines
    assert errors.endswith(
        " Symbol by symbol, better than naive on 3 of 3: S0, S1, S2 (joint test)."
    )
    assert ranges.startswith("Better ranges of outcomes: ")
    few = said(knowing_panel(cutoffs=12))
    assert not any("Symbol" in each or "Better" in each for each in few.lines)


def test_no_symbol_is_named_where_the_hardest_baseline_is_not_beaten():
    """The order of claims is naive, the hardest, symbols; it stops at the first that fails."""
    actual = np.random.default_rng(3).normal(0.02, 0.02, (180, 1))
    found = judge(
        lambda a, g: np.full(a.shape, 0.019) + g.normal(0, 2e-3, a.shape),
        n=60, symbols=3, actual=actual, drift=0.02,
    )  # fmt: skip
    assert found.lines[0].startswith("Better than naive: ")
    assert " more error than drift, the hardest (p = 0.012)" in found.lines[0]
    assert "Symbol by symbol" not in str(found)


def test_a_missing_call_of_direction_is_reported():
    found = judge(lambda actual, _: np.zeros(actual.shape))
    assert "No direction: it predicts no move, so it makes no call." in found.lines


@pytest.mark.parametrize(("call", "word"), [(0.01, "up"), (-0.01, "down")])
def test_a_model_that_always_says_the_same_has_no_view_on_direction(call, word):
    found = judge(lambda a, _: np.full(a.shape, call))
    assert f"This model has no view on direction: it always says {word}." in found.lines
    assert not any(each.startswith("Direction") for each in found.lines)


def test_a_single_call_is_not_reported_as_always_the_same():
    (line,) = [each for each in judge(noise, n=1).lines if "irection" in each]
    assert line.startswith("Direction: right ")


@for_each(
    ("net", "n", "line"),
    [
        (lambda actual: np.full(actual.shape, 1e-7), 49, "the same error"),
        # Sure, since it is the same share of every move, and yet 0.03 % of the error.
        (lambda actual: 3e-4 * actual, 400, "the same error; "),
    ],
)
def test_a_gain_too_small_to_show_is_not_claimed(net, n, line):
    found = judge(lambda actual, _: net(actual), n=n)
    assert found.word == "not proven"
    assert found.lines[0].startswith(f"Against naive: {line}")


@for_each(("move", "line"), [(0.01, "some error, while naive has none"), (0.0, "the same error")])
def test_any_error_is_more_than_none(move, line):
    still = np.zeros((30, 1))
    found = judge(lambda actual, _: np.full(actual.shape, move), n=30, actual=still)
    assert found.lines[0].startswith(f"Against naive: {line}, on 30")


def test_several_symbols_are_counted_by_date():
    found = judge(noise, n=30, symbols=4)
    assert found.lines[0].endswith(", on 30 dates, 4 symbols.")
    overlapping = said(panel(n_cutoffs=120, step_size=1))
    assert ", on 24 dates that do not overlap, 3 symbols." in overlapping.lines[0]


@for_each(
    ("spread", "n", "words"),
    [
        (0.02, 500, " at step 1, calibrated."),
        (0.005, 500, " at step 1, not calibrated."),
        (0.018, 13, " at step 1, too few windows to judge."),
    ],
)
def test_the_bands_are_judged(spread, n, words):
    fan = np.tile(spread * np.array([-1.2816, 0.0, 1.2816]), (n, 1, 1))
    (line,) = [
        each
        for each in judge(noise, n=n, quantiles=fan, levels=(0.1, 0.5, 0.9)).lines
        if each.startswith("Range of outcomes: the 80 % range held ")
    ]
    assert line.endswith(words)
    assert " +- " in line


def test_the_largest_step_that_can_be_judged_is_judged_and_named():
    """Windows of five days at 300 dates: the first step has 300 that are apart, the last 60."""
    backtest = panel(n_symbols=1, n_cutoffs=300, step_size=1)
    found = score(backtest, "net", Yardsticks())
    judged = {band.step: band.good for band in found.models["net"].bands if band.nominal == 0.8}
    assert judged[1] is not None
    assert judged[5] is None
    assert any(" at step 1, " in each for each in verdict(found).lines)


def test_windows_without_outcomes_cannot_be_judged():
    found = said(backtest_of([[np.nan]], {"net": Forecast(np.zeros((1, 1)))}))
    assert found.word == "too few"
    assert str(found) == "Cannot judge net: no window has an outcome yet."


def test_numbers_keep_four_digits_and_p_values_two():
    assert percent(0.03323) == "3.323 %"
    assert percent(0.039) == "3.9 %"
    assert p_value(0.4123) == "p = 0.41"
    assert p_value(0.00001) == "p < 0.001"
