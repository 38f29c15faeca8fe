"""The GJR-GARCH fan against arch itself and slow twins, and data on which a fit fails."""

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

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
HORIZON = 7
STATE = GjrState(omega=0.02, alpha=0.03, gamma=0.1, beta=0.9, nu=6.0, next_variance=1.7)


@pytest.fixture(scope="module")
def clustered():
    """Prices whose returns follow a GJR-GARCH(1,1)-t of one percent a day."""
    draws = baselines._draw(STATE.nu, (1, 1400), np.random.default_rng(3))
    return 4.0 + np.concatenate([[0.0], 0.01 * simulate_gjr(STATE, draws)[0].cumsum()])


@pytest.fixture(scope="module")
def returns(clustered):
    found = np.diff(clustered)[-1000:]
    return found / found.std()


def garch(prices, *cutoffs, **options):
    return gjr_garch(prices, np.array(cutoffs), HORIZON, levels=LEVELS, **options)


def test_the_garch_fan_has_the_shape_of_a_forecast_and_never_crosses(clustered):
    found = garch(clustered, 1100, 1300)
    assert found.quantiles.shape == (2, HORIZON, len(LEVELS))
    assert (found.levels, found.replaced, found.spread) == (LEVELS, 0, None)
    assert (np.diff(found.quantiles, axis=-1) > 0).all()
    np.testing.assert_array_equal(found.median, found.quantiles[:, :, 2])


def test_nothing_after_the_cutoff_nor_before_the_trailing_rows_changes_the_fan(clustered):
    cutoff, rows = 1200, 500
    changed = clustered.copy()
    changed[cutoff + 1 :] = np.random.default_rng(9).normal(0, 50, clustered.size - cutoff - 1)
    changed[: cutoff - rows] = 7.0
    before, after = (garch(p, cutoff, rows=rows) for p in (clustered, changed))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
    np.testing.assert_array_equal(before.median, after.median)


def test_garch_forecasts_do_not_depend_on_other_cutoffs(clustered):
    together = garch(clustered, 700, 1000, 1399)
    for i, cutoff in enumerate((700, 1000, 1399)):
        alone = garch(clustered, cutoff)
        np.testing.assert_array_equal(together.quantiles[i], alone.quantiles[0])


def test_the_seed_determines_the_fan(clustered):
    first, again, other = (garch(clustered, 1200, seed=seed).quantiles for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


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


def test_one_step_quantiles_are_the_volatility_times_those_of_the_scaled_t(clustered):
    cutoff, paths = 1300, 40_000
    found = gjr_garch(clustered, np.array([cutoff]), 1, levels=LEVELS, paths=paths)
    past = np.diff(clustered[cutoff - 1000 : cutoff + 1])
    state = fit_gjr(arch.arch_model, past / past.std())
    spread = past.std() * state.next_variance**0.5 * ((state.nu - 2) / state.nu) ** 0.5
    expected = spread * stats.t.ppf(LEVELS, state.nu)
    # Four standard errors of an empirical quantile: sqrt(p (1 - p) / paths) / density.
    density = stats.t.pdf(stats.t.ppf(LEVELS, state.nu), state.nu) / spread
    error = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / paths) / density
    assert (np.abs(found.quantiles[0, 0] - expected) < 4 * error).all()


@pytest.mark.parametrize("factor", [1e-4, 30.0])
def test_garch_fits_returns_of_any_size(factor, clustered):
    here, there = (garch(p, 1300) for p in (clustered, clustered * factor))
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
    found = garch(odd_series()[name], 599)
    assert np.isfinite(found.quantiles).all()
    assert np.isfinite(found.median).all()
    assert (np.diff(found.quantiles, axis=-1) >= 0).all()


def test_a_constant_series_falls_back_to_a_fan_of_no_width():
    found = garch(np.full(300, 3.0), 150, 299)
    assert found.replaced == 2
    assert not found.quantiles[:].any()


def test_too_few_returns_for_a_garch_fall_back_to_the_ewma_cone(clustered):
    found = garch(clustered, 60, 1200)
    cone = ewma_cone(clustered, np.array([60, 1200]), HORIZON, levels=LEVELS)
    assert found.replaced == 1
    np.testing.assert_array_equal(found.quantiles[0], cone.quantiles[0])
    assert not np.array_equal(found.quantiles[1], cone.quantiles[1])


def test_too_few_returns_even_for_the_cone_are_refused(clustered):
    with pytest.raises(DataError, match="found 10 returns up to the first cutoff"):
        garch(clustered, 10)


@pytest.mark.parametrize("error", [ValueError("no"), np.linalg.LinAlgError("singular")])
def test_a_fit_that_fails_or_does_not_converge_is_none(error, returns):
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


def test_the_filters_of_warnings_are_left_as_they_were(clustered):
    before = list(warnings.filters)
    garch(clustered, 600)
    assert warnings.filters == before


def test_a_missing_arch_names_the_extra(monkeypatch, clustered):
    monkeypatch.setitem(sys.modules, "arch", None)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[garch\]'"):
        garch(clustered, 600)
