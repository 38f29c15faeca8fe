"""Tails against SciPy's own fit and the frequency of unseen moves, and their shrinkage."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import genpareto, t

from lstmcli.forecasting.tail import SMALLEST, Side, distances, fit_tail
from tests.rows import for_each

LEVELS = (0.025, 0.025)
Floats = NDArray[np.float64]


def scaled(moves: Floats) -> Floats:
    """Return moves in distances to their own outermost quantiles."""
    low, high = np.quantile(moves, [0.025, 0.975])
    return np.asarray(np.where(moves > 0, moves / high, -moves / low))


@for_each("shape", [-0.2, 0.0, 1e-13, 0.3])
def test_chances_are_those_of_scipy_s_generalised_pareto(shape: float) -> None:
    beyond = np.array([1.0, 1.2, 2.0, 2.9])
    known = 0.02 * genpareto(shape, scale=0.4).sf(beyond - 1)
    assert Side(0.02, shape, 0.4).chance(beyond) == pytest.approx(known, abs=1e-12)


def test_with_many_moves_the_fit_is_that_of_scipy() -> None:
    own = scaled(np.random.default_rng(1).standard_t(4, 200_000))
    tail = fit_tail(own, [], levels=LEVELS)
    shape, _, scale = genpareto.fit(own[own > 1] - 1, floc=0)
    assert (tail.above.shape, tail.above.scale) == pytest.approx((shape, scale), abs=0.02)
    assert tail.above.rate == pytest.approx(0.025, rel=0.01)


@for_each("degrees", [3.0, 5.0, 1000.0])
def test_chances_agree_with_the_frequency_of_unseen_moves(degrees: float) -> None:
    law, generator = t(degrees), np.random.default_rng(2)
    far = np.array([-1, 1]) * law.ppf(1 - 0.0005)  # 0.001, two-sided
    found = []
    for _ in range(100):
        own = law.rvs(2500, random_state=generator) / law.ppf(0.975)
        found.append(fit_tail(own, [], levels=LEVELS).probability(far / law.ppf(0.975)))
    assert np.exp(np.log(found).mean(axis=0)) == pytest.approx(0.001, rel=0.25)


def test_a_short_series_uses_the_tail_of_the_others_and_a_long_one_its_own() -> None:
    generator = np.random.default_rng(3)
    wild = [scaled(generator.standard_t(2.5, 5000)) for _ in range(4)]
    calm = scaled(generator.normal(size=50_000))
    far = np.array([2.5])
    others = fit_tail(calm[:0], wild, levels=LEVELS)
    short, long = (fit_tail(calm[:n], wild, levels=LEVELS) for n in (100, 50_000))
    alone = fit_tail(calm, [], levels=LEVELS)
    found = [each.probability(far)[0] for each in (others, short, long, alone)]
    assert found[0] == pytest.approx(found[1], rel=0.3)
    assert found[1] > 10 * found[2] > 10 * found[3]
    assert (short.own, short.pooled, short.series) == (100, 20_000, 4)


def test_without_moves_the_tail_is_the_prior_at_the_levels_of_the_fan() -> None:
    tail = fit_tail(np.empty(0), [], levels=(0.025, 0.05))
    assert (tail.below.rate, tail.above.rate) == pytest.approx((0.025, 0.05))
    assert tail.below.scale == pytest.approx(0.3, rel=0.01)


def test_chances_fall_outwards_and_are_nan_between_the_quantiles() -> None:
    tail = fit_tail(scaled(np.random.default_rng(4).normal(size=3000)), [], levels=LEVELS)
    chances = tail.probability(np.array([-50.0, -2.0, -1.01, -0.9, 0.0, 1.0, 1.01, 2.0, 50.0]))
    assert np.isnan(chances[3:6]).all()
    assert (np.diff(chances[:3]) > 0).all()
    assert (np.diff(chances[6:]) < 0).all()
    assert chances[0] == chances[-1] == SMALLEST


def test_overlapping_moves_count_for_less() -> None:
    own = np.full(3000, 0.5)
    own[:300] = 1.5
    one, five = (fit_tail(own, [], levels=LEVELS, steps=n).above.rate for n in (1, 5))
    assert 0.025 < five < one < 0.1


def test_distances_are_measured_on_the_side_of_the_move() -> None:
    fan = np.array([[-2.0, 0.0, 4.0]] * 4)
    actual = np.array([-4.0, 2.0, 0.0, np.nan])
    found = distances(fan, np.zeros(4), actual)
    assert found == pytest.approx([-2.0, 0.5, 0.0, np.nan], nan_ok=True)
    assert np.isnan(distances(np.zeros((1, 3)), np.zeros(1), np.ones(1))).all()
