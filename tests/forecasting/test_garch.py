"""The GJR-GARCH fan against arch itself, slow twins, and everything that could break a fit."""

import sys
import warnings

import numpy as np
import pytest
from scipy import stats

from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting import baselines
from lstmcli.forecasting.baselines import GjrState, ewma_cone, fit_gjr, gjr_garch, simulate_gjr
from tests.rows import for_each

arch = pytest.importorskip("arch")

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
HORIZON = 10
STATE = GjrState(omega=0.02, alpha=0.03, gamma=0.1, beta=0.9, nu=6.0, next_variance=1.7)


@pytest.fixture(scope="module")
def log_prices():
    """Prices whose returns follow a GJR-GARCH(1,1)-t of one percent a day."""
    draws = baselines._draw(STATE.nu, (1, 1400), np.random.default_rng(3))
    return 4.0 + np.concatenate([[0.0], 0.01 * simulate_gjr(STATE, draws)[0].cumsum()])


@pytest.fixture(scope="module")
def returns(log_prices):
    found = np.diff(log_prices)[-1000:]
    return found / found.std()


def test_the_fan_has_the_shape_of_a_forecast_and_never_crosses(log_prices):
    found = gjr_garch(log_prices, np.array([1100, 1300]), HORIZON, levels=LEVELS)
    assert found.median.shape == (2, HORIZON)
    assert found.quantiles.shape == (2, HORIZON, len(LEVELS))
    assert found.levels == LEVELS
    assert (np.diff(found.quantiles, axis=-1) > 0).all()
    assert found.replaced == 0
    assert found.spread is None
    np.testing.assert_array_equal(found.median, found.quantiles[:, :, 3])


def test_nothing_after_the_cutoff_nor_before_the_trailing_rows_changes_the_fan(log_prices):
    cutoff, rows = 1200, 500
    changed = log_prices.copy()
    changed[cutoff + 1 :] = np.random.default_rng(9).normal(0, 50, log_prices.size - cutoff - 1)
    changed[: cutoff - rows] = 7.0
    before, after = (
        gjr_garch(p, np.array([cutoff]), HORIZON, levels=LEVELS, rows=rows)
        for p in (log_prices, changed)
    )
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
    np.testing.assert_array_equal(before.median, after.median)


def test_cutoffs_are_forecast_alike_together_and_alone(log_prices):
    cutoffs = np.array([700, 1000, 1399])
    together = gjr_garch(log_prices, cutoffs, HORIZON, levels=LEVELS)
    for i, cutoff in enumerate(cutoffs):
        alone = gjr_garch(log_prices, np.array([cutoff]), HORIZON, levels=LEVELS)
        np.testing.assert_array_equal(together.quantiles[i], alone.quantiles[0])


def test_the_seed_decides_and_the_global_random_state_does_not(log_prices):
    def fan(seed):
        return gjr_garch(log_prices, np.array([1200]), 5, levels=LEVELS, seed=seed).quantiles

    first = fan(1)
    state = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    np.testing.assert_array_equal(first, fan(1))
    after = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    np.testing.assert_array_equal(state, after)
    assert not np.array_equal(first, fan(2))


def test_the_state_at_the_cutoff_is_the_one_that_arch_forecasts_from(returns):
    state = fit_gjr(arch.arch_model, returns)
    model = arch.arch_model(
        returns, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False
    )
    fit = model.fit(disp="off")
    next_variance = fit.forecast(horizon=1).variance.to_numpy()[-1, 0]
    assert state.next_variance == pytest.approx(next_variance, rel=1e-9)
    assert (state.omega, state.alpha, state.gamma, state.beta, state.nu) == tuple(fit.params)


def test_simulation_is_the_recursion_of_the_paper_path_by_path():
    draws = baselines._draw(STATE.nu, (4, 12), np.random.default_rng(1))
    found = simulate_gjr(STATE, draws)
    for path in range(4):
        variance = STATE.next_variance
        for step in range(12):
            r = variance**0.5 * draws[path, step]
            assert found[path, step] == pytest.approx(r, rel=1e-12)
            variance = STATE.omega + STATE.alpha * r**2 + STATE.beta * variance
            if r < 0:
                variance += STATE.gamma * r**2


def test_one_step_quantiles_are_the_volatility_times_those_of_the_scaled_t(log_prices):
    cutoff, paths = 1300, 40_000
    found = gjr_garch(log_prices, np.array([cutoff]), 1, levels=LEVELS, paths=paths)
    past = np.diff(log_prices[cutoff - 1000 : cutoff + 1])
    state = fit_gjr(arch.arch_model, past / past.std())
    spread = past.std() * state.next_variance**0.5 * ((state.nu - 2) / state.nu) ** 0.5
    expected = spread * stats.t.ppf(LEVELS, state.nu)
    # Four standard errors of an empirical quantile: sqrt(p (1 - p) / paths) / density.
    density = stats.t.pdf(stats.t.ppf(LEVELS, state.nu), state.nu) / spread
    error = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / paths) / density
    assert (np.abs(found.quantiles[0, 0] - expected) < 4 * error).all()


@pytest.mark.parametrize("factor", [1e-4, 30.0])
def test_the_size_of_the_returns_does_not_matter(factor, log_prices):
    here, there = (
        gjr_garch(p, np.array([1300]), HORIZON, levels=LEVELS)
        for p in (log_prices, log_prices * factor)
    )
    assert there.replaced == 0
    np.testing.assert_allclose(here.quantiles * factor, there.quantiles, rtol=1e-3, atol=1e-12)


def odd_series():
    rng = np.random.default_rng(4)
    plain = np.cumsum(rng.normal(0, 0.01, 600))
    jump, mostly_still, tiny = plain.copy(), np.zeros(600), plain * 1e-9
    jump[300:] += 12.0
    mostly_still[500:] = 0.3
    line = np.arange(600) * 0.001
    zigzag = 0.01 * (np.arange(600) % 2)
    return {
        "constant": np.full(600, 3.0),
        "one huge outlier": jump,
        "a single move": mostly_still,
        "tiny moves": tiny,
        "a straight line": line,
        "zigzag": zigzag,
        "an outlier on the last row": np.r_[plain[:-1], 25.0],
        "fat beyond measure": np.cumsum(rng.standard_cauchy(600) * 0.01),
    }


@for_each("name", odd_series())
def test_an_odd_series_gives_a_finite_fan_that_never_crosses_and_no_warning(name):
    found = gjr_garch(odd_series()[name], np.array([599]), HORIZON, levels=LEVELS)
    assert np.isfinite(found.quantiles).all()
    assert np.isfinite(found.median).all()
    assert (np.diff(found.quantiles, axis=-1) >= 0).all()


def test_a_constant_series_falls_back_to_a_fan_of_no_width():
    found = gjr_garch(np.full(300, 3.0), np.array([150, 299]), 5, levels=LEVELS)
    assert found.replaced == 2
    assert not found.quantiles[:].any()


def test_too_few_returns_for_a_fit_fall_back_to_the_ewma_cone(log_prices):
    cutoffs = np.array([60, 1200])
    found = gjr_garch(log_prices, cutoffs, HORIZON, levels=LEVELS)
    cone = ewma_cone(log_prices, cutoffs, HORIZON, levels=LEVELS)
    assert found.replaced == 1
    np.testing.assert_array_equal(found.quantiles[0], cone.quantiles[0])
    assert not np.array_equal(found.quantiles[1], cone.quantiles[1])


def test_too_few_returns_even_for_the_cone_are_refused(log_prices):
    with pytest.raises(DataError, match="found 10 returns up to the first cutoff"):
        gjr_garch(log_prices, np.array([10]), HORIZON, levels=LEVELS)


@pytest.mark.parametrize("error", [ValueError("no"), np.linalg.LinAlgError("singular")])
def test_a_fit_that_breaks_or_does_not_converge_is_none(error, returns):
    class Breaks:
        def fit(self, **_):
            raise error

    assert fit_gjr(lambda *_, **__: Breaks(), returns) is None

    class Unconverged:
        params = (0.01, 0.1, 0.1, 0.8, 5.0)
        conditional_volatility = np.ones(returns.size)
        convergence_flag = 8

        def fit(self, **_):
            warnings.warn("did not converge", RuntimeWarning, stacklevel=1)
            return self

    assert fit_gjr(lambda *_, **__: Unconverged(), returns) is None
    Unconverged.convergence_flag = 0
    assert fit_gjr(lambda *_, **__: Unconverged(), returns) is not None
    Unconverged.params = (0.01, np.nan, 0.1, 0.8, 5.0)
    assert fit_gjr(lambda *_, **__: Unconverged(), returns) is None


def test_the_filters_of_warnings_are_left_as_they_were(log_prices):
    before = list(warnings.filters)
    gjr_garch(log_prices, np.array([600]), 5, levels=LEVELS)
    assert warnings.filters == before


def test_a_missing_arch_names_the_extra(monkeypatch, log_prices):
    monkeypatch.setitem(sys.modules, "arch", None)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[garch\]'"):
        gjr_garch(log_prices, np.array([600]), 5, levels=LEVELS)
