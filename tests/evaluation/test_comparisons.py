"""Pairs of models: which are compared, on which windows, with which interval."""

import numpy as np
import pytest

from lstmcli.evaluation.comparisons import comparable, pairwise, skill_intervals
from lstmcli.evaluation.error_scores import path_scores
from lstmcli.evaluation.intervals import bootstrap_skills
from lstmcli.evaluation.losses import losses
from lstmcli.evaluation.scores import score
from lstmcli.evaluation.significance import diebold_mariano
from tests.evaluation.test_scores import panel


def everything(backtest):
    reduced = {name: losses(backtest, name, np.ones(120)) for name in backtest.forecasts}
    paths = path_scores(reduced, ("naive", "drift"))
    dated = comparable(backtest)
    for name, each in reduced.items():
        dated.add(name, each, backtest.cutoff)
    return reduced, paths, dated


def test_each_network_meets_every_other_once_and_every_baseline():
    _, paths, dated = everything(panel())
    pairs = pairwise(["net", "gaussian_cone"], paths, dated, {})
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


def test_pairs_are_tested_apart_and_on_all_cutoffs():
    backtest = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    reduced, paths, dated = everything(backtest)
    (pair,) = (p for p in pairwise(["net"], paths, dated, {}) if p.other == "drift")
    ours, theirs = reduced["net"].squared, reduced["drift"].squared
    assert (dated.apart.h, dated.whole.h) == (1, 5)
    assert pair.test == diebold_mariano(ours[::5], theirs[::5])
    assert pair.test_all == diebold_mariano(ours, theirs, 5)


def test_intervals_are_drawn_for_every_pair_in_blocks_twice_as_long_as_a_window():
    backtest = panel(n_symbols=1, n_cutoffs=120, step_size=1)
    reduced, _, dated = everything(backtest)
    found = skill_intervals(dated.some, np.random.default_rng(3))
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
    assert all("too few windows" in pair.test.why for pair in found.pairwise)
    assert all("too few cutoffs" in pair.interval.why for pair in found.pairwise)
