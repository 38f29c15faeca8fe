"""Does the forecast move at all, or does it copy the last price and call it a forecast?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLAT_LINE = 0.05


@dataclass(frozen=True)
class Movement:
    """How the predicted moves of one step compare in size with the actual ones.

    size : root mean square predicted move over root mean square actual move.
    spread : the same of the deviations from each symbol's mean; near 0 for one answer every time.
    with_last, with_next : correlation of the forecast log price with the last and with the actual
        one, within symbols; a copy is closer to the last.
    flat_line : size below 5 %: in effect the last price.
    Each number None where it is undefined.
    """

    size: float | None
    spread: float | None
    with_last: float | None
    with_next: float | None
    flat_line: bool


def movement(
    predicted: NDArray[np.float64],
    actual: NDArray[np.float64],
    last_close: NDArray[np.float64],
    symbol: NDArray[np.str_],
) -> Movement:
    """Compare predicted with actual log moves of one step; (N,) rows, all happened."""
    size = _ratio(_rms(predicted), _rms(actual))
    group = np.unique(symbol, return_inverse=True)[1]
    last = np.log(last_close)
    ahead, truth = _centred(last + predicted, group), _centred(last + actual, group)
    return Movement(
        size=size,
        spread=_ratio(_rms(_centred(predicted, group)), _rms(_centred(actual, group))),
        with_last=_ratio(_mean(ahead * _centred(last, group)), _rms(ahead) * _rms(last, group)),
        with_next=_ratio(_mean(ahead * truth), _rms(ahead) * _rms(truth)),
        flat_line=size is not None and size < FLAT_LINE,
    )


def _centred(values: NDArray[np.float64], group: NDArray[np.intp]) -> NDArray[np.float64]:
    means = np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1)
    return values - means[group]


def _rms(values: NDArray[np.float64], group: NDArray[np.intp] | None = None) -> float:
    if group is not None:
        values = _centred(values, group)
    return float(np.sqrt(_mean(values * values)))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _ratio(above: float, below: float) -> float | None:
    return above / below if below > 1e-12 else None
