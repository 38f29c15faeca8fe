"""Pairs of models: which are compared, on which windows, with which interval."""

from typing import Any

import numpy as np
import pytest

from lstmcli.evaluation.comparisons import (
    Evidence,
    LossTest,
    pairwise,
    reduce_grid,
    skill_intervals,
)
from lstmcli.evaluation.losses import losses, path_scores
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.significance import SignificanceTest
from lstmcli.evaluation.trend import Yardsticks
from tests.evaluation.test_scores import panel
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


def test_each_network_meets_every_other_once_and_every_baseline():
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


def test_losses_of_windows_apart_are_joined_to_the_same_evidence():
    """Five phases forecast one after the other decide as all cutoffs at once do."""
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
