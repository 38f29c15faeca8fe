"""Baselines: the forecasts that any model must beat, in the same form as a network's.

Each function takes one series of log prices and the row numbers of its cutoffs. `median[i]` uses
rows up to `cutoffs[i]` and none after; baselines with `fit_rows` are fitted on only the first
`fit_rows` rows, which must end at or before every cutoff. Each docstring gives the fan's centre.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from lstmcli.arrays import Floats, Ints
from lstmcli.dataset.volatility import EWMA_START, check_returns, ewma_sigma, trailing_sigma
from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting.forecast import Forecast, ScaledFan, empirical_quantiles

ALWAYS_UP_MOVE = 1e-6
CONE_SESSIONS = 250
MIN_CLIMATOLOGY_MOVES = 50  # the outermost default levels, 2.5 and 97.5 %, need 40
MIN_RETURNS = 100  # for a GARCH fit; fewer cannot determine five parameters


def naive(log_prices: Floats, cutoffs: Ints, horizon: int) -> Forecast:
    """Repeat the last price."""
    del log_prices
    return Forecast(np.broadcast_to(0.0, (len(cutoffs), horizon)))


def drift(log_prices: Floats, cutoffs: Ints, horizon: int, *, fit_rows: int) -> Forecast:
    """Grow the last price at every step by the mean log return of the first `fit_rows` rows.

    `fit_rows` is the number of rows before the test span; the drift stays fixed until a refit.
    Raises DataError if there are fewer than two such rows, or if they extend beyond a cutoff.
    """
    _check_fit(cutoffs, fit_rows, needed=2)
    daily = (log_prices[fit_rows - 1] - log_prices[0]) / (fit_rows - 1)
    return Forecast(np.tile(daily * _steps(horizon), (len(cutoffs), 1)))


def always_up(log_prices: Floats, cutoffs: Ints, horizon: int) -> Forecast:
    """Predict a constant rise of 1e-6: the call is always "up", the price is naive.

    The errors equal those of the naive forecast to within 1e-6 of the last price.
    """
    del log_prices
    return Forecast(np.broadcast_to(ALWAYS_UP_MOVE, (len(cutoffs), horizon)))


def seasonal_naive(log_prices: Floats, cutoffs: Ints, horizon: int, *, period: int) -> Forecast:
    """Repeat the price of one season ago: row cutoff + h - period * ceil(h / period).

    Hyndman & Athanasopoulos (2021), section 5.2. Raises DataError if there is less than one season
    of rows up to a cutoff.
    """
    first = int(np.min(cutoffs, initial=period)) + 1
    if first < period:
        raise DataError(
            "No season to repeat",
            why=f"found {first} rows up to the first cutoff, expected at least {period}",
            next_step="Start the evaluation later.",
        )
    steps = np.arange(1, horizon + 1)
    rows = np.asarray(cutoffs)[:, None] + steps - period * -(-steps // period)  # (N, H)
    return Forecast(log_prices[rows] - log_prices[cutoffs][:, None])


def seasonal_drift(
    log_prices: Floats, cutoffs: Ints, horizon: int, *, period: int, fit_rows: int
) -> Forecast:
    """Repeat the price of one season ago, times the mean growth from season to season.

    The growth is the mean log ratio of the first `fit_rows` rows to the rows one season earlier.
    Raises DataError if these rows cover less than two seasons, or extend beyond a cutoff.
    """
    _check_fit(cutoffs, fit_rows, needed=2 * period)
    known = log_prices[:fit_rows]
    growth = float(np.mean(known[period:] - known[:-period]))
    seasons = -(-np.arange(1, horizon + 1) // period)
    return Forecast(
        seasonal_naive(log_prices, cutoffs, horizon, period=period).median + growth * seasons
    )


def gaussian_cone(
    log_prices: Floats,
    cutoffs: Ints,
    horizon: int,
    *,
    levels: Sequence[float],
    sessions: int = CONE_SESSIONS,
) -> Forecast:
    """Return a normal fan around no change: trailing standard deviation times sqrt(h).

    The deviation is that of the last `sessions` one-step log returns, or of all returns if there
    are fewer. Raises DataError if there are fewer than 20 returns up to a cutoff.
    """
    return _cone(trailing_sigma(log_prices, cutoffs, sessions), horizon, levels)


def ewma_cone(
    log_prices: Floats, cutoffs: Ints, horizon: int, *, levels: Sequence[float]
) -> Forecast:
    """Return a normal fan around no change: RiskMetrics volatility (lambda 0.94) times sqrt(h).

    Raises DataError if there are fewer than 20 returns up to a cutoff.
    """
    return _cone(_sigma_at(log_prices, cutoffs), horizon, levels)


def fewest_climatology_rows(horizon: int) -> int:
    """Return the minimum number of rows to fit `scaled_climatology` on."""
    return EWMA_START + horizon + MIN_CLIMATOLOGY_MOVES


def climatology_fits(log_prices: Floats, horizon: int, *, fit_rows: int) -> bool:
    """Return whether the first `fit_rows` rows hold enough moves for `scaled_climatology`."""
    if fit_rows < fewest_climatology_rows(horizon):
        return False
    sigma = ewma_sigma(log_prices[:fit_rows])[: fit_rows - horizon]
    return int(np.count_nonzero(sigma > 0.0)) >= MIN_CLIMATOLOGY_MOVES


def scaled_climatology(
    log_prices: Floats,
    cutoffs: Ints,
    horizon: int,
    *,
    levels: Sequence[float],
    fit_rows: int,
    steps: Sequence[int] | None = None,
) -> Forecast:
    """Repeat the distribution of past moves, scaled to the current volatility.

    For each step h, the fan is the empirical quantiles of (log price at t + h - log price at t) /
    (EWMA sigma at t * sqrt(h)) over the rows t with t + h < fit_rows, times sigma at the cutoff
    and sqrt(h). It keeps the drift, skew and fat tails of the series, and is the hardest of these
    fans to beat. `steps` selects steps from 1..horizon, all by default. Raises DataError if
    `fit_rows` leaves fewer than 50 moves at some step, or extends beyond a cutoff.
    """
    _check_fit(cutoffs, fit_rows, needed=fewest_climatology_rows(horizon))
    steps = tuple(range(1, horizon + 1) if steps is None else steps)
    scaled = climatology(log_prices[:fit_rows], steps, levels=(0.5, *levels))
    today, root = _sigma_at(log_prices, cutoffs), np.sqrt(steps)  # (N,) and (H,)
    fan = ScaledFan(today, np.zeros(len(today), np.int32), root, scaled[None, :, 1:])
    return Forecast(today[:, None] * root * scaled[:, 0], fan, tuple(levels), steps=steps)


def climatology(log_prices: Floats, steps: Sequence[int], *, levels: Sequence[float]) -> Floats:
    """Return the empirical quantiles of past moves as multiples of EWMA sigma * sqrt(h), (H, Q).

    steps : the H steps. Raises DataError if there are fewer than 50 usable moves at some step.
    """
    sigma = ewma_sigma(log_prices)
    scaled = np.empty((len(steps), len(levels)))
    for row, h in enumerate(steps):
        moves, scale = log_prices[h:] - log_prices[:-h], sigma[:-h]
        usable = scale > 0.0  # drops the rows before the volatility starts, and constant prices
        if np.count_nonzero(usable) < MIN_CLIMATOLOGY_MOVES:
            raise DataError(
                "Too few price changes for a climatology",
                why=f"found {np.count_nonzero(usable)} usable moves of {h} steps, "
                f"expected at least {MIN_CLIMATOLOGY_MOVES}",
            )
        scaled[row] = empirical_quantiles(moves[usable] / (scale[usable] * np.sqrt(h)), levels)
    return scaled


def gaussian_quantiles(levels: Sequence[float]) -> Floats:
    """Return the quantiles of the standard normal distribution, (Q,)."""
    return np.array([NormalDist().inv_cdf(level) for level in levels])


def _cone(sigma: Floats, horizon: int, levels: Sequence[float]) -> Forecast:
    # sigma (N,) -> quantiles (N, H, Q)
    table = np.broadcast_to(gaussian_quantiles(levels), (1, horizon, len(levels)))
    fan = ScaledFan(sigma, np.zeros(len(sigma), np.int32), np.sqrt(_steps(horizon)), table)
    return Forecast(np.broadcast_to(0.0, (len(sigma), horizon)), fan, tuple(levels))


def _sigma_at(log_prices: Floats, cutoffs: Ints) -> Floats:
    check_returns(cutoffs)
    return np.asarray(ewma_sigma(log_prices)[cutoffs])


def _check_fit(cutoffs: Ints, fit_rows: int, *, needed: int) -> None:
    if fit_rows < needed:
        raise DataError(
            "Too few rows before the test span for a baseline",
            why=f"found {fit_rows}, expected at least {needed}",
        )
    if len(cutoffs) and fit_rows - 1 > int(np.min(cutoffs)):
        raise DataError(
            "A baseline would use rows after a cutoff",
            why=f"it is fitted on the rows before {fit_rows}, but the first cutoff is row "
            f"{int(np.min(cutoffs))}",
            next_step="Fit on the rows up to the first cutoff, or start the evaluation later.",
        )


def _steps(horizon: int) -> Floats:
    return np.arange(1, horizon + 1, dtype=np.float64)


@dataclass(frozen=True)
class GjrState:
    """Fitted GJR-GARCH parameters, and the state of the variance recursion at the cutoff.

    variance[t + 1] = omega + (alpha + gamma * (r[t] < 0)) * r[t]^2 + beta * variance[t], and
    r[t] / sqrt(variance[t]) is Student's t with `nu` degrees of freedom, scaled to variance 1.

    next_variance : the variance of the first step after the cutoff.
    """

    omega: float
    alpha: float
    gamma: float
    beta: float
    nu: float
    next_variance: float


def gjr_garch(
    log_prices: Floats,
    cutoffs: Ints,
    horizon: int,
    *,
    levels: Sequence[float],
    rows: int = 1000,
    paths: int = 1000,
    seed: int = 0,
) -> Forecast:
    """Return empirical quantiles of simulated cumulative log returns, without drift.

    log_prices : (T,). cutoffs : (N,) row numbers. The forecast from a cutoff uses the last `rows`
    returns up to it and none after, and random numbers that depend only on `seed` and the cutoff's
    row number. If the fit fails, `ewma_cone` over all rows up to the cutoff replaces it. Takes
    about 20 ms per cutoff. Raises UsageError if `arch` is not installed, DataError if there are
    fewer than 20 returns up to a cutoff.
    """
    arch_model = _arch_model()
    wanted = np.array([0.5, *levels])
    fan = np.empty((len(cutoffs), horizon, wanted.size))  # (N, H, 1 + Q)
    replaced = 0
    for i, cutoff in enumerate(np.asarray(cutoffs).tolist()):
        known = log_prices[: cutoff + 1]
        returns = np.diff(known[-(rows + 1) :])
        # Scale to unit variance, because the optimiser of arch expects returns of about 1.
        scale = float(returns.std()) if returns.size else 0.0
        fits = returns.size >= MIN_RETURNS and np.isfinite(scale) and scale > 1e-12
        state = fit_gjr(arch_model, returns / scale) if fits else None
        if state is not None:
            draws = _draw(state.nu, (paths, horizon), np.random.default_rng([seed, cutoff]))
            moves = scale * np.cumsum(simulate_gjr(state, draws), axis=1)
            fan[i] = np.quantile(moves, wanted, axis=0).T
        if state is None or not np.isfinite(fan[i]).all():
            cone = ewma_cone(known, np.array([cutoff]), horizon, levels=wanted.tolist())
            assert cone.quantiles is not None
            fan[i] = cone.quantiles[0]
            replaced += 1
    return Forecast(fan[:, :, 0].copy(), fan[:, :, 1:].copy(), tuple(levels), replaced=replaced)


def fit_gjr(arch_model: Any, returns: Floats) -> GjrState | None:
    """Fit by maximum likelihood on returns (R,) of about unit variance; None if the fit fails.

    arch_model : the function `arch.arch_model`.
    """
    model = arch_model(returns, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # arch changes the warning filters while it fits; this function returns None instead.
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
    """Simulate returns (P, H) after the cutoff from standardised draws (P, H)."""
    returns = np.empty_like(draws)
    variance = np.full(draws.shape[0], state.next_variance)
    for step in range(draws.shape[1]):
        moved = np.sqrt(variance) * draws[:, step]
        weight = state.alpha + state.gamma * (moved < 0.0)
        variance = state.omega + weight * moved**2 + state.beta * variance
        returns[:, step] = moved
    return returns


def _draw(nu: float, shape: tuple[int, int], generator: np.random.Generator) -> Floats:
    # Scale to variance 1: Student's t has variance nu / (nu - 2).
    return generator.standard_t(nu, shape) * float(np.sqrt((nu - 2.0) / nu))


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
