"""Pairs of models: which are compared, on which windows, with which interval."""

from dataclasses import replace

import numpy as np
import pytest

from lstmcli.evaluation.comparisons import (
    Evidence,
    LossTest,
    Shown,
    pairwise,
    path_losses,
)
from lstmcli.evaluation.losses import losses, path_scores
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.significance import SignificanceTest, bootstrap_skills, diebold_mariano
from tests.evaluation.test_scores import panel
from tests.rows import for_each


def everything(backtest):
    reduced = {name: losses(backtest, name, np.ones(120)) for name in backtest.forecasts}
    paths = path_scores(reduced, ("naive", "drift"))
    return reduced, paths, Evidence(path_losses(backtest))


def test_each_network_meets_every_other_once_and_every_baseline():
    _, paths, evidence = everything(panel())
    pairs = pairwise(["net", "gaussian_cone"], paths, evidence, {})
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
    assert pairs[0].interval is None


def test_pairs_are_tested_over_all_phases_with_the_independent_windows_counted():
    backtest = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    reduced, paths, evidence = everything(backtest)
    (pair,) = (p for p in pairwise(["net"], paths, evidence, {}) if p.other == "drift")
    ours, theirs = reduced["net"].squared, reduced["drift"].squared
    assert pair.test.test == diebold_mariano(ours, theirs, 5, 24)
    assert pair.test.test.n == 24
    for phase, found in enumerate(pair.test.skills):
        means = [each[phase::5].mean() for each in (ours, theirs)]
        assert found == pytest.approx(1.0 - np.sqrt(means[0] / means[1]))


def test_losses_of_windows_apart_are_joined_to_the_same_evidence():
    """Five phases forecast one after the other decide as all cutoffs at once do."""
    whole = panel(n_symbols=3, n_cutoffs=120, step_size=1)
    first, *others = (path_losses(part(whole, phase)) for phase in range(5))
    found, expected = Evidence(first.join(others)), Evidence(path_losses(whole))
    for loss in ("squared", "crps"):
        ours, theirs = (each.test(loss, "net", "gaussian_cone") for each in (found, expected))
        assert ours.skills == pytest.approx(theirs.skills)
        assert ours.test.p == pytest.approx(theirs.test.p)
        assert ours.test.n == theirs.test.n == 24


def part(backtest, phase):
    rows = np.arange(len(backtest.cutoff)) % 5 == phase
    return replace(
        backtest,
        **{
            name: getattr(backtest, name)[rows]
            for name in ("symbol", "cutoff", "last_close", "sigma", "dates", "actual")
        },
        forecasts={name: each.rows(rows) for name, each in backtest.forecasts.items()},
    )


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


def test_intervals_are_drawn_for_every_pair_in_blocks_twice_as_long_as_a_window():
    backtest = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    reduced, _, _ = everything(backtest)
    shown = Shown(backtest)
    for name, each in reduced.items():
        shown.add(name, each)
    found = shown.skill_intervals(np.random.default_rng(3))
    assert len(found) == 4 * 3 + 2 * 1
    alone = bootstrap_skills(
        {name: each.squared for name, each in reduced.items()},
        [("net", "drift")],
        block=10,
        generator=np.random.default_rng(3),
        root=True,
    )
    assert found["squared", "net", "drift"] == alone["net", "drift"]


def test_scores_hold_the_intervals_of_their_skills_and_repeat_them():
    backtest = panel(n_cutoffs=60)
    first, again = (
        score(backtest, model="net", mase_scales={}, generator=np.random.default_rng(0))
        for _ in range(2)
    )
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
    assert score(backtest, model="net", mase_scales={}).models["net"].skill_intervals == {}


def test_windows_without_outcome_leave_every_test_undefined():
    backtest = panel(n_symbols=1, n_cutoffs=30)
    backtest.actual[:] = np.nan
    found = score(backtest, model="net", mase_scales={}, generator=np.random.default_rng(0))
    assert {pair.skill for pair in found.pairwise} == {None}
    assert all("too few windows" in pair.test.test.why for pair in found.pairwise)
    assert all("too few cutoffs" in pair.interval.why for pair in found.pairwise)
