"""The comparison of a challenger with the champion: losses, counts and the one-sided test."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.significance import diebold_mariano
from lstmcli.forecasting.forecast import Forecast
from lstmcli.learning.promotion import (
    FEWEST_WINDOWS,
    Comparison,
    compare,
    shared_levels,
    window_losses,
)
from tests.rows import for_each

LEVELS = (0.1, 0.5, 0.9)


def compared(
    ours: Any,
    theirs: Any,
    *,
    reach: int = 1,
    symbols: int = 1,
    levels: tuple[float, ...] = LEVELS,
    level: float = 0.01,
) -> Comparison:
    """Compare losses of `symbols` symbols, (D, S), whose windows reach across so many days."""
    ours, theirs = (
        np.asarray(each, dtype=np.float64).reshape(-1, symbols) for each in (ours, theirs)
    )
    dates = np.datetime64("2020-01-01") + np.arange(len(ours))
    return compare(
        ours.T.ravel(),
        theirs.T.ravel(),
        Pool(
            np.tile(dates, symbols),
            np.tile(dates + np.timedelta64(reach, "D"), symbols),
            np.repeat(np.arange(symbols), len(ours)),
        ),
        levels=levels,
        steps=reach,
        level=level,
    )


def test_only_levels_that_both_fans_have_are_compared():
    assert shared_levels((0.1, 0.5, 0.9), (0.05, 0.1, 0.5)) == (0.1, 0.5)
    assert shared_levels((0.1, 0.5, 0.9), ()) == ()
    assert shared_levels((), ()) == ()


def test_the_loss_of_a_window_is_its_mean_pinball_over_steps_and_levels():
    generator = np.random.default_rng(0)
    fan = np.sort(generator.normal(0, 0.02, (4, 3, 3)), axis=2)
    actual = generator.normal(0, 0.02, (4, 3))
    found = window_losses(Forecast(fan[..., 1], fan, LEVELS), actual, (0.1, 0.5))
    for n in range(4):
        losses = []
        for h in range(3):
            for q, level in ((0, 0.1), (1, 0.5)):
                over = np.exp(actual[n, h]) - np.exp(fan[n, h, q])
                losses.append(level * over if over > 0 else (level - 1) * over)
        assert found[n] == pytest.approx(np.mean(losses))


def test_without_a_fan_on_both_sides_the_loss_is_the_squared_error_of_the_median():
    median, actual = np.array([[0.01, 0.02]]), np.array([[0.0, 0.03]])
    (found,) = window_losses(Forecast(median), actual, ())
    errors = np.exp(median) - np.exp(actual)
    assert found == pytest.approx(np.mean(errors**2))


@for_each(("n", "reach"), [(20, 1), (60, 1), (36, 5), (150, 5)])
def test_p_is_one_sided_with_a_degree_of_freedom_for_two_independent_windows(n, reach):
    generator = np.random.default_rng(n)
    ours, theirs = generator.gamma(3.0, 1.0, (2, n))
    found = compared(ours, theirs, reach=reach)
    statistic = diebold_mariano(ours, theirs, reach).statistic
    assert found.n_independent == -(-n // reach)
    assert found.p == pytest.approx(stats.t.cdf(statistic, found.n_independent // 2), abs=1e-9)
    turned = compared(theirs, ours, reach=reach)
    assert found.p + turned.p == pytest.approx(1.0)
    assert not (found.better and turned.better)


def test_symbols_of_one_date_are_averaged_before_anything_is_tested():
    generator = np.random.default_rng(1)
    ours, theirs = generator.gamma(3.0, 1.0, (2, 40, 6))
    found = compared(ours, theirs, symbols=6)
    alone = compared(ours.mean(axis=1), theirs.mean(axis=1))
    assert (found.p, found.challenger) == pytest.approx((alone.p, alone.challenger))
    assert (found.n_windows, found.n_dates, found.symbols) == (240, 40, 6)
    copies = compared(
        np.repeat(ours[:, :1], 6, axis=1), np.repeat(theirs[:, :1], 6, axis=1), symbols=6
    )
    assert copies.p == pytest.approx(compared(ours[:, 0], theirs[:, 0]).p)


def test_reported_losses_are_those_of_the_units_of_the_price():
    ours, theirs = np.full(20, 4.0) + np.arange(20) % 2, np.full(20, 9.0)
    fans, points = compared(ours, theirs), compared(ours, theirs, levels=())
    assert (fans.loss, fans.levels, fans.champion) == ("pinball", 3, 9.0)
    assert (points.loss, points.levels, points.champion) == ("rmse", 0, 3.0)
    assert points.challenger == pytest.approx(np.sqrt(4.5))
    assert points.better
    assert (fans.first, fans.last) == ("2020-01-01", "2020-01-20")


@pytest.mark.parametrize(
    ("n", "reach", "why"),
    [(19, 1, "19 windows; a test needs 20"), (30, 5, "6 windows; a test needs 8")],
)
def test_too_few_windows_decide_nothing(n, reach, why):
    losses = np.random.default_rng(2).gamma(3.0, 1.0, n)
    found = compared(losses, losses + np.arange(n) % 3 + 5.0, reach=reach)
    assert (found.p, found.better, found.why) == (None, False, why)
    assert FEWEST_WINDOWS == 8


def test_a_model_is_not_better_than_itself():
    losses = np.random.default_rng(3).gamma(3.0, 1.0, 50)
    found = compared(losses, losses)
    assert (found.p, found.better) == (None, False)
    assert "same amount at every cutoff" in found.why
