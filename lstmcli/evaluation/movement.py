"""Does the forecast move at all, or does it copy the last price and call it a forecast?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLAT_LINE = 0.05
_LUCK = 1.645  # the standard normal's 95 % quantile


@dataclass(frozen=True)
class Movement:
    """How the predicted moves of one step compare in size with the actual ones.

    size : root mean square predicted move over root mean square actual move.
    spread : the same of the deviations from each symbol's mean; near 0 for one answer every time.
    with_last, with_next : correlation of the forecast log price with the last and with the actual
        one, within symbols.
    of_moves : correlation of the predicted with the actual moves, within symbols.
    flat_line : size below 5 %: in effect the last price.
    copy : closer to the last price than to the next, as nearly every forecast of prices is, and
        no sign that the moves know more: `of_moves` is undefined or within what luck gives in 95 %
        of cases (1.645 / sqrt of the independent windows).
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
    predicted: NDArray[np.float64],
    actual: NDArray[np.float64],
    last_close: NDArray[np.float64],
    symbol: NDArray[np.str_] | NDArray[np.intp],
    n_independent: int,
) -> Movement:
    """Compare predicted with actual log moves of one step; (N,) rows, all happened.

    symbol : names or numbers.
    """
    size = _ratio(_rms(predicted), _rms(actual))
    group = np.unique(symbol, return_inverse=True)[1]
    last = _centred(np.log(last_close), group)
    moves, truths = _centred(predicted, group), _centred(actual, group)
    with_last = _correlation(last + moves, last)
    with_next = _correlation(last + moves, last + truths)
    of_moves = _correlation(moves, truths)
    closer = with_last is not None and with_next is not None and with_last > with_next
    return Movement(
        size=size,
        spread=_ratio(_rms(moves), _rms(truths)),
        with_last=with_last,
        with_next=with_next,
        of_moves=of_moves,
        flat_line=size is not None and size < FLAT_LINE,
        copy=closer and (of_moves or 0.0) * math.sqrt(n_independent) < _LUCK,
    )


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Of values that are centred already."""
    return _ratio(_mean(one * other), _rms(one) * _rms(other))


def _centred(values: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    means = np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1)
    return values - means[group]


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(_mean(values * values)))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 1e-12 else None
