"""Chances of a close below a price, and the loss exceeded with 5 %, next to what past moves did.

Beyond its outermost quantiles a fan says only that a chance is smaller than theirs. No tail is made
up: a chance there is that of the outermost quantile, and marked.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import UsageError
from lstmcli.evaluation.direction import probability_below
from lstmcli.forecasting.forecast import Forecast

LOSS = 0.05  # chance of a loss beyond the one that `loss_moves` returns
_PRICE = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,15})?)(?: ?(%))?")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AskedPrice:
    """A price as it was asked for.

    text : "180" or "-10%". value : 180.0 or -0.1. relative : whether it is a change of the last
    close.
    """

    text: str
    value: float
    relative: bool

    def move(self, last_close: float) -> float:
        """Return the log move from the last close to it."""
        return math.log1p(self.value) if self.relative else math.log(self.value / last_close)


@dataclass(frozen=True)
class Asked:
    """What is asked about the outcomes of one forecast, and what past moves say about it.

    asked, prices, moves : (L,) prices as asked for, in the currency, and as log moves from the
        last close.
    past_below : (L, H) share of past moves of each step that ended below; NaN where there are none.
    past_loss : (H,) log move that LOSS of the past moves fell short of; None where no loss is
        asked for.
    n_past : (H,) number of past moves; they overlap.
    """

    asked: tuple[AskedPrice, ...]
    prices: Floats
    moves: Floats
    past_below: Floats
    past_loss: Floats | None
    n_past: NDArray[np.int64]


def asked_prices(given: Iterable[str | float]) -> tuple[AskedPrice, ...]:
    """Return prices as "180" or 180 and changes of the last close as "-10%", each once.

    Raises UsageError for anything else, a price of 0, or a fall by 100 %.
    """
    return tuple(dict.fromkeys(map(_asked_price, given)))


def _asked_price(given: str | float) -> AskedPrice:
    found = _PRICE.fullmatch(str(given).strip())
    relative = found is not None and found[2] is not None
    value = float(found[1]) if found else 0.0
    if value <= (-100.0 if relative else 0.0):
        raise UsageError(
            "not a price",
            where=f"--price {given}",
            why="expected one above 0 as 180, or a change of the last close as -10%",
            next_step="Write no currency and no thousands separator.",
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
    """Return what is asked of one forecast of 1..horizon steps.

    log_prices : (T,) rows whose moves are the past. loss : whether a loss is asked for.
    """
    moves = np.array([each.move(last_close) for each in prices])
    below, losses = np.full((len(moves), horizon), np.nan), np.full(horizon, np.nan)
    for step in range(1, min(horizon, len(log_prices) - 1) + 1):
        past = log_prices[step:] - log_prices[:-step]
        below[:, step - 1] = past_shares(past, moves)
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


def past_shares(past: Floats, moves: Floats) -> Floats:
    """Return the share of past moves, (T,), that ended below each of some moves, (L,)."""
    return np.array([np.mean(past < each) for each in moves])


def chances_below(forecast: Forecast, moves: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the chances of a move below each of L, (L, H), from a fan of one window.

    Linear between quantiles. The second array, (L, H), marks moves beyond the outermost quantiles:
    the chance is at most the lowest level there, or at least the highest.
    """
    assert forecast.quantiles is not None, "only a fan gives chances"
    fan = np.asarray(forecast.quantiles[0])
    chances = [probability_below(fan, forecast.levels, np.full(len(fan), each)) for each in moves]
    beyond = [(each < fan[:, 0]) | (each > fan[:, -1]) for each in moves]
    shape = len(moves), len(fan)
    return np.array(chances).reshape(shape), np.array(beyond, dtype=np.bool_).reshape(shape)


def loss_moves(forecast: Forecast) -> Floats:
    """Return the log move that LOSS of outcomes fall short of, by step of one window: (H,).

    NaN where the fan has no quantile that low.
    """
    assert forecast.quantiles is not None, "only a fan gives a loss"
    fan, levels = np.asarray(forecast.quantiles[0]), forecast.levels
    if levels[0] > LOSS:
        return np.full(len(fan), np.nan)
    return np.array([np.interp(LOSS, levels, each) for each in fan])
