"""The fan of a GJR-GARCH(1,1)-t, the volatility model that econometrics would reach for first.

Glosten, Jagannathan & Runkle (1993): falls raise the volatility more than rises. It is re-fitted at
every cutoff on the returns just before it, through the package `arch` (extra `garch`), and the fan
is simulated. A cutoff where the fit fails gets the cone of `ewma_cone`, and is counted.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import UsageError
from lstmcli.forecasting.baselines import ewma_cone
from lstmcli.forecasting.forecast import Forecast

Floats = NDArray[np.float64]

MIN_RETURNS = 100  # fewer cannot hold five parameters


@dataclass(frozen=True)
class GarchForecast(Forecast):
    """A forecast, and at how many of its cutoffs the fit failed and the EWMA cone stands in."""

    fallbacks: int = 0


@dataclass(frozen=True)
class GjrState:
    """What a fit leaves behind: the parameters, and where the recursion stands at the cutoff.

    variance[t + 1] = omega + (alpha + gamma * (r[t] < 0)) * r[t]^2 + beta * variance[t], and
    r[t] / sqrt(variance[t]) is Student's t with `nu` degrees of freedom, scaled to variance 1.

    next_variance : that of the first step after the cutoff.
    """

    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    next_variance: float


def gjr_garch(
    log_prices: Floats,
    cutoffs: NDArray[np.int64],
    horizon: int,
    *,
    levels: Sequence[float],
    rows: int = 1000,
    paths: int = 1000,
    seed: int = 0,
) -> GarchForecast:
    """Empirical quantiles of simulated cumulative log returns, with no drift.

    log_prices : (T,). cutoffs : (N,) row numbers; the forecast from a cutoff uses the `rows`
    returns up to it, none after, and random numbers of its own that depend on `seed` and the
    cutoff's row number alone; a cone that stands in uses all rows up to it. About 20 ms a cutoff.
    Raises UsageError where `arch` is not installed, DataError where a cutoff has fewer than 20
    returns up to it.
    """
    arch_model = _arch_model()
    wanted = np.array([0.5, *levels])
    fan = np.empty((len(cutoffs), horizon, wanted.size))  # (N, H, 1 + Q)
    fallbacks = 0
    for i, cutoff in enumerate(np.asarray(cutoffs).tolist()):
        known = log_prices[: cutoff + 1]
        returns = np.diff(known[-(rows + 1) :])
        # Unit variance: the optimiser wants returns of about one percent, whatever the series.
        scale = float(returns.std()) if returns.size else 0.0
        state = fit_gjr(arch_model, returns / scale) if _worth_fitting(returns, scale) else None
        if state is not None:
            draws = _draw(state.nu, (paths, horizon), np.random.default_rng([seed, cutoff]))
            moves = scale * np.cumsum(simulate_gjr(state, draws), axis=1)
            fan[i] = np.quantile(moves, wanted, axis=0).T
        if state is None or not np.isfinite(fan[i]).all():
            cone = ewma_cone(known, np.array([cutoff]), horizon, levels=wanted.tolist())
            assert cone.quantiles is not None
            fan[i] = cone.quantiles[0]
            fallbacks += 1
    return GarchForecast(
        fan[:, :, 0].copy(), fan[:, :, 1:].copy(), tuple(levels), fallbacks=fallbacks
    )


def fit_gjr(arch_model: Any, returns: Floats) -> GjrState | None:
    """Fit by maximum likelihood on returns (R,) of about unit variance; None where that failed.

    arch_model : the function of that name of the package `arch`.
    """
    model = arch_model(returns, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # arch also changes the filters while it fits; its warnings are the None of this function.
        warnings.simplefilter("ignore")
        try:
            fit = model.fit(disp="off", show_warning=False)
        except (ValueError, ArithmeticError):
            return None
    omega, alpha, gamma, beta, nu = (float(value) for value in fit.params)
    square, variance = float(returns[-1]) ** 2, float(fit.conditional_volatility[-1]) ** 2
    arch = alpha + gamma * (returns[-1] < 0.0)
    state = GjrState(omega, alpha, gamma, beta, nu, omega + arch * square + beta * variance)
    usable = np.isfinite([*fit.params, state.next_variance]).all() and state.next_variance > 0.0
    return state if usable and fit.convergence_flag == 0 else None


def simulate_gjr(state: GjrState, draws: Floats) -> Floats:
    """Return the returns (P, H) that standardised draws (P, H) make from the cutoff on."""
    returns = np.empty_like(draws)
    variance = np.full(draws.shape[0], state.next_variance)
    for step in range(draws.shape[1]):
        moved = np.sqrt(variance) * draws[:, step]
        weight = state.alpha + state.gamma * (moved < 0.0)
        variance = state.omega + weight * moved**2 + state.beta * variance
        returns[:, step] = moved
    return returns


def _draw(nu: float, shape: tuple[int, int], generator: np.random.Generator) -> Floats:
    # A Student's t has variance nu / (nu - 2).
    return generator.standard_t(nu, shape) * float(np.sqrt((nu - 2.0) / nu))


def _worth_fitting(returns: Floats, scale: float) -> bool:
    return returns.size >= MIN_RETURNS and np.isfinite(scale) and scale > 1e-12


def _arch_model() -> Any:
    try:
        from arch import arch_model
    except ImportError as error:
        raise UsageError(
            "The package arch is not installed",
            where="gjr_garch",
            next_step="Install it: pip install 'lstmcli[garch]'.",
        ) from error
    return arch_model
