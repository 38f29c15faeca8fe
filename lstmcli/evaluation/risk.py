"""Chances of a close below a price, and the loss exceeded with 5 %, compared with past moves.

Both are scored: chances of large moves by Brier's score, losses by Kupiec's and Christoffersen's
tests. Beyond its outermost quantiles a fan only limits a chance. No tail is assumed: such a chance
equals that of the outermost quantile, and is marked.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.errors import UsageError
from lstmcli.evaluation import significance
from lstmcli.evaluation.direction import probability_below
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import Pool, chunks
from lstmcli.evaluation.significance import SignificanceTest
from lstmcli.forecasting.forecast import Forecast

LOSS = 0.05  # chance of a loss larger than that of `loss_moves`
BEYOND = (-0.1, 0.1)  # default changes whose chances are scored
_PRICE = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)(?: ?(%))?")


@dataclass(frozen=True)
class AskedPrice:
    """A requested price.

    text : "180" or "-10%". value : 180.0 or -0.1. relative : whether it is a change relative to
    the last close.
    """

    text: str
    value: float
    relative: bool

    def move(self, last_close: float) -> float:
        """Return the log move from the last close to the price."""
        return math.log1p(self.value) if self.relative else math.log(self.value / last_close)


@dataclass(frozen=True)
class Asked:
    """The requested prices and loss of one forecast, and the corresponding past moves.

    asked, prices, moves : (L,) requested prices: as given, in the currency, and as log moves from
        the last close.
    past_below : (L, H) share of past moves of each step that ended below; NaN without past moves.
    past_loss : (H,) log move that a share LOSS of the past moves fell short of; None if no loss is
        requested.
    n_past : (H,) number of past moves, which overlap.
    """

    asked: tuple[AskedPrice, ...]
    prices: Floats
    moves: Floats
    past_below: Floats
    past_loss: Floats | None
    n_past: Ints


def asked_prices(given: Iterable[str | float]) -> tuple[AskedPrice, ...]:
    """Parse prices, e.g. "180" or 180, and changes of the last close, e.g. "-10%"; drop duplicates.

    Raises UsageError for anything else, a price of 0, or a fall by 100 %.
    """
    return tuple(dict.fromkeys(map(_asked_price, given)))


def asked_changes(given: Iterable[str | float]) -> tuple[float, ...]:
    """Parse changes, e.g. "-10%"; raise UsageError for an absolute price."""
    found = asked_prices(given)
    for each in found:
        if not each.relative or each.value == 0.0:
            raise UsageError(
                "not a change",
                where=f"--price {each.text}",
                why="past windows start at different prices",
                next_step="Pass a change of the last close, e.g. --price=-10%.",
            )
    return tuple(each.value for each in found)


def _asked_price(given: str | float) -> AskedPrice:
    found = _PRICE.fullmatch(str(given).strip())
    relative = found is not None and found[2] is not None
    value = float(found[1]) if found else 0.0
    if value <= (-100.0 if relative else 0.0):
        raise UsageError(
            "not a price",
            where=f"--price {given}",
            why="expected a number above 0, e.g. 180, or a change of the last close, e.g. -10%",
            next_step="Omit the currency and thousands separators.",
        )
    if relative:
        return AskedPrice(f"{value:+g}%", value / 100.0, True)
    return AskedPrice(f"{value:.15g}", value, False)


def asked_of(
    log_prices: Floats,
    last_close: float,
    prices: Sequence[AskedPrice],
    *,
    horizon: int,
    loss: bool = False,
) -> Asked:
    """Return the requested prices and loss of one forecast of 1..horizon steps, with past moves.

    log_prices : (T,) rows that give the past moves. loss : whether the loss is requested.
    """
    moves = np.array([each.move(last_close) for each in prices])
    below, losses = np.full((len(moves), horizon), np.nan), np.full(horizon, np.nan)
    for step in range(1, min(horizon, len(log_prices) - 1) + 1):
        past = log_prices[step:] - log_prices[:-step]
        below[:, step - 1] = [np.mean(past < each) for each in moves]
        if loss:
            losses[step - 1] = np.quantile(past, LOSS)
    return Asked(
        asked=tuple(prices),
        prices=last_close * np.exp(moves),
        moves=moves,
        past_below=below,
        past_loss=losses if loss else None,
        n_past=np.maximum(len(log_prices) - np.arange(1, horizon + 1), 0),
    )


def chances_below(forecast: Forecast, moves: Floats) -> tuple[Floats, Mask]:
    """Return the chances of a move below each of L moves, (L, H), from a fan of one window.

    Chances are interpolated linearly between quantiles. The second array, (L, H), marks moves
    beyond the outermost quantiles, where the chance is at most the lowest level, or at least the
    highest.
    """
    assert forecast.quantiles is not None, "only a fan gives chances"
    fan = np.asarray(forecast.quantiles[0])
    chances = [probability_below(fan, forecast.levels, np.full(len(fan), each)) for each in moves]
    beyond = [(each < fan[:, 0]) | (each > fan[:, -1]) for each in moves]
    shape = len(moves), len(fan)
    return np.array(chances).reshape(shape), np.array(beyond, dtype=np.bool_).reshape(shape)


def loss_moves(forecast: Forecast) -> Floats:
    """Return the LOSS quantile of the log move at each step, from a fan of one window: (H,).

    All are NaN if the lowest level of the fan exceeds LOSS.
    """
    assert forecast.quantiles is not None, "only a fan gives a loss"
    fan, levels = np.asarray(forecast.quantiles[0]), forecast.levels
    if levels[0] > LOSS:
        return np.full(len(fan), np.nan)
    return np.array([np.interp(LOSS, levels, each) for each in fan])


@dataclass(frozen=True)
class BeyondScores:
    """Scores of the chances of a move beyond a change, up to one step.

    change : relative to the last close, e.g. -0.1 for a move below -10 %, 0.1 for one above +10 %.
    mean : of the chances. base_rate : mean of each symbol's own share of such moves in training
    rows; None if it is unknown for a symbol. happened : share of such moves. brier : mean of
    (chance - outcome)^2. brier_base : the same for the base rates. skill : 1 - brier / brier_base;
    None if no such move happened, because a base rate near 0 would then win by any factor.
    beyond_fan : share of windows whose change lies beyond the outermost quantile; they use the
    chance of that quantile. If this holds for all windows, the fan gave no chance and has no score.
    """

    change: float
    step: int
    mean: float
    base_rate: float | None
    happened: float
    brier: float | None
    brier_base: float | None
    skill: float | None
    beyond_fan: float
    n_windows: int


def past_beyond(
    past: Mapping[str, Floats], changes: Sequence[float], steps: Sequence[int]
) -> dict[tuple[float, int], dict[str, float]]:
    """Return each symbol's share of past moves beyond each change at each step; NaN for no moves.

    past : by symbol, the log prices of its training rows.
    """
    found: dict[tuple[float, int], dict[str, float]] = {}
    for symbol, prices in past.items():
        for step in steps:
            moves = prices[step:] - prices[:-step]
            for change in changes:
                share = float(np.mean(_beyond(moves, change))) if moves.size else math.nan
                found.setdefault((change, step), {})[symbol] = share
    return found


def score_beyond(
    forecast: Forecast, step: int, actual: Floats, pool: Pool, change: float, base_rates: Floats
) -> BeyondScores | None:
    """Score the chances of a move beyond a change; None for a point forecast or without outcomes.

    actual : (N,) log moves at that step, NaN if not known yet; `pool` holds the same windows.
        base_rates : (N,) of each window's symbol, NaN if unknown.
    """
    happened = ~np.isnan(actual)
    if forecast.quantiles is None or not happened.any():
        return None
    rows, level = np.flatnonzero(happened).astype(np.int32), math.log1p(change)
    chance, outside = np.empty(len(rows)), np.empty(len(rows), dtype=np.bool_)
    for some in chunks(len(rows)):
        fan = forecast.quantiles[rows[some], forecast.column(step), :]
        below = probability_below(fan, forecast.levels, np.full(len(fan), level))
        chance[some] = below if change < 0.0 else 1.0 - below
        outside[some] = (level < fan[:, 0]) | (level > fan[:, -1])
    outcome = _beyond(actual[happened], change).astype(np.float64)
    pool, base = pool.keep(happened), base_rates[happened]
    known = not np.isnan(base).any()
    brier = None if outside.all() else pool.mean((chance - outcome) ** 2)
    brier_base = pool.mean((base - outcome) ** 2) if known else None
    return BeyondScores(
        change=change,
        step=step,
        mean=pool.mean(chance),
        base_rate=pool.mean(base) if known else None,
        happened=pool.mean(outcome),
        brier=brier,
        brier_base=brier_base,
        skill=None if brier is None or not outcome.any() else skill(brier, brier_base),
        beyond_fan=pool.mean(outside),
        n_windows=pool.size,
    )


def _beyond(moves: Floats, change: float) -> Mask:
    level = math.log1p(change)
    return np.asarray(moves < level if change < 0.0 else moves > level)


FEWEST_DAYS = 250  # as in the Basel Committee's backtest over one year


@dataclass(frozen=True)
class LossBacktest:
    """How often one symbol exceeded its one-step loss, and tests of this rate.

    days : number of consecutive one-step forecasts. exceeded : number of days with a larger loss.
    coverage : Kupiec's test that 5 % of days exceed it. independence : Christoffersen's test that
    exceedances are independent. joint : test of both. first, last : cutoff dates.
    """

    symbol: str
    days: int
    exceeded: int
    first: str
    last: str
    coverage: SignificanceTest
    independence: SignificanceTest
    joint: SignificanceTest


def backtest_loss(
    symbol: str, cutoff: Days, forecast: Forecast, actual: Floats
) -> LossBacktest | None:
    """Test the loss of one symbol's one-step fans; None for a point forecast or without days.

    cutoff, actual : (N,) dates in time order, and log moves of the next session.
    forecast : N windows of one step.
    """
    if forecast.quantiles is None or forecast.levels[0] > LOSS or not len(cutoff):
        return None
    fan, levels = np.asarray(forecast.quantiles[:, 0]), forecast.levels
    high = max(1, int(np.searchsorted(levels, LOSS)))
    share = (LOSS - levels[high - 1]) / (levels[high] - levels[high - 1])
    hits = actual < fan[:, high - 1] + share * (fan[:, high] - fan[:, high - 1])
    n = int(hits.sum())
    return LossBacktest(
        symbol=symbol,
        days=len(hits),
        exceeded=n,
        first=str(cutoff[0]),
        last=str(cutoff[-1]),
        coverage=significance.christoffersen_unconditional(n, len(hits), LOSS, FEWEST_DAYS),
        independence=significance.christoffersen_independence(hits, FEWEST_DAYS),
        joint=significance.christoffersen_joint(hits, LOSS, FEWEST_DAYS),
    )
