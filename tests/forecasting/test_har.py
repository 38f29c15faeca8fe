"""The linear fan: inputs against a slow twin, the fit against an optimizer, and no foresight."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from lstmcli.dataset.volatility import ewma_sigma
from lstmcli.errors import DataError
from lstmcli.forecasting import har
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.har import (
    Har,
    bars_per_year,
    fit_har,
    har_inputs,
    har_of,
    har_shapes,
    prior_sharpe,
)

Floats = NDArray[np.float64]

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
YEAR = 252.0


def garch(rows: int, seed: int) -> Floats:
    """Return log prices whose volatility is clustered, like that of stocks."""
    random = np.random.default_rng(seed)
    variance, moves = 1e-4, np.empty(rows)
    for row, draw in enumerate(random.standard_t(5, rows) * math.sqrt(3 / 5)):
        moves[row] = math.sqrt(variance) * draw
        variance = 2e-6 + 0.08 * moves[row] ** 2 + 0.90 * variance
    return np.asarray(np.cumsum(moves))


@pytest.fixture(scope="module")
def panel() -> list[Floats]:
    return [garch(3000, seed) for seed in range(6)]


@pytest.fixture(scope="module")
def fitted(panel: list[Floats]) -> Har:
    return fit_har(panel, horizon=20, levels=LEVELS, bars_per_year=YEAR)


def whole(fitted: Har, inputs: Floats, sigma: Floats, location: float) -> Forecast:
    return fitted.forecast(fitted.scale(inputs, sigma), np.full(len(sigma), location))


def slow_inputs(x: Floats, t: int) -> list[float]:
    """Return the inputs of one row as the module describes them, from the rows up to it."""
    sigma = ewma_sigma(x[: t + 1])
    moves = np.diff(x[: t + 1])
    ratios = [math.log(math.sqrt(np.mean(moves[-k:] ** 2)) / sigma[t]) for k in (5, 22, 66, 250)]
    anchor = float(np.mean(np.log(sigma[20 : t + 1]))) - math.log(sigma[t])
    latest = float(np.clip(moves[-1] / sigma[t - 1], -6, 6))
    trends = [float(moves[-k:].sum() / math.sqrt((moves[-k:] ** 2).sum())) for k in (5, 22)]
    return [*ratios, anchor, latest, min(latest, 0.0), *trends]


def test_inputs_agree_with_their_description() -> None:
    x = garch(700, 1)
    found, sigma = har_inputs(x)
    for t in (251, 400, 699):
        np.testing.assert_allclose(found[t, :9], slow_inputs(x, t), rtol=1e-7)
        assert math.isnan(found[t, 9])
        assert sigma[t] == ewma_sigma(x)[t]


def test_no_input_depends_on_a_later_row_or_on_the_unit_of_the_price() -> None:
    x = garch(600, 2)
    ranges = np.abs(np.random.default_rng(0).normal(0, 0.01, 600))
    inputs, sigma = har_inputs(x, ranges)
    changed, changed_ranges = x + 3.0, ranges.copy()
    changed[401:] += np.random.default_rng(1).normal(0, 1, 199)
    changed_ranges[401:] *= 5
    others, other_sigma = har_inputs(changed, changed_ranges)
    np.testing.assert_allclose(others[:401], inputs[:401], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other_sigma[:401], sigma[:401], rtol=1e-9)
    assert np.abs(others[401:] - inputs[401:]).max() > 0.1  # the change is seen where it may be
    for rows in (np.array([0, 4, 21, 300, 250, 599]), np.array([], int)):
        for some, every in zip(har_inputs(x, ranges, rows), (inputs, sigma), strict=True):
            np.testing.assert_array_equal(some, every[rows])


def test_the_range_is_the_parkinson_estimate() -> None:
    """Of a day whose high is twice the low of a constant range, divided by the volatility."""
    x = garch(300, 3)
    inputs, sigma = har_inputs(x, np.full(300, 0.02))
    expected = np.log(0.02 / math.sqrt(4 * math.log(2)) / sigma[100])
    assert inputs[100, 9] == pytest.approx(expected)


def test_the_fit_minimises_the_quasi_likelihood() -> None:
    random = np.random.default_rng(0)
    x = np.column_stack([np.ones(4000), random.normal(size=(4000, 3))])
    truth = np.array([0.2, 0.5, -0.3, 0.0])
    sizes = np.exp(x @ truth) * random.gamma(4.0, 0.25, 4000)
    found = har._gamma_regression(x, sizes, np.zeros(4), 0.0)

    def loss(b: Floats) -> float:
        logs = x @ b
        penalty = 0.005 + 20 / len(x)
        return float(np.mean(sizes * np.exp(-logs) + logs) + penalty * b[1:] @ b[1:])

    best = optimize.minimize(loss, np.zeros(4), tol=1e-12)
    np.testing.assert_allclose(found, best.x, atol=1e-5)
    np.testing.assert_allclose(found, truth, atol=0.05)


def test_the_scale_follows_future_volatility(panel: list[Floats], fitted: Har) -> None:
    """It explains the size of the next moves better than a constant multiple of sigma."""
    x = garch(3000, 99)
    inputs, sigma = har_inputs(x)
    rows = np.arange(300, 2900, 20)
    realised = np.array([np.sqrt(np.mean(np.diff(x[row : row + 21]) ** 2)) for row in rows])
    predicted = fitted.scale(inputs[rows], sigma[rows])[:, -1] / math.sqrt(20)
    error = np.std(np.log(realised / predicted))
    assert error < 0.9 * np.std(np.log(realised / sigma[rows]))


def test_bands_have_their_nominal_coverage(fitted: Har) -> None:
    inside = []
    for seed in range(50, 70):
        x = garch(1500, seed)
        inputs, sigma = har_inputs(x)
        rows = np.arange(300, 1480, 20)
        fan = np.asarray(whole(fitted, inputs[rows], sigma[rows], 0.0).quantiles)
        moves = x[rows[:, None] + np.arange(1, 21)] - x[rows, None]
        inside.append((fan[..., 1] <= moves) & (moves <= fan[..., 3]))
    assert np.mean(inside, axis=(0, 1))[[0, 4, 19]] == pytest.approx(0.8, abs=0.03)


def test_quantiles_never_cross_and_the_median_is_one_of_them(
    panel: list[Floats], fitted: Har
) -> None:
    inputs, sigma = har_inputs(panel[0])
    made = whole(fitted, inputs[300:], sigma[300:], 0.02)
    fan = np.asarray(made.quantiles)
    assert (np.diff(fan, axis=-1) >= 0).all()
    np.testing.assert_allclose(made.median, fan[..., 2])
    assert made.quantiles is not None
    part = made.quantiles[5:9, [0, 3], 1]  # of a fan that is kept as its factors
    np.testing.assert_allclose(part, fan[5:9][:, [0, 3]][..., 1])


def test_the_location_is_shrunk_towards_the_prior(fitted: Har) -> None:
    years, daily = fitted.years, 0.30 / math.sqrt(YEAR)
    expected = (years * fitted.sharpe + 20 * daily) / (years + 20)
    assert fitted.location(0.30, 20) == pytest.approx(expected)
    assert fitted.location(0.30, 0) == fitted.sharpe
    assert fitted.location(0.0, 20) == 0.0  # the growth of stocks says nothing of a currency


def test_currencies_do_not_affect_the_growth_of_stocks(panel: list[Floats]) -> None:
    grown = [panel[0] + 0.01 * np.arange(3000), *panel[1:]]
    options: dict[str, Any] = {"horizon": 20, "levels": LEVELS, "bars_per_year": YEAR}
    priors = [0.0, *[0.3] * 5]
    alike = fit_har(panel, priors=priors, **options)
    found = fit_har(grown, priors=priors, **options)
    assert found.sharpe == pytest.approx(alike.sharpe, abs=0.01)
    alone = fit_har(grown[:1], priors=[0.0], **options)
    assert 0 < alone.location(0.0, 20) < alone.sharpe


def test_priors_follow_the_spelling_of_the_symbol() -> None:
    names = ("AAPL", "^GSPC", "EURUSD=X", "ES=F", "^TNX", "BTC-USD", "BRK-B", "VIX")
    found = {name: prior_sharpe(name, 0.3, {"VIX": 0.1}) for name in names}
    assert found == {
        "AAPL": 0.3, "^GSPC": 0.3, "BRK-B": 0.3, "VIX": 0.1,
        "EURUSD=X": 0.0, "ES=F": 0.0, "^TNX": 0.0, "BTC-USD": 0.0,
    }  # fmt: skip


def test_bars_per_year_follow_from_the_dates() -> None:
    weekdays = np.busday_offset(np.datetime64("2000-01-03"), np.arange(2610))
    assert bars_per_year(weekdays) == pytest.approx(261, abs=0.5)
    days = np.datetime64("2000-01-03") + np.arange(1000)
    assert bars_per_year(days) == pytest.approx(365.25)
    months = np.arange("2000-01", "2010-01", dtype="datetime64[M]").astype("datetime64[D]")
    assert bars_per_year(months) == pytest.approx(12, abs=0.1)


def test_arrays_hold_all_of_a_fit(fitted: Har) -> None:
    arrays = fitted.arrays()
    assert {name: each.shape for name, each in arrays.items()} == har_shapes(20, len(LEVELS))
    again = har_of(arrays, LEVELS)
    assert again.location(0.3, 20) == fitted.location(0.3, 20)
    np.testing.assert_array_equal(again.at_steps(20), fitted.at_steps(20))


def test_growth_is_in_the_location_alone(panel: list[Floats], fitted: Har) -> None:
    grown = [x + 0.002 * np.arange(len(x)) for x in panel]
    found = fit_har(grown, horizon=20, levels=LEVELS, bars_per_year=YEAR)
    assert found.sharpe > fitted.sharpe + 0.1
    np.testing.assert_allclose(found.table, fitted.table, atol=0.25)


def test_a_month_of_equal_closes_has_no_volatility_and_leaves_the_fit_finite(
    panel: list[Floats],
) -> None:
    still = np.concatenate([np.full(40, panel[0][0]), panel[0]])
    found = fit_har([still, *panel[1:]], horizon=20, levels=LEVELS, bars_per_year=YEAR)
    inputs, sigma = har_inputs(still)
    assert np.isnan(sigma[:40]).all()
    assert np.isfinite(found.coefficients).all()
    assert np.isfinite(found.scale(inputs, sigma)).all()


def test_prices_that_never_move_are_refused() -> None:
    with pytest.raises(DataError, match="no price that moves"):
        fit_har([np.zeros(500)], horizon=5, levels=LEVELS, bars_per_year=YEAR)


def test_few_rows_stay_near_the_fit_they_start_from(panel: list[Floats], fitted: Har) -> None:
    short = fit_har([garch(60, 7)], horizon=20, levels=LEVELS, bars_per_year=YEAR, start=fitted)
    np.testing.assert_allclose(short.coefficients, fitted.coefficients, atol=0.02)
    np.testing.assert_allclose(short.table, fitted.table, atol=0.02)
    long = fit_har(panel, horizon=20, levels=LEVELS, bars_per_year=YEAR, start=fitted)
    np.testing.assert_allclose(long.coefficients, fitted.coefficients, atol=0.05)


def test_a_young_series_is_forecast_from_its_short_ratios(fitted: Har) -> None:
    inputs, sigma = har_inputs(garch(60, 8))
    assert np.isfinite(inputs[-1, [0, 1]]).all()
    assert np.isnan(inputs[-1, [2, 3, 4]]).all()
    made = whole(fitted, inputs[-1:], sigma[-1:], 0.0)
    assert (np.diff(np.asarray(made.quantiles), axis=-1) > 0).all()
