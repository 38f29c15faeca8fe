"""The size of predicted moves, and whether forecasts just copy the last price."""

import math
from dataclasses import dataclass

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.evaluation.pooling import Codes, by_group, chunks

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
    size = _ratio(rms[0], rms[1])
    with_last = _ratio(square[5, 4], rms[5] * rms[4])
    with_next = _ratio(square[5, 6], rms[5] * rms[6])
    of_moves = _ratio(of_scaled[0, 1], math.sqrt(of_scaled[0, 0] * of_scaled[1, 1]))
    closer = with_last is not None and with_next is not None and with_last > with_next
    return Movement(
        size=size,
        spread=_ratio(rms[2], rms[3]),
        with_last=with_last,
        with_next=with_next,
        of_moves=of_moves,
        flat_line=size is not None and size < FLAT_LINE,
        copy=closer and (of_moves or 0.0) * math.sqrt(n_independent) < _CHANCE,
    )


def _ratio(above: float, below: float) -> float | None:
    return float(above / below) if below > 1e-12 else None
