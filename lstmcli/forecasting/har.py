"""`har`: a linear fan, fitted in a fraction of a second; a network is kept only if it beats it.

Corsi (2009), "A Simple Approximate Long-Memory Model of Realized Volatility", explains volatility
by its averages over a week, a month and longer. Here the inputs are ratios of these averages to the
exponentially weighted volatility of the day, the mean over a symbol's whole past (the anchor) and
the direction of its latest moves:

    log scale[h] = log sigma + 0.5 log h + inputs @ coefficients[h]
    quantile[h, q] = scale[h] * (table[h, q] + sharpe * sqrt(h))

The coefficients are pooled over symbols, the table holds the quantiles of the moves divided by the
scale, and the location is one Sharpe ratio, shrunk to a prior because differences in past growth
between stocks are noise.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, repeat
from typing import NamedTuple

import numpy as np
import pandas as pd

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.config import PRIOR_SHARPE
from lstmcli.dataset.volatility import EWMA_START, LARGEST_LOG, SHORTER, ewma_sigma
from lstmcli.errors import DataError
from lstmcli.forecasting.forecast import Forecast, ScaledFan, empirical_quantiles

INPUTS = (
    *("5 rows", "22 rows", "66 rows", "250 rows", "anchor"),
    *("return", "loss", "5-row trend", "22-row trend", "range"),
)
_ARRAYS = ("center", "spread", "knots", "coefficients", "table")  # the first fields of a Har
FEWEST_ROWS = 60  # needed to forecast a series; fewer do not determine a volatility
ANCHOR_ROWS = 250  # fewer do not determine a long-run mean
_FURTHEST = 8.0
_LARGEST_RETURN = 6.0  # deviations
_LARGEST_MOVE = 20.0
_RIDGE, _RIDGE_ROWS = 0.005, 20.0  # _RIDGE_ROWS / rows is added: a fit on few rows needs more
_FURTHEST_FROM_MEAN = 5.0  # deviations of an input; training rows rarely lie further out
_NEWTON_STEPS = 25
_CLOSE_ENOUGH = 1e-9
_KNOTS = 12
_SMALLEST = 1e-12
_DAYS = 365.25
_EVERY = 3  # fit on every third row at most, because neighbouring rows are nearly the same
_MOST_ROWS = 60_000  # more rows take memory and hardly change the fit
PRIOR_ROWS = 20_000.0  # rows at which own data weigh as much as the starting coefficients


@dataclass(frozen=True)
class Har:
    """A fitted linear fan of P inputs, K knots, H steps and Q levels.

    center, spread : (P,) standardise the inputs. knots : (K,) steps; between them the coefficients
    are linear in log h. coefficients : (K, 1 + P), the intercept first.
    table : (H, Q) quantiles of move / scale around its mean. levels : (Q,) ascending.
    sharpe : mean of move / scale for one step. grows : whether `sharpe` comes from prices that are
    expected to grow; it then says nothing about other prices. years, rows : size of the training
    data, rows summed over all symbols. bars_per_year : of their calendar.
    """

    center: Floats
    spread: Floats
    knots: Ints
    coefficients: Floats
    table: Floats
    levels: tuple[float, ...]
    sharpe: float
    grows: bool
    years: float
    rows: int
    bars_per_year: float

    def scale(self, inputs: Floats, sigma: Floats) -> Floats:
        """Return the scale of the move to each step, (N, H), from the result of `har_inputs`.

        inputs : (N, P). sigma : (N,). The scale is 0 if the price has not moved yet.
        """
        steps = np.arange(1, len(self.table) + 1)
        logs = self.design(inputs) @ self.at_steps(len(steps)).T
        logs = np.clip(logs, -LARGEST_LOG, LARGEST_LOG)
        return np.asarray(np.nan_to_num(sigma)[:, None] * np.sqrt(steps) * np.exp(logs))

    def arrays(self) -> dict[str, Floats]:
        """Return all fields but the levels as float64 arrays; `har_of` is the inverse."""
        numbers = self.sharpe, self.grows, self.years, self.rows, self.bars_per_year
        found = {name: np.asarray(getattr(self, name), np.float64) for name in _ARRAYS}
        return found | {"numbers": np.array(numbers, dtype=np.float64)}

    def at_steps(self, horizon: int) -> Floats:
        """Return the coefficients of every step, (H, 1 + P), linear in log h between knots."""
        logs = np.log(np.arange(1, horizon + 1))
        knots = np.log(self.knots)
        return np.column_stack([np.interp(logs, knots, each) for each in self.coefficients.T])

    def at_levels(self, levels: Sequence[float]) -> "Har | None":
        """Return the fan restricted to some levels, or None if it lacks one of them."""
        if not set(levels) <= set(self.levels):
            return None
        columns = [self.levels.index(each) for each in levels]
        return replace(self, table=self.table[:, columns], levels=tuple(levels))

    def design(self, inputs: Floats) -> Floats:
        """Return a column of ones and the standardised inputs; unknown values become the mean."""
        standard = np.nan_to_num((inputs - self.center) / self.spread)
        standard = np.clip(standard, -_FURTHEST_FROM_MEAN, _FURTHEST_FROM_MEAN)
        return np.column_stack([np.ones(len(standard)), standard])

    def location(self, prior: float, prior_years: float) -> float:
        """Return the one-step Sharpe ratio, shrunk to the yearly `prior` worth `prior_years`."""
        known = 0.0 if self.grows and not prior else self.years
        each = prior / math.sqrt(self.bars_per_year)
        return (known * self.sharpe + prior_years * each) / max(known + prior_years, _SMALLEST)

    def forecast(self, scale: Floats, location: Floats) -> Forecast:
        """Return the fan of N windows at the first n steps, from their scale (N, n).

        location : (N,) for each window, from the method `location`.
        """
        root = np.sqrt(np.arange(1, scale.shape[1] + 1))
        values, kind = np.unique(location, return_inverse=True)
        table = self.table[: len(root)] + (values[:, None] * root)[..., None]  # (K, n, Q)
        fan = ScaledFan(scale, kind.astype(np.int32), np.ones(len(root)), table)
        return Forecast(scale * table[kind, :, self.levels.index(0.5)], fan, self.levels)


_WITHOUT_GROWTH = re.compile(r"=[XF]$|^\^(TNX|TYX|FVX|IRX|VIX)$|-(USD[TC]?|EUR|GBP|JPY|BTC|ETH)$")


def prior_sharpe(
    symbol: str, usual: float = PRIOR_SHARPE, by_symbol: Mapping[str, float] | None = None
) -> float:
    """Return the yearly Sharpe ratio expected of a symbol before its prices are seen.

    It is 0 for Yahoo's currencies, futures, rates and coins, which earn no premium for holding.
    """
    return (by_symbol or {}).get(symbol, 0.0 if _WITHOUT_GROWTH.search(symbol) else usual)


def bars_per_year(dates: Days) -> float:
    """Return the average number of the dates (T,) per year; at most one per day."""
    days = (dates[-1] - dates[0]) / np.timedelta64(1, "D") if len(dates) > 1 else 0.0
    return float(np.clip((len(dates) - 1) / max(days, 1.0) * _DAYS, 1.0, _DAYS))


def har_of(arrays: Mapping[str, Floats], levels: Sequence[float]) -> Har:
    """Restore a fit from its arrays, which have the shapes of `har_shapes`."""
    sharpe, grows, years, rows, yearly = arrays["numbers"].tolist()
    numbers = sharpe, bool(grows), years, int(rows), yearly
    center, spread, steps, coefficients, table = (arrays[name] for name in _ARRAYS)
    knots = steps.astype(np.int64)
    return Har(center, spread, knots, coefficients, table, tuple(levels), *numbers)


def har_shapes(horizon: int, levels: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of a fit, by name."""
    inputs, knots = len(INPUTS), len(_knots(horizon))
    return {
        "center": (inputs,),
        "spread": (inputs,),
        "knots": (knots,),
        "coefficients": (knots, 1 + inputs),
        "table": (horizon, levels),
        "numbers": (5,),
    }


def _knots(horizon: int) -> Ints:
    """Return the steps to fit, evenly spaced in the log of the step."""
    return np.unique(np.geomspace(1, horizon, _KNOTS).round().astype(np.int64))


def har_inputs(
    log_prices: Floats,
    log_ranges: Floats | None = None,
    rows: slice | Ints = slice(None),
) -> tuple[Floats, Floats]:
    """Return the inputs (N, P), NaN where unknown, and the volatility (N,) at N of the T rows.

    Row t uses rows up to t. The volatility is that of `ewma_sigma`, and NaN also if it is zero
    because the price stood still. log_ranges : (T,) log(high / low), NaN where unknown.
    rows : the N rows, all by default.
    """
    every = ewma_sigma(log_prices)
    every[~(every > 0.0)] = np.nan
    at = np.arange(len(log_prices))[rows]
    returns = np.diff(log_prices, prepend=np.nan)
    moves, squares = _Sums(returns), _Sums(returns**2)
    sigma, before = every[at], np.where(at > 0, every[at - 1], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [np.log(np.sqrt(squares.of(k, at) / k) / sigma) for k in (5, 22, 66, 250)]
        trends = [moves.of(k, at) / np.sqrt(squares.of(k, at)) for k in (5, 22)]
        latest = np.clip(returns[at] / before, -_LARGEST_RETURN, _LARGEST_RETURN)
        ranges = (
            np.log(_parkinson(log_ranges)[at] / sigma) if log_ranges is not None else sigma * np.nan
        )
    losses = np.minimum(latest, 0.0)
    inputs = np.column_stack([*ratios, _anchor(every)[at], latest, losses, *trends, ranges])
    inputs[~np.isfinite(inputs)] = np.nan
    return np.clip(inputs, -_FURTHEST, _FURTHEST), sigma


def fit_har(
    series: Sequence[Floats],
    *,
    horizon: int,
    levels: Sequence[float],
    bars_per_year: float,
    priors: Sequence[float] | None = None,
    ranges: Sequence[Floats | None] | None = None,
    start: Har | None = None,
) -> Har:
    """Fit on the log prices of S series, each (T,); no move ends after the last row of its series.

    priors : by series, from `prior_sharpe`. ranges : by series, as `log_ranges` of `har_inputs`.
    start : a fit of the same horizon and levels, towards which a fit on few rows is shrunk. Raises
    DataError if no price moves.
    """
    every = max(_EVERY, sum(map(len, series)) // _MOST_ROWS)
    pairs = zip(series, ranges or repeat(None), strict=False)
    known = [_known(each, span, every) for each, span in pairs]
    inputs = np.concatenate([each.inputs for each in known])
    if not len(inputs):
        raise DataError("cannot fit har", why="found no price that moves for 20 rows")
    if start is None:
        center, spread = _standard(inputs)
        knots = _knots(horizon)
        coefficients = np.zeros((len(knots), 1 + len(INPUTS)))
        table = np.zeros((horizon, len(levels)))
        start = Har(center, spread, knots, coefficients, table, tuple(levels), 0, False, 0, 0, 1)
    toward = PRIOR_ROWS if start.rows else 0.0
    grow = np.array([bool(each) for each in priors or [1.0] * len(series)])
    found = replace(
        start,
        grows=bool(grow.any()),
        years=max(map(len, series)) / bars_per_year,
        rows=sum(each.usable for each in known),
        bars_per_year=bars_per_year,
    )
    design = [found.design(each.inputs) for each in known]
    fitted = [
        _gamma_regression(*_sizes(known, design, h), start_at, toward / every)
        for h, start_at in zip(found.knots.tolist(), start.coefficients, strict=True)
    ]
    found = replace(found, coefficients=np.array(fitted))
    table, sharpe, moves = _residuals(known, found, grow if grow.any() else ~grow)
    share = moves * every / np.maximum(moves * every + toward, 1.0)
    return replace(found, table=share * table + (1 - share) * start.table, sharpe=sharpe)


class _Known(NamedTuple):
    """The rows of one series used to fit, with their inputs and volatility.

    prices : (T,) log prices. rows, sigma : (N,). inputs : (N, P). usable : number of rows with a
    volatility, before thinning.
    """

    prices: Floats
    rows: Ints
    inputs: Floats
    sigma: Floats
    usable: int


def _known(prices: Floats, ranges: Floats | None, every: int) -> _Known:
    inputs, sigma = har_inputs(prices, ranges)
    usable = np.flatnonzero(np.isfinite(sigma))
    rows = usable[::every]
    return _Known(prices, rows, inputs[rows], sigma[rows], len(usable))


def _sizes(known: Sequence[_Known], design: Sequence[Floats], h: int) -> tuple[Floats, Floats]:
    """Return the regressors (N, 1 + P) and realised volatility / sigma of the next h steps (N,)."""
    x, sizes = [], []
    for each, regressors in zip(known, design, strict=True):
        ends = each.rows < len(each.prices) - h
        rows = each.rows[ends]
        sums = np.concatenate([[0.0], np.cumsum(np.diff(each.prices) ** 2)])  # up to each row
        realised = np.sqrt((sums[rows + h] - sums[rows]).clip(min=0.0) / h)
        sizes.append(realised / each.sigma[ends])
        x.append(regressors[ends])
    return np.concatenate(x), np.minimum(np.concatenate(sizes), _LARGEST_MOVE)


def _gamma_regression(x: Floats, sizes: Floats, toward: Floats, prior: float) -> Floats:
    """Return b that minimises mean(sizes * exp(-x @ b) + x @ b) + penalty, by Newton's method.

    This is the quasi-likelihood of a positive value whose deviation is proportional to its mean
    (McCullagh & Nelder 1989, chapter 8). It is convex. prior : weight of `toward`, in rows.
    """
    if not len(x):  # no series is long enough for this step
        return toward
    penalty = np.full(len(toward), 2 * (_RIDGE + _RIDGE_ROWS / len(x)))
    penalty[0] = 0.0
    penalty += prior / len(x)
    b = toward.copy()
    if not prior:
        b[0] = np.log(max(float(sizes.mean()), _SMALLEST))

    def loss(b: Floats) -> tuple[float, Floats]:
        logs = x @ b
        ratio = sizes * np.exp(-logs)
        return float(np.mean(ratio + logs) + penalty @ (b - toward) ** 2 / 2), ratio

    now, ratio = loss(b)
    for _ in range(_NEWTON_STEPS):
        slope = (1.0 - ratio) @ x / len(x) + penalty * (b - toward)
        curve = (x * ratio[:, None]).T @ x / len(x) + np.diag(penalty)
        step = np.linalg.solve(curve + _SMALLEST * np.eye(len(b)), slope)
        then, ratio = loss(b - step)
        while then > now and np.abs(step).max() > _CLOSE_ENOUGH:
            step = step / 2
            then, ratio = loss(b - step)
        if not then < now - _CLOSE_ENOUGH:
            break
        b, now = b - step, then
    return b


def _residuals(known: Sequence[_Known], fitted: Har, grow: Mask) -> tuple[Floats, float, Floats]:
    """Return the table (H, Q), the one-step Sharpe ratio, and the number of moves by step (H, 1).

    Each symbol's mean residual at each step is subtracted, because the location models growth.
    grow : (S,) the series that determine the Sharpe ratio.
    """
    horizon, parts = len(fitted.table), []
    for each in known:
        ahead = each.rows[:, None] + np.arange(1, horizon + 1)  # (N, H)
        last = len(each.prices) - 1
        moves = each.prices[np.minimum(ahead, last)] - each.prices[each.rows, None]
        moves[ahead > last] = np.nan
        parts.append(moves / fitted.scale(each.inputs, each.sigma))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no series may be long enough for a step
        growth = np.concatenate([part[:, -1] for part in compress(parts, grow)]) / np.sqrt(horizon)
        sharpe = float(np.nan_to_num(np.nanmean(growth)))
        for part in parts:
            part -= np.nanmean(part, axis=0)
    steps = (np.concatenate([part[:, k] for part in parts]) for k in range(horizon))
    table = np.nan_to_num([empirical_quantiles(each, fitted.levels) for each in steps])
    counts = sum(np.isfinite(part).sum(axis=0) for part in parts)
    return table, sharpe, np.asarray(counts)[:, None]


class _Sums:
    """Trailing sums over T values, of which the first is unknown."""

    def __init__(self, values: Floats) -> None:
        self._sums = np.concatenate([[0.0], np.cumsum(values[1:])])

    def of(self, k: int, at: Ints) -> Floats:
        """Return the sum of the last k values up to each row (N,), NaN if there are fewer."""
        return np.where(at >= k, self._sums[at] - self._sums[np.maximum(at - k, 0)], np.nan)


def _standard(inputs: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation of the known values of each input, (P,) each; 0 and 1 if none."""
    known = np.isfinite(inputs)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, inputs, 0.0).sum(axis=0) / count
    squares = np.where(known, (inputs - center) ** 2, 0.0).sum(axis=0) / count
    return center, np.where(squares > _SMALLEST, np.sqrt(squares), 1.0)


def _parkinson(log_ranges: Floats) -> Floats:
    """Return the exponentially weighted volatility of the known daily ranges: (T,).

    Parkinson (1980): the mean square of log(high / low), divided by 4 log 2.
    """
    squares = pd.Series(log_ranges**2 / (4.0 * np.log(2.0)))
    means = squares.ewm(alpha=1.0 - SHORTER, min_periods=EWMA_START).mean()
    return np.asarray(np.sqrt(means.to_numpy(np.float64)))


def _anchor(sigma: Floats) -> Floats:
    """Return the mean log volatility of all rows up to each row, minus that of the row: (T,)."""
    logs = np.log(sigma)
    known = np.isfinite(logs)
    mean = np.cumsum(np.where(known, logs, 0.0)) / np.maximum(np.cumsum(known), 1)
    mean[:ANCHOR_ROWS] = np.nan
    return np.asarray(mean - logs)
