"""Up or down: how often the sign of the move was right, against the best constant answer.

A move of exactly zero is unchanged: neither up nor down, left out of every rate and test here, and
counted apart. A forecast of exactly zero makes no call, and misses where the price moves; a model
without calls has no accuracy. `movement` asks whether forecasts move, or copy the last price.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstmcli.arrays import Floats, Mask
from lstmcli.evaluation import significance
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import Codes, Pool, by_group, chunks, float_or_none
from lstmcli.forecasting.forecast import Forecast


@dataclass(frozen=True)
class TwoWay:
    """Direction accuracy of the move up to one step.

    accuracy, balanced_accuracy : over all windows, pooled; None where undefined (`why`).
    always, always_accuracy : the best constant answer over these cutoffs, and how often it holds.
    up_actual, up_predicted : share of rises, and of calls of a rise.
    n_windows : symbols times cutoffs after which the price moved. n_unchanged : after which it did
        not; they are no part of any other figure. n_independent : cutoff dates that do not overlap,
        of the windows that are evidence.
    independent_accuracy, interval, always_independent : on those alone, with the exact interval.
    test : whether calls and outcomes go together, on those alone.
    """

    accuracy: float | None
    balanced_accuracy: float | None
    always: Literal["up", "down"] | None
    always_accuracy: float | None
    up_actual: float | None
    up_predicted: float | None
    n_windows: int
    n_unchanged: int
    n_independent: int
    independent_accuracy: float | None
    always_independent: float | None
    interval: significance.Interval
    test: significance.SignificanceTest
    why: str | None = None


def direction_hits(predicted: Floats, actual: Floats) -> Floats:
    """Return 1 where the direction of a move was called, 0 where it was not, and NaN for no move.

    predicted, actual : moves of one shape, log or simple. There is no move where the price is
    unchanged, or where `actual` is NaN since it has not happened.
    """
    hit = np.sign(predicted) == np.sign(actual)
    return np.where(np.isnan(actual) | (actual == 0.0), np.nan, hit)


def two_way(predicted: Floats, actual: Floats, pool: Pool, proves: Mask | None = None) -> TwoWay:
    """Score the signs of predicted against actual moves.

    predicted, actual : (N,) log moves, NaN in `actual` where it has not happened; the pool is of
        the same windows. proves : (N,) which of them are evidence, all unless given.
    """
    n_unchanged = int(np.count_nonzero(actual == 0.0))
    moved = ~np.isnan(actual) & (actual != 0.0)
    pool = pool.keep(moved)
    up, rises, falls = (each[moved] for each in (actual > 0.0, predicted > 0.0, predicted < 0.0))
    del predicted, actual  # frees memory
    hit = np.where(up, rises, falls)
    why = _no_call(hit.size, bool((rises | falls).any()), n_unchanged)
    chosen = np.ones(hit.size, dtype=np.bool_) if proves is None else proves[moved]
    evidence = pool.keep(chosen)
    apart = evidence.keep(evidence.apart)
    chosen[chosen] = evidence.apart
    n_independent = apart.n_independent
    share = float_or_none(apart.mean(hit[chosen]))
    interval = (
        significance.Interval(None, None, 0.95, n_independent, why)
        if why is not None or share is None
        else significance.clopper_pearson(share * n_independent, n_independent)
    )
    up_actual = float_or_none(pool.mean(up))
    constant, at_best = _best_constant(up_actual)
    return TwoWay(
        accuracy=None if why else float_or_none(pool.mean(hit)),
        balanced_accuracy=None if why else _balanced(hit, up, pool),
        always=constant,
        always_accuracy=at_best,
        up_actual=up_actual,
        up_predicted=float_or_none(pool.mean(rises)),
        n_windows=hit.size,
        n_unchanged=n_unchanged,
        n_independent=n_independent,
        independent_accuracy=None if why else share,
        always_independent=_best_constant(float_or_none(apart.mean(up[chosen])))[1],
        interval=interval,
        test=significance.direction_test(rises[chosen], up[chosen], apart),
        why=why,
    )


def probability_below(quantiles: Floats, levels: tuple[float, ...], value: Floats) -> Floats:
    """Return the probability of a move below a value; linear between quantiles.

    Beyond the outermost quantiles it stays at the outermost level, so that a fan of 0.025 to 0.975
    never claims more than 97.5 %.

    quantiles : (N, Q), ascending along Q. value : (N,). Returns (N,).
    """
    at = np.array(levels)
    right = np.clip((quantiles <= value[:, None]).sum(axis=1), 1, at.size - 1)
    rows = np.arange(value.size)
    low, high = quantiles[rows, right - 1], quantiles[rows, right]
    gap = high - low
    fraction = (value >= high).astype(np.float64)  # holds where two quantiles coincide
    np.divide(value - low, gap, out=fraction, where=gap > 0.0)
    levels_low, levels_high = at[right - 1], at[right]
    return np.asarray(levels_low + np.clip(fraction, 0.0, 1.0) * (levels_high - levels_low))


def _no_call(n_moved: int, calls: bool, n_unchanged: int) -> str | None:
    if not n_moved and n_unchanged:
        return "no price changed"
    if not n_moved:
        return "no window has its outcome yet"
    if not calls:
        return "it predicts no move, so it makes no call"
    return None


def most_common(actual: Floats) -> Literal["up", "down"]:
    """Return the constant answer that is right most often, up of equals: (N,) log moves.

    That of `TwoWay` is best as a mean over dates, which differs where calendars do.
    """
    return "up" if np.count_nonzero(actual > 0.0) >= np.count_nonzero(actual < 0.0) else "down"


def _best_constant(up: float | None) -> tuple[Literal["up", "down"] | None, float | None]:
    if up is None:
        return None, None
    return ("up", up) if up >= 0.5 else ("down", 1.0 - up)


def _balanced(hit: Mask, up: Mask, pool: Pool) -> float | None:
    if up.all() or not up.any():
        return None
    shares = [pool.mean(hit & kind) / pool.mean(kind) for kind in (up, ~up)]
    return sum(shares) / 2.0


BINS = 10


@dataclass(frozen=True)
class ChanceBin:
    """Probabilities within one tenth: their mean, the share that rose, the number of windows."""

    mean: float | None
    rose: float | None
    n_windows: int


@dataclass(frozen=True)
class Chances:
    """Scores of the probabilities of a rise at one step.

    mean : of the chances. base_rate : share of rises in training rows; None where the model does
    not know it. rose : the share that rose.
    brier : mean of (chance - rise)^2, Brier (1950), without a factor 2. brier_base : of the base
    rate. skill : 1 - brier / brier_base.
    reliability : from chances below 10 % to those of 90 % and more. All pooled but the bins.
    """

    step: int
    mean: float
    base_rate: float | None
    rose: float
    brier: float
    brier_base: float | None
    skill: float | None
    n_windows: int
    reliability: tuple[ChanceBin, ...]


def chances(
    forecast: Forecast, step: int, actual: Floats, pool: Pool, base_rate: float | None
) -> Chances | None:
    """Score the probabilities of a rise; None for a point forecast or before any outcome.

    actual : (N,) log moves at that step, NaN where they have not happened; the pool is of the same
        windows.
    """
    moved = ~np.isnan(actual) & (actual != 0.0)
    if forecast.quantiles is None or not moved.any():
        return None
    rows = np.flatnonzero(moved).astype(np.int32)
    chance = np.empty(len(rows))
    for some in chunks(len(rows)):
        fan = forecast.quantiles[rows[some], forecast.column(step), :]
        chance[some] = 1.0 - probability_below(fan, forecast.levels, np.zeros(len(fan)))
    rose, pool = (actual[moved] > 0.0).astype(np.float64), pool.keep(moved)
    brier = pool.mean((chance - rose) ** 2)
    base = None if base_rate is None else pool.mean((base_rate - rose) ** 2)
    return Chances(
        step=step,
        mean=pool.mean(chance),
        base_rate=base_rate,
        rose=pool.mean(rose),
        brier=brier,
        brier_base=base,
        skill=skill(brier, base),
        n_windows=pool.size,
        reliability=_reliability(chance, rose),
    )


def rise_counts(log_prices: Floats, horizon: int) -> Floats:
    """Count the rises, and all moves but those of zero, of every step in a history: (2, H)."""
    found = np.zeros((2, horizon))
    for step in range(1, min(horizon, len(log_prices) - 1) + 1):
        moves = log_prices[step:] - log_prices[:-step]
        found[:, step - 1] = np.count_nonzero(moves > 0.0), np.count_nonzero(moves != 0.0)
    return found


def _reliability(chance: Floats, rose: Floats) -> tuple[ChanceBin, ...]:
    # 1 - 0.9 is a little less than a tenth, and a chance of 10 %.
    tenth = np.minimum((chance * BINS + 1e-9).astype(np.int64), BINS - 1)
    count = np.bincount(tenth, minlength=BINS)
    means, shares = (
        np.divide(np.bincount(tenth, each, BINS), count, out=np.full(BINS, np.nan), where=count > 0)
        for each in (chance, rose)
    )
    return tuple(
        ChanceBin(float_or_none(mean), float_or_none(share), int(n))
        for mean, share, n in zip(means, shares, count, strict=True)
    )


FLAT_LINE = 0.05
_CHANCE = 1.645  # the standard normal's 95 % quantile


@dataclass(frozen=True)
class Movement:
    """Predicted moves of all steps compared with the actual ones.

    size : root mean square predicted move over root mean square actual move.
    spread : the same of the deviations from each symbol's mean at each step; near 0 for one answer
        every time.
    with_last, with_next : correlation of the forecast log price with the last and with the actual
        one, within symbols and steps.
    of_moves : correlation of the predicted with the actual moves, within symbols and steps.
    flat_line : size below 5 %, nearly the last price.
    copy : closer to the last price than to the next, as nearly every forecast of prices is, and
        `of_moves` is undefined or not significant (below 1.645 / sqrt of independent windows).
    Each number None where it is undefined.
    """

    size: float | None
    spread: float | None
    with_last: float | None
    with_next: float | None
    of_moves: float | None
    flat_line: bool
    copy: bool


def movement(
    predicted: Floats, actual: Floats, last_close: Floats, symbol: Codes, n_independent: int
) -> Movement:
    """Compare predicted with actual log moves, (N, H) each, NaN where they have not happened.

    last_close : (N,). symbol : (N,) numbers of the symbols.
    """
    price, sums, scaled, count = np.log(last_close), np.zeros((7, 7)), np.zeros((2, 2)), 0
    count_symbols = int(symbol.max(initial=-1)) + 1
    for step in range(actual.shape[1]):  # one after the other, so that memory stays flat
        known = np.flatnonzero(~np.isnan(actual[:, step])).astype(np.int32)
        own = symbol[known]
        means = [
            by_group(each, own, count_symbols)
            for each in (predicted[known, step], actual[known, step], price[known])
        ]
        products = np.zeros((7, 7))
        for some in chunks(known.size):
            rows = known[some]
            forecast, true = predicted[rows, step], actual[rows, step]
            moves, truths, last = (
                each - mean[own[some]]
                for each, mean in zip((forecast, true, price[rows]), means, strict=True)
            )
            values = np.array([forecast, true, moves, truths, last, last + moves, last + truths])
            products += np.einsum("in,jn->ij", values, values)
        sums, count = sums + products, count + known.size
        if products[1, 1]:
            # Steps move ever further: each is divided by its own spread, so that all weigh alike.
            scaled += products[2:4, 2:4] / (products[1, 1] / known.size)
    square, of_scaled = sums / max(count, 1), scaled / max(count, 1)
    rms = np.sqrt(square.diagonal())
    size = _quotient(rms[0], rms[1])
    with_last = _quotient(square[5, 4], rms[5] * rms[4])
    with_next = _quotient(square[5, 6], rms[5] * rms[6])
    of_moves = _quotient(of_scaled[0, 1], math.sqrt(of_scaled[0, 0] * of_scaled[1, 1]))
    closer = with_last is not None and with_next is not None and with_last > with_next
    return Movement(
        size=size,
        spread=_quotient(rms[2], rms[3]),
        with_last=with_last,
        with_next=with_next,
        of_moves=of_moves,
        flat_line=size is not None and size < FLAT_LINE,
        copy=closer and (of_moves or 0.0) * math.sqrt(n_independent) < _CHANCE,
    )


def _quotient(above: float, below: float) -> float | None:
    return float(above / below) if below > 1e-12 else None
