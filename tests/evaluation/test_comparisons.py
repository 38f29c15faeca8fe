"""Comparisons of pairs of models and of single symbols, and the windows that they use."""

from typing import Any

import numpy as np
import pytest

from lstmcli.evaluation.comparisons import (
    Evidence,
    LossTest,
    pairwise,
    reduce_grid,
    skill_intervals,
    symbol_tests,
)
from lstmcli.evaluation.losses import losses, path_scores
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.significance import SignificanceTest
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import backtest_of, panel
from tests.rows import for_each


def evidence_of(*grids):
    """Evidence of all windows of some backtests, with the losses of all models."""
    first, *others = (reduce_grid(each, ()) for each in grids)
    evidence = Evidence(first.windows.join([each.windows for each in others]))
    for loss, name in first.losses:
        parts = [each.losses[loss, name] for each in (first, *others)]
        evidence.add(loss, name, np.concatenate(parts))
    return evidence


def everything(backtest):
    reduced = {name: losses(backtest, name, np.ones(120)) for name in backtest.forecasts}
    paths = path_scores({name: each.path for name, each in reduced.items()}, ("naive", "drift"))
    return reduced, paths, evidence_of(backtest), intervals_of(backtest, reduced)


def intervals_of(backtest, reduced):
    pool, fans = backtest.pool(), {n: x for n, x in reduced.items() if "crps" in x.windows}
    observed: dict[Any, Any] = {
        "squared": {name: pool.series(each.windows["squared"]) for name, each in reduced.items()},
        "crps": {name: pool.series(each.windows["crps"]) for name, each in fans.items()},
    }
    return skill_intervals(observed, pool.reach)


def test_each_network_is_compared_once_with_every_other_and_every_baseline():
    _, paths, evidence, intervals = everything(panel())
    pairs = pairwise(["net", "gaussian_cone"], paths, evidence, intervals)
    assert [(pair.model, pair.other, pair.loss) for pair in pairs] == [
        ("net", "gaussian_cone", "squared"),
        ("net", "gaussian_cone", "crps"),
        ("net", "naive", "squared"),
        ("net", "drift", "squared"),
        ("gaussian_cone", "naive", "squared"),
        ("gaussian_cone", "drift", "squared"),
    ]
    assert pairs[0].skill == pytest.approx(1 - paths["net"].rmse / paths["gaussian_cone"].rmse)
    assert pairs[1].skill == paths["net"].crps_skill["gaussian_cone"]
    assert pairs[0].interval == intervals["squared", "net", "gaussian_cone"]


def test_five_phases_joined_give_the_evidence_of_all_cutoffs():
    """Five phases forecast one after another give the same tests as all cutoffs at once."""
    whole = panel(n_symbols=3, n_cutoffs=120, step_size=1)
    found = evidence_of(*(part(whole, phase) for phase in range(5)))
    expected = evidence_of(whole)
    for loss in ("squared", "crps"):
        ours, theirs = (each.test(loss, "net", "gaussian_cone") for each in (found, expected))
        assert ours.skills == pytest.approx(theirs.skills)
        assert ours.test.p == pytest.approx(theirs.test.p)
        assert ours.test.n == theirs.test.n == 24


def part(backtest, phase):
    return backtest.keep(np.arange(len(backtest.cutoff)) % 5 == phase)


@for_each(
    ("p", "statistic", "skills", "claim"),
    [
        (0.01, -3.0, (0.1, 0.2, 0.1, 0.1, 0.3), "better"),
        (0.01, 3.0, (-0.1, -0.2, -0.1, -0.1, -0.3), "worse"),
        (0.01, -3.0, (0.1, 0.2, -0.1, 0.1, 0.3), None),
        (0.01, 3.0, (0.1, 0.2, 0.1, 0.1, 0.3), None),
        (0.06, -3.0, (0.1, 0.2, 0.1, 0.1, 0.3), None),
        (None, None, (0.1, 0.2, 0.1, 0.1, 0.3), None),
    ],
)
def test_a_claim_needs_the_test_and_the_same_sign_in_every_phase(p, statistic, skills, claim):
    test = SignificanceTest("Diebold-Mariano", statistic, p, 24)
    assert LossTest(0.1, skills, test).claim == claim


def test_scores_hold_the_intervals_of_their_skills_and_repeat_them():
    backtest = panel(n_cutoffs=60)
    first, again = (score(backtest, "net", Yardsticks()) for _ in range(2))
    assert first == again
    net = first.models["net"]
    assert set(net.skill_intervals) == set(net.path.skill)
    assert set(net.crps_skill_intervals) == set(net.path.crps_skill)
    for intervals, skills in (
        (net.skill_intervals, net.path.skill),
        (net.crps_skill_intervals, net.path.crps_skill),
    ):
        for other, interval in intervals.items():
            assert interval.low < skills[other] < interval.high


def test_windows_without_outcome_leave_every_test_undefined():
    backtest = panel(n_symbols=1, n_cutoffs=30)
    backtest.actual[:] = np.nan
    found = score(backtest, "net", Yardsticks())
    assert {pair.skill for pair in found.pairwise} == {None}
    assert all("a test needs 20" in pair.test.test.why for pair in found.pairwise)
    assert all("an interval needs" in pair.interval.why for pair in found.pairwise)


def evidence(gains, *, reach=1):
    """Evidence where naive has loss 1 and the model 1 - gain, (D, S); NaN for no window."""
    gain = gains.T.ravel()
    there, none = ~np.isnan(gain), np.zeros((gain.size, reach))
    windows = backtest_of(none, {"naive": Forecast(none)}, symbols=gains.shape[1])
    found = Evidence(windows.keep(there).at((reach,)))
    found.add("squared", "net", 1.0 - gain[there])
    found.add("squared", "naive", np.ones(int(there.sum())))
    return found


def test_the_one_better_symbol_is_found_among_the_others():
    gains = np.random.default_rng(0).normal(0, 0.1, (100, 8))
    gains[:, 3] += 0.1
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert list(found) == [f"S{s}" for s in range(8)]
    assert found["S3"].p < 0.01
    assert [name for name, each in found.items() if each.p < 0.05] == ["S3"]
    assert found["S3"].gain == pytest.approx(gains[:, 3].mean())
    assert {each.n for each in found.values()} == {100}


@for_each(("symbols", "common", "reach"), [(10, 0.0, 1), (10, 0.9, 1), (5, 0.5, 5)])
def test_any_symbol_is_named_by_chance_about_as_rarely_as_the_level_states(symbols, common, reach):
    generator = np.random.default_rng(symbols)
    named = []
    for _ in range(80):
        shared = generator.normal(0, 1, (150, 1))
        own = generator.normal(0, 1, (150, symbols))
        noise = np.sqrt(common) * shared + np.sqrt(1 - common) * own
        gains = np.apply_along_axis(np.convolve, 0, noise, np.ones(reach) / reach, "valid")
        found = symbol_tests(evidence(gains, reach=reach), "squared", "net", "naive")
        named.append(min(each.p for each in found.values()) < 0.05)
    assert np.mean(named) < 0.10


def test_a_symbol_with_few_windows_is_not_tested():
    """The error of three windows is mostly chance: it was "better" in 8.5 % of panels."""
    gains = np.random.default_rng(3).normal(0, 0.1, (60, 3))
    gains[3:, 2] = np.nan
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert [each.n for each in found.values()] == [60, 60, 3]
    assert found["S2"].p is None
    assert found["S2"].why == "3 windows; a test needs 20"
    two = symbol_tests(evidence(gains[:, :2]), "squared", "net", "naive")
    assert [found[name].p for name in ("S0", "S1")] == [each.p for each in two.values()]


def test_a_single_symbol_a_model_itself_and_a_point_forecast_have_nothing_to_test():
    several, one = panel(n_symbols=3), panel(n_symbols=1)
    assert symbol_tests(evidence_of(one), "squared", "net", "naive") == {}
    known = evidence_of(several)
    assert symbol_tests(known, "squared", "naive", "naive") == {}
    assert symbol_tests(known, "crps", "net", "scaled_climatology") == {}


def test_a_symbol_whose_gain_never_varies_is_not_tested():
    gains = np.random.default_rng(2).normal(0, 0.1, (40, 2))
    gains[:, 1] = 0.0
    found = symbol_tests(evidence(gains), "squared", "net", "naive")
    assert (found["S1"].p, found["S1"].why) == (None, "no variation")
    assert found["S0"].p is not None
